//! One training sequence: words, and how much predicting each of them counts.

use crate::knowledge::lexicon::Word;
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

impl TrainingSequence {
    /// A sequence that starts as every sequence does.
    pub fn begin() -> Self {
        Self { tokens: vec![BOS], weights: vec![0.0] }
    }

    pub fn push(&mut self, word: Word, weight: f32) {
        self.tokens.push(word);
        self.weights.push(weight);
    }

    /// Words that all count the same.
    pub fn learn(&mut self, words: impl IntoIterator<Item = Word>, weight: f32) {
        words.into_iter().for_each(|word| self.push(word, weight));
    }

    /// Words that are read and not learned.
    pub fn read(&mut self, words: impl IntoIterator<Item = Word>) {
        self.learn(words, 0.0);
    }

    /// A sentence of which each slot counts as much as `weigh` says.
    pub fn sentence(&mut self, sentence: &Sentence, weigh: impl Fn(Slot) -> f32) {
        sentence.iter().for_each(|(word, slot)| self.push(*word, weigh(*slot)));
    }

    /// It with `<question>` and its words behind, which are read and not learned.
    pub fn question(mut self, words: &[Word]) -> Self {
        self.read([QUESTION]);
        self.read(words.iter().copied());
        self
    }
}
