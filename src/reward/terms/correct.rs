//! Is the answer the right one, or how near does it come?

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::share;
use crate::knowledge::Key;
use crate::reward::TermInput;

/// The right answer of a completion that ended by itself is worth 1 under every credit; whatever did not end by itself
/// is worth 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Correct {
    /// What an answer that is not right may still earn.
    pub credit: Credit,
}

/// How an answer is compared with the right ones, of which the one that it comes nearest to counts. Words are compared as
/// the question says by its `match`, without the commas and full stops around them.
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
    /// The value for one completion. Linear in the length of the answer and of those that are right.
    pub fn value(self, evidence: &TermInput) -> f64 {
        let judgement = evidence.judgement;
        if !evidence.finished || judgement.correct || self.credit == Credit::Exact {
            return f64::from(u8::from(judgement.correct));
        }
        let (matching, said) = (evidence.matching, judgement.answer.as_deref().unwrap_or(""));
        let answer = matching.words(said);
        let near = |right: &str| match matching.is_number(right, said) {
            // Of two numbers none is a part of the other, whatever unit they share.
            Some(same) => f64::from(u8::from(same)),
            None => self.credit.share(&answer, &matching.words(right)),
        };
        std::iter::once(evidence.expected)
            .chain(evidence.aliases.iter().map(String::as_str))
            .map(near)
            .fold(0.0, f64::max)
    }
}

impl Credit {
    /// What an answer that is not right earns beside one that is, by their words.
    fn share(self, answer: &[Key], right: &[Key]) -> f64 {
        match self {
            Credit::Exact => 0.0,
            Credit::SetF1 => {
                let [answer, right] = [answer, right].map(|words| words.iter().collect::<HashSet<&Key>>());
                share(2 * answer.intersection(&right).count(), answer.len() + right.len())
            }
            Credit::Partial => {
                let agree = answer.iter().zip(right).take_while(|(a, b)| a == b).count();
                share(agree, answer.len().max(right.len()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::Match;
    use crate::reward::term::tests::{evidence, judgement};
    use crate::verifier::Judgement;

    fn value(credit: Credit, answer: &str, right: &str, finished: bool) -> f64 {
        let correct = finished && answer == right;
        let judgement = Judgement { answer: Some(answer.into()), correct, ..judgement(correct, &[]) };
        Correct { credit }.value(&TermInput { expected: right, finished, ..evidence(&judgement) })
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

    #[test]
    fn a_part_is_compared_as_the_question_says_and_with_every_right_answer() {
        let of = |credit, matching, right: &[&str], answer: &str| {
            let judgement = Judgement { answer: Some(answer.into()), ..judgement(false, &[]) };
            let aliases: Vec<String> = right[1..].iter().map(|alias| alias.to_string()).collect();
            let evidence = TermInput { expected: right[0], aliases: &aliases, matching, ..evidence(&judgement) };
            Correct { credit }.value(&evidence)
        };
        use Match::{AnyOf, Exact, Normalised, Number};
        for (matching, right, answer, set_f1, partial) in [
            (Normalised, &["the Red Owl"][..], "**red** owl, nest", 0.8, 2.0 / 3.0),
            (Exact, &["the Red Owl"], "the red Owl", 2.0 / 3.0, 1.0 / 3.0),
            (Exact, &["Jos\u{e9} T"], "Jose\u{301}, X", 0.5, 0.5),
            (Normalised, &["Rik, Mavo"], "mavo and RIK", 0.8, 0.0),
            // The best of all that are right, wherever it stands.
            (AnyOf, &["Rik Dop", "a Grey Owl", "Nem"], "grey owl nest", 0.8, 2.0 / 3.0),
            (AnyOf, &["Rik Dop", "Nem"], "Nem Dop", 2.0 / 3.0, 0.5),
            // Numbers, however they are written; another number is no part of one.
            (Number, &["1, 2 and 3"], "1.0, $2", 2.0 * 2.0 / (2.0 + 4.0), 0.5),
            (Number, &["1,000 km and 5"], "1000.0 km", 2.0 / 3.0, 0.5),
            (Number, &["5 km"], "6 km", 0.0, 0.0),
            (Number, &["5 km"], "5 miles", 0.0, 0.0),
            (Number, &["5 km", "6"], "6 or 7", 0.5, 1.0 / 3.0),
            (Normalised, &[".", "the owl"], ".", 0.0, 0.0),
        ] {
            let found = [Credit::SetF1, Credit::Partial].map(|credit| of(credit, matching, right, answer));
            assert!(
                found.iter().zip([set_f1, partial]).all(|(a, b)| (a - b).abs() < 1e-12),
                "{matching} {right:?} {answer}: {found:?} for {set_f1}, {partial}"
            );
            assert_eq!(of(Credit::Exact, matching, right, answer), 0.0);
        }
    }
}
