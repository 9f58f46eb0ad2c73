//! `finetune.objective` and `[finetune.augmentation]`: remedies that are applied while documents are learned.

use serde::{Deserialize, Serialize};

use super::Ranges;
use crate::knowledge::Set;

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
    /// The sets whose documents it is made from, A, B or both. What is measured on B means nothing any more if B is one of them.
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
