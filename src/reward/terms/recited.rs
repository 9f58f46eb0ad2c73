//! Is what the trace recites true? Is it what the answer needs, and how much else? Does the answer follow from it?

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::share;
use crate::knowledge::Claim;
use crate::verifier::{Grounding, Judgement};

/// Share of the sentences of the trace that are true facts. A sentence that is no fact counts as not true, and a trace
/// without sentences is worth 0: silence is not truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Truth {
    /// A fact counts once, however often it is said; otherwise saying one true fact again and again is worth 1.
    pub distinct: bool,
    /// Only facts count that name something which the question names; otherwise any fact is as good as another.
    pub on_topic: bool,
}

impl Truth {
    /// The value for one completion.
    pub fn value(self, judgement: &Judgement, question: &str) -> f64 {
        let counted = self.of_sentences(judgement, question).into_iter().filter(|counts| *counts).count();
        share(counted, judgement.recitations.len())
    }

    /// Which sentences count.
    pub fn of_sentences(self, Judgement { recitations, .. }: &Judgement, question: &str) -> Vec<bool> {
        let is_named = |claim: &Claim| claim.names().into_iter().any(|name| names(question, name));
        let mut said = BTreeSet::new();
        let counts = recitations.iter().map(|sentence| {
            let is_new = sentence.claim.as_ref().is_none_or(|claim| said.insert(claim));
            let on_topic = || sentence.claim.as_ref().is_some_and(is_named);
            sentence.is_true && (is_new || !self.distinct) && (!self.on_topic || on_topic())
        });
        counts.collect()
    }
}

/// Whether a name stands in a text as words of its own.
fn names(text: &str, name: &str) -> bool {
    let inside = |one: Option<char>| one.is_some_and(char::is_alphanumeric);
    let apart = |at: usize| !inside(text[..at].chars().next_back()) && !inside(text[at + name.len()..].chars().next());
    !name.is_empty() && text.match_indices(name).any(|(at, _)| apart(at))
}

/// Recited facts held against those that the answer needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relevance {
    pub count: Counted,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// Share of the needed facts that the trace holds; 0 where nothing is needed.
    #[default]
    Found,
    /// Share of the needed facts that it does not hold; 0 where nothing is needed.
    Missing,
    /// Share of the sentences that state no needed fact, or one that was stated before; 0 for a trace without
    /// sentences.
    Surplus,
}

impl Relevance {
    /// The value for one completion.
    pub fn value(self, judgement: &Judgement) -> f64 {
        let Judgement { needed, needed_found: found, recitations, .. } = judgement;
        match self.count {
            Counted::Found => share(*found, *needed),
            Counted::Missing => share(needed.saturating_sub(*found), *needed),
            Counted::Surplus => share(recitations.len().saturating_sub(*found), recitations.len()),
        }
    }

    /// Whether what it counts are sentences.
    pub fn counts_sentences(self) -> bool {
        self.count != Counted::Missing
    }

    /// Which sentences it counts, where it counts sentences.
    pub fn of_sentences(self, Judgement { recitations, .. }: &Judgement) -> Option<Vec<bool>> {
        let mut said = BTreeSet::new();
        let brought =
            recitations.iter().map(|one| one.relevant && one.claim.as_ref().is_some_and(|claim| said.insert(claim)));
        let surplus = self.count == Counted::Surplus;
        self.counts_sentences().then(|| brought.map(|brings| brings != surplus).collect())
    }
}

/// 1 where the answer, right or wrong, is the only one that follows from the recited claims, else 0. What follows is
/// decided by the verifier's logic. Gated by `correct` it tells right answers from lucky ones. 0 in worlds whose
/// recitations cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Groundedness {
    /// Which claims may carry the answer.
    pub claims: Claims,
}

/// Recitations that an answer is to follow from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claims {
    /// Everything that was recited, true or not.
    #[default]
    Recited,
    /// The answer must follow from everything that was recited, and from the true part of it as well.
    True,
}

impl Groundedness {
    /// The value for one completion.
    pub fn value(self, judgement: &Judgement) -> f64 {
        let least = match self.claims {
            Claims::Recited => Grounding::Follows,
            Claims::True => Grounding::Known,
        };
        f64::from(u8::from(judgement.grounding >= Some(least)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::term::tests::judgement;
    use crate::verifier::Recitation;
    use proptest::prelude::*;

    #[test]
    fn only_what_follows_is_grounded() {
        let values = |grounding| {
            let judgement = Judgement { grounding, ..judgement(true, &[]) };
            [Claims::Recited, Claims::True].map(|claims| Groundedness { claims }.value(&judgement))
        };
        assert_eq!(values(None), [0.0, 0.0]);
        assert_eq!(values(Some(Grounding::Guessed)), [0.0, 0.0]);
        assert_eq!(values(Some(Grounding::Follows)), [1.0, 0.0]);
        assert_eq!(values(Some(Grounding::Known)), [1.0, 1.0]);
    }

    #[test]
    fn each_sentence_counts_by_itself() {
        let claim = |object: &str| {
            let [group, subject, relation, object] = ["dop", "mavo", "guards", object].map(String::from);
            Some(Claim::Relation { group, subject, relation, object })
        };
        let said = |object: &str, is_true, relevant| Recitation {
            text: "x .".into(),
            claim: claim(object),
            is_true,
            relevant,
        };
        let noise = Recitation { text: "x".into(), claim: None, is_true: false, relevant: false };
        // A needed fact, a false one, another true one, noise, and both true ones again.
        let recitations = vec![
            said("a", true, true),
            said("b", false, false),
            said("c", true, false),
            noise,
            said("a", true, true),
            said("c", true, false),
        ];
        let judgement = Judgement { recitations, needed: 2, needed_found: 1, ..judgement(true, &[]) };
        let of = |distinct, on_topic, question| {
            let truth = Truth { distinct, on_topic };
            let counted = truth.of_sentences(&judgement, question);
            let value = truth.value(&judgement, question);
            assert_eq!(value, counted.iter().filter(|counts| **counts).count() as f64 / 6.0);
            counted
        };
        assert_eq!(of(false, false, ""), [true, false, true, false, true, true]);
        assert_eq!(of(true, false, ""), [true, false, true, false, false, false]);
        assert_eq!(of(true, true, "who in dop guards a ?"), [true, false, true, false, false, false]);
        assert_eq!(of(false, true, "who guards c? mavo's?"), [true, false, true, false, true, true]);
        assert_eq!(of(false, true, "who guards c ?"), [false, false, true, false, false, true]);
        // The relation is no name, and a name within a word is none.
        assert_eq!(of(false, true, "who guards cab in dops ?"), [false; 6]);
        let of = |count| Relevance { count }.of_sentences(&judgement);
        assert_eq!(of(Counted::Found), Some(vec![true, false, false, false, false, false]));
        assert_eq!(of(Counted::Surplus), Some(vec![false, true, true, true, true, true]));
        assert_eq!(of(Counted::Missing), None);
        let surplus = of(Counted::Surplus).unwrap().iter().filter(|counts| **counts).count();
        assert_eq!(value(Counted::Surplus, &judgement), surplus as f64 / 6.0);
    }

    fn value(count: Counted, judgement: &Judgement) -> f64 {
        Relevance { count }.value(judgement)
    }

    #[test]
    fn hand_computed_values() {
        let judgement = Judgement { needed: 3, needed_found: 1, ..judgement(true, &[true; 4]) };
        assert_eq!(value(Counted::Found, &judgement), 1.0 / 3.0);
        assert_eq!(value(Counted::Missing, &judgement), 2.0 / 3.0);
        assert_eq!(value(Counted::Surplus, &judgement), 0.75);
        let silent = Judgement { needed: 0, needed_found: 0, recitations: vec![], ..judgement };
        assert_eq!([Counted::Found, Counted::Missing, Counted::Surplus].map(|count| value(count, &silent)), [0.0; 3]);
    }

    proptest! {
        #[test]
        fn a_needed_fact_more_helps_and_any_other_sentence_is_surplus(
            needed in 1..9usize, found in 0..9usize, sentences in 0..20usize
        ) {
            let found = found.min(needed - 1).min(sentences);
            let before = Judgement { needed, needed_found: found, ..judgement(true, &vec![true; sentences]) };
            let after = Judgement { needed_found: found + 1, ..judgement(true, &vec![true; sentences + 1]) };
            let after = Judgement { needed, ..after };
            prop_assert!(value(Counted::Found, &before) < value(Counted::Found, &after));
            prop_assert!(value(Counted::Missing, &before) > value(Counted::Missing, &after));
            prop_assert!(value(Counted::Surplus, &before) >= value(Counted::Surplus, &after));
            let idle = Judgement { needed_found: found, ..after };
            prop_assert!(value(Counted::Surplus, &before) <= value(Counted::Surplus, &idle));
        }
    }
}
