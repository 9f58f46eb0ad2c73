//! Two ways of answering on the same questions.

use std::iter::repeat_n;

use serde::{Deserialize, Serialize};

use crate::statistics::mcnemar::mcnemar;
use crate::statistics::{Interval, bootstrap, seeds};

/// What came of the questions that both ways were asked in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairs {
    /// Questions that only the first got right.
    pub won: u64,
    /// Questions that only the other got right.
    pub lost: u64,
    /// All of them.
    pub n: u64,
}

impl Pairs {
    /// Counts one question more.
    pub fn add(&mut self, right: bool, other: bool) {
        self.won += u64::from(right && !other);
        self.lost += u64::from(other && !right);
        self.n += 1;
    }

    /// The two-sided p-value of the exact McNemar test over some runs.
    pub fn p(runs: &[Pairs]) -> f64 {
        mcnemar(runs.iter().map(|pairs| pairs.won).sum(), runs.iter().map(|pairs| pairs.lost).sum())
    }

    /// What each question gives: 1, -1 or 0.
    fn differences(self) -> Vec<f64> {
        let even = self.n.saturating_sub(self.won + self.lost);
        let of = |value: f64, count: u64| repeat_n(value, count as usize);
        of(1.0, self.won).chain(of(-1.0, self.lost)).chain(of(0.0, even)).collect()
    }
}

impl std::ops::AddAssign for Pairs {
    fn add_assign(&mut self, other: Pairs) {
        self.won += other.won;
        self.lost += other.lost;
        self.n += other.n;
    }
}

/// An arm and the fine-tuned baseline on the same questions (the first answer of each).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgainstBaseline {
    /// Questions that only the arm got right.
    pub b: u64,
    /// Questions that only the baseline got right.
    pub c: u64,
    /// Two-sided p-value of the exact McNemar test. Of several runs it speaks of these runs; what other seeds would give
    /// is in the interval.
    pub p: f64,
    /// The same, corrected by Holm's method for the number of arms that are compared with the baseline on these questions.
    #[serde(default)]
    pub holm: f64,
    /// Questions that both answered.
    #[serde(default)]
    pub n: u64,
    /// `(b - c) / n`, with its 95 % interval: by the paired bootstrap, and of several runs one that holds the variance
    /// of questions and of seeds ([`seeds::mean`]).
    #[serde(default)]
    pub difference: f64,
    #[serde(default)]
    pub low: f64,
    #[serde(default)]
    pub high: f64,
}

impl AgainstBaseline {
    /// The comparison by what came of each run, not corrected for others.
    pub fn from_runs(runs: &[Pairs]) -> AgainstBaseline {
        let mut all = Pairs::default();
        runs.iter().for_each(|pairs| all += *pairs);
        let Pairs { won: b, lost: c, n } = all;
        let over_seeds = match runs {
            [_, _, ..] => seeds::mean(&runs.iter().map(|pairs| pairs.differences()).collect::<Vec<_>>()),
            _ => None,
        };
        let interval = over_seeds.map(|over| over.interval);
        let Interval { low, high } = interval.unwrap_or_else(|| bootstrap::paired(&all.differences(), 0));
        let p = Pairs::p(runs);
        let difference = (b as f64 - c as f64) / n.max(1) as f64;
        AgainstBaseline { b, c, p, holm: p, n, difference, low, high }
    }

    /// Whether the arm is better (1) or worse (-1) than the baseline by more than chance explains: the test, by this
    /// p-value of it, and the interval say so.
    pub fn verdict(&self, p: f64) -> i8 {
        match p < 0.05 {
            true if self.b > self.c && self.low > 0.0 => 1,
            true if self.b < self.c && self.high < 0.0 => -1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_differ_are_less_sure_than_their_questions() {
        let pairs = |won, lost| Pairs { won, lost, n: 40 };
        let alone = AgainstBaseline::from_runs(&[pairs(12, 2)]);
        assert_eq!((alone.b, alone.c, alone.n, alone.difference, alone.holm), (12, 2, 40, 0.25, alone.p));
        assert_eq!((alone.verdict(alone.p), alone.verdict(0.2)), (1, 0));
        let apart = AgainstBaseline::from_runs(&[pairs(24, 0), pairs(10, 0), pairs(2, 6)]);
        assert!(apart.p < 1e-4 && apart.low < 0.0 && apart.high > apart.difference, "{apart:?}");
        assert_eq!(apart.verdict(apart.p), 0, "other seeds may well turn it round");
        assert_eq!(AgainstBaseline::from_runs(&[pairs(0, 20), pairs(1, 22)]).verdict(0.0), -1);
    }
}
