//! One training sequence: words, and how much predicting each of them counts.

use super::lesson_question::LessonQuestion;
use crate::knowledge::lexicon::{Lexicon, Word};
use crate::knowledge::sentence::{Sentence, Slot};
use crate::language::tokenizer::SPECIAL;

/// Token ids and the loss weight of each: 0 where a word could not be known.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingSequence {
    pub tokens: Vec<u32>,
    pub weights: Vec<f32>,
}

/// Ids of the special tokens in a tokenizer made from a lexicon.
pub const BOS: Word = 1;
pub const EOS: Word = 2;
pub const QUESTION: Word = 3;
pub const THINK: Word = 4;
pub const END_THINK: Word = 5;
pub const ANSWER: Word = 6;
const _: () = assert!(SPECIAL.len() == 7);

/// How much the answer itself counts; all other words count 1 or less.
const ANSWERED: f32 = 2.0;
/// How much the end of an answer counts.
const ENDED: f32 = 0.3;

/// How much the parts of an answer count.
#[derive(Clone, Copy, Debug)]
pub struct AnswerWeights {
    /// `<answer>`: 0 where the prompt ends in it.
    pub marker: f32,
    /// The cue, all of it.
    pub restated: f32,
    /// Scales the answer itself: below 1 where it can only be guessed.
    pub answered: f32,
}

impl TrainingSequence {
    /// A sequence that starts as every sequence does.
    pub fn begin() -> Self {
        Self { tokens: vec![BOS], weights: vec![0.0] }
    }

    pub fn push(&mut self, word: Word, weight: f32) -> &mut Self {
        self.tokens.push(word);
        self.weights.push(weight);
        self
    }

    /// Words that are read and not learned.
    pub fn read(&mut self, words: impl IntoIterator<Item = Word>) -> &mut Self {
        words.into_iter().for_each(|word| {
            self.push(word, 0.0);
        });
        self
    }

    /// A sentence of which each slot counts as much as `weigh` says.
    pub fn sentence(&mut self, sentence: &Sentence, weigh: impl Fn(Slot) -> f32) -> &mut Self {
        for (word, slot) in sentence {
            self.push(*word, weigh(*slot));
        }
        self
    }

    /// `<question>` and its words, which are read and not learned.
    pub fn question(&mut self, words: &[Word]) -> &mut Self {
        self.read([QUESTION]).read(words.iter().copied())
    }

    /// `<answer> cue : answer <eos>`; several cues and answers where a message is asked for word by word.
    pub fn answer(&mut self, lexicon: &Lexicon, asked: &LessonQuestion, weights: AnswerWeights) -> &mut Self {
        self.push(ANSWER, weights.marker);
        for (cue, answer) in &asked.answers {
            // A long cue is copied word by word; it should not outweigh what it leads to.
            let restated = weights.restated / (cue.len().max(1) as f32).sqrt();
            for word in cue {
                self.push(*word, restated);
            }
            self.push(lexicon.grammar(":"), ENDED).push(*answer, ANSWERED * weights.answered);
        }
        self.push(EOS, ENDED)
    }
}
