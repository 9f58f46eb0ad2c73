//! How much better each token of a completion was than the value head expected: generalised advantage estimation
//! (Schulman et al. 2016, arXiv 1506.02438).

use serde::{Deserialize, Serialize};

/// How what came is spread over the tokens that led to it.
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
/// learned from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GaeOutput {
    pub advantages: Vec<f32>,
    /// What the value head expected before each token.
    pub values: Vec<f32>,
    /// What the value head should have expected: advantages, before they are whitened, and values together.
    pub returns: Vec<f32>,
}

impl Gae {
    /// `A_t = d_t + gamma lambda A_{t+1}` with `d_t = r_t + gamma V_{t+1} - V_t`, where nothing comes after the last
    /// token: a completion that was cut off is over as well. `rewards` and `values` are those of each token.
    pub fn appraise(&self, rewards: &[f64], values: Vec<f32>) -> GaeOutput {
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
        GaeOutput { advantages, values, returns }
    }
}

/// Brings all advantages to mean 0 and deviation 1.
pub fn whiten(appraisals: &mut [GaeOutput]) {
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
pub fn explained_variance(appraisals: &[GaeOutput]) -> Option<f64> {
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

    fn gae(gamma: f64, lambda: f64) -> Gae {
        Gae { gamma, lambda, whiten: false }
    }

    #[test]
    fn hand_computed_values() {
        let (rewards, values) = ([0.0, 0.0, 1.0], vec![0.5f32, 0.25, 0.75]);
        // Surprises: -0.25, 0.5, 0.25.
        let found = gae(1.0, 0.5).appraise(&rewards, values.clone());
        assert_eq!(found.advantages, [-0.25 + 0.5 * (0.5 + 0.5 * 0.25), 0.5 + 0.5 * 0.25, 0.25]);
        assert_eq!(found.returns, [0.5625, 0.875, 1.0]);
        assert_eq!(found.values, values);
        assert_eq!(gae(1.0, 0.0).appraise(&rewards, values.clone()).advantages, [-0.25, 0.5, 0.25]);
        // With lambda 1 what came in the end is compared, whatever the values on the way.
        let found = gae(0.5, 1.0).appraise(&[0.0, 2.0, 1.0], values);
        assert_eq!(found.returns, [1.25, 2.5, 1.0]);
        assert_eq!(found.advantages, [0.75, 2.25, 0.25]);
        assert_eq!(gae(1.0, 1.0).appraise(&[], Vec::new()), GaeOutput::default());
    }

    #[test]
    fn whitened_advantages_have_mean_0_and_deviation_1_and_those_that_are_all_the_same_vanish() {
        let of = |advantages: &[f32]| GaeOutput { advantages: advantages.to_vec(), ..GaeOutput::default() };
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
            let appraisal = GaeOutput { values: values.to_vec(), returns: returns.to_vec(), ..GaeOutput::default() };
            explained_variance(&[appraisal])
        };
        assert_eq!(of(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), Some(1.0));
        // Off by as much for all is as good.
        assert_eq!(of(&[0.0, 1.0, 2.0], &[1.0, 2.0, 3.0]), Some(1.0));
        assert_eq!(of(&[5.0, 5.0, 5.0], &[1.0, 2.0, 3.0]), Some(0.0));
        assert_eq!(of(&[3.0, 2.0, 1.0], &[1.0, 2.0, 3.0]), Some(-3.0));
        assert_eq!(of(&[1.0, 2.0], &[1.0, 1.0]), None);
        assert_eq!(of(&[], &[]), None);
    }
}
