//! `[evaluation]`: measuring every arm on the questions of A and B.

use serde::{Deserialize, Serialize};

use super::Ranges;

/// The same questions for every arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Seed of the sampling.
    pub seed: u64,
    /// Completions of each question in each arm.
    pub samples: usize,
    /// Longest completion in tokens, the end token included.
    pub max_new_tokens: usize,
    /// Of chains of thought: 0 takes the likeliest token, otherwise logits are divided by this before sampling. Below
    /// the temperature of training, so that a slip of the sampler does not count as something the model believes.
    /// A single answer without a chain of thought is the likeliest; of several, all are sampled, so that every arm has
    /// as many tries.
    pub temperature: f64,
    /// Questions of each task, form and set that an evaluation during training asks; 0 for all.
    pub questions_during_training: usize,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        EvaluationConfig { seed: 0, samples: 1, max_new_tokens: 96, temperature: 0.5, questions_during_training: 50 }
    }
}

impl EvaluationConfig {
    /// What evaluations on the way of a training depend on: a question is asked once there.
    pub fn during_training(&self) -> EvaluationConfig {
        EvaluationConfig { samples: 1, ..self.clone() }
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.at_least("evaluation.samples", self.samples, 1);
        ranges.at_least("evaluation.max_new_tokens", self.max_new_tokens, 2);
        ranges.not_negative("evaluation.temperature", self.temperature);
    }
}
