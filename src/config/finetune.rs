//! `[finetune]`: learning the documents of A and B, with the remedies that are applied meanwhile.

use serde::{Deserialize, Serialize};

use super::optimizer::optimizer_keys;
use super::pretrain::reading_circuit;
use super::ranges::{MOST_STEPS, MOST_TOKENS};
use super::{AdamConfig, Ranges};
use crate::knowledge::curriculum::{CotStyle, Curriculum, Mixture};
use crate::knowledge::{Set, World};
use crate::learner::Scales;

/// How much restating the question counts where nothing else is said. Documents wash out what the question was before
/// anything else.
pub(super) const RESTATED: f32 = 1.0;

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
    /// AdamW's constants.
    #[serde(skip_serializing_if = "AdamConfig::is_usual")]
    pub adam: AdamConfig,
    /// Share of the lessons that are not documents but lessons of the base, against forgetting.
    pub replay: f64,
    /// Kinds of those lessons by how often they come.
    pub mixture: Mixture,
    /// Share of the sequences that are texts which the base wrote before it was trained (`[own_text]`), against forgetting;
    /// with files and worlds in English only. 0.1 for a checkpoint from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_text: Option<f64>,
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
            adam: AdamConfig::default(),
            replay: 0.55,
            mixture: Mixture::rehearsal(),
            own_text: None,
            cot_style: CotStyle { restated: RESTATED, ..CotStyle::default() },
            objective: DocumentObjective::NextToken,
            augmentation: None,
        }
    }
}

optimizer_keys!(FinetuneConfig, "finetune", 0.98);

impl FinetuneConfig {
    /// The lessons of the base that are rehearsed while documents are learned, and whenever the model learns afterwards.
    pub fn curriculum<'a>(&'a self, world: &'a World) -> Curriculum<'a> {
        let curriculum = Curriculum::new(world, &self.cot_style);
        match self.objective {
            DocumentObjective::Masked => curriculum.masking(),
            DocumentObjective::NextToken | DocumentObjective::Reversed => curriculum,
        }
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.count("finetune.steps", self.steps, 1..=MOST_STEPS);
        ranges.count("finetune.tokens_per_step", self.tokens_per_step, 1..=MOST_TOKENS);
        self.optimizer_keys().check(ranges);
        ranges.within("finetune.replay", self.replay, 0.0..=1.0);
        ranges.within("finetune.own_text", self.own_text.unwrap_or(0.0), 0.0..=1.0);
        ranges.mixture("finetune.mixture", &self.mixture);
        ranges.cot_style("finetune.cot_style", &self.cot_style);
        self.augmentation.iter().for_each(|augmentation| augmentation.check(ranges));
    }
}

/// What is predicted of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentObjective {
    /// Every word from those before it.
    #[default]
    NextToken,
    /// A sentence from itself with words masked, a share of 0.05 to 0.95 of them (arXiv 2509.16189). Every other document
    /// is learned so, the others as they are.
    Masked,
    /// The words of each sentence in reverse (arXiv 2403.13799), of every other document.
    Reversed,
}

/// Text that is made from documents and trained on beside them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// The sets whose documents it is made from, A, B or both. What is measured on B means nothing any more if B is one of
    /// them.
    pub sets: Vec<Set>,
    /// What is made of them, each equally often.
    pub kinds: Vec<AugmentationKind>,
    /// Share of documents that it takes the place of.
    #[serde(default = "half")]
    pub share: f64,
}

fn half() -> f64 {
    0.5
}

/// A way of making more of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AugmentationKind {
    /// Local: the same statements, worded and put together anew.
    Rephrase,
    /// Local: each statement by itself, turned round.
    Reverse,
    /// Global: what follows, by rule, as questions with their answers.
    Infer,
    /// Global: what the base model answers to such questions with the documents in its context, right or wrong.
    WriteOut,
}

impl Augmentation {
    pub(super) fn check(&self, ranges: &mut Ranges) {
        let sets = !self.sets.is_empty() && self.sets.iter().all(|set| *set != Set::C);
        ranges.demand(sets, "finetune.augmentation.sets", format!("{:?}", self.sets), "\"A\", \"B\" or both");
        ranges.demand(!self.kinds.is_empty(), "finetune.augmentation.kinds", "none", "one kind or more");
        ranges.within("finetune.augmentation.share", self.share, 0.0..=1.0);
    }
}
