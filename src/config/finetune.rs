//! `[finetune]`: learning the documents of A and B.

use serde::{Deserialize, Serialize};

use super::pretrain::reading_circuit;
use super::ranges::{LARGEST, MOST_STEPS, MOST_TOKENS};
use super::remedy::{Augmentation, DocumentObjective};
use super::{Ranges, lessons};
use crate::knowledge::curriculum::{CotStyle, Mixture};
use crate::learner::Scales;

/// AdamW on whole documents, with a share of the base's own mixture against forgetting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Seed of the order of documents.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: usize,
    /// Tokens of one step, padding not counted.
    pub tokens_per_step: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shares of it for variables whose names begin so. A structured start is washed out at the full rate before
    /// anything uses it.
    pub scales: Scales,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// The last share of the steps, over which the learning rate falls.
    pub decay_share: f64,
    /// On matrices only.
    pub weight_decay: f64,
    /// Longest gradient (2-norm over all weights) that is not scaled down.
    pub max_gradient_norm: f64,
    /// Share of the lessons that are not documents but lessons of the base, against forgetting.
    pub replay: f64,
    /// Kinds of those lessons by how often they come.
    pub mixture: Mixture,
    /// What lessons and documents are like.
    #[serde(alias = "habits")]
    pub cot_style: CotStyle,
    /// What is predicted of a document: "next-token", "masked" or "reversed".
    // Left out where it is the usual one: such a run is the run that it was before this key existed.
    #[serde(skip_serializing_if = "is_usual")]
    pub objective: DocumentObjective,
    /// Text that is made from documents and trained on beside them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
}

fn is_usual(objective: &DocumentObjective) -> bool {
    *objective == DocumentObjective::NextToken
}

impl Default for FinetuneConfig {
    fn default() -> Self {
        FinetuneConfig {
            seed: 0,
            steps: 900,
            tokens_per_step: 2048,
            learning_rate: 1e-3,
            scales: reading_circuit(),
            warmup_steps: 30,
            decay_share: 0.4,
            weight_decay: 0.01,
            max_gradient_norm: 1.0,
            replay: 0.55,
            mixture: Mixture::rehearsal(),
            // Documents wash out what the question was before anything else.
            cot_style: CotStyle { restated: 1.0, ..CotStyle::default() },
            objective: DocumentObjective::NextToken,
            augmentation: None,
        }
    }
}

impl FinetuneConfig {
    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.count("finetune.steps", self.steps, 1..=MOST_STEPS);
        ranges.count("finetune.tokens_per_step", self.tokens_per_step, 1..=MOST_TOKENS);
        ranges.positive("finetune.learning_rate", self.learning_rate, LARGEST);
        ranges.scales("finetune.scales", &self.scales);
        ranges.count("finetune.warmup_steps", self.warmup_steps, 0..=MOST_STEPS);
        ranges.within("finetune.decay_share", self.decay_share, 0.0..=1.0);
        ranges.not_negative("finetune.weight_decay", self.weight_decay, LARGEST);
        ranges.positive("finetune.max_gradient_norm", self.max_gradient_norm, f64::MAX);
        ranges.within("finetune.replay", self.replay, 0.0..=1.0);
        lessons::mixture("finetune.mixture", &self.mixture, ranges);
        lessons::cot_style("finetune.cot_style", &self.cot_style, ranges);
        self.augmentation.iter().for_each(|augmentation| augmentation.check(ranges));
    }
}
