//! The shape of a start from which reading is learned.
//!
//! A plain random start of this size does not learn to read facts from its context: attention has to find "the
//! token before the one that equals mine", which takes two layers that are useless apart, and in millions of tokens
//! nothing leads there. The structured start gives the two layers their shape: heads of layer 0 look a fixed
//! distance back and write what they see into directions of their own; heads of layer 1 compare such directions
//! (an induction circuit, Olsson et al., 2022). Reading then appears in seconds. Everything stays trainable and the
//! architecture is unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ModelConfig, Weight};
use crate::{Error, Result, random};

mod code;
mod directions;
mod heads;
#[cfg(test)]
mod tests;

pub use code::Code;
use heads::{SLOW, fetch, matching_heads, offset_heads};

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
    fn tokens(&self) -> [u32; 3] {
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

impl Structured {
    /// Gives the first layers of freshly drawn weights their shape.
    pub(super) fn shape(
        &self,
        weights: &mut BTreeMap<String, Weight>,
        config: &ModelConfig,
        embedding_std: f64,
        seed: u64,
    ) -> Result<()> {
        self.check(config)?;
        let codes = offset_heads(weights, config, self, embedding_std, seed)?;
        for (layer, heads, stream) in [(1, &self.heads, "fetched"), (2, &self.then, "fetched then")] {
            matching_heads(weights, config, self, layer, heads, &codes)?;
            fetch(weights, config, self, (layer, heads), &codes, embedding_std, &mut random::named(seed, stream))?;
        }
        Ok(())
    }

    pub(super) fn check(&self, config: &ModelConfig) -> Result<()> {
        let refuse = |found: String, remedy: &str| Err(Error::invalid("init.structured", found, remedy));
        let heads = config.num_attention_heads;
        if !config.has_query_bias() {
            return refuse(format!("a {:?} model", config.family), "use model_type qwen2: heads are aimed by biases");
        }
        if config.num_key_value_heads != heads {
            let found = format!("{} key heads for {heads} query heads", config.num_key_value_heads);
            return refuse(found, "give each query head its own key head");
        }
        let needed = if self.then.is_empty() { 2 } else { 3 };
        let jobs = self.heads.len().max(self.then.len());
        if config.num_hidden_layers < needed || self.offsets.len() > heads || jobs > heads {
            let (offsets, layers) = (self.offsets.len(), config.num_hidden_layers);
            let found = format!("{offsets} offsets and {jobs} jobs for {heads} heads in {layers} layers");
            return refuse(found, &format!("at most one of each per head, and at least {needed} layers"));
        }
        if config.head_dim * self.offsets.len() > config.hidden_size {
            let (count, dim) = (self.offsets.len(), config.head_dim);
            let found = format!("{count} heads of {dim} in a hidden size of {}", config.hidden_size);
            return refuse(found, "offset heads write at right angles, so all of them have to fit in hidden_size");
        }
        let mut tokens = vec![self.anchor.token];
        let mut codes = self.fetched.clone();
        for head in self.heads.iter().chain(&self.then) {
            match head {
                Head::Match { query, key, fetched, .. } => codes.extend([query, key].into_iter().chain(fetched)),
                Head::Repeat { token, code } => {
                    tokens.push(*token);
                    codes.push(*code);
                }
            }
        }
        tokens.extend(self.gates.iter().flat_map(Gates::tokens));
        if let Some(token) = tokens.iter().find(|token| **token as usize >= config.vocab_size) {
            return refuse(format!("token {token}"), "it has to be a token of the vocabulary");
        }
        for code in &codes {
            if let Code::Previous(distance) = code
                && !self.offsets.contains(distance)
            {
                return refuse(format!("prev{distance}"), "only distances in offsets can be matched");
            }
        }
        if config.rotary().frequencies.iter().all(|frequency| *frequency >= SLOW) {
            let found = format!("rope_theta {} with heads of {}", config.rope_theta, config.head_dim);
            return refuse(found, "raise rope_theta (1e5), so that some dimensions turn slowly");
        }
        Ok(())
    }
}
