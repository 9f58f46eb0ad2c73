//! The losses of policy and value head: pure functions of per-token tensors and a normaliser that is handed in, so that
//! neither micro-batches nor ranks can change the gradient.

mod statistics;
#[cfg(test)]
mod tests;

use candle_core::Tensor;

pub use statistics::Statistics;

use super::ratio::cut;
use super::{Algorithm, Clip, ClipRange, Estimator, HeadLoss, Penalty, Ratio};
use crate::{Error, Result};

/// The tokens of a micro-batch, each tensor `[tokens]` f32. Those of weight zero count nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// Log-probability under the policy that learns; the gradient flows into it.
    pub log_prob: &'a Tensor,
    /// Log-probability when it was sampled.
    pub sampler_logprobs: &'a Tensor,
    /// Log-probability under the policy that learns as it was before the first optimizer step on these completions:
    /// what ratios are taken to where `tis_cap` is not 0. Without it, this is that first step.
    pub old_logprobs: Option<&'a Tensor>,
    /// Number of its completion within the micro-batch, rising from 0: no completion is divided between micro-batches.
    pub completion: &'a [u32],
    /// Its advantage: that of its completion, or its own.
    pub advantage: &'a Tensor,
    /// See [`TokenWeights`](super::TokenWeights).
    pub weight: &'a Tensor,
    /// Log-probability under the frozen reference; needed where `kl` is not 0 and in the loss.
    pub reference: Option<&'a Tensor>,
    /// Entropy of the distribution that it was drawn from, with gradient; needed where `entropy` is not 0.
    pub entropy: Option<&'a Tensor>,
}

/// What a micro-batch gives.
#[derive(Debug)]
pub struct Loss {
    /// Scalar with gradient: this micro-batch's part of the step's loss. Parts are added.
    pub value: Tensor,
    pub statistics: Statistics,
}

/// `sum(weight * (surrogate + kl * divergence - entropy * H)) / normaliser` over the tokens of a micro-batch, where
/// `normaliser` is that of the whole step.
///
/// The surrogate is `-A log p` (REINFORCE), `-min(r A, clip(r) A)` with `r = p / p_before` of the token or of the
/// completion (PPO, arXiv 1707.06347; GSPO, arXiv 2507.18071), or `-A log p` times the clipped ratio as a constant
/// (CISPO, arXiv 2506.13585), each times the importance of the token, if that is corrected for.
pub fn policy_loss(algorithm: &Algorithm, tokens: &Tokens, normaliser: f64) -> Result<Loss> {
    check(normaliser)?;
    let mut loss = surrogate(algorithm, tokens)?;
    if algorithm.kl != 0.0 && algorithm.kl_in == Penalty::Loss {
        let reference = needed(tokens.reference, "kl", "log-probs of a reference")?;
        let mut divergence = algorithm.kl_estimator.estimate(tokens.log_prob, reference)?;
        if algorithm.kl_estimator == Estimator::K3Unbiased {
            divergence = (divergence * ratio(algorithm, tokens, &before(algorithm, tokens))?)?;
        }
        loss = (loss + (divergence * algorithm.kl)?)?;
    }
    if algorithm.entropy != 0.0 {
        let entropy = needed(tokens.entropy, "entropy", "entropies of the tokens")?;
        loss = (loss - (entropy * algorithm.entropy)?)?;
    }
    let value = ((loss * tokens.weight)?.sum_all()? / normaliser)?;
    Ok(Loss { value, statistics: Statistics::measure(algorithm, tokens)? })
}

/// What is foretold of the tokens of a micro-batch, each tensor `[tokens]` f32. Those of weight zero count nowhere.
#[derive(Clone, Copy, Debug)]
pub struct ValueTargets<'a> {
    /// What the head expects; the gradient flows into it.
    pub value: &'a Tensor,
    /// What it expected before the first optimizer step on these completions.
    pub before: &'a Tensor,
    /// What came.
    pub returned: &'a Tensor,
    /// See [`TokenWeights`](super::TokenWeights): those of the policy's loss.
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

/// Refuses what a loss cannot be divided by.
fn check(normaliser: f64) -> Result<()> {
    if normaliser > 0.0 && normaliser.is_finite() {
        Ok(())
    } else {
        Err(Error::invalid("loss", format!("normaliser = {normaliser}"), "a positive number"))
    }
}

/// The loss of each token.
fn surrogate(algorithm: &Algorithm, tokens: &Tokens) -> Result<Tensor> {
    let before = before(algorithm, tokens);
    let gain = match algorithm.ratio {
        Ratio::None => (tokens.log_prob * tokens.advantage)?,
        Ratio::Token | Ratio::Sequence => clipped(algorithm.clip, &ratio(algorithm, tokens, &before)?, tokens)?,
    };
    let gain = match algorithm.tis_cap {
        0.0 => gain,
        cap => (gain * cut(&(&before - tokens.sampler_logprobs)?)?.exp()?.clamp(0.0, cap)?)?,
    };
    Ok(gain.neg()?)
}

/// Log-probabilities that ratios are taken to, without gradient.
fn before(algorithm: &Algorithm, tokens: &Tokens) -> Tensor {
    match (algorithm.tis_cap, tokens.old_logprobs) {
        (0.0, _) => tokens.sampler_logprobs.clone(),
        (_, Some(before)) => before.clone(),
        (_, None) => tokens.log_prob.detach(),
    }
}

/// The ratio of each token's probability to that before, or that of its completion.
fn ratio(algorithm: &Algorithm, tokens: &Tokens, before: &Tensor) -> Result<Tensor> {
    let log_ratio = (tokens.log_prob - before)?;
    let log_ratio = match algorithm.ratio {
        Ratio::Sequence => mean_of_completion(&log_ratio, tokens)?,
        Ratio::None | Ratio::Token => log_ratio,
    };
    Ok(cut(&log_ratio)?.exp()?)
}

/// What each token gains, with the ratio kept in its range.
fn clipped(clip: Clip, ratio: &Tensor, tokens: &Tokens) -> Result<Tensor> {
    let Clip::Range(ClipRange { low, high, dual, detached }) = clip else { return Ok((ratio * tokens.advantage)?) };
    let within = ratio.clamp(1.0 - low, 1.0 + high)?;
    if detached {
        return Ok(((within.detach() * tokens.advantage)? * tokens.log_prob)?);
    }
    // Beyond the range only a negative advantage takes the ratio as it is.
    let ratio = if dual == 0.0 { ratio.clone() } else { ratio.clamp(0.0, dual)? };
    Ok((ratio * tokens.advantage)?.minimum(&(within * tokens.advantage)?)?)
}

/// For each token the mean of its completion's values, over tokens of weight other than zero.
fn mean_of_completion(values: &Tensor, tokens: &Tokens) -> Result<Tensor> {
    let weights = tokens.weight.to_vec1::<f32>()?;
    let completions = tokens.completion.iter().max().map_or(0, |last| *last as usize + 1);
    let mut counts = vec![0f32; completions];
    let learned: Vec<f32> = weights.iter().map(|weight| f32::from(u8::from(*weight != 0.0))).collect();
    tokens.completion.iter().zip(&learned).for_each(|(completion, one)| counts[*completion as usize] += one);
    let share: Vec<f32> =
        tokens.completion.iter().zip(&learned).map(|(c, one)| one / counts[*c as usize].max(1.0)).collect();
    let device = values.device();
    let completion = Tensor::new(tokens.completion, device)?;
    let shares = (values * Tensor::new(share, device)?)?;
    let means = Tensor::zeros(completions, values.dtype(), device)?.index_add(&completion, &shares, 0)?;
    Ok(means.index_select(&completion, 0)?)
}

fn needed<'a>(tensor: Option<&'a Tensor>, key: &str, what: &str) -> Result<&'a Tensor> {
    let missing = || Error::invalid("policy loss", format!("{key} without {what}"), format!("set {key} = 0"));
    tensor.ok_or_else(missing)
}
