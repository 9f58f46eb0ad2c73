//! Which completions of a step are learned from.

use serde::{Deserialize, Serialize};

use super::advantage::TOLERANCE;

/// What is left out before anything is compared or learned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The completions that get a gradient.
    pub keep: Keep,
    /// Rounds of sampling beyond the first, in which groups without spread are replaced by groups of other questions
    /// (dynamic sampling, DAPO, arXiv 2503.14476).
    pub extra_rounds: usize,
    /// Rewards of a group that differ by no more than this are equal.
    pub tolerance: f64,
}

/// The completions whose tokens get a gradient. All of them are compared with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    All,
    /// Those that came to an end within their tokens (overlong filtering, arXiv 2503.14476): one that was cut off may
    /// have been on a good way.
    Finished,
    /// Those with the right answer (rejection sampling, STaR, arXiv 2203.14465).
    Right,
}

impl Keep {
    /// Whether a completion is learned from.
    pub fn keeps(self, finished: bool, right: bool) -> bool {
        match self {
            Keep::All => true,
            Keep::Finished => finished,
            Keep::Right => right,
        }
    }
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { keep: Keep::All, extra_rounds: 0, tolerance: TOLERANCE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_keeps_what_it_says() {
        let all = [(false, false), (true, false), (false, true), (true, true)];
        let kept = |keep: Keep| all.map(|(finished, right)| keep.keeps(finished, right));
        assert_eq!(kept(Keep::All), [true; 4]);
        assert_eq!(kept(Keep::Finished), [false, true, false, true]);
        assert_eq!(kept(Keep::Right), [false, false, true, true]);
    }
}
