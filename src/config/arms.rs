//! `[arms]`: which ways of answering are evaluated, and what they are given.

use serde::{Deserialize, Serialize};

use super::Ranges;
use crate::evaluation::Arm;

/// What is asked of a run that is done may change: nothing here belongs to what makes two runs the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArmsConfig {
    /// Names of arms, as `recollect eval --arms list` explains them. The fine-tuned baseline is always one of them,
    /// because all others are compared with it.
    pub ask: Vec<Arm>,
    /// Passages that a search in the documents gives.
    pub passages: usize,
    /// Also score by which of a question's choices is the likeliest to follow, where they are not shown in it.
    pub likelihood: bool,
}

impl Default for ArmsConfig {
    fn default() -> Self {
        ArmsConfig { ask: Arm::STANDARD.to_vec(), passages: 5, likelihood: false }
    }
}

impl ArmsConfig {
    /// The arms to evaluate, each once, the baseline among them.
    pub fn resolved(&self) -> Vec<Arm> {
        let wanted = |arm: &Arm| *arm == Arm::FineTuned || self.ask.contains(arm);
        Arm::ALL.into_iter().filter(wanted).collect()
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.count("arms.passages", self.passages, 1..=1000);
    }
}
