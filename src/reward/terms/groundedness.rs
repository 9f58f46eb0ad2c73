//! Does the answer follow from what the trace recited?

use serde::{Deserialize, Serialize};

use crate::verifier::{Grounding, Judgement};

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
}
