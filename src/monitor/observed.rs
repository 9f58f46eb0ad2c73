//! What rules are looked at with: what steps said and paid, and what is left of the machine.

use serde::{Deserialize, Serialize};

use super::resources::Headroom;
use crate::reward::Record;

/// Steps whose means are looked at.
pub const WINDOW: usize = 10;

/// What one step says. Numbers that a step did not measure, or that are not finite, are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepStats {
    /// Of the tokens that were learned from, in nats.
    pub entropy: Option<f64>,
    /// Divergence from the reference, in nats a token.
    pub kl: Option<f64>,
    /// Divergence of the learner from the sampler of the same weights, in nats a token.
    pub mismatch_kl: Option<f64>,
    /// Divergence of the learner from the policies that sampled, where these are versions behind it, in nats a token.
    #[serde(default)]
    pub behind_kl: Option<f64>,
    pub gradient_norm: Option<f64>,
    /// Share of completions that ran out of tokens.
    pub truncated: Option<f64>,
    /// Share of groups whose completions all got the same reward.
    pub flat: Option<f64>,
    /// Share of the variance of returns that the value head foretold.
    pub foretold: Option<f64>,
}

/// What one step paid and got right.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RewardStats {
    pub reward: f64,
    pub right: f64,
}

/// What the rules are looked at with.
pub struct Observed<'a> {
    pub steps: &'a [StepStats],
    pub rewards: &'a [RewardStats],
    /// Those of the last step.
    pub rollouts: &'a [&'a Record],
    pub headroom: &'a Headroom,
}

impl RewardStats {
    /// Those of the rollouts of a step that were not given the beginning of their thoughts. A step of which nothing was judged says
    /// nothing of the reward.
    pub fn from_rollouts(rollouts: &[&Record]) -> Option<RewardStats> {
        let rollouts: Vec<&Record> = rollouts.iter().copied().filter(|record| record.given.is_empty()).collect();
        let rewards: Vec<f64> = rollouts.iter().filter_map(|record| record.reward).collect();
        let right = rollouts.iter().map(|record| f64::from(u8::from(record.judgement.correct))).sum::<f64>();
        (!rewards.is_empty()).then(|| RewardStats {
            reward: rewards.iter().sum::<f64>() / rewards.len() as f64,
            right: right / rollouts.len() as f64,
        })
    }
}

impl Observed<'_> {
    /// The mean over the last steps, when there are enough of them.
    pub fn recent(&self, of: impl Fn(&StepStats) -> Option<f64>) -> Option<f64> {
        mean(&self.steps[self.steps.len().checked_sub(WINDOW)?..], of)
    }
}

/// The mean over the steps that have it.
pub fn mean(steps: &[StepStats], of: impl Fn(&StepStats) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = steps.iter().filter_map(of).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
