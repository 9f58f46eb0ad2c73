//! The loss of the value head.

use candle_core::Tensor;

use super::{Loss, Statistics, check};
use crate::Result;
use crate::learner::HeadLoss;

/// What is foretold of the tokens of a micro-batch, each tensor `[tokens]` f32. Those of weight zero count nowhere.
#[derive(Clone, Copy, Debug)]
pub struct ValueTargets<'a> {
    /// What the head expects; the gradient flows into it.
    pub value: &'a Tensor,
    /// What it expected before the first optimizer step on these completions.
    pub before: &'a Tensor,
    /// What came.
    pub returned: &'a Tensor,
    /// See [`Weights`](crate::learner::Weights): those of the policy's loss.
    pub weight: &'a Tensor,
}

/// `weight * sum(w * max((v - R)², (v' - R)²) / 2) / normaliser` over the tokens of a micro-batch, where `v'` is the value
/// no further than `clip` from that before the step (PPO's reference implementation; Huang et al. 2022, "The 37
/// implementation details of PPO", 9), and `normaliser` is that of the whole step.
pub fn value_loss(head: &HeadLoss, foretold: &ValueTargets, normaliser: f64) -> Result<Loss> {
    check(normaliser)?;
    let error = |value: &Tensor| -> Result<Tensor> { Ok((value - foretold.returned)?.sqr()?) };
    let free = error(foretold.value)?;
    let errors = match head.clip {
        0.0 => free.clone(),
        clip => {
            let moved = (foretold.value - foretold.before)?.clamp(-clip, clip)?;
            free.maximum(&error(&(moved + foretold.before)?)?)?
        }
    };
    let value = ((&errors * foretold.weight)?.sum_all()? * (0.5 * head.weight / normaliser))?;
    let mut statistics = Statistics::default();
    let plain = |tensor: &Tensor| tensor.to_vec1::<f32>();
    let (errors, free) = (plain(&errors)?, plain(&free)?);
    let weighed = errors.iter().zip(&free).zip(plain(foretold.weight)?).filter(|(_, weight)| *weight != 0.0);
    for ((error, free), _) in weighed {
        statistics.value_loss += 0.5 * f64::from(*error);
        statistics.value_clipped += f64::from(u8::from(error > free));
    }
    Ok(Loss { value, statistics })
}
