//! How much better than expected each completion of a step was, or each of its tokens.

use metrics::gauge;

use super::batch::{Batch, Group};
use super::sampler::BatchSampler;
use super::sentences;
use crate::learner::advantage::Grouped;
use crate::learner::gae::{explained_variance, whiten};
use crate::learner::policy_gradient::{self, Sampled};
use crate::learner::{Advantages, Algorithm, CreditAssignment, Gae, Penalty, TokenAdvantages};
use crate::reward::{Normalise, Record, Reward};
use crate::rl::rollouts;
use crate::{Error, Result};

impl BatchSampler<'_> {
    /// Gives every completion its advantage, and its tokens theirs where a value head or their sentences tell them apart.
    pub(crate) fn compare(&self, batch: &mut Batch, reward: &Reward, workers: usize) -> Result<()> {
        let Algorithm { advantage, filter, kl, credit, .. } = self.algorithm;
        let charges = self.charges(&batch.groups, workers)?;
        if let Some(gae) = self.algorithm.gae() {
            self.appraise(batch, gae, &charges, workers)?;
        } else {
            let mut sums = charges.iter().map(|charges| charges.iter().sum::<f64>());
            let groups = &mut batch.groups;
            let penalties: Grouped = if charges.is_empty() {
                Vec::new()
            } else {
                groups.iter().map(|group| placed(group, &mut sums)).collect()
            };
            let Advantages { values, .. } = match reward.normalise {
                Normalise::Sum => {
                    let mut rewards: Grouped = groups.iter().map(Group::rewards).collect();
                    for (reward, penalty) in rewards.iter_mut().flatten().zip(penalties.iter().flatten()) {
                        *reward = reward.zip(*penalty).map(|(reward, penalty)| reward - kl * penalty);
                    }
                    advantage.compute(&rewards, filter.tolerance)
                }
                Normalise::Terms => {
                    let lines: Vec<&[Record]> = groups.iter().map(|group| group.lines.as_slice()).collect();
                    let mut terms = rollouts::by_term(&lines);
                    if !penalties.is_empty() {
                        terms.push((-kl, penalties));
                    }
                    advantage.of_terms(&terms, filter.tolerance)
                }
            };
            let lines = groups.iter_mut().flat_map(|group| &mut group.lines);
            lines.zip(values.into_iter().flatten()).for_each(|(line, advantage)| line.advantage = advantage);
            if credit == CreditAssignment::Sentence {
                sentences::compare(&mut batch.groups, reward, &self.start.base.tokenizer)?;
            }
        }
        if !charges.is_empty() {
            let lines = batch.groups.iter().flat_map(|group| &group.lines);
            let tokens: usize = lines.filter(|line| line.reward.is_some()).map(|line| line.tokens).sum();
            let sum: f64 = charges.iter().map(|charges| charges.iter().sum::<f64>()).sum();
            let mean = sum / tokens.max(1) as f64;
            gauge!("kl").set(mean);
            batch.kl = Some(mean).filter(|mean| mean.is_finite());
        }
        Ok(())
    }

    /// Asks the value head what it expected before each token, and what came. The reward comes with the last token that
    /// is learned from: whatever follows it is no action of what is trained.
    fn appraise(&self, batch: &mut Batch, gae: Gae, charges: &[Vec<f64>], workers: usize) -> Result<()> {
        let Some(critic) = self.critic else {
            return Err(Error::invalid("advantage gae", "no policy with a value head", "this is a bug"));
        };
        let sampled = batch.sampled();
        let tokenizer = &self.start.base.tokenizer;
        let masks = policy_gradient::masks(&self.algorithm, &sampled, &|tokens| tokenizer.trace_length(tokens));
        let totals: Vec<f64> = batch.groups.iter().flat_map(Group::rewards).flatten().collect();
        let mut values = policy_gradient::values(critic, &sampled, &masks, workers)?;
        if let Some(head) = &critic.value_head {
            let by = (mean_of_tokens(&totals, &masks) - mean(values.iter().flatten())) as f32;
            head.raise(by)?;
            values.iter_mut().flatten().for_each(|value| *value += by);
        }
        let mut appraisals: Vec<TokenAdvantages> = values
            .into_iter()
            .zip(totals)
            .enumerate()
            .map(|(at, (values, total))| {
                let charges = charges.get(at).map_or(&[][..], Vec::as_slice);
                gae.appraise(&spread(total, charges, self.algorithm.kl, values.len()), values)
            })
            .collect();
        batch.foretold = explained_variance(&appraisals);
        gauge!("value/mean").set(mean(appraisals.iter().flat_map(|appraisal| &appraisal.values)));
        if let Some(share) = batch.foretold {
            gauge!("value/explained_variance").set(share);
        }
        if gae.whiten {
            whiten(&mut appraisals);
        }
        let mut appraisals = appraisals.into_iter();
        for group in &mut batch.groups {
            group.appraisals = placed(group, &mut appraisals);
            for (line, appraisal) in group.lines.iter_mut().zip(&group.appraisals) {
                line.advantage = appraisal.as_ref().map(|TokenAdvantages { advantages, .. }| {
                    advantages.iter().sum::<f32>() / advantages.len().max(1) as f32
                });
            }
        }
        Ok(())
    }

    /// How far each token of each completion that has a reward is from the reference; nothing where the reward is not held to it.
    fn charges(&self, groups: &[Group], workers: usize) -> Result<Vec<Vec<f64>>> {
        let (Some(reference), Penalty::Reward) = (self.reference, self.algorithm.kl_in) else { return Ok(Vec::new()) };
        let sampled: Vec<Sampled> = groups.iter().flat_map(Group::sampled).collect();
        let scores = policy_gradient::score(reference, &sampled, workers)?;
        let estimator = self.algorithm.kl_estimator;
        let of = |(completion, scores): (&Sampled, &Vec<f32>)| {
            completion
                .sampler_logprobs
                .iter()
                .zip(scores)
                .map(|(sampled, held)| estimator.of_token(*sampled, *held))
                .collect()
        };
        Ok(sampled.iter().zip(&scores).map(of).collect())
    }
}

/// The next of these for each completion of a group that has a reward.
fn placed<T>(group: &Group, of_judged: &mut impl Iterator<Item = T>) -> Vec<Option<T>> {
    group.lines.iter().map(|line| line.reward.and_then(|_| of_judged.next())).collect()
}

/// The mean of these numbers, and 0 of none.
fn mean<'a>(values: impl Iterator<Item = &'a f32>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + f64::from(*value), count + 1));
    sum / count.max(1) as f64
}

/// The mean of what completions are paid over the tokens that are learned from.
fn mean_of_tokens(totals: &[f64], masks: &[Vec<bool>]) -> f64 {
    let counts: Vec<f64> = masks.iter().map(|mask| mask.iter().filter(|learned| **learned).count() as f64).collect();
    let sum: f64 = totals.iter().zip(&counts).map(|(total, count)| total * count).sum();
    sum / counts.iter().sum::<f64>().max(1.0)
}

/// The rewards of the first tokens of a completion, which are learned from: each is charged for itself, and the last of
/// them for all that follow as well; it gets what the completion is worth.
fn spread(total: f64, charges: &[f64], kl: f64, tokens: usize) -> Vec<f64> {
    let mut rewards = vec![0.0; tokens];
    let Some(last) = tokens.checked_sub(1) else { return rewards };
    charges.iter().enumerate().for_each(|(at, charge)| rewards[at.min(last)] -= kl * charge);
    rewards[last] += total;
    rewards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_completions_count_for_more_in_the_mean_of_tokens() {
        let masks = [vec![true], vec![true, true, true, false], vec![false; 9]];
        assert_eq!(mean_of_tokens(&[2.0, 1.0, 50.0], &masks), (2.0 + 3.0) / 4.0);
        assert_eq!(mean_of_tokens(&[], &[]), 0.0);
    }

    #[test]
    fn the_last_token_that_is_learned_from_gets_the_reward_and_pays_for_those_that_follow() {
        assert_eq!(spread(2.0, &[], 0.5, 3), [0.0, 0.0, 2.0]);
        assert_eq!(spread(2.0, &[1.0, 0.0, -1.0, 2.0], 0.5, 2), [-0.5, 2.0 - 0.5 * (0.0 - 1.0 + 2.0)]);
        assert_eq!(spread(2.0, &[1.0], 0.5, 0), Vec::<f64>::new());
    }
}
