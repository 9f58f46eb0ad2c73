//! What pretraining, fine-tuning and reinforcement learning say of their optimizer in the same words.

use serde::{Deserialize, Serialize};

use super::Ranges;
use super::ranges::{LARGEST, MOST_STEPS};
use crate::learner::{OptimizerConfig, Scales, Schedule};

/// What AdamW's running means of gradients forget, and what keeps its steps finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamConfig {
    /// Share of the mean gradient (β₁) that a step keeps; 0.9 unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Share of the mean squared gradient (β₂) that a step keeps; unless told 0.98 where lessons are learned, 0.99 in
    /// reinforcement learning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// What is added to the root of the mean square (ε); 1e-8 unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
}

impl AdamConfig {
    pub(super) fn is_usual(&self) -> bool {
        *self == AdamConfig::default()
    }
}

/// The keys of a section that are about its optimizer.
pub struct OptimizerKeys<'a> {
    pub(super) section: &'static str,
    pub(super) learning_rate: f64,
    pub(crate) scales: &'a Scales,
    pub(super) warmup_steps: usize,
    pub(super) decay_share: f64,
    pub(super) weight_decay: f64,
    pub(super) max_gradient_norm: f64,
    pub(super) adam: AdamConfig,
    /// What β₂ is unless told.
    pub(super) usual_beta2: f64,
}

/// The keys of a section that are about its optimizer: each section has all of them, under these names.
macro_rules! optimizer_keys {
    ($config:ident, $section:literal, $usual_beta2:literal) => {
        impl $config {
            /// What is said of the optimizer.
            pub fn optimizer_keys(&self) -> $crate::config::OptimizerKeys<'_> {
                $crate::config::OptimizerKeys {
                    section: $section,
                    learning_rate: self.learning_rate,
                    scales: &self.scales,
                    warmup_steps: self.warmup_steps,
                    decay_share: self.decay_share,
                    weight_decay: self.weight_decay,
                    max_gradient_norm: self.max_gradient_norm,
                    adam: self.adam,
                    usual_beta2: $usual_beta2,
                }
            }
        }
    };
}
pub(super) use optimizer_keys;

impl OptimizerKeys<'_> {
    /// The optimizer's constants.
    pub fn optimizer(&self) -> OptimizerConfig {
        let usual = OptimizerConfig::default();
        OptimizerConfig {
            beta1: self.adam.beta1.unwrap_or(usual.beta1),
            beta2: self.adam.beta2.unwrap_or(self.usual_beta2),
            epsilon: self.adam.epsilon.unwrap_or(usual.epsilon),
            weight_decay: self.weight_decay,
            max_gradient_norm: self.max_gradient_norm,
        }
    }

    /// The learning rate of so many steps.
    pub fn schedule(&self, steps: usize) -> Schedule {
        Schedule::over(steps, self.learning_rate, self.warmup_steps, self.decay_share)
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        let key = |name: &str| format!("{}.{name}", self.section);
        ranges.positive(&key("learning_rate"), self.learning_rate, LARGEST);
        ranges.scales(&key("scales"), self.scales);
        ranges.count(&key("warmup_steps"), self.warmup_steps, 0..=MOST_STEPS);
        ranges.within(&key("decay_share"), self.decay_share, 0.0..=1.0);
        ranges.not_negative(&key("weight_decay"), self.weight_decay, LARGEST);
        ranges.positive(&key("max_gradient_norm"), self.max_gradient_norm, f64::MAX);
        let OptimizerConfig { beta1, beta2, epsilon, .. } = self.optimizer();
        for (name, beta) in [("adam.beta1", beta1), ("adam.beta2", beta2)] {
            ranges.demand((0.0..1.0).contains(&beta), &key(name), beta, "0 or more, below 1");
        }
        // AdamW counts in single precision, in which less than this is nothing.
        ranges.demand((1e-30..=1.0).contains(&epsilon), &key("adam.epsilon"), epsilon, "a number from 1e-30 to 1");
    }
}
