//! Batches that are asked for before it is their turn to be learned from. How many is the only difference between
//! synchronous training (none) and asynchronous (as many as tokens may be versions behind the learner).

use std::collections::BTreeMap;

use crossbeam_channel::bounded;
use metrics::gauge;

use super::judging::Judge;
use super::live_reward::LiveReward;
use super::sampler::{BatchSampler, PendingBatch};
use crate::Result;
use crate::exchange::{PartialRollouts, Ticket, WorkerPool};
use crate::rollout::Completion;

/// The orders of the steps to come.
pub(crate) struct PrefetchQueue {
    /// Versions that a token may be behind the policy that learns from it.
    staleness: usize,
    steps: usize,
    orders: BTreeMap<usize, PendingBatch>,
    /// Rollouts of a run that is taken up again, by the step that they are for.
    kept: BTreeMap<usize, PartialRollouts>,
    /// The completions that were collected last: until their step is done they may be needed once more.
    taken: (usize, Vec<Completion>),
}

impl PrefetchQueue {
    /// Of a run of so many steps, with what a checkpoint has kept.
    pub fn new(staleness: usize, steps: usize, kept: BTreeMap<usize, PartialRollouts>) -> PrefetchQueue {
        PrefetchQueue { staleness, steps, orders: BTreeMap::new(), kept, taken: (0, Vec::new()) }
    }

    /// Whether sampling goes on while the policy learns.
    fn is_asynchronous(&self) -> bool {
        self.staleness > 0
    }

    /// Asks for the batches that the policy of `step` may sample: its own, and as many more as tokens may be behind.
    /// What it samples of the last of them is as many versions old when its turn comes, and never more. In synchronous
    /// mode nothing is asked for ahead of its turn.
    pub fn fill(&mut self, step: usize, sampling: &BatchSampler, pool: &mut WorkerPool) -> Result<()> {
        if !self.is_asynchronous() {
            return Ok(());
        }
        for step in step..=step.saturating_add(self.staleness).min(self.steps.saturating_sub(1)) {
            if !self.orders.contains_key(&step) {
                let kept = self.kept.remove(&step).unwrap_or_default();
                self.orders.insert(step, sampling.order(step, kept, pool)?);
            }
        }
        Ok(())
    }

    /// Judges a completion that has just ended, and says whether it is of one of the orders.
    pub fn observe(&mut self, judge: Judge, ticket: Ticket, completion: &Completion) -> bool {
        let order = self.orders.values_mut().find(|ordered| ordered.ticket == ticket);
        order.map(|PendingBatch { asked, judging, .. }| judging.observe(judge, asked, completion)).is_some()
    }

    /// Has everything that has ended judged by a reward that took over.
    pub fn judge_again(&mut self, reward: &LiveReward) {
        self.orders.values_mut().for_each(|ordered| ordered.judging.ask_again(reward));
    }

    /// Does something that takes its time, and judges completions that end meanwhile.
    pub fn meanwhile<T>(&mut self, judge: Judge, pool: &mut WorkerPool, work: impl FnOnce() -> T) -> T {
        if self.orders.is_empty() {
            return work();
        }
        std::thread::scope(|scope| {
            // It ends with the work, also where that panics.
            let (_working, done) = bounded(0);
            scope.spawn(move || {
                let mut heard = |ticket: Ticket, completion: &Completion| {
                    self.observe(judge, ticket, completion);
                };
                pool.listen(&mut heard, &done);
            });
            work()
        })
    }

    /// Waits for the batch of a step, whose completions are judged as they come, as are those of other steps. In
    /// asynchronous mode it measures who waited for whom, and how full the queue is.
    pub fn take(
        &mut self,
        step: usize,
        sampling: &BatchSampler,
        pool: &mut WorkerPool,
        judge: Judge,
    ) -> Result<(PendingBatch, Vec<Completion>)> {
        let mut pending = match self.orders.remove(&step) {
            Some(pending) => pending,
            None => sampling.order(step, self.kept.remove(&step).unwrap_or_default(), pool)?,
        };
        let before = pool.waited();
        let ticket = pending.ticket;
        let collected = pool.collect(ticket, &mut |of, completion| {
            if of == ticket {
                pending.judging.observe(judge, &pending.asked, completion);
            } else {
                self.observe(judge, of, completion);
            }
        });
        let completions = match collected {
            Ok(completions) => completions,
            Err(error) => {
                // What has come of it is still to be kept.
                self.orders.insert(step, pending);
                return Err(error);
            }
        };
        self.taken = (step, completions.clone());
        if self.is_asynchronous() {
            gauge!("time/wait_for_batch").set((pool.waited() - before).as_secs_f64());
            gauge!("time/wait_for_weights").set(pool.idled().as_secs_f64());
            let fill = pool.fill();
            gauge!("queue/finished").set(fill.finished as f64);
            gauge!("queue/begun").set(fill.begun as f64);
            gauge!("queue/waiting").set(fill.waiting as f64);
            self.measure(step, &completions);
        }
        Ok((pending, completions))
    }

    /// What a checkpoint after `step` steps is to keep, by the step that it is for. In synchronous mode that is something
    /// only where a step has been broken off.
    pub fn underway(&self, step: usize, pool: &mut WorkerPool) -> BTreeMap<usize, PartialRollouts> {
        let mut orders = pool.underway();
        let mut all = self.kept.clone();
        all.extend(self.orders.iter().filter_map(|(step, pending)| Some((*step, orders.remove(&pending.ticket)?))));
        let (taken, completions) = &self.taken;
        if *taken == step && !completions.is_empty() {
            all.insert(step, PartialRollouts { finished: completions.clone(), begun: Vec::new() });
        }
        all
    }

    /// Records the share of tokens by how many versions they are behind: a histogram.
    fn measure(&self, step: usize, completions: &[Completion]) {
        let mut tokens = vec![0usize; self.staleness + 1];
        for (version, count) in completions.iter().flat_map(|completion| completion.versions.runs()) {
            let behind = (step as u64).saturating_sub(*version) as usize;
            tokens[behind.min(self.staleness)] += count;
        }
        let all = tokens.iter().sum::<usize>().max(1) as f64;
        for (behind, tokens) in tokens.iter().enumerate() {
            gauge!(format!("staleness/{behind}")).set(*tokens as f64 / all);
        }
    }
}
