//! What a value head is trained towards, and how much better each token of a completion was than it expected:
//! generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438).

use serde::{Deserialize, Deserializer, Serialize};

use crate::strict_toml::none_or;

/// Whether a value head is trained with the policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Critic {
    None,
    #[serde(untagged)]
    Head(HeadLoss),
}

/// How a value head learns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeadLoss {
    /// Weight of its loss beside the policy's. Where the head alone learns from it, the optimizer's own scaling leaves
    /// little of this number.
    pub weight: f64,
    /// A value gains nothing by going further than this from what it was before the step; 0 for as far as it likes.
    pub clip: f64,
    /// Learning rate of the head as a multiple of the policy's.
    pub rate: f64,
    /// Whether its gradient goes on into the policy.
    pub trunk: bool,
}

impl Default for HeadLoss {
    fn default() -> HeadLoss {
        HeadLoss { weight: 0.5, clip: 0.2, rate: 1.0, trunk: false }
    }
}

impl Critic {
    /// How the head learns, where there is one.
    pub fn head(self) -> Option<HeadLoss> {
        match self {
            Critic::None => None,
            Critic::Head(head) => Some(head),
        }
    }
}

impl<'de> Deserialize<'de> for Critic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let head = none_or(deserializer, "\"none\" or { weight = 0.5, clip = 0.2, rate = 1.0, trunk = false }")?;
        Ok(head.map_or(Critic::None, Critic::Head))
    }
}

/// Generalised advantage estimation (arXiv 1506.02438), which needs a value head.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gae {
    /// A reward one token later is worth this much of one now.
    pub gamma: f64,
    /// How far surprises are carried back: 0 compares each value with the next one only (little noise, as wrong as the
    /// values are), 1 with what came in the end (right whatever the values are, and noisy). Where one reward comes at
    /// the end of many tokens, anything below 1 hides it from the first of them, and from the values that are to foretell
    /// it (Yuan et al. 2025, arXiv 2503.01491).
    pub lambda: f64,
    /// Brings the advantages of a step to mean 0 and deviation 1 over all tokens that are learned from.
    pub whiten: bool,
}

impl Default for Gae {
    fn default() -> Gae {
        Gae { gamma: 1.0, lambda: 1.0, whiten: true }
    }
}

/// What the tokens of a completion were expected to bring and brought, a number for each token up to the last that is
/// learned from. Where no value head expected anything there are advantages alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenAdvantages {
    pub advantages: Vec<f32>,
    /// What the value head expected before each token.
    pub values: Vec<f32>,
    /// What the value head should have expected: advantages, before they are whitened, and values together.
    pub returns: Vec<f32>,
}

impl Gae {
    /// `A_t = d_t + gamma lambda A_{t+1}` with `d_t = r_t + gamma V_{t+1} - V_t`, where nothing comes after the last
    /// token: a completion that was cut off is over as well. `rewards` and `values` are those of each token.
    pub fn appraise(&self, rewards: &[f64], values: Vec<f32>) -> TokenAdvantages {
        let count = values.len().min(rewards.len());
        let (mut advantages, mut returns) = (vec![0.0; count], vec![0.0; count]);
        let (mut advantage, mut after) = (0.0, 0.0);
        for at in (0..count).rev() {
            let value = f64::from(values[at]);
            advantage = rewards[at] + self.gamma * after - value + self.gamma * self.lambda * advantage;
            advantages[at] = advantage as f32;
            returns[at] = (advantage + value) as f32;
            after = value;
        }
        TokenAdvantages { advantages, values, returns }
    }
}

/// Brings all advantages to mean 0 and deviation 1.
pub fn whiten(appraisals: &mut [TokenAdvantages]) {
    let all = || appraisals.iter().flat_map(|appraisal| &appraisal.advantages).map(|advantage| f64::from(*advantage));
    let (mean, variance) = moments(all());
    // Keeps advantages that are all the same from becoming large ones.
    let scale = 1.0 / (variance + 1e-8).sqrt();
    for advantage in appraisals.iter_mut().flat_map(|appraisal| &mut appraisal.advantages) {
        *advantage = ((f64::from(*advantage) - mean) * scale) as f32;
    }
}

/// The share of the variance of returns that the values foretold: 1 for all of it, 0 for as much as a constant does,
/// below 0 for less. None where the returns are all the same.
pub fn explained_variance(appraisals: &[TokenAdvantages]) -> Option<f64> {
    let returns = || appraisals.iter().flat_map(|appraisal| &appraisal.returns).map(|value| f64::from(*value));
    let values = appraisals.iter().flat_map(|appraisal| &appraisal.values).map(|value| f64::from(*value));
    let (_, variance) = moments(returns());
    let (_, left) = moments(returns().zip(values).map(|(returned, value)| returned - value));
    (variance > 1e-12).then(|| 1.0 - left / variance)
}

/// Mean, and variance of a sample (n - 1).
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count();
    let mean = values.clone().sum::<f64>() / count.max(1) as f64;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (mean, squares / count.saturating_sub(1).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitened_advantages_have_mean_0_and_deviation_1_and_those_that_are_all_the_same_vanish() {
        let of = |advantages: &[f32]| TokenAdvantages { advantages: advantages.to_vec(), ..TokenAdvantages::default() };
        let mut all = [of(&[1.0, 2.0]), of(&[]), of(&[6.0])];
        whiten(&mut all);
        // Mean 3, squares 4 + 1 + 9 over 2.
        let scale = 7f32.sqrt().recip();
        for (found, truth) in all[0].advantages.iter().chain(&all[2].advantages).zip([-2.0, -1.0, 3.0]) {
            assert!((found - truth * scale).abs() < 1e-6, "{found}");
        }
        for mut same in [vec![of(&[0.3, 0.3]), of(&[0.3])], vec![of(&[2.0])], vec![of(&[])], vec![]] {
            whiten(&mut same);
            assert!(same.iter().flat_map(|one| &one.advantages).all(|advantage| advantage.abs() < 1e-3), "{same:?}");
        }
    }

    #[test]
    fn values_explain_what_they_foretell() {
        let of = |values: &[f32], returns: &[f32]| {
            let appraisal =
                TokenAdvantages { values: values.to_vec(), returns: returns.to_vec(), ..TokenAdvantages::default() };
            explained_variance(&[appraisal])
        };
        assert_eq!(of(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), Some(1.0));
        // Off by as much for all is as good.
        assert_eq!(of(&[0.0, 1.0, 2.0], &[1.0, 2.0, 3.0]), Some(1.0));
        assert_eq!(of(&[5.0, 5.0, 5.0], &[1.0, 2.0, 3.0]), Some(0.0));
        assert_eq!(of(&[3.0, 2.0, 1.0], &[1.0, 2.0, 3.0]), Some(-3.0));
        assert_eq!(of(&[1.0, 2.0], &[1.0, 1.0]), None);
        assert_eq!(of(&[], &[]), None);
        assert_eq!(Gae::default().appraise(&[], Vec::new()), TokenAdvantages::default());
    }
}
