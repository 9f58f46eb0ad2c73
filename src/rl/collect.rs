//! The batch of a step: collected and judged, with groups that teach nothing replaced, and each completion compared.

use std::time::Duration;

use metrics::gauge;

use super::batch::{Batch, Group, SampledQuestion};
use super::judging::{Judge, Judging};
use super::live_reward::LiveReward;
use super::prefetch::PrefetchQueue;
use super::sampler::{BatchSampler, PendingBatch};
use super::sentences;
use crate::Result;
use crate::exchange::WorkerPool;
use crate::learner::CreditAssignment;
use crate::reward::Reward;

impl BatchSampler<'_> {
    /// The batch of a step. In synchronous mode it depends on config, seed and the weights in the pool alone.
    pub fn batch(
        &self,
        step: usize,
        queue: &mut PrefetchQueue,
        pool: &mut WorkerPool,
        reward: &LiveReward,
        workers: usize,
    ) -> Result<Batch> {
        let most_rounds = self.experiment.config.train.most_extra_rounds(self.algorithm.filter);
        let judge = Judge { start: self.start, reward };
        let (PendingBatch { asked, groups, judging, .. }, completions) = queue.take(step, self, pool, judge)?;
        let interrupt = &self.experiment.interrupt;
        let finish = || judging.finish(judge, interrupt, &asked, groups, completions);
        let (groups, mut waited) = queue.meanwhile(judge, pool, finish)?;
        let mut batch = Batch { groups, replaced: Vec::new(), flat: 0.0, kl: None, foretold: None };
        let teaches = |group: &Group| self.teaches(group, reward.reward());
        let mut rounds = 0;
        for round in 1..=most_rounds {
            let replaceable = |group: &Group| round <= group.filter.extra_rounds && !teaches(group);
            let flat: Vec<usize> = (0..batch.groups.len()).filter(|at| replaceable(&batch.groups[*at])).collect();
            let (places, asked) = self.others(step, round, &batch, &flat)?;
            if asked.is_empty() {
                break;
            }
            rounds = round;
            let (others, longer) = self.ask(step, asked, queue, pool, judge)?;
            waited += longer;
            for (place, group) in places.into_iter().zip(others) {
                batch.replaced.push(std::mem::replace(&mut batch.groups[place], group));
            }
        }
        gauge!("time/judge").set(waited.as_secs_f64());
        if most_rounds > 0 {
            gauge!("filter/extra_rounds").set(rounds as f64);
            gauge!("filter/replaced_groups").set(batch.replaced.len() as f64);
        }
        queue.meanwhile(judge, pool, || self.compare(&mut batch, reward.reward(), workers))?;
        batch.measure(teaches);
        Ok(batch)
    }

    /// Whether anything in a group was better than something else: a completion, or where sentences are compared, one of those.
    fn teaches(&self, group: &Group, reward: &Reward) -> bool {
        let by_sentence = || {
            self.algorithm.credit == CreditAssignment::Sentence
                && sentences::differ(group, reward, &self.start.base.tokenizer)
        };
        group.is_paid_differently(reward.normalise) || by_sentence()
    }

    /// Samples, judges and pays completions of questions, before anything else that is sampled.
    fn ask(
        &self,
        step: usize,
        asked: Vec<SampledQuestion>,
        queue: &mut PrefetchQueue,
        pool: &mut WorkerPool,
        judge: Judge,
    ) -> Result<(Vec<Group>, Duration)> {
        let (groups, requests) = self.requests(step, &asked)?;
        let mut judging = Judging::begin(step);
        let completions = pool.generate_with(requests, &mut |ticket, completion| {
            if !queue.observe(judge, ticket, completion) {
                judging.observe(judge, &asked, completion);
            }
        })?;
        let interrupt = &self.experiment.interrupt;
        queue.meanwhile(judge, pool, || judging.finish(judge, interrupt, &asked, groups, completions))
    }
}
