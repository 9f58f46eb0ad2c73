//! A question before its statements are worded, with everything that a chain of thought about it may say.

use super::lexicon::{Lexicon, Word};
use super::sentence::{Slot, Stated};

/// A question, its answer, and statements by how much they have to do with it.
pub struct QuestionDraft {
    /// The question, its mark and candidates included.
    pub words: Vec<Word>,
    /// What the answer says, in pairs: words of the question that it restates, and what it says to them.
    pub answers: Vec<(Vec<Word>, Word)>,
    /// What the answer needs, in an order in which it can be recalled.
    pub needed: Vec<Stated>,
    /// What stands before the question where it is to be read: the needed and others.
    pub context: Vec<Stated>,
    /// What may be answered, and the accuracy of the best guess; for questions that are not of a lesson.
    pub choices: Vec<String>,
    pub chance: f64,
    /// The answer is the pairs of a message, word by word: it has no cue by itself, and cannot be guessed from the question.
    pub is_message: bool,
    /// What a thought about it says beside what comes to mind, and at which share of its turns; for lessons.
    pub thought: Thought,
    pub share: f64,
    /// Which names its statements are about can be told from the question.
    pub shows_subjects: bool,
}

/// What a thought says of a question.
pub enum Thought {
    /// What is needed from its beginning, one after another.
    InOrder,
    /// Any of these: what is about the candidates or the group.
    AnyOf(Vec<Stated>),
}

impl QuestionDraft {
    /// A question with one answer.
    pub fn new(words: Vec<Word>, cue: Vec<Word>, answer: Word, needed: Vec<Stated>) -> Self {
        Self {
            words,
            answers: vec![(cue, answer)],
            needed,
            context: Vec::new(),
            choices: Vec::new(),
            chance: 0.0,
            is_message: false,
            thought: Thought::InOrder,
            share: 0.0,
            shows_subjects: true,
        }
    }

    /// A message to be translated word by word.
    pub fn message(words: Vec<Word>, pairs: Vec<(Word, Word)>, needed: Vec<Stated>) -> Self {
        let answers = pairs.into_iter().map(|(given, wanted)| (vec![given], wanted)).collect();
        Self { answers, is_message: true, ..Self::new(words, Vec::new(), 0, needed) }
    }

    /// The same with choices, each as likely as the others.
    pub fn choosing(self, choices: Vec<String>) -> Self {
        Self { chance: 1.0 / choices.len() as f64, choices, ..self }
    }

    /// What the answer restates as a whole, and what it says to that.
    pub fn cue_and_answer(&self, lexicon: &Lexicon) -> (String, String) {
        match &self.answers[..] {
            [(cue, answer)] if !self.is_message => (lexicon.text(cue), lexicon.spell(*answer).into()),
            pairs => {
                let pair = |(given, wanted): &(Vec<Word>, Word)| {
                    format!("{} : {}", lexicon.text(given), lexicon.spell(*wanted))
                };
                (String::new(), pairs.iter().map(pair).collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// The one statement that it asks about, if it asks for a name in it.
    pub fn restorable(&self, lexicon: &Lexicon) -> Option<Stated> {
        let ([stated], [(_, answer)]) = (&self.needed[..], &self.answers[..]) else { return None };
        let sentence = stated.task.generated().sentence(lexicon, stated.words, 0);
        let asked = !self.is_message && sentence.iter().any(|(word, _)| word == answer);
        asked.then_some(*stated)
    }

    /// Whether it leaves a word of that statement to be told: what it asks for, and what it does not name.
    pub fn hides(&self, word: Word, slot: Slot) -> bool {
        let is_answer = self.answers.iter().any(|(_, answer)| *answer == word);
        is_answer || !matches!(slot, Slot::Frame | Slot::Stop) && !self.words.contains(&word)
    }

    /// Whether what was said holds all that the answer needs.
    pub fn is_answered_by(&self, said: &[Stated]) -> bool {
        self.needed.iter().all(|needed| said.contains(needed))
    }
}
