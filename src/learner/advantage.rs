//! How much better a completion was than the others of its group.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::Gae;
use crate::strict_toml::{WordOr, word_or};

/// Rewards of a group that differ by no more than this are equal, unless told otherwise: sums of float terms are never
/// exactly so.
pub const TOLERANCE: f64 = 1e-6;

/// What a reward is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advantage {
    /// The group's mean (Dr. GRPO, arXiv 2503.20783).
    Mean,
    /// The group's mean, in units of its standard deviation (GRPO, arXiv 2402.03300). The deviation is that of a
    /// sample (n - 1).
    Normalised,
    /// The mean of the others (RLOO, arXiv 2402.14740).
    LeaveOneOut,
    /// The group's mean, in units of that mean (MaxRL, arXiv 2602.02710): a right completion of a question counts the more, the
    /// fewer of them there are, as it does in the gradient of the likelihood of being right. Where rewards may be below 0, the
    /// unit is the mean of their sizes.
    Relative,
    /// The mean of all completions of the step, in units of their standard deviation (REINFORCE++, arXiv 2501.03262).
    Batch,
    /// Nothing: the advantage is the reward (REINFORCE, Williams 1992).
    None,
    /// The reward is not looked at, the advantage is 1: maximum likelihood on what the filter keeps.
    One,
    /// What the value head expected, token by token (PPO, arXiv 1707.06347): the advantage of a completion as a whole is
    /// its reward, and [`Gae::appraise`] gives its tokens theirs.
    #[serde(untagged)]
    Gae(Gae),
}

impl<'de> Deserialize<'de> for Advantage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const WORDS: [&str; 8] = ["mean", "normalised", "leave-one-out", "relative", "batch", "none", "one", "gae"];
        let word = match word_or(deserializer, "a word such as \"mean\", or { gamma = 1.0, lambda = 1.0 } for gae")? {
            WordOr::Table(gae) => return Ok(Advantage::Gae(gae)),
            WordOr::Word(word) => word,
        };
        match word.as_str() {
            "mean" => Ok(Advantage::Mean),
            "normalised" => Ok(Advantage::Normalised),
            "leave-one-out" => Ok(Advantage::LeaveOneOut),
            "relative" => Ok(Advantage::Relative),
            "batch" => Ok(Advantage::Batch),
            "none" => Ok(Advantage::None),
            "one" => Ok(Advantage::One),
            "gae" => Ok(Advantage::Gae(Gae::default())),
            _ => Err(D::Error::unknown_variant(&word, &WORDS)),
        }
    }
}

/// What the completions of a step got, per group and completion: a completion without a reward (a command that judges
/// it gave none) is no member of its group. It has no advantage, and the others are compared as if it were not there.
pub type Grouped = Vec<Vec<Option<f64>>>;

/// Advantages of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Advantages {
    /// Per group and completion, in the shape of the rewards; none where there is no reward.
    pub values: Vec<Vec<Option<f32>>>,
    /// Groups whose completions all got the same reward. Compared within the group they teach nothing.
    pub without_spread: usize,
}

impl Advantage {
    /// Whether a group whose completions all got the same reward teaches nothing.
    pub fn needs_spread(self) -> bool {
        matches!(self, Advantage::Mean | Advantage::Normalised | Advantage::LeaveOneOut | Advantage::Relative)
    }

    /// Advantages of groups of rewards. A group whose rewards differ by no more than `tolerance` has no spread: it gets
    /// zeros where it is compared with itself.
    pub fn compute(self, groups: &[Vec<Option<f64>>], tolerance: f64) -> Advantages {
        let there: Vec<Vec<f64>> = groups.iter().map(|rewards| rewards.iter().flatten().copied().collect()).collect();
        let values = self.of_all(&there, tolerance);
        let without_spread = there.iter().filter(|rewards| !spreads(rewards, tolerance)).count();
        Advantages { values: placed(groups, values), without_spread }
    }

    /// Advantages of several terms, each with its weight and its values in the shape of the groups (GDPO,
    /// arXiv 2601.05242): each term is compared by itself, what comes of it is added up by weight and brought to mean 0
    /// and deviation 1 over all completions. A group is without spread where no term that has a weight has any. A
    /// completion without a value of one of those terms has no advantage.
    pub fn of_terms(self, terms: &[(f64, Grouped)], tolerance: f64) -> Advantages {
        let weighted: Vec<&(f64, Grouped)> = terms.iter().filter(|(weight, _)| *weight != 0.0).collect();
        let Some((_, shape)) = terms.first() else { return Advantages { values: Vec::new(), without_spread: 0 } };
        let value = |groups: &Grouped, group: usize, at: usize| *groups.get(group)?.get(at)?;
        let is_there = |group: usize, at: usize| weighted.iter().all(|(_, all)| value(all, group, at).is_some());
        let there: Grouped = (0..shape.len())
            .map(|group| (0..shape[group].len()).map(|at| is_there(group, at).then_some(0.0)).collect())
            .collect();
        let of_term = |groups: &Grouped| -> Vec<Vec<f64>> {
            let both = there.iter().zip(groups);
            both.map(|(there, values)| {
                there.iter().zip(values).filter_map(|(there, value)| there.and(*value)).collect()
            })
            .collect()
        };
        let columns: Vec<(f64, Vec<Vec<f64>>)> =
            weighted.iter().map(|(weight, groups)| (*weight, of_term(groups))).collect();
        let spread = |index: usize| columns.iter().any(|(_, groups)| spreads(&groups[index], tolerance));
        let without_spread = (0..shape.len()).filter(|index| !spread(*index)).count();
        if self == Advantage::One {
            return Advantages { values: self.compute(&there, tolerance).values, without_spread };
        }
        let mut sums: Vec<Vec<f64>> = there.iter().map(|group| group.iter().flatten().copied().collect()).collect();
        for (weight, groups) in &columns {
            for (sum, group) in sums.iter_mut().zip(self.of_all(groups, tolerance)) {
                sum.iter_mut().zip(group).for_each(|(sum, advantage)| *sum += weight * f64::from(advantage));
            }
        }
        Advantages { values: placed(&there, normalised(&sums)), without_spread }
    }

    /// Advantages of groups whose rewards are all known.
    fn of_all(self, groups: &[Vec<f64>], tolerance: f64) -> Vec<Vec<f32>> {
        match self {
            Advantage::Batch => normalised(groups),
            _ => groups.iter().map(|rewards| self.of_group(rewards, tolerance)).collect(),
        }
    }

    fn of_group(self, rewards: &[f64], tolerance: f64) -> Vec<f32> {
        match self {
            Advantage::None | Advantage::Gae(_) => return rewards.iter().map(|reward| *reward as f32).collect(),
            Advantage::One => return vec![1.0; rewards.len()],
            _ if !spreads(rewards, tolerance) => return vec![0.0; rewards.len()],
            _ => {}
        }
        // A group with spread has at least two members.
        let count = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / count;
        let scale = match self {
            Advantage::LeaveOneOut => count / (count - 1.0),
            // Not 0, because they are not all the same.
            Advantage::Relative => count / rewards.iter().map(|reward| reward.abs()).sum::<f64>(),
            Advantage::Normalised => {
                let squares: f64 = rewards.iter().map(|reward| (reward - mean).powi(2)).sum();
                1.0 / (squares / (count - 1.0)).sqrt()
            }
            _ => 1.0,
        };
        rewards.iter().map(|reward| ((reward - mean) * scale) as f32).collect()
    }
}

/// All values less their mean, in units of their deviation; zeros where they are all the same.
fn normalised(groups: &[Vec<f64>]) -> Vec<Vec<f32>> {
    let all: Vec<f64> = groups.iter().flatten().copied().collect();
    let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
    let squares: f64 = all.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / all.len().saturating_sub(1).max(1) as f64).sqrt();
    let scale = if deviation > TOLERANCE { 1.0 / deviation } else { 0.0 };
    groups.iter().map(|group| group.iter().map(|value| ((value - mean) * scale) as f32).collect()).collect()
}

/// Gives each completion that has a reward its value.
fn placed(groups: &[Vec<Option<f64>>], values: Vec<Vec<f32>>) -> Vec<Vec<Option<f32>>> {
    let of_group = |(rewards, values): (&Vec<Option<f64>>, Vec<f32>)| {
        let mut values = values.into_iter();
        rewards.iter().map(|reward| reward.and_then(|_| values.next())).collect()
    };
    groups.iter().zip(values).map(of_group).collect()
}

/// Whether the rewards of a group, as far as they are known, differ by more than the tolerance.
pub fn has_spread(rewards: &[Option<f64>], tolerance: f64) -> bool {
    spreads(&rewards.iter().flatten().copied().collect::<Vec<f64>>(), tolerance)
}

fn spreads(rewards: &[f64], tolerance: f64) -> bool {
    let least = rewards.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most - least > tolerance
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewards that are all known.
    fn known(groups: &[Vec<f64>]) -> Grouped {
        groups.iter().map(|group| group.iter().copied().map(Some).collect()).collect()
    }

    /// Advantages of completions that all have one.
    fn given(advantages: &Advantages) -> Vec<Vec<f32>> {
        let group = |group: &Vec<Option<f32>>| group.iter().map(|advantage| advantage.unwrap()).collect();
        advantages.values.iter().map(group).collect()
    }

    const ALL: [Advantage; 8] = [
        Advantage::Mean,
        Advantage::Normalised,
        Advantage::LeaveOneOut,
        Advantage::Relative,
        Advantage::Batch,
        Advantage::None,
        Advantage::One,
        Advantage::Gae(Gae { gamma: 1.0, lambda: 1.0, whiten: true }),
    ];

    /// Every way to leave completions of these groups without a reward.
    fn each_way(groups: &[Vec<f64>], mut check: impl FnMut(&[Vec<bool>])) {
        let count: usize = groups.iter().map(Vec::len).sum();
        for bits in 0..1u32 << count {
            let mut at = 0..;
            let mut is_there = || at.next().is_some_and(|at: u32| bits >> at & 1 == 1);
            check(&groups.iter().map(|group| group.iter().map(|_| is_there()).collect()).collect::<Vec<Vec<bool>>>());
        }
    }

    /// The values that are there; all of them, those that are not as nothing.
    fn left(groups: &[Vec<f64>], there: &[Vec<bool>]) -> (Vec<Vec<f64>>, Grouped) {
        let both = || groups.iter().zip(there).map(|(values, there)| values.iter().copied().zip(there.iter().copied()));
        let kept = both().map(|group| group.filter(|(_, there)| *there).map(|(value, _)| value).collect()).collect();
        (kept, both().map(|group| group.map(|(value, there)| there.then_some(value)).collect()).collect())
    }

    #[test]
    fn a_completion_that_was_not_judged_is_as_if_it_were_not_there() {
        let rewards = [vec![1.0, 0.0, 0.25, 1.0], vec![3.0, 0.0, 0.5]];
        let other = [vec![0.5, 0.5, 1.0, 0.0], vec![0.0, 1.0, 1.0]];
        let logged: Grouped = vec![vec![None, Some(9.0), None, Some(1.0)], vec![None; 3]];
        let mut cases = 0;
        each_way(&rewards, |there| {
            let ((kept, holes), (kept_other, holes_other)) = (left(&rewards, there), left(&other, there));
            for advantage in ALL {
                let same = |found: &Advantages, without: &Advantages| {
                    assert_eq!(found.without_spread, without.without_spread, "{advantage:?} {there:?}");
                    let is_there: Vec<Vec<bool>> =
                        found.values.iter().map(|group| group.iter().map(Option::is_some).collect()).collect();
                    assert_eq!(is_there, there, "{advantage:?}");
                    let found: Vec<Vec<f32>> =
                        found.values.iter().map(|group| group.iter().flatten().copied().collect()).collect();
                    assert_eq!(found, given(without), "{advantage:?} {there:?}");
                };
                same(&advantage.compute(&holes, TOLERANCE), &advantage.compute(&known(&kept), TOLERANCE));
                // A term without weight may miss what it likes; of two that have one either may miss.
                let halves = [(1.0, known(&rewards)), (-0.5, holes_other.clone()), (0.0, logged.clone())];
                let found = advantage.of_terms(&halves, TOLERANCE);
                let without = advantage.of_terms(&[(1.0, known(&kept)), (-0.5, known(&kept_other))], TOLERANCE);
                same(&found, &without);
            }
            cases += 1;
        });
        assert_eq!(cases, 128);
    }

    #[test]
    fn hand_computed_values() {
        let rewards = known(&[vec![1.0, 0.0, 0.0, 1.0], vec![3.0, 0.0, 0.0]]);
        let close = |advantage: Advantage, expected: [&[f32]; 2]| {
            let found = advantage.compute(&rewards, TOLERANCE);
            assert_eq!(found.without_spread, 0);
            for (found, expected) in given(&found).iter().zip(expected) {
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
        close(Advantage::Relative, [&[1.0, -1.0, -1.0, 1.0], &[2.0, -1.0, -1.0]]);
        close(Advantage::None, [&[1.0, 0.0, 0.0, 1.0], &[3.0, 0.0, 0.0]]);
        close(Advantage::One, [&[1.0; 4], &[1.0; 3]]);
        // Mean 5/7, squares 11 - 25/7 over 6.
        let scale = ((11.0 - 25.0 / 7.0) / 6f32).sqrt().recip();
        let [none, one, three] = [0.0f32, 1.0, 3.0].map(|reward| (reward - 5.0 / 7.0) * scale);
        close(Advantage::Batch, [&[one, none, none, one], &[three, none, none]]);
    }

    #[test]
    fn terms_are_compared_by_themselves_and_brought_to_one_scale() {
        let rare = known(&[vec![0.0, 0.0, 0.0, 1.0], vec![0.0; 4]]);
        let common = known(&[vec![0.0, 1.0, 1.0, 1.0], vec![1.0, 0.0, 1.0, 0.0]]);
        let logged = known(&[vec![5.0, 0.0, 0.0, 0.0], vec![9.0, 0.0, 0.0, 0.0]]);
        let found = Advantage::Normalised.of_terms(&[(1.0, rare), (0.5, common), (0.0, logged)], TOLERANCE);
        assert_eq!(found.without_spread, 0);
        // Deviations: 1/2 and 1/2 in the first group, sqrt(1/3) in the second.
        let third = 0.25 * 3f64.sqrt();
        let sums = [[-0.5 - 0.75, -0.5 + 0.25, -0.5 + 0.25, 1.5 + 0.25], [third, -third, third, -third]];
        let deviation = (sums.iter().flatten().map(|s| s * s).sum::<f64>() / 7.0).sqrt();
        for (found, sums) in given(&found).iter().zip(sums) {
            let far = found.iter().zip(sums).any(|(f, s)| (f64::from(*f) - s / deviation).abs() > 1e-6);
            assert!(!far, "{found:?} for {sums:?}");
        }
        let terms = [(1.0, known(&[vec![1.0; 3]])), (0.0, known(&[vec![0.0, 1.0, 2.0]]))];
        let flat = Advantage::Normalised.of_terms(&terms, TOLERANCE);
        assert_eq!((given(&flat), flat.without_spread), (vec![vec![0.0; 3]], 1));
        assert!(Advantage::Normalised.of_terms(&[], TOLERANCE).values.is_empty());
    }

    #[test]
    fn groups_without_spread_give_nothing_and_are_counted() {
        // 0.1 + 0.2 is not 0.3: noise of that size would become advantages of about 1 when normalised.
        let groups = known(&[vec![0.1 + 0.2, 0.3, 0.3], vec![1.0], vec![], vec![0.0, 1.0]]);
        for advantage in [Advantage::Mean, Advantage::Normalised, Advantage::LeaveOneOut] {
            let found = advantage.compute(&groups, TOLERANCE);
            assert_eq!(found.without_spread, 3);
            let found = given(&found);
            assert_eq!(found[..3], [vec![0.0; 3], vec![0.0], vec![]]);
            assert!(found[3][1] > 0.0);
        }
        assert_eq!([0, 1, 2, 3].map(|at| has_spread(&groups[at], TOLERANCE)), [false, false, false, true]);
        assert!(!has_spread(&[None, Some(1.0), None], TOLERANCE) && !has_spread(&[None; 3], TOLERANCE));
        assert_eq!(Advantage::None.compute(&groups, TOLERANCE).values[1], [Some(1.0)]);
        assert_eq!(Advantage::None.compute(&groups, TOLERANCE).without_spread, 3);
        // Compared with other groups, one without spread teaches too.
        assert!(Advantage::Batch.compute(&groups, TOLERANCE).values[1][0] > Some(0.0));
        let wide = Advantage::Mean.compute(&groups, 1.0);
        assert_eq!((given(&wide)[3].as_slice(), wide.without_spread), (&[0.0, 0.0][..], 4), "the tolerance is told");
    }
}
