//! Rollout workers behind a queue: requests in, completions out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, select};

use super::backend::WorkerBackend;
use super::jobs::JobSender;
#[cfg(feature = "mpi")]
use super::mpi;
use super::pending::{PartialRollouts, PoolOrder};
use super::threads::WorkerThreads;
use super::worker::{Sampler, WorkerEvent, WorkerReport};
use crate::policy::{ModelConfig, Policy, Snapshot};
use crate::rollout::{Completion, CudaEngine, Engine, Limits, PartialCompletion, Request, SLOTS};
use crate::{Error, Result};

/// How long [`WorkerPool::collect`] waits for a word from any worker that is at work before it gives up.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long workers have to say how far they are.
const TELLING: Duration = Duration::from_secs(30);

/// What a pool has sampled so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Throughput {
    /// Sampled tokens, prompts not counted.
    pub tokens: u64,
    /// Wall-clock seconds in which completions were waited for.
    pub seconds: f64,
}

/// How full a pool is, in completions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Asked for, and with no worker yet.
    pub waiting: usize,
    /// With a worker.
    pub begun: usize,
    /// Ended, and not collected.
    pub finished: usize,
}

/// Rollout workers on threads of their own, or on other ranks. They draw requests from one queue, so that none idles
/// while another has more to do; what comes back does not depend on how many they are.
///
/// Either all at once ([`WorkerPool::generate`]), or ahead of time: [`WorkerPool::submit`] takes an order and comes back
/// at once, [`WorkerPool::collect`] waits for it, and weights that are published in between are taken up between two
/// tokens.
pub struct WorkerPool {
    limits: Limits,
    team: WorkerBackend,
    counter: JobSender,
    /// By the number of their first request.
    orders: BTreeMap<usize, PoolOrder>,
    /// The number of the next request.
    next: usize,
    /// A watch on each worker.
    watches: Vec<WorkerState>,
    patience: Duration,
    throughput: Throughput,
    idle: Duration,
    /// What a worker failed with, until it has been told of.
    failed: Option<Error>,
}

/// An order that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(usize);

/// Whoever is told of completions, each with the ticket of its order.
pub type CompletionListener<'a> = dyn FnMut(Ticket, &Completion) + 'a;

/// What is known of a worker.
#[derive(Clone, Copy)]
struct WorkerState {
    /// Completions that it has begun and not ended.
    begun: usize,
    /// When it last said something.
    heard: Instant,
    /// It has not said yet how far it is.
    asked: bool,
}

impl WorkerPool {
    /// Starts `count` workers, each with an engine of `slots` slots of `max_tokens` tokens.
    pub fn start(count: usize, config: &ModelConfig, slots: usize, max_tokens: usize) -> Result<WorkerPool> {
        let engines = (0..count).map(|_| Engine::new(config, slots, max_tokens)).collect::<Result<Vec<_>>>()?;
        let limits = Limits { max_tokens, vocab_size: config.vocab_size };
        WorkerPool::with_samplers(engines, limits)
    }

    /// Starts the workers that suit a policy, for requests of at most `max_tokens` tokens: one on the card where it
    /// lives, or `count` on the processor.
    pub fn for_policy(policy: &Policy, count: usize, max_tokens: usize) -> Result<WorkerPool> {
        match CudaEngine::for_policy(policy, max_tokens)? {
            None => WorkerPool::start(count, &policy.config, SLOTS, max_tokens),
            Some(engine) => {
                let limits = Limits { max_tokens, vocab_size: policy.config.vocab_size };
                Ok(WorkerPool::with_backend(WorkerBackend::Card(WorkerThreads::start(vec![engine])?), limits))
            }
        }
    }

    /// The same with whatever samples.
    pub(crate) fn with_samplers(samplers: Vec<impl Sampler + Send + 'static>, limits: Limits) -> Result<WorkerPool> {
        if samplers.is_empty() {
            return Err(Error::invalid("rollout workers", "0", "at least one is needed"));
        }
        Ok(WorkerPool::with_backend(WorkerBackend::Threads(WorkerThreads::start(samplers)?, None), limits))
    }

    /// The same on other ranks, with `count` workers on each (see [`super::on_cores`]).
    #[cfg(feature = "mpi")]
    pub fn on_ranks(
        ranks: &mpi::MpiRanks,
        count: Option<usize>,
        config: &ModelConfig,
        slots: usize,
        max_tokens: usize,
    ) -> Result<WorkerPool> {
        ranks.start(count, config, slots, max_tokens)?;
        let limits = Limits { max_tokens, vocab_size: config.vocab_size };
        Ok(WorkerPool::with_backend(WorkerBackend::Ranks(ranks.clone()), limits))
    }

    fn with_backend(team: WorkerBackend, limits: Limits) -> WorkerPool {
        let (counter, desk) = JobSender::open();
        team.serve(&desk);
        let watches = vec![WorkerState { begun: 0, heard: Instant::now(), asked: false }; team.len()];
        WorkerPool {
            limits,
            team,
            counter,
            orders: BTreeMap::new(),
            next: 0,
            watches,
            patience: PATIENCE,
            throughput: Throughput::default(),
            idle: Duration::ZERO,
            failed: None,
        }
    }

    /// The longest wait for a word from a worker (ten minutes unless told).
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// What has been sampled so far.
    pub fn throughput(&self) -> Throughput {
        self.throughput
    }

    /// How long a worker has had nothing to do since this was last asked, on average.
    pub fn idled(&mut self) -> Duration {
        std::mem::take(&mut self.idle) / self.watches.len().max(1) as u32
    }

    /// How full it is, as far as has been heard.
    pub fn fill(&self) -> Fill {
        let begun = self.watches.iter().map(|watch| watch.begun).sum();
        let missing: usize = self.orders.values().map(PoolOrder::missing).sum();
        let finished = self.orders.values().map(|order| order.finished().len()).sum();
        Fill { waiting: missing.saturating_sub(begun), begun, finished }
    }

    /// Packs a policy version once. All workers sample from it from their next token on, and begin nothing that is
    /// submitted later with an older one.
    pub fn publish(&mut self, snapshot: &Snapshot) -> Result<()> {
        let outcome = self.team.publish(snapshot);
        outcome.map_err(|error| self.why(error))
    }

    /// All completions of all requests, sorted by request and sample. They go before all that was submitted.
    ///
    /// Errors: a request that cannot be answered (before any work), or what [`WorkerPool::collect`] says.
    pub fn generate(&mut self, requests: Vec<Request>) -> Result<Vec<Completion>> {
        self.generate_and(requests, None)
    }

    /// The same, and `heard` is told of each completion of any order, this one or one that was submitted, as soon as it
    /// has ended.
    pub fn generate_with(&mut self, requests: Vec<Request>, heard: &mut CompletionListener) -> Result<Vec<Completion>> {
        self.generate_and(requests, Some(heard))
    }

    fn generate_and(
        &mut self,
        requests: Vec<Request>,
        heard: Option<&mut CompletionListener>,
    ) -> Result<Vec<Completion>> {
        let ticket = self.place(requests, PartialRollouts::default(), true)?;
        let outcome = self.collect_and(ticket, heard);
        self.orders.remove(&ticket.0);
        outcome
    }

    /// Takes an order of completions that are needed later.
    ///
    /// Errors: a request that cannot be answered, or a worker that has ended.
    pub fn submit(&mut self, requests: Vec<Request>) -> Result<Ticket> {
        self.place(requests, PartialRollouts::default(), false)
    }

    /// The same for an order that [`WorkerPool::underway`] told of.
    pub fn resume(&mut self, requests: Vec<Request>, underway: PartialRollouts) -> Result<Ticket> {
        self.place(requests, underway, false)
    }

    fn place(&mut self, requests: Vec<Request>, underway: PartialRollouts, urgent: bool) -> Result<Ticket> {
        for (number, request) in requests.iter().enumerate() {
            self.limits.check(number, request)?;
        }
        let outcome = self.team.check();
        outcome.map_err(|error| self.why(error))?;
        let first = self.next;
        let count = requests.len();
        let (order, jobs) = PoolOrder::new(requests, underway, first)?;
        jobs.iter().try_for_each(|job| self.limits.check_job(job))?;
        self.next += count.max(1);
        jobs.into_iter().for_each(|job| self.counter.put(job, urgent));
        self.orders.insert(first, order);
        Ok(Ticket(first))
    }

    /// Waits for all completions of an order, sorted by request and sample.
    ///
    /// Errors: a worker that failed or panicked, or one that is at work and says nothing for longer than the patience.
    /// Then the others stop at once and all orders are lost; nothing of them reaches the next.
    pub fn collect(&mut self, ticket: Ticket) -> Result<Vec<Completion>> {
        self.collect_and(ticket, None)
    }

    /// The same, and `heard` is told of each completion of any order as soon as it has ended, in the order in which they
    /// do. Those that have ended and were not told of come first.
    pub fn collect_with(&mut self, ticket: Ticket, heard: &mut CompletionListener) -> Result<Vec<Completion>> {
        self.collect_and(ticket, Some(heard))
    }

    /// Tells `heard` of each completion as [`WorkerPool::collect_with`] does, until nobody has the other end of `until` any
    /// more. What a worker fails with meanwhile is an error of whoever waits next.
    pub fn listen(&mut self, heard: &mut CompletionListener, until: &Receiver<()>) {
        loop {
            self.tell(heard);
            select! {
                recv(self.counter.reports) -> report => match report {
                    Ok(report) => drop(self.hear(report)),
                    Err(_) => return,
                },
                recv(until) -> _ => return,
            }
        }
    }

    /// Tells of what has ended and was not told of yet.
    fn tell(&mut self, heard: &mut CompletionListener) {
        for (first, order) in &mut self.orders {
            order.untold().iter().for_each(|completion| heard(Ticket(*first), completion));
        }
    }

    fn collect_and(&mut self, ticket: Ticket, heard: Option<&mut CompletionListener>) -> Result<Vec<Completion>> {
        let started = Instant::now();
        let outcome = self.wait(ticket, heard);
        self.throughput.seconds += started.elapsed().as_secs_f64();
        if outcome.is_err() {
            self.drop_all();
        }
        outcome?;
        let order = self.orders.remove(&ticket.0).ok_or_else(lost)?;
        let completions = order.completions();
        self.throughput.tokens += completions.iter().map(|completion| completion.tokens.len() as u64).sum::<u64>();
        Ok(completions)
    }

    /// How far every order has come that was submitted and not collected. Workers go on; what none of them tells of in
    /// time would be sampled from its beginning.
    pub fn underway(&mut self) -> BTreeMap<Ticket, PartialRollouts> {
        if self.orders.is_empty() {
            return BTreeMap::new();
        }
        let mut begun = Vec::new();
        if self.orders.values().any(|order| !order.lost) {
            self.watches.iter_mut().for_each(|watch| watch.asked = true);
            self.team.tell();
            let deadline = Instant::now() + TELLING.min(self.patience);
            while self.watches.iter().any(|watch| watch.asked)
                && let Ok(report) = self.counter.reports.recv_deadline(deadline)
            {
                begun.extend(self.hear(report));
            }
        }
        let mut all: BTreeMap<Ticket, PartialRollouts> = BTreeMap::new();
        for (first, order) in &self.orders {
            all.insert(Ticket(*first), PartialRollouts { finished: order.finished().to_vec(), begun: Vec::new() });
        }
        for mut one in begun {
            let Some((Ticket(first), underway)) = all.range_mut(..=Ticket(one.request)).next_back() else { continue };
            one.request -= first;
            let ended = |completion: &Completion| (completion.request, completion.sample) == (one.request, one.sample);
            // It may have ended while others were still asked.
            if !one.tokens.is_empty() && !underway.finished.iter().any(ended) {
                underway.begun.push(one);
            }
        }
        all
    }

    /// What a worker has failed with in the meantime, if that is where an error comes from.
    fn why(&mut self, error: Error) -> Error {
        while let Ok(report) = self.counter.reports.try_recv() {
            self.hear(report);
        }
        let Some(failed) = self.failed.take() else { return error };
        self.drop_all();
        failed
    }

    /// Listens until nothing is missing.
    fn wait(&mut self, ticket: Ticket, mut heard: Option<&mut CompletionListener>) -> Result<()> {
        let mut quiet = Instant::now();
        loop {
            while let Ok(report) = self.counter.reports.try_recv() {
                self.hear(report);
                quiet = Instant::now();
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if let Some(heard) = &mut heard {
                self.tell(heard);
            }
            let order = self.orders.get(&ticket.0).filter(|order| !order.lost).ok_or_else(lost)?;
            let missing = order.missing();
            if missing == 0 {
                return Ok(());
            }
            let busy = self.watches.iter().enumerate().filter(|(_, watch)| watch.begun > 0);
            let silent = busy.min_by_key(|(_, watch)| watch.heard);
            let (since, who) = silent.map_or((quiet, None), |(worker, watch)| (watch.heard, Some(worker)));
            let deadline = since + self.patience;
            match self.counter.reports.recv_deadline(deadline) {
                Ok(report) => {
                    self.hear(report);
                    quiet = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.team.give_up();
                    return Err(self.stuck(who, missing));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.team.check()?;
                    return Err(lost());
                }
            }
        }
    }

    /// Notes what a worker says, and gives what it has begun if it was asked.
    fn hear(&mut self, WorkerReport { worker, news }: WorkerReport) -> Vec<PartialCompletion> {
        let Some(watch) = self.watches.get_mut(worker) else { return Vec::new() };
        watch.heard = Instant::now();
        match news {
            WorkerEvent::Took(completions) => watch.begun += completions,
            WorkerEvent::Completed(mut completion) => {
                watch.begun = watch.begun.saturating_sub(1);
                if let Some((first, order)) = self.orders.range_mut(..=completion.request).next_back() {
                    completion.request -= first;
                    order.add(completion);
                }
            }
            WorkerEvent::Begun(begun) => {
                watch.asked = false;
                return begun;
            }
            WorkerEvent::Idled(duration) => self.idle += duration,
            WorkerEvent::Failed(error) => {
                watch.asked = false;
                self.failed.get_or_insert(error);
            }
        }
        Vec::new()
    }

    /// Has the workers drop everything. Finished completions are kept for [`WorkerPool::underway`].
    fn drop_all(&mut self) {
        let (counter, desk) = JobSender::open();
        self.counter = counter;
        self.team.serve(&desk);
        self.orders.values_mut().for_each(|order| order.lost = true);
        self.watches.iter_mut().for_each(|watch| watch.begun = 0);
    }

    fn stuck(&self, worker: Option<usize>, missing: usize) -> Error {
        let who = worker.map_or_else(|| "any rollout worker".into(), |worker| self.team.name(worker));
        Error::Timeout {
            waiter: "the learner".into(),
            awaited: format!("the next of {missing} missing completions from {who}"),
            seconds: self.patience.as_secs(),
        }
    }
}

fn lost() -> Error {
    Error::invalid("rollouts", "lost with the worker that failed", "start the run again")
}

#[cfg(test)]
mod tests;
