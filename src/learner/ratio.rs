//! How the policy that learns is compared with others: the ratio to the one that sampled, the range that it is kept in, and
//! the divergence from a reference.

use candle_core::Tensor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Result;
use crate::strict_toml::none_or;

/// What stands before the advantage in the objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ratio {
    /// The log-probability of the token (REINFORCE). Right only for the policy that sampled.
    None,
    /// The token's probability now over that when it was sampled (PPO, arXiv 1707.06347).
    Token,
    /// The same for the completion as a whole: the geometric mean of the ratios of its tokens (GSPO, arXiv 2507.18071).
    Sequence,
}

/// The range that the ratio gains nothing by leaving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clip {
    None,
    #[serde(untagged)]
    Range(ClipRange),
}

/// From `1 - low` to `1 + high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipRange {
    /// 1 is no lower bound.
    pub low: f64,
    /// Larger than `low`, it lets unlikely tokens grow (clip-higher, arXiv 2503.14476).
    pub high: f64,
    /// Where the advantage is negative, the ratio counts as no more than this: a token that has become likely since it
    /// was sampled is not pushed down without bound (dual clip, arXiv 1912.09729). 0 for none.
    #[serde(default)]
    pub dual: f64,
    /// The clipped ratio is a constant weight of `A log p`, so that every token keeps its gradient (CISPO,
    /// arXiv 2506.13585); otherwise tokens beyond the range have none (PPO).
    #[serde(default)]
    pub detached: bool,
}

impl Clip {
    /// PPO's range.
    pub fn range(low: f64, high: f64) -> Clip {
        Clip::Range(ClipRange { low, high, dual: 0.0, detached: false })
    }
}

impl<'de> Deserialize<'de> for Clip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let range = none_or(deserializer, "\"none\" or { low = 0.2, high = 0.2 }")?;
        Ok(range.map_or(Clip::None, Clip::Range))
    }
}

/// Log-ratios beyond this are cut: a token that has become impossible must not make the loss infinite.
pub const FARTHEST: f64 = 20.0;

/// An estimate of how far one policy is from another, from tokens that the first one sampled (Schulman 2020,
/// joschu.net/blog/kl-approx.html). With `d` the log-probability under the other policy less that under the first:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Estimator {
    /// `-d`: unbiased, and negative for many tokens. Its gradient has mean zero, so it belongs into the reward.
    K1,
    /// `d² / 2`: biased, with the gradient of the divergence where both policies are close.
    K2,
    /// `e^d - d - 1`: unbiased and never negative, but its gradient is that of another divergence.
    K3,
    /// k3 times the differentiable ratio to the policy that sampled: its gradient is that of the divergence itself
    /// (DeepSeek-V3.2, arXiv 2512.02556). For the loss; what is handed in here are the values of k3.
    #[serde(rename = "k3-unbiased")]
    K3Unbiased,
}

/// Where the divergence is held against the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Penalty {
    /// Added to the loss of each token (GRPO, arXiv 2402.03300).
    Loss,
    /// Its sum over a completion is taken off the completion's reward (RLOO, arXiv 2402.14740).
    Reward,
}

impl Estimator {
    /// For each token, differentiable.
    pub fn estimate(self, log_prob: &Tensor, other: &Tensor) -> Result<Tensor> {
        let difference = cut(&(other - log_prob)?)?;
        Ok(match self {
            Estimator::K1 => difference.neg()?,
            Estimator::K2 => (difference.sqr()? * 0.5)?,
            Estimator::K3 | Estimator::K3Unbiased => ((difference.exp()? - difference)? - 1.0)?,
        })
    }

    /// For one token.
    pub fn of_token(self, log_prob: f32, other: f32) -> f64 {
        let difference = f64::from(other - log_prob).clamp(-FARTHEST, FARTHEST);
        match self {
            Estimator::K1 => -difference,
            Estimator::K2 => difference * difference / 2.0,
            Estimator::K3 | Estimator::K3Unbiased => difference.exp() - difference - 1.0,
        }
    }
}

/// A log-ratio within what can be exponentiated.
pub fn cut(log_ratio: &Tensor) -> Result<Tensor> {
    Ok(log_ratio.clamp(-FARTHEST, FARTHEST)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const ALL: [Estimator; 3] = [Estimator::K1, Estimator::K2, Estimator::K3];

    #[test]
    fn tensors_and_tokens_agree_and_nothing_overflows() {
        let pairs = [(-1.0f32, -1.0f32), (-0.5, -2.0), (-3.0, -0.1), (-200.0, 0.0), (0.0, -200.0)];
        let tensor = |values: Vec<f32>| Tensor::new(values, &Device::Cpu).unwrap();
        let (first, other) = (tensor(pairs.map(|p| p.0).to_vec()), tensor(pairs.map(|p| p.1).to_vec()));
        for estimator in ALL {
            let found = estimator.estimate(&first, &other).unwrap().to_vec1::<f32>().unwrap();
            for (found, (first, other)) in found.iter().zip(pairs) {
                let exact = estimator.of_token(first, other);
                assert!(exact.is_finite() && (f64::from(*found) - exact).abs() <= 1e-5 * exact.abs().max(1.0));
            }
        }
    }

    #[test]
    fn k1_and_k3_are_unbiased_and_k2_nearly_so() {
        let (p, q) = ([0.5f64, 0.3, 0.2], [0.4f64, 0.35, 0.25]);
        let truth: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        for (estimator, bias) in [(Estimator::K1, 1e-7), (Estimator::K2, 2e-3), (Estimator::K3, 1e-7)] {
            let of = |(p, q): (&f64, &f64)| p * estimator.of_token(p.ln() as f32, q.ln() as f32);
            let mean: f64 = p.iter().zip(&q).map(of).sum();
            assert!((mean - truth).abs() < bias, "{estimator:?}: {mean} for {truth}");
        }
    }
}
