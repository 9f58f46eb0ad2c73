//! Completions to learn from, packed into rows for the model with what else is known of each row.

use serde::{Deserialize, Serialize};

use super::TokenAdvantages;
use crate::Result;
use crate::policy::PackedBatch;

/// One completion to learn from.
#[derive(Clone, Copy, Debug)]
pub struct Sampled<'a> {
    pub prompt: &'a [u32],
    /// Sampled token ids.
    pub tokens: &'a [u32],
    /// Log-probability of each token when it was sampled.
    pub sampler_logprobs: &'a [f32],
    /// The tokens that could be drawn at each place, as in [`Completion`](crate::rollout::Completion); no list where all could:
    /// the policy that learns is held to the same choice, so that its log-probabilities are of the distribution that was
    /// sampled from (<https://arxiv.org/abs/2512.02556>, section 3.1).
    pub sampling_mask: &'a [Vec<u32>],
    /// Log-probability of each under the policy that learns, before the first of several optimizer steps; see
    /// [`Tokens`](super::Tokens).
    pub old_logprobs: Option<&'a [f32]>,
    /// Of the completion as a whole.
    pub advantage: f32,
    /// What its tokens have instead, where a value head or their sentences tell them apart.
    pub gae: Option<&'a TokenAdvantages>,
    /// Whether the algorithm's filter keeps it.
    pub kept: bool,
}

/// A batch of completions with what else is known of each of its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenBatch {
    pub packed: PackedBatch,
    /// Log-probability of each target when it was sampled.
    pub sampler_logprobs: Vec<f32>,
    /// The same before the first of several optimizer steps, of all completions or of none.
    pub old_logprobs: Vec<f32>,
    pub advantages: Vec<f32>,
    /// What a value head expected, of all completions or of none.
    pub values: Vec<f32>,
    /// What it should have expected.
    pub returns: Vec<f32>,
    /// How many rows each completion has.
    pub lengths: Vec<usize>,
}

impl TokenBatch {
    /// Completions with what their tokens weigh; those of one prompt that stand side by side share it.
    pub fn pack(weighed: Vec<(&Sampled, &[f32])>) -> Result<TokenBatch> {
        let mut rows = TokenBatch::default();
        for group in weighed.chunk_by(|(one, _), (next, _)| one.prompt == next.prompt) {
            let completions = group.iter().map(|(completion, weights)| (completion.tokens, *weights));
            rows.packed.push_group(group[0].0.prompt, completions)?;
            group.iter().for_each(|(completion, weights)| rows.push(completion, weights));
        }
        if rows.packed.masks.iter().all(Vec::is_empty) {
            rows.packed.masks.clear();
        }
        Ok(rows)
    }

    /// What is known of the rows of one completion.
    fn push(&mut self, completion: &Sampled, weights: &[f32]) {
        let learned = |values: &[f32]| -> Vec<f32> {
            values.iter().zip(weights).filter(|(_, weight)| **weight != 0.0).map(|(value, _)| *value).collect()
        };
        let sampled = learned(completion.sampler_logprobs);
        match completion.gae {
            None => self.advantages.extend(vec![completion.advantage; sampled.len()]),
            Some(TokenAdvantages { advantages, values, returns }) => {
                self.advantages.extend(learned(advantages));
                self.values.extend(learned(values));
                self.returns.extend(learned(returns));
            }
        }
        let all = Vec::new();
        let masks = weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0);
        let masks = masks.map(|(at, _)| completion.sampling_mask.get(at).unwrap_or(&all).clone());
        self.packed.masks.extend(masks);
        self.lengths.push(sampled.len());
        self.old_logprobs.extend(completion.old_logprobs.map(learned).unwrap_or_default());
        self.sampler_logprobs.extend(sampled);
    }

    /// Cuts the batch between completions.
    pub fn split(&self, token_budget: usize) -> Vec<TokenBatch> {
        let (mut row, mut completion) = (0, 0);
        let parts = self.packed.split(token_budget).into_iter().map(|packed| {
            let rows = row..row + packed.rows.len();
            let completions = completion..completion + packed.sequences();
            (row, completion) = (rows.end, completions.end);
            let optional = |values: &[f32]| values.get(rows.clone()).unwrap_or_default().to_vec();
            TokenBatch {
                packed,
                sampler_logprobs: self.sampler_logprobs[rows.clone()].to_vec(),
                old_logprobs: optional(&self.old_logprobs),
                values: optional(&self.values),
                returns: optional(&self.returns),
                advantages: self.advantages[rows.clone()].to_vec(),
                lengths: self.lengths[completions].to_vec(),
            }
        });
        parts.collect()
    }
}
