//! From terms to one number for each completion, with every term kept.

use serde::{Deserialize, Serialize};

use super::{Evidence, Term};

/// A reward: terms in the order of their file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reward {
    pub terms: Vec<Weighted>,
}

/// One term and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weighted {
    /// What the term is called in metrics; its kind unless the file names it.
    pub name: String,
    /// Finite. 0 measures and logs the term without paying for it.
    pub weight: f64,
    pub term: Term,
}

/// What one completion is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The sum of the weighted values.
    pub total: f64,
    /// Every term, in the order of the file.
    pub terms: Vec<TermScore>,
}

/// One term of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TermScore {
    pub name: String,
    /// From 0 to 1, before the weight.
    pub value: f64,
    pub weight: f64,
}

impl Reward {
    /// What this completion is worth: a finite number within `range`.
    pub fn score(&self, evidence: &Evidence) -> Score {
        let terms: Vec<TermScore> = self
            .terms
            .iter()
            .map(|Weighted { name, weight, term }| TermScore {
                name: name.clone(),
                value: term.value(evidence),
                weight: *weight,
            })
            .collect();
        let total = terms.iter().map(|term| term.weight * term.value).sum();
        Score { total, terms }
    }

    /// The least and the greatest total that there can be.
    pub fn range(&self) -> (f64, f64) {
        let sum = |keep: fn(&f64) -> bool| self.terms.iter().map(|term| term.weight).filter(keep).sum();
        (sum(|weight| *weight < 0.0), sum(|weight| *weight > 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::term::tests::{any_term, judgement};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_term_without_weight_is_kept_and_not_paid() {
        let weighted = |weight, term: Term| Weighted { name: term.kind().into(), weight, term };
        let terms =
            vec![weighted(2.0, Term::Correct), weighted(0.0, Term::Recitation), weighted(-0.5, Term::Truncated)];
        let reward = Reward { terms };
        let judgement = judgement(true, &[true, false]);
        let score = reward.score(&Evidence { judgement: &judgement, tokens: 9, finished: false });
        assert_eq!(score.total, 1.5);
        let terms: Vec<(&str, f64, f64)> = score.terms.iter().map(|t| (t.name.as_str(), t.value, t.weight)).collect();
        assert_eq!(terms, [("correct", 1.0, 2.0), ("recitation", 0.5, 0.0), ("truncated", 1.0, -0.5)]);
        assert_eq!(reward.range(), (-0.5, 2.0));
    }

    proptest! {
        #[test]
        fn totals_are_finite_and_in_range(
            terms in prop::collection::vec((any_term(), -1e6..1e6f64), 1..8),
            facts in prop::collection::vec(any::<bool>(), 0..9),
            tokens in any::<usize>(),
            flags in any::<(bool, bool)>(),
        ) {
            let name = |term: &Term| term.kind().to_string();
            let terms = terms.into_iter().map(|(term, weight)| Weighted { name: name(&term), weight, term }).collect();
            let reward = Reward { terms };
            let judgement = judgement(flags.0, &facts);
            let total = reward.score(&Evidence { judgement: &judgement, tokens, finished: flags.1 }).total;
            let (low, high) = reward.range();
            let rounding = 1e-9 * (high - low);
            prop_assert!(total.is_finite() && low - rounding <= total && total <= high + rounding);
        }
    }
}
