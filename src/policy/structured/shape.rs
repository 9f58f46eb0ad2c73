//! How a config spells the shape of a start.

use serde::{Deserialize, Serialize};

use super::Code;

/// Heads of layer 0 that look a fixed distance back, and heads of layer 1 that match what those have written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Structured {
    /// Size of the biases that aim a head at its distance; from 8 on nearly all attention goes there.
    pub sharpness: f64,
    /// Size of the matching heads' query and key matrices.
    pub gain: f64,
    /// Head `i` of layer 0 looks `offsets[i]` tokens back.
    pub offsets: Vec<usize>,
    /// What each head of layer 1 looks for.
    pub heads: Vec<Head>,
    /// What each head of layer 2 looks for: with what layer 1 has brought, a step further in a chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Head>,
    /// What matching heads bring from where they look: the sum of these codes.
    pub fetched: Vec<Code>,
    /// A token that matching heads prefer to look at: the one that ends a sentence, so that a question does not
    /// match itself.
    pub anchor: Anchor,
    /// Where heads have something to do; without it they look from everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
}

/// Tokens from which heads look. One that finds something for whatever token it is asked by speaks in between as well:
/// of the last candidate, say, where the cue of the answer is to be restated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// From here matching heads look: the colon of an answer.
    pub answer: u32,
    /// From here repeating heads look: the beginning of an answer.
    pub cue: u32,
    /// What all of them look at from elsewhere: the first token of every sequence.
    pub rest: u32,
}

impl Gates {
    pub(super) fn tokens(&self) -> [u32; 3] {
        [self.answer, self.cue, self.rest]
    }
}

/// What a head of layer 1 or 2 is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Head {
    /// Looks for anchors whose `key` equals the `query` of the current token and brings what is fetched there.
    Match {
        query: Code,
        key: Code,
        /// Writes what it brings as if it were the token itself, so that it can be said next.
        #[serde(default)]
        says: bool,
        /// Brings the sum of these codes instead of what the others bring.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fetched: Vec<Code>,
    },
    /// Looks at `token`, wherever it stands, and says the `code` that it finds there.
    Repeat { token: u32, code: Code },
}

/// A token that attention prefers, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Its id.
    pub token: u32,
    /// How much more than any other token it is looked at.
    pub strength: f64,
}
