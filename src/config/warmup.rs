//! `[warmup]`: lessons in how to think, between the documents and reinforcement learning.

use serde::{Deserialize, Serialize};

use super::optimizer::optimizer_keys;
use super::ranges::{MOST_STEPS, MOST_TOKENS};
use super::{AdamConfig, Ranges};
use crate::learner::Scales;

/// AdamW on lessons of set C, among documents against forgetting. The arm `thinking-before-rl`
/// is measured after it, so that what lessons bring is not counted as gained by reinforcement learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WarmupConfig {
    /// Seed of the order of lessons.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: usize,
    /// Tokens of one step, padding not counted.
    pub tokens_per_step: usize,
    /// Share of the sequences that are not lessons but documents again.
    pub documents: f64,
    /// Share of the sequences that are texts which the base wrote before it was trained (`[own_text]`), against forgetting.
    /// 0.1 for a checkpoint from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_text: Option<f64>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shares of it for variables whose names begin so.
    pub scales: Scales,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// The last share of the steps, over which the learning rate falls.
    pub decay_share: f64,
    /// On matrices only.
    pub weight_decay: f64,
    /// Longest gradient (2-norm over all weights) that is not scaled down.
    pub max_gradient_norm: f64,
    /// AdamW's constants.
    #[serde(skip_serializing_if = "AdamConfig::is_usual")]
    pub adam: AdamConfig,
}

impl Default for WarmupConfig {
    fn default() -> Self {
        WarmupConfig {
            seed: 0,
            steps: 60,
            tokens_per_step: 2048,
            documents: 0.4,
            own_text: None,
            learning_rate: 1e-4,
            scales: Scales::default(),
            warmup_steps: 5,
            decay_share: 0.4,
            weight_decay: 0.01,
            max_gradient_norm: 1.0,
            adam: AdamConfig::default(),
        }
    }
}

optimizer_keys!(WarmupConfig, "warmup", 0.98);

impl WarmupConfig {
    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.count("warmup.steps", self.steps, 1..=MOST_STEPS);
        ranges.count("warmup.tokens_per_step", self.tokens_per_step, 1..=MOST_TOKENS);
        ranges.within("warmup.documents", self.documents, 0.0..=1.0);
        ranges.within("warmup.own_text", self.own_text.unwrap_or(0.0), 0.0..=1.0);
        self.optimizer_keys().check(ranges);
    }
}
