//! `[pretrain]`: how a base model is made from scratch.

use serde::{Deserialize, Serialize};

use super::Ranges;
use crate::knowledge::curriculum::{Habits, Mixture};
use crate::language::tokenizer::SPECIAL;
use crate::policy::structured::Anchor;
use crate::policy::{Code, InitConfig, Structured};

/// AdamW on a mixture of generated text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// Seed of the initial weights and of the text.
    pub seed: u64,
    /// How the weights begin.
    pub init: InitConfig,
    /// What is taught, one phase after the other. Reading comes first: a model that memorises before it can read
    /// does not learn to read.
    pub phases: Vec<Phase>,
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

/// One phase of pretraining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phase {
    /// Optimizer steps.
    pub steps: usize,
    /// Kinds of lessons by how often they come.
    pub mixture: Mixture,
    /// What lessons are like.
    pub habits: Habits,
}

impl Default for Phase {
    fn default() -> Self {
        Phase { steps: 6000, mixture: Mixture::default(), habits: Habits::default() }
    }
}

impl PretrainConfig {
    /// Optimizer steps of all phases together.
    pub fn steps(&self) -> usize {
        self.phases.iter().map(|phase| phase.steps).sum()
    }

    /// The phase that a step, `0..steps()`, belongs to.
    pub fn phase(&self, step: usize) -> &Phase {
        let mut end = 0;
        let found = self.phases.iter().position(|phase| {
            end += phase.steps;
            step < end
        });
        &self.phases[found.unwrap_or(self.phases.len() - 1)]
    }
}

impl Default for PretrainConfig {
    fn default() -> Self {
        PretrainConfig {
            seed: 0,
            init: InitConfig {
                embedding_std: 0.1,
                matrix_gain: 0.5,
                structured: Some(Structured {
                    sharpness: 8.0,
                    gain: 4.0,
                    offsets: vec![1, 2, 3, 4],
                    pairs: [(1, 1), (4, 4), (1, 4), (4, 1)]
                        .map(|(q, k)| (Code::Previous(q), Code::Previous(k)))
                        .to_vec(),
                    // The full stop, the first word of every lexicon.
                    anchor: Some(Anchor { token: SPECIAL.len() as u32, strength: 12.0 }),
                }),
            },
            phases: vec![Phase { steps: 1500, mixture: Mixture::reading(), ..Phase::default() }, Phase::default()],
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
        ranges.demand(!self.phases.is_empty(), "pretrain.phases", "none", "one phase or more");
        ranges.at_least("pretrain.phases.steps", self.steps(), 1);
        ranges.at_least("pretrain.tokens_per_step", self.tokens_per_step, 1);
        ranges.positive("pretrain.learning_rate", self.learning_rate);
        ranges.within("pretrain.decay_share", self.decay_share, 0.0..=1.0);
        ranges.not_negative("pretrain.weight_decay", self.weight_decay);
        ranges.positive("pretrain.max_gradient_norm", self.max_gradient_norm);
    }
}
