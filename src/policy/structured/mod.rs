//! The shape of a start from which reading is learned.
//!
//! A plain random start of this size does not learn to read facts from its context: attention has to find "the
//! token before the one that equals mine", which takes two layers that are useless apart, and in millions of tokens
//! nothing leads there. The structured start gives the two layers their shape: heads of layer 0 look a fixed
//! distance back and write what they see into directions of their own; heads of layer 1 compare such directions
//! (an induction circuit, Olsson et al., 2022). Reading then appears in seconds. Everything stays trainable and the
//! architecture is unchanged.

use std::collections::BTreeMap;

use super::{ModelConfig, Weight};
use crate::{Error, Result, random};

mod code;
mod directions;
mod heads;
mod shape;
#[cfg(test)]
mod tests;

pub use code::Code;
pub(super) use directions::normal;
use heads::{SLOW, fetch, matching_heads, offset_heads};
pub use shape::{Anchor, Gates, Head, Structured};

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
