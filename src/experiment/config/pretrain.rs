//! `[pretrain]`: how a base model is made from scratch.

use serde::{Deserialize, Serialize};

use super::Ranges;

/// AdamW on a mixture of generated text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// Seed of the initial weights and of the text.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: usize,
    /// Tokens of one step, padding not counted.
    pub tokens_per_step: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// The last share of the steps, over which the learning rate falls.
    pub decay_share: f64,
    /// On matrices only.
    pub weight_decay: f64,
    /// Longest gradient (2-norm over all weights) that is not scaled down.
    pub max_gradient_norm: f64,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        PretrainConfig {
            seed: 0,
            steps: 6000,
            tokens_per_step: 2048,
            learning_rate: 2e-3,
            warmup_steps: 100,
            decay_share: 0.3,
            weight_decay: 0.01,
            max_gradient_norm: 1.0,
        }
    }
}

impl PretrainConfig {
    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.at_least("pretrain.steps", self.steps, 1);
        ranges.at_least("pretrain.tokens_per_step", self.tokens_per_step, 1);
        ranges.positive("pretrain.learning_rate", self.learning_rate);
        ranges.within("pretrain.decay_share", self.decay_share, 0.0..=1.0);
        ranges.not_negative("pretrain.weight_decay", self.weight_decay);
        ranges.positive("pretrain.max_gradient_norm", self.max_gradient_norm);
    }
}
