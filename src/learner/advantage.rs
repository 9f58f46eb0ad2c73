//! How much better a completion was than the others of its group.

use serde::{Deserialize, Serialize};

/// Rewards of a group that differ by no more than this are equal: sums of float terms are never exactly so.
const TOLERANCE: f64 = 1e-6;

/// What a reward is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advantage {
    /// The group's mean (Dr. GRPO, arXiv 2503.20783).
    Mean,
    /// The group's mean, in units of its standard deviation (GRPO, arXiv 2402.03300). The deviation is that of a
    /// sample (n - 1).
    Normalised,
    /// The mean of the others (RLOO, arXiv 2402.14740).
    LeaveOneOut,
    /// Nothing: the advantage is the reward (REINFORCE, Williams 1992).
    None,
}

/// Advantages of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Advantages {
    /// Per group and completion, in the shape of the rewards.
    pub values: Vec<Vec<f32>>,
    /// Groups whose completions all got the same reward. Compared within the group they teach nothing.
    pub without_spread: usize,
}

impl Advantage {
    /// Advantages of groups of rewards. A group without spread gets zeros (its rewards, under [`Advantage::None`]).
    pub fn of(self, groups: &[Vec<f64>]) -> Advantages {
        Advantages {
            values: groups.iter().map(|rewards| self.of_group(rewards)).collect(),
            without_spread: groups.iter().filter(|rewards| !has_spread(rewards)).count(),
        }
    }

    fn of_group(self, rewards: &[f64]) -> Vec<f32> {
        if self == Advantage::None {
            return rewards.iter().map(|reward| *reward as f32).collect();
        }
        if !has_spread(rewards) {
            return vec![0.0; rewards.len()];
        }
        // A group with spread has at least two members.
        let count = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / count;
        let scale = match self {
            Advantage::Mean | Advantage::None => 1.0,
            Advantage::LeaveOneOut => count / (count - 1.0),
            Advantage::Normalised => {
                let squares: f64 = rewards.iter().map(|reward| (reward - mean).powi(2)).sum();
                1.0 / (squares / (count - 1.0)).sqrt()
            }
        };
        rewards.iter().map(|reward| ((reward - mean) * scale) as f32).collect()
    }
}

fn has_spread(rewards: &[f64]) -> bool {
    let least = rewards.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most - least > TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed_values() {
        let rewards = vec![vec![1.0, 0.0, 0.0, 1.0], vec![3.0, 0.0, 0.0]];
        let close = |advantage: Advantage, expected: [&[f32]; 2]| {
            let found = advantage.of(&rewards);
            assert_eq!(found.without_spread, 0);
            for (found, expected) in found.values.iter().zip(expected) {
                let far = found.iter().zip(expected).any(|(a, b)| (a - b).abs() > 1e-6);
                assert!(!far && found.len() == expected.len(), "{advantage:?}: {found:?} for {expected:?}");
            }
        };
        close(Advantage::Mean, [&[0.5, -0.5, -0.5, 0.5], &[2.0, -1.0, -1.0]]);
        // Deviations: sqrt(1 / 3) and sqrt(3).
        let (unit, root) = (0.5 * 3f32.sqrt(), 1.0 / 3f32.sqrt());
        close(Advantage::Normalised, [&[unit, -unit, -unit, unit], &[2.0 * root, -root, -root]]);
        // 1 - 1/3, 0 - 2/3; 3 - 0, 0 - 1.5.
        close(Advantage::LeaveOneOut, [&[2. / 3., -2. / 3., -2. / 3., 2. / 3.], &[3.0, -1.5, -1.5]]);
        close(Advantage::None, [&[1.0, 0.0, 0.0, 1.0], &[3.0, 0.0, 0.0]]);
    }

    #[test]
    fn groups_without_spread_give_nothing_and_are_counted() {
        // 0.1 + 0.2 is not 0.3: noise of that size would become advantages of about 1 when normalised.
        let groups = [vec![0.1 + 0.2, 0.3, 0.3], vec![1.0], vec![], vec![0.0, 1.0]];
        for advantage in [Advantage::Mean, Advantage::Normalised, Advantage::LeaveOneOut] {
            let found = advantage.of(&groups);
            assert_eq!(found.without_spread, 3);
            assert_eq!(found.values[..3], [vec![0.0; 3], vec![0.0], vec![]]);
            assert!(found.values[3][1] > 0.0);
        }
        assert_eq!(Advantage::None.of(&groups).values[1], [1.0]);
        assert_eq!(Advantage::None.of(&groups).without_spread, 3);
    }
}
