//! `[train.hint]`: thoughts that begin with a part of one that leads to the answer.

use serde::{Deserialize, Serialize};

use super::Ranges;
use super::ranges::MOST_STEPS;

/// Thoughts begin with a part of a reference, which recites what the answer needs in the words of the documents, and the policy
/// goes on from there: for forms that are hardly ever answered right, so that there is something to compare (POPE, arXiv
/// 2601.18779; arXiv 2402.05808). What is given is not learned from, and evaluations give nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HintConfig {
    /// The largest share of its words that is given at first. Each question has a share of its own from 0 to this, the same for all
    /// of its completions.
    pub share: f64,
    /// Steps over which that falls evenly to nothing.
    pub steps: usize,
}

impl Default for HintConfig {
    fn default() -> Self {
        HintConfig { share: 1.0, steps: 100 }
    }
}

impl HintConfig {
    /// The largest share at a step, from 0.
    pub fn most(&self, step: usize) -> f64 {
        self.share * self.steps.saturating_sub(step) as f64 / self.steps as f64
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.within("train.hint.share", self.share, 0.0..=1.0);
        ranges.count("train.hint.steps", self.steps, 1..=MOST_STEPS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_falls_evenly_to_nothing() {
        let hint = HintConfig { share: 0.8, steps: 4 };
        assert_eq!([0, 1, 2, 4, 9].map(|step| hint.most(step)), [0.8, 0.8 * 3.0 / 4.0, 0.4, 0.0, 0.0]);
    }
}
