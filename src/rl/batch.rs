//! What a step of reinforcement learning samples: questions, completions of each, and what they are worth.

use metrics::gauge;

use crate::knowledge::{Form, Question};
use crate::learner::advantage::has_spread;
use crate::learner::policy_gradient::Sampled;
use crate::learner::{Filter, TokenAdvantages};
use crate::reward::{Normalise, Record};
use crate::rl::rollouts;
use crate::rollout::{Completion, Finish};

/// A question and its completions.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Group {
    /// The form by which the config asks for it.
    pub form: Form,
    /// Its number among the questions of this form.
    pub index: usize,
    /// Of its form.
    pub filter: Filter,
    pub prompt: Vec<u32>,
    /// How many tokens at its end are what its thoughts begin with.
    pub given: usize,
    pub completions: Vec<Completion>,
    pub lines: Vec<Record>,
    /// What the tokens of each completion brought, where a value head or their sentences tell them apart; none where there is no
    /// reward.
    pub appraisals: Vec<Option<TokenAdvantages>>,
}

/// Everything that a step sampled.
pub(crate) struct Batch {
    /// What is learned from.
    pub groups: Vec<Group>,
    /// Groups without spread that others took the place of.
    pub replaced: Vec<Group>,
    /// Share of all groups, those that were replaced among them, in which nothing was better than anything else.
    pub flat: f64,
    /// Divergence from the reference in nats a token, where the reward is held to it.
    pub kl: Option<f64>,
    /// The share of the variance of returns that the value head foretold.
    pub foretold: Option<f64>,
}

/// A question, with the form by which the config asks for it and its number among those of this form.
pub(crate) struct SampledQuestion {
    pub form: Form,
    pub index: usize,
    pub question: Question,
    /// What its thoughts begin with.
    pub given: Vec<u32>,
}

impl SampledQuestion {
    /// What a completion was given and what it wrote, the tokens of the whole.
    pub fn thought(&self, completion: &Completion) -> Vec<u32> {
        [self.given.as_slice(), &completion.tokens].concat()
    }
}

impl Group {
    /// Whether its completions are paid differently.
    pub fn is_paid_differently(&self, normalise: Normalise) -> bool {
        let tolerance = self.filter.tolerance;
        match normalise {
            Normalise::Sum => has_spread(&self.rewards(), tolerance),
            Normalise::Terms => rollouts::by_term(&[&self.lines])
                .iter()
                .any(|(weight, values)| *weight != 0.0 && has_spread(&values[0], tolerance)),
        }
    }

    pub fn rewards(&self) -> Vec<Option<f64>> {
        self.lines.iter().map(|line| line.reward).collect()
    }

    /// The completions that have a reward: the others are no members of the group, and nothing is learned from them.
    pub fn sampled(&self) -> impl Iterator<Item = Sampled<'_>> {
        let judged =
            self.completions.iter().zip(&self.lines).enumerate().filter(|(_, (_, line))| line.reward.is_some());
        judged.map(move |(at, (completion, line))| Sampled {
            prompt: &self.prompt,
            tokens: &completion.tokens,
            sampler_logprobs: &completion.log_probs,
            sampling_mask: &completion.sampling_mask,
            old_logprobs: None,
            advantage: line.advantage.unwrap_or_default(),
            gae: self.appraisals.get(at).and_then(Option::as_ref),
            kept: self.filter.keep.keeps(completion.finish == Finish::Stop, line.judgement.correct),
        })
    }
}

impl Batch {
    /// What is learned from.
    pub fn sampled(&self) -> Vec<Sampled<'_>> {
        self.groups.iter().flat_map(Group::sampled).collect()
    }

    /// Every rollout, what was replaced at the end.
    pub fn lines(&self) -> Vec<&Record> {
        self.all().flat_map(|group| &group.lines).collect()
    }

    pub fn all(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().chain(&self.replaced)
    }

    /// Sampled tokens.
    pub fn tokens(&self) -> usize {
        self.all().flat_map(|group| &group.completions).map(|completion| completion.tokens.len()).sum()
    }

    /// Tokens of prompts, each as often as it was completed, and sampled ones.
    pub fn tokens_with_prompts(&self) -> usize {
        self.tokens() + self.all().map(|group| group.prompt.len() * group.completions.len()).sum::<usize>()
    }

    /// Records the metrics of everything that was sampled; `teaches` says whether a group has anything to learn from.
    pub fn measure(&mut self, teaches: impl Fn(&Group) -> bool) {
        let rewards: Vec<Vec<Option<f64>>> = self.all().map(Group::rewards).collect();
        let without_spread = self.all().filter(|group| !teaches(group)).count();
        rollouts::measure(&self.lines(), &rewards, without_spread);
        self.flat = without_spread as f64 / rewards.len().max(1) as f64;
        let given: usize = self.all().map(|group| group.given).sum();
        if given > 0 {
            gauge!("hint/given").set(given as f64 / rewards.len() as f64);
        }
    }

    /// Share of completions that ran out of tokens.
    pub fn truncated(&self) -> f64 {
        let lines = self.lines();
        let cut = lines.iter().filter(|line| line.finish == Finish::Length).count();
        cut as f64 / lines.len().max(1) as f64
    }
}
