//! Is the answer the right one, or how near does it come?

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::share;
use crate::reward::Evidence;

/// The right answer of a completion that ended by itself is worth 1 under every credit; whatever did not end by itself
/// is worth 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Correct {
    /// What an answer that is not right may still earn.
    pub credit: Credit,
}

/// How an answer is compared with the right one. Words are compared without the commas and full stops around them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credit {
    /// 1 for the right answer, else 0.
    #[default]
    Exact,
    /// F1 of the two sets of words, in any order: for answers that are lists.
    SetF1,
    /// Share of words, from the first, that agree before one does not; of the longer of the two answers, so that
    /// words too many cost as much as words too few.
    Partial,
}

impl Correct {
    /// The value for one completion. Linear in the length of the answer.
    pub fn value(self, evidence: &Evidence) -> f64 {
        let judgement = evidence.judgement;
        if !evidence.finished || judgement.correct || self.credit == Credit::Exact {
            return f64::from(u8::from(judgement.correct));
        }
        let answer = words(judgement.answer.as_deref().unwrap_or(""));
        let right = words(evidence.expected);
        match self.credit {
            Credit::Exact => 0.0,
            Credit::SetF1 => {
                let (answer, right): (BTreeSet<&str>, BTreeSet<&str>) =
                    (answer.into_iter().collect(), right.into_iter().collect());
                share(2 * answer.intersection(&right).count(), answer.len() + right.len())
            }
            Credit::Partial => {
                let agree = answer.iter().zip(&right).take_while(|(a, b)| a == b).count();
                share(agree, answer.len().max(right.len()))
            }
        }
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().map(|word| word.trim_matches([',', '.', ';'])).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::term::tests::{evidence, judgement};
    use crate::verifier::Judgement;

    fn value(credit: Credit, answer: &str, right: &str, finished: bool) -> f64 {
        let correct = finished && answer == right;
        let judgement = Judgement { answer: Some(answer.into()), correct, ..judgement(correct, &[]) };
        Correct { credit }.value(&Evidence { expected: right, finished, ..evidence(&judgement) })
    }

    #[test]
    fn hand_computed_values() {
        for (answer, exact, set_f1, partial) in [
            ("a, b and c", 1.0, 1.0, 1.0),
            ("c, and a b.", 0.0, 1.0, 0.0),
            ("a, b", 0.0, 2.0 / 3.0, 0.5),
            ("a, x and c", 0.0, 0.75, 0.25),
            ("a a a a a a a a", 0.0, 0.4, 0.125),
            ("x", 0.0, 0.0, 0.0),
        ] {
            let of = |credit| value(credit, answer, "a, b and c", true);
            let found = [of(Credit::Exact), of(Credit::SetF1), of(Credit::Partial)];
            for (found, expected) in found.into_iter().zip([exact, set_f1, partial]) {
                assert!((found - expected).abs() < 1e-12, "{answer}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn what_ran_out_of_tokens_or_said_nothing_earns_nothing() {
        for credit in [Credit::Exact, Credit::SetF1, Credit::Partial] {
            assert_eq!(value(credit, "a b", "a b", false), 0.0);
            assert_eq!(value(credit, "", "a b", true), 0.0);
            assert_eq!(value(credit, " . , ", ". ,", true), 0.0);
        }
    }
}
