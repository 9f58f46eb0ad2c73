//! What the generation engine is asked for and what it gives back. Token ids only: it never sees text.

use serde::{Deserialize, Serialize};

/// One prompt of which `samples` completions are wanted (a group).
#[derive(Clone, Debug)]
pub struct Request {
    /// Token ids, from `<bos>` to the token after which the policy goes on by itself. Not empty.
    pub prompt: Vec<u32>,
    /// How many completions of it.
    pub samples: usize,
    /// 0 takes the likeliest token; otherwise logits are divided by this before sampling.
    pub temperature: f32,
    /// At most this many new tokens, the stop token included.
    pub max_new_tokens: usize,
    /// Sampling ends after any of these tokens (it is kept in the completion).
    pub stop: Vec<u32>,
    /// The random stream of sample `i` is `random::stream(seed, [key.., i])`.
    pub seed: u64,
    /// Usually (step, question): what a rollout says depends on these and the weights alone.
    pub key: [u64; 2],
}

impl Request {
    /// Tokens of the prompt and the longest completion.
    pub fn tokens(&self) -> usize {
        self.prompt.len().saturating_add(self.max_new_tokens)
    }
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The stop token was sampled.
    Stop,
    /// The budget of new tokens ran out.
    Length,
}

/// One sampled completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// Index of its request in the list that was handed in.
    pub request: usize,
    /// Index in its group, `0..samples`.
    pub sample: usize,
    /// Sampled token ids, the stop token included.
    pub tokens: Vec<u32>,
    /// Log-probability of each sampled token under the distribution it was drawn from (after the temperature;
    /// greedy decoding reports those of temperature 1). Same length as `tokens`.
    pub log_probs: Vec<f32>,
    /// Policy version that sampled it.
    pub version: u64,
    /// Why it ended.
    pub finish: Finish,
}
