//! What is looked for in text that trains: one word with what stands around it, and what it gives away.

use super::lexicon::Word;
use crate::Error;
use crate::text::excerpt;

/// A word of a training sequence.
pub struct TrainingWord<'a> {
    pub tokens: &'a [Word],
    pub at: usize,
    /// Where its sentence begins.
    pub sentence: usize,
}

/// What must not train: a question of B, its answer, one of its facts in the order in which it is asked for, or what
/// follows from several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeakKind {
    Question,
    Answer,
    ReversedFact,
    Inference,
}

impl TrainingWord<'_> {
    pub fn word(&self) -> Word {
        self.tokens[self.at]
    }

    /// The word that stands so many places before it.
    pub fn before(&self, distance: usize) -> Option<Word> {
        self.at.checked_sub(distance).map(|at| self.tokens[at])
    }

    /// What comes after it.
    pub fn after(&self) -> &[Word] {
        &self.tokens[self.at + 1..]
    }

    /// The words of its sentence up to it.
    pub fn earlier(&self) -> &[Word] {
        &self.tokens[self.sentence.min(self.at)..self.at]
    }
}

/// Where something of the evaluation stands in training text.
#[derive(Clone, Debug, PartialEq)]
pub struct Leak {
    pub kind: LeakKind,
    /// The words.
    pub text: String,
    /// The question that they give away, and where it stands, in knowledge from files.
    pub question: Option<(String, String)>,
}

impl Leak {
    pub fn refused(&self) -> Error {
        let what = match self.kind {
            LeakKind::Question => "a question",
            LeakKind::Answer => "an answer",
            LeakKind::ReversedFact => "a reversed fact",
            LeakKind::Inference => "an inference",
        };
        let asked = self.question.as_ref().map_or(String::new(), |(question, place)| {
            format!(", which gives away \"{}\" ({place})", excerpt(question))
        });
        Error::Refused(format!("{what} of the evaluation stands in training text: \"{}\"{asked}", excerpt(&self.text)))
    }
}
