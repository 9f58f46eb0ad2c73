//! A question before its statements are worded, with everything that a chain of thought about it may say.

use rand::seq::IteratorRandom;

use super::lexicon::{Lexicon, Word};
use super::sentence::{Slot, Stated, WORDINGS};
use crate::random::Stream;

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
    /// What it names stands in other statements of the same kind as well, and its candidates alone tell which is asked about.
    pub fits_several: bool,
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
            fits_several: false,
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

    /// All that the answer needs, where the question names something in each of these statements and in no other, by which a
    /// model that has learned to restore masked sentences can bring it back.
    pub fn restorable(&self, lexicon: &Lexicon) -> Option<&[Stated]> {
        let is_named = |stated: &Stated| {
            let sentence = stated.task.generated().sentence(lexicon, stated.words, 0);
            let names = sentence.iter().filter(|(_, slot)| matches!(slot, Slot::Group | Slot::Subject | Slot::Object));
            names.into_iter().any(|(word, slot)| !self.hides(*word, *slot))
        };
        let found = !self.fits_several && !self.needed.is_empty() && self.needed.iter().all(is_named);
        found.then_some(&self.needed)
    }

    /// Whether it leaves a word of such a statement to be told: what it asks for, and what it does not name. The frame goes,
    /// too: a masked sentence is then one from its first word on, before any name that a question shows could come instead.
    /// A mood that a question names is that of its conclusion.
    pub fn hides(&self, word: Word, slot: Slot) -> bool {
        let is_answer = self.answers.iter().any(|(_, answer)| *answer == word);
        match slot {
            Slot::Stop => false,
            Slot::Frame | Slot::Mood => true,
            _ => is_answer || !self.words.contains(&word),
        }
    }

    /// One of the wordings of such a statement that share most words with the question: "guards" where it says "guards".
    pub fn closest_wording(&self, lexicon: &Lexicon, stated: Stated, random: &mut Stream) -> usize {
        let shown = |wording: &usize| {
            let sentence = stated.task.generated().sentence(lexicon, stated.words, *wording);
            sentence.iter().filter(|(word, slot)| !self.hides(*word, *slot)).count()
        };
        let most = (0..WORDINGS).map(|wording| shown(&wording)).max();
        (0..WORDINGS).filter(|wording| Some(shown(wording)) == most).choose(random).unwrap_or(0)
    }

    /// Whether what was said holds all that the answer needs.
    pub fn is_answered_by(&self, said: &[Stated]) -> bool {
        self.needed.iter().all(|needed| said.contains(needed))
    }
}
