//! The terms, one for each thing that a reward may pay for or charge. A term only measures: its value lies
//! between 0 and 1, and the sign of its weight says whether that is good.

use serde::{Deserialize, Serialize};

use crate::verifier::Judgement;

/// Everything that a term may look at.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub judgement: &'a Judgement,
    /// Tokens of the completion, the end token included.
    pub tokens: usize,
    /// It ended by itself rather than by running out of tokens.
    pub finished: bool,
}

/// One measure of a completion.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Term {
    /// 1 for the right answer of a completion that ended by itself, else 0.
    Correct,
    /// 1 if trace, answer and end stand where the format wants them, else 0.
    Format,
    /// Share of the sentences of the trace that are true facts. A sentence that is no fact counts as not true,
    /// and a trace without sentences is worth 0: silence is not truth. Saying one true fact often keeps it at 1.
    Recitation,
    /// Share of the facts that the answer needs which the trace holds; 0 where nothing is needed.
    Relevance,
    /// 0 up to `free` tokens, rising in a straight line to 1 at `limit` tokens and more. A negative weight makes
    /// long completions cost something.
    Length(Length),
    /// 1 if the completion ran out of tokens, else 0. A negative weight punishes it.
    Truncated,
}

/// Lengths in tokens, the end token included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// Up to here length costs nothing.
    #[serde(default)]
    pub free: usize,
    /// From here on it costs all. More than `free`.
    pub limit: usize,
}

impl Term {
    /// The kinds by name, as they are written in a reward file.
    pub const KINDS: [&'static str; 6] = ["correct", "format", "recitation", "relevance", "length", "truncated"];

    /// The name of this kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Term::Correct => "correct",
            Term::Format => "format",
            Term::Recitation => "recitation",
            Term::Relevance => "relevance",
            Term::Length(_) => "length",
            Term::Truncated => "truncated",
        }
    }

    /// The value for one completion, from 0 to 1.
    pub fn value(&self, evidence: &Evidence) -> f64 {
        let judgement = evidence.judgement;
        match self {
            Term::Correct => f64::from(judgement.correct),
            Term::Format => f64::from(judgement.well_formed),
            Term::Recitation => {
                let is_true = judgement.recitations.iter().filter(|recitation| recitation.is_true).count();
                share(is_true, judgement.recitations.len())
            }
            Term::Relevance => share(judgement.needed_found, judgement.needed),
            Term::Length(Length { free, limit }) => {
                share(evidence.tokens.saturating_sub(*free), limit.saturating_sub(*free))
            }
            Term::Truncated => f64::from(!evidence.finished),
        }
    }
}

/// A part of a whole, from 0 to 1; 0 where there is no whole.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::verifier::Recitation;
    use proptest::prelude::*;

    /// A completion that recited `facts` (true or not) and found one of two needed claims.
    pub fn judgement(correct: bool, facts: &[bool]) -> Judgement {
        let recitation =
            |is_true: &bool| Recitation { text: "x .".into(), claim: None, is_true: *is_true, relevant: false };
        let recitations = facts.iter().map(recitation).collect();
        Judgement { answer: None, correct, well_formed: !correct, recitations, needed_found: 1, needed: 2 }
    }

    fn value(term: Term, judgement: &Judgement, tokens: usize, finished: bool) -> f64 {
        term.value(&Evidence { judgement, tokens, finished })
    }

    #[test]
    fn each_term_measures_its_own_thing() {
        let judgement = judgement(true, &[true, false, true, true]);
        assert_eq!(value(Term::Correct, &judgement, 5, true), 1.0);
        assert_eq!(value(Term::Format, &judgement, 5, true), 0.0);
        assert_eq!(value(Term::Recitation, &judgement, 5, true), 0.75);
        assert_eq!(value(Term::Relevance, &judgement, 5, true), 0.5);
        assert_eq!(value(Term::Truncated, &judgement, 5, true), 0.0);
        assert_eq!(value(Term::Truncated, &judgement, 5, false), 1.0);
        let length = |tokens| value(Term::Length(Length { free: 10, limit: 30 }), &judgement, tokens, true);
        assert_eq!([0, 10, 15, 30, 99].map(length), [0.0, 0.0, 0.25, 1.0, 1.0]);
    }

    #[test]
    fn an_empty_trace_earns_nothing() {
        let silent = Judgement { needed: 0, needed_found: 0, ..judgement(true, &[]) };
        assert_eq!(value(Term::Recitation, &silent, 0, true), 0.0);
        assert_eq!(value(Term::Relevance, &silent, 0, true), 0.0);
    }

    fn any_judgement() -> impl Strategy<Value = Judgement> {
        let facts = prop::collection::vec(any::<bool>(), 0..20);
        (any::<bool>(), facts, any::<usize>(), any::<usize>()).prop_map(|(correct, facts, needed_found, needed)| {
            Judgement { needed_found, needed, ..judgement(correct, &facts) }
        })
    }

    pub fn any_term() -> impl Strategy<Value = Term> {
        let length = (any::<usize>(), any::<usize>()).prop_map(|(free, limit)| Term::Length(Length { free, limit }));
        let plain = vec![Term::Correct, Term::Format, Term::Recitation, Term::Relevance, Term::Truncated];
        prop_oneof![prop::sample::select(plain), length]
    }

    proptest! {
        #[test]
        fn every_value_lies_between_0_and_1(
            term in any_term(), judgement in any_judgement(), tokens in any::<usize>(), finished in any::<bool>()
        ) {
            let value = value(term, &judgement, tokens, finished);
            prop_assert!((0.0..=1.0).contains(&value), "{}", value);
        }

        #[test]
        fn length_never_falls_as_tokens_are_added(free in 0..500usize, more in 1..500usize, tokens in 0..2000usize) {
            let judgement = judgement(true, &[]);
            let at = |tokens| value(Term::Length(Length { free, limit: free + more }), &judgement, tokens, true);
            prop_assert!(at(tokens) <= at(tokens + 1));
        }

        #[test]
        fn a_true_fact_more_never_lowers_the_recitation(facts in prop::collection::vec(any::<bool>(), 0..20)) {
            let more = [&facts[..], &[true]].concat();
            let at = |facts: &[bool]| value(Term::Recitation, &judgement(true, facts), 0, true);
            prop_assert!(at(&facts) <= at(&more));
        }
    }
}
