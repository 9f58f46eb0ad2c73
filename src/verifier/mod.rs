//! Reads an answer and a trace, and decides what is right in them.

pub mod grounding;
pub mod judge;

use serde::{Deserialize, Serialize};

use crate::knowledge::Claim;
pub use crate::knowledge::Facts;
pub use judge::judge;

/// How an answer stands to the trace before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grounding {
    /// It does not follow from what was recited, or other answers follow as well.
    Guessed,
    /// It follows, and no other answer does, but not from the true recitations alone.
    Follows,
    /// It follows, and it follows from the true recitations alone.
    Known,
}

/// One sentence of a trace, or a clause of one, where a sentence can state several facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recitation {
    /// As it was written.
    pub text: String,
    /// What it claims; `None` where it is not a statement of the world's grammar.
    pub claim: Option<Claim>,
    /// The claim holds in the world.
    pub is_true: bool,
    /// The claim is true and the answer needs it.
    pub relevant: bool,
}

/// Everything that can be said about one completion without knowing what it will be rewarded for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The answer that was read, if there was one.
    pub answer: Option<String>,
    /// The answer is the right one and the completion ended by itself.
    pub correct: bool,
    /// Trace, answer and end stand where the format wants them.
    pub well_formed: bool,
    /// The sentences of the trace, or their clauses, in order, without remarks in free English; none where the world has no
    /// grammar to read them in.
    pub recitations: Vec<Recitation>,
    /// How many different needed claims the trace holds.
    pub needed_found: usize,
    /// How many the question needs.
    pub needed: usize,
    /// Whether the answer follows from the trace; `None` where that cannot be decided.
    #[serde(default)]
    pub grounding: Option<Grounding>,
}
