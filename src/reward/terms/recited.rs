//! Does the trace recite what the answer needs, and how much else? Does the answer follow from it?

use serde::{Deserialize, Serialize};

use super::share;
use crate::verifier::{Grounding, Judgement};

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
