//! What a loss says of the tokens that it was computed from.

use std::ops::AddAssign;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Tokens, before, mean_of_completion};
use crate::Result;
use crate::learner::{Algorithm, Clip, ClipRange, Estimator, Ratio};

/// Sums over tokens of weight other than zero; add those of all micro-batches, then ask for means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    tokens: f64,
    clipped_low: f64,
    clipped_high: f64,
    mismatch_kl: f64,
    kl: f64,
    entropy: f64,
    capped: f64,
    pub(super) value_loss: f64,
    pub(super) value_clipped: f64,
}

impl Statistics {
    /// Those of the policy's loss on some tokens.
    pub(super) fn measure(algorithm: &Algorithm, tokens: &Tokens) -> Result<Statistics> {
        let plain = |tensor: &Tensor| tensor.to_vec1::<f32>();
        let optional = |tensor: Option<&Tensor>| tensor.map(plain).transpose();
        let (now, sampled, advantage) =
            (plain(tokens.log_prob)?, plain(tokens.sampler_logprobs)?, plain(tokens.advantage)?);
        let (reference, entropy) = (optional(tokens.reference)?, optional(tokens.entropy)?);
        let before = before(algorithm, tokens);
        let log_ratio = (tokens.log_prob - &before)?;
        let importance = plain(&(before - tokens.sampler_logprobs)?)?;
        let log_ratio = match algorithm.ratio {
            Ratio::Sequence => plain(&mean_of_completion(&log_ratio, tokens)?)?,
            Ratio::None | Ratio::Token => plain(&log_ratio)?,
        };
        let mut sums = Statistics::default();
        for (i, _) in plain(tokens.weight)?.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
            sums.tokens += 1.0;
            sums.mismatch_kl += Estimator::K3.of_token(sampled[i], now[i]);
            sums.kl += reference.as_ref().map_or(0.0, |reference| Estimator::K3.of_token(now[i], reference[i]));
            sums.entropy += entropy.as_ref().map_or(0.0, |entropy| f64::from(entropy[i]));
            if let (Ratio::Token | Ratio::Sequence, Clip::Range(ClipRange { low, high, .. })) =
                (algorithm.ratio, algorithm.clip)
            {
                let ratio = f64::from(log_ratio[i]).exp();
                sums.clipped_low += f64::from(u8::from(advantage[i] < 0.0 && ratio < 1.0 - low));
                sums.clipped_high += f64::from(u8::from(advantage[i] > 0.0 && ratio > 1.0 + high));
            }
            let cap = algorithm.tis_cap;
            sums.capped += f64::from(u8::from(cap != 0.0 && f64::from(importance[i]).exp() > cap));
        }
        Ok(sums)
    }

    /// Tokens that were learned from.
    pub fn tokens(&self) -> u64 {
        self.tokens as u64
    }

    /// Share of tokens whose gradient the lower bound took away (negative advantage, ratio below it).
    pub fn clip_ratio_low(&self) -> f64 {
        self.mean(self.clipped_low)
    }

    /// Share of tokens whose gradient the upper bound took away (positive advantage, ratio above it).
    pub fn clip_ratio_high(&self) -> f64 {
        self.mean(self.clipped_high)
    }

    /// Share of tokens whose gradient either bound took away.
    pub fn clip_ratio_region(&self) -> f64 {
        self.mean(self.clipped_low + self.clipped_high)
    }

    /// Divergence of the learner from the sampler, k3 (Schulman 2020): before the first update of a step it is pure
    /// numerical mismatch.
    pub fn mismatch_kl(&self) -> f64 {
        self.mean(self.mismatch_kl)
    }

    /// Divergence from the reference, k3; 0 without one.
    pub fn kl(&self) -> f64 {
        self.mean(self.kl)
    }

    /// Mean entropy in nats; 0 when none was handed in.
    pub fn entropy(&self) -> f64 {
        self.mean(self.entropy)
    }

    /// Share of tokens whose importance was cut at the cap.
    pub fn importance_capped(&self) -> f64 {
        self.mean(self.capped)
    }

    /// Half the squared error of the value head, clipped as in its loss.
    pub fn value_loss(&self) -> f64 {
        self.mean(self.value_loss)
    }

    /// Share of tokens whose value was held back by the clip of its loss.
    pub fn value_clip_ratio(&self) -> f64 {
        self.mean(self.value_clipped)
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.tokens.max(1.0)
    }
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Statistics) {
        self.tokens += other.tokens;
        self.clipped_low += other.clipped_low;
        self.clipped_high += other.clipped_high;
        self.mismatch_kl += other.mismatch_kl;
        self.kl += other.kl;
        self.entropy += other.entropy;
        self.capped += other.capped;
        self.value_loss += other.value_loss;
        self.value_clipped += other.value_clipped;
    }
}
