//! What a step of reinforcement learning samples: questions, completions of each, and what they are worth.

use std::time::Duration;

use metrics::gauge;
use rand::seq::index;

use super::Start;
use super::ahead::{Ahead, Ordered};
use super::judging::{Judge, Judging};
use crate::Result;
use crate::exchange::{Underway, WorkerPool};
use crate::experiment::live_reward::LiveReward;
use crate::experiment::{Experiment, rollouts};
use crate::knowledge::{Division, Form, Question, Set};
use crate::language::Opening;
use crate::learner::advantage::has_spread;
use crate::learner::policy_gradient::Sampled;
use crate::learner::{Algorithm, Appraisal};
use crate::policy::Policy;
use crate::random;
use crate::reward::{Normalise, Record};
use crate::rollout::{Completion, Finish, Request};

/// A question and its completions.
pub(super) struct Group {
    /// Its number among the questions of its form.
    index: usize,
    form: Form,
    prompt: Vec<u32>,
    pub completions: Vec<Completion>,
    pub lines: Vec<Record>,
    /// What the tokens of each completion brought, where a value head tells them apart; none where there is no reward.
    pub appraisals: Vec<Option<Appraisal>>,
}

/// Everything that a step sampled.
pub(super) struct Batch {
    /// What is learned from.
    pub groups: Vec<Group>,
    /// Groups without spread that others took the place of.
    replaced: Vec<Group>,
    /// Share of all groups, those that were replaced among them, whose completions all got the same reward.
    pub flat: f64,
    /// Divergence from the reference in nats a token, where the reward is held to it.
    pub kl: Option<f64>,
    /// The share of the variance of returns that the value head foretold.
    pub foretold: Option<f64>,
}

/// A question with its number among those of its form.
pub(super) struct Asked {
    index: usize,
    pub question: Question,
}

/// Samples batches.
pub(super) struct Sampling<'a> {
    pub experiment: &'a Experiment,
    pub start: &'a Start,
    pub algorithm: Algorithm,
    /// Which questions of A may be asked.
    pub division: &'a Division,
    /// The policy that the reward is held to, where it is.
    pub reference: Option<&'a Policy>,
    /// The policy that learns, whose value head is asked before it does.
    pub critic: Option<&'a Policy>,
}

impl Sampling<'_> {
    /// Has the questions of a step sampled, less the completions that are there already.
    pub fn order(&self, step: usize, underway: Underway, pool: &mut WorkerPool) -> Result<Ordered> {
        let asked = self.questions(step);
        let (groups, requests) = self.requests(step, &asked)?;
        let ticket = pool.resume(requests, underway)?;
        Ok(Ordered { asked, groups, ticket, judging: Judging::begin(step) })
    }

    /// The batch of a step. In synchronous mode it depends on config, seed and the weights in the pool alone.
    pub fn batch(
        &self,
        step: usize,
        ahead: &mut Ahead,
        pool: &mut WorkerPool,
        reward: &LiveReward,
        workers: usize,
    ) -> Result<Batch> {
        let filter = self.algorithm.filter;
        let judge = Judge { start: self.start, reward };
        let (Ordered { asked, groups, judging, .. }, completions) = ahead.take(step, self, pool, judge)?;
        let interrupt = &self.experiment.interrupt;
        let finish = || judging.finish(judge, interrupt, &asked, groups, completions);
        let (groups, mut waited) = ahead.meanwhile(judge, pool, finish)?;
        let mut batch = Batch { groups, replaced: Vec::new(), flat: 0.0, kl: None, foretold: None };
        let normalise = reward.reward().normalise;
        let mut rounds = 0;
        for round in 1..=filter.extra_rounds {
            let flat: Vec<usize> =
                (0..batch.groups.len()).filter(|at| !batch.groups[*at].teaches(normalise, filter.tolerance)).collect();
            let (places, asked) = self.others(step, round, &batch, &flat);
            if asked.is_empty() {
                break;
            }
            rounds = round;
            let (others, longer) = self.ask(step, asked, ahead, pool, judge)?;
            waited += longer;
            for (place, group) in places.into_iter().zip(others) {
                batch.replaced.push(std::mem::replace(&mut batch.groups[place], group));
            }
        }
        gauge!("time/judge").set(waited.as_secs_f64());
        if filter.extra_rounds > 0 {
            gauge!("filter/extra_rounds").set(rounds as f64);
            gauge!("filter/replaced_groups").set(batch.replaced.len() as f64);
        }
        ahead.meanwhile(judge, pool, || self.compare(&mut batch, normalise, workers))?;
        batch.measure(normalise, filter.tolerance);
        Ok(batch)
    }

    /// Questions of A that are not held out, as many of each form, none twice in a step.
    fn questions(&self, step: usize) -> Vec<Asked> {
        let config = &self.experiment.config.train;
        let mut random = random::stream(self.experiment.config.run.seed, &[1, step as u64]);
        let mut asked = Vec::with_capacity(config.questions_per_step);
        for (at, form) in config.forms.iter().enumerate() {
            let there = self.division.trained(*form);
            let count = config.questions_of(at).min(there.len());
            for index in index::sample(&mut random, there.len(), count).into_iter().map(|at| there[at]) {
                asked.push(Asked { index, question: self.start.knowledge.question(Set::A, *form, index, &mut random) });
            }
        }
        asked
    }

    /// Questions of the same forms that this step has not asked yet, for as many of these places as there are.
    fn others(&self, step: usize, round: usize, batch: &Batch, places: &[usize]) -> (Vec<usize>, Vec<Asked>) {
        let mut random = random::stream(self.experiment.config.run.seed, &[1, step as u64, round as u64]);
        let (mut filled, mut asked) = (Vec::new(), Vec::new());
        for form in &self.experiment.config.train.forms {
            let of_form = |group: &&Group| group.form == *form;
            let used: Vec<usize> =
                batch.groups.iter().chain(&batch.replaced).filter(of_form).map(|group| group.index).collect();
            let there = self.division.trained(*form);
            let free: Vec<usize> = there.iter().copied().filter(|index| !used.contains(index)).collect();
            let places: Vec<usize> = places.iter().copied().filter(|at| batch.groups[*at].form == *form).collect();
            let chosen = index::sample(&mut random, free.len(), places.len().min(free.len()));
            for (place, chosen) in places.into_iter().zip(chosen) {
                let index = free[chosen];
                filled.push(place);
                asked.push(Asked { index, question: self.start.knowledge.question(Set::A, *form, index, &mut random) });
            }
        }
        (filled, asked)
    }

    /// Samples, judges and pays completions of questions, before anything else that is sampled.
    fn ask(
        &self,
        step: usize,
        asked: Vec<Asked>,
        ahead: &mut Ahead,
        pool: &mut WorkerPool,
        judge: Judge,
    ) -> Result<(Vec<Group>, Duration)> {
        let (groups, requests) = self.requests(step, &asked)?;
        let mut judging = Judging::begin(step);
        let completions = pool.generate_with(requests, &mut |ticket, completion| {
            if !ahead.hear(judge, ticket, completion) {
                judging.hear(judge, &asked, completion);
            }
        })?;
        let interrupt = &self.experiment.interrupt;
        ahead.meanwhile(judge, pool, || judging.finish(judge, interrupt, &asked, groups, completions))
    }

    /// A group and a request for each question.
    fn requests(&self, step: usize, asked: &[Asked]) -> Result<(Vec<Group>, Vec<Request>)> {
        let (config, tokenizer) = (&self.experiment.config.train, &self.start.base.tokenizer);
        let mut groups = Vec::with_capacity(asked.len());
        for Asked { index, question } in asked {
            let prompt = tokenizer.encode(&tokenizer.prompt(&[], &question.text, Opening::Think)?)?;
            let (completions, lines) = (Vec::with_capacity(config.group_size), Vec::with_capacity(config.group_size));
            let (index, form, appraisals) = (*index, question.form, Vec::new());
            groups.push(Group { index, form, prompt, completions, lines, appraisals });
        }
        let requests = groups.iter().zip(asked).map(|(group, asked)| Request {
            prompt: group.prompt.clone(),
            samples: config.group_size,
            temperature: config.temperature as f32,
            max_new_tokens: config.max_new_tokens,
            stop: tokenizer.ends().to_vec(),
            seed: self.experiment.config.run.seed,
            key: [step as u64, asked.question.id],
        });
        let requests = requests.collect();
        Ok((groups, requests))
    }
}

impl Group {
    /// Whether its completions are paid differently.
    fn teaches(&self, normalise: Normalise, tolerance: f64) -> bool {
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
    pub fn sampled(&self, algorithm: &Algorithm) -> impl Iterator<Item = Sampled<'_>> {
        let keep = algorithm.filter.keep;
        let judged =
            self.completions.iter().zip(&self.lines).enumerate().filter(|(_, (_, line))| line.reward.is_some());
        judged.map(move |(at, (completion, line))| Sampled {
            prompt: &self.prompt,
            tokens: &completion.tokens,
            log_probs: &completion.log_probs,
            before: None,
            advantage: line.advantage.unwrap_or_default(),
            appraisal: self.appraisals.get(at).and_then(Option::as_ref),
            kept: keep.keeps(completion.finish == Finish::Stop, line.judgement.correct),
        })
    }
}

impl Batch {
    /// What is learned from.
    pub fn sampled(&self, algorithm: &Algorithm) -> Vec<Sampled<'_>> {
        self.groups.iter().flat_map(|group| group.sampled(algorithm)).collect()
    }

    /// Every rollout, what was replaced at the end.
    pub fn lines(&self) -> Vec<&Record> {
        self.all().flat_map(|group| &group.lines).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().chain(&self.replaced)
    }

    /// Sampled tokens.
    pub fn tokens(&self) -> usize {
        self.all().flat_map(|group| &group.completions).map(|completion| completion.tokens.len()).sum()
    }

    /// Records the metrics of everything that was sampled.
    fn measure(&mut self, normalise: Normalise, tolerance: f64) {
        let rewards: Vec<Vec<Option<f64>>> = self.all().map(Group::rewards).collect();
        let without_spread = self.all().filter(|group| !group.teaches(normalise, tolerance)).count();
        rollouts::measure(&self.lines(), &rewards, without_spread);
        self.flat = without_spread as f64 / rewards.len().max(1) as f64;
    }

    /// Share of completions that ran out of tokens.
    pub fn truncated(&self) -> f64 {
        let lines = self.lines();
        let cut = lines.iter().filter(|line| line.finish == Finish::Length).count();
        cut as f64 / lines.len().max(1) as f64
    }
}
