//! Rollout workers behind a queue: requests in, completions out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, select};
use serde::{Deserialize, Serialize};

use super::threads::{WorkerBackend, WorkerThreads};
use super::worker::{JobSender, WorkerEvent, WorkerReport};
use crate::policy::{ModelConfig, Policy, Snapshot};
use crate::rollout::{Completion, CudaEngine, Job, Limits, PartialCompletion, Request, slots};
use crate::{Error, Result};

/// How long [`WorkerPool::collect`] waits for a word from any worker that is at work before it gives up.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long workers have to say how far they are.
const TELLING: Duration = Duration::from_secs(30);

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
    backend: Box<dyn WorkerBackend>,
    jobs: JobSender,
    /// By the number of their first request.
    orders: BTreeMap<usize, PoolOrder>,
    /// The number of the next request.
    next: usize,
    workers: Vec<WorkerState>,
    patience: Duration,
    /// How long completions were waited for.
    waited: Duration,
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
        let workers = WorkerThreads::on_processor(count, config, slots, max_tokens)?;
        Ok(WorkerPool::with_backend(workers, Limits { max_tokens, vocab_size: config.vocab_size }))
    }

    /// Starts the workers that suit a policy, for requests of at most `max_tokens` tokens: one on the card where it
    /// lives, or `count` on the processor.
    pub fn for_policy(policy: &Policy, count: usize, max_tokens: usize) -> Result<WorkerPool> {
        let Some(engine) = CudaEngine::for_policy(policy, max_tokens)? else {
            return WorkerPool::start(count, &policy.config, slots(&policy.config), max_tokens);
        };
        let limits = Limits { max_tokens, vocab_size: policy.config.vocab_size };
        Ok(WorkerPool::with_backend(WorkerThreads::on_card(engine)?, limits))
    }

    /// The same with whatever samples.
    #[cfg(test)]
    pub(crate) fn with_samplers(
        samplers: Vec<impl super::Sampler + Send + 'static>,
        limits: Limits,
    ) -> Result<WorkerPool> {
        Ok(WorkerPool::with_backend(WorkerThreads::start(samplers)?, limits))
    }

    pub(super) fn with_backend(backend: impl WorkerBackend + 'static, limits: Limits) -> WorkerPool {
        let (jobs, receiver) = JobSender::open(backend.len());
        backend.reset(&receiver);
        let workers = vec![WorkerState { begun: 0, heard: Instant::now(), asked: false }; backend.len()];
        WorkerPool {
            limits,
            backend: Box::new(backend),
            jobs,
            orders: BTreeMap::new(),
            next: 0,
            workers,
            patience: PATIENCE,
            waited: Duration::ZERO,
            idle: Duration::ZERO,
            failed: None,
        }
    }

    /// The longest wait for a word from a worker (ten minutes unless told).
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// How long completions have been waited for so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// How long a worker has had nothing to do since this was last asked, on average.
    pub fn idled(&mut self) -> Duration {
        std::mem::take(&mut self.idle) / self.workers.len().max(1) as u32
    }

    /// How full it is, as far as has been heard.
    pub fn fill(&self) -> Fill {
        let begun = self.workers.iter().map(|worker| worker.begun).sum();
        let missing: usize = self.orders.values().map(|order| order.missing).sum();
        let finished = self.orders.values().map(|order| order.finished.len()).sum();
        Fill { waiting: missing.saturating_sub(begun), begun, finished }
    }

    /// Packs a policy version once. All workers sample from it from their next token on, and begin nothing that is
    /// submitted later with an older one.
    pub fn publish(&mut self, snapshot: &Snapshot) -> Result<()> {
        let outcome = self.backend.publish(snapshot);
        outcome.map_err(|error| self.why(error))
    }

    /// Has workers let go of weights and caches until the next [`WorkerPool::publish`], if nothing is asked of them: what
    /// learns meanwhile has need of the memory.
    pub fn unload(&mut self) {
        if self.orders.is_empty() {
            self.backend.unload();
        }
    }

    /// All completions of all requests, sorted by request and sample. They go before all that was submitted.
    ///
    /// Errors: a request that cannot be answered (before any work), or what [`WorkerPool::collect`] says.
    pub fn generate(&mut self, requests: Vec<Request>) -> Result<Vec<Completion>> {
        self.generate_with(requests, &mut |_, _| {})
    }

    /// The same, and `heard` is told of each completion of any order, this one or one that was submitted, as soon as it
    /// has ended.
    pub fn generate_with(&mut self, requests: Vec<Request>, heard: &mut CompletionListener) -> Result<Vec<Completion>> {
        let ticket = self.place(requests, PartialRollouts::default(), true)?;
        let outcome = self.collect(ticket, heard);
        self.orders.remove(&ticket.0);
        outcome
    }

    /// Takes an order of completions that are needed later, of which some may be there already.
    ///
    /// Errors: a request that cannot be answered, or a worker that has ended.
    pub fn submit(&mut self, requests: Vec<Request>, underway: PartialRollouts) -> Result<Ticket> {
        self.place(requests, underway, false)
    }

    fn place(&mut self, requests: Vec<Request>, underway: PartialRollouts, urgent: bool) -> Result<Ticket> {
        for (number, request) in requests.iter().enumerate() {
            self.limits.check(number, request)?;
        }
        let outcome = self.backend.check();
        outcome.map_err(|error| self.why(error))?;
        let first = self.next;
        let count = requests.len();
        let (order, jobs) = PoolOrder::new(requests, underway, first)?;
        jobs.iter().try_for_each(|job| self.limits.check_job(job))?;
        self.next += count.max(1);
        jobs.into_iter().for_each(|job| self.jobs.put(job, urgent));
        self.orders.insert(first, order);
        Ok(Ticket(first))
    }

    /// Waits for all completions of an order, sorted by request and sample. `heard` is told of each completion of any
    /// order as soon as it has ended, in the order in which they do. Those that have ended and were not told of come
    /// first.
    ///
    /// Errors: a worker that failed or panicked, or one that is at work and says nothing for longer than the patience.
    /// Then the others stop at once and all orders are lost; nothing of them reaches the next.
    pub fn collect(&mut self, ticket: Ticket, heard: &mut CompletionListener) -> Result<Vec<Completion>> {
        let started = Instant::now();
        let outcome = self.wait(ticket, heard);
        self.waited += started.elapsed();
        if outcome.is_err() {
            self.drop_all();
        }
        outcome?;
        self.orders.remove(&ticket.0).map(PoolOrder::completions).ok_or_else(lost)
    }

    /// Tells `heard` of each completion as [`WorkerPool::collect`] does, until nobody has the other end of `until` any
    /// more. What a worker fails with meanwhile is an error of whoever waits next.
    pub fn listen(&mut self, heard: &mut CompletionListener, until: &Receiver<()>) {
        loop {
            self.tell(heard);
            select! {
                recv(self.jobs.reports) -> report => match report {
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

    /// How far every order has come that was submitted and not collected. Workers go on; what none of them tells of in
    /// time would be sampled from its beginning.
    pub fn underway(&mut self) -> BTreeMap<Ticket, PartialRollouts> {
        if self.orders.is_empty() {
            return BTreeMap::new();
        }
        let mut begun = Vec::new();
        if self.orders.values().any(|order| !order.lost) {
            self.workers.iter_mut().for_each(|worker| worker.asked = true);
            self.backend.report_partial();
            let deadline = Instant::now() + TELLING.min(self.patience);
            while self.workers.iter().any(|worker| worker.asked)
                && let Ok(report) = self.jobs.reports.recv_deadline(deadline)
            {
                begun.extend(self.hear(report));
            }
        }
        let mut all: BTreeMap<Ticket, PartialRollouts> = BTreeMap::new();
        for (first, order) in &self.orders {
            all.insert(Ticket(*first), PartialRollouts { finished: order.finished.clone(), begun: Vec::new() });
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
        while let Ok(report) = self.jobs.reports.try_recv() {
            self.hear(report);
        }
        let Some(failed) = self.failed.take() else { return error };
        self.drop_all();
        failed
    }

    /// Listens until nothing is missing.
    fn wait(&mut self, ticket: Ticket, heard: &mut CompletionListener) -> Result<()> {
        let mut quiet = Instant::now();
        loop {
            while let Ok(report) = self.jobs.reports.try_recv() {
                self.hear(report);
                quiet = Instant::now();
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            self.tell(heard);
            let order = self.orders.get(&ticket.0).filter(|order| !order.lost).ok_or_else(lost)?;
            let missing = order.missing;
            if missing == 0 {
                return Ok(());
            }
            let busy = self.workers.iter().enumerate().filter(|(_, worker)| worker.begun > 0);
            let silent = busy.min_by_key(|(_, worker)| worker.heard);
            let (since, who) = silent.map_or((quiet, None), |(at, worker)| (worker.heard, Some(at)));
            let deadline = since + self.patience;
            match self.jobs.reports.recv_deadline(deadline) {
                Ok(report) => {
                    self.hear(report);
                    quiet = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.backend.give_up();
                    return Err(self.stuck(who, missing));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.backend.check()?;
                    return Err(lost());
                }
            }
        }
    }

    /// Notes what a worker says, and gives what it has begun if it was asked.
    fn hear(&mut self, WorkerReport { worker, event }: WorkerReport) -> Vec<PartialCompletion> {
        let Some(worker) = self.workers.get_mut(worker) else { return Vec::new() };
        worker.heard = Instant::now();
        match event {
            WorkerEvent::Took(completions) => worker.begun += completions,
            WorkerEvent::Completed(mut completion) => {
                worker.begun = worker.begun.saturating_sub(1);
                if let Some((first, order)) = self.orders.range_mut(..=completion.request).next_back() {
                    completion.request -= first;
                    order.add(completion);
                }
            }
            WorkerEvent::Begun(begun) => {
                worker.asked = false;
                return begun;
            }
            WorkerEvent::Idled(duration) => self.idle += duration,
            WorkerEvent::Failed(error) => {
                worker.asked = false;
                self.failed.get_or_insert(error);
            }
        }
        Vec::new()
    }

    /// Has the workers drop everything. Finished completions are kept for [`WorkerPool::underway`].
    fn drop_all(&mut self) {
        let (jobs, receiver) = JobSender::open(self.workers.len());
        self.jobs = jobs;
        self.backend.reset(&receiver);
        self.orders.values_mut().for_each(|order| order.lost = true);
        self.workers.iter_mut().for_each(|worker| worker.begun = 0);
    }

    fn stuck(&self, worker: Option<usize>, missing: usize) -> Error {
        let who = worker.map_or_else(|| "any rollout worker".into(), |worker| self.backend.name(worker));
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

/// How far the requests of an order have come: what is to be kept of them when a run is stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartialRollouts {
    /// Completions that have ended.
    pub finished: Vec<Completion>,
    /// Those that have some of their tokens.
    pub begun: Vec<PartialCompletion>,
}

impl PartialRollouts {
    /// Whether a completion is among what has ended, or was begun.
    fn holds(&self) -> BTreeSet<(usize, usize)> {
        let finished = self.finished.iter().map(|completion| (completion.request, completion.sample));
        finished.chain(self.begun.iter().map(|begun| (begun.request, begun.sample))).collect()
    }
}

/// An order that has not been collected yet.
struct PoolOrder {
    finished: Vec<Completion>,
    missing: usize,
    /// How many of those that have ended were told of.
    told: usize,
    /// Its workers have dropped it.
    lost: bool,
}

impl PoolOrder {
    /// The order of these requests, of which some completions may be there already, and the jobs of the others. Their
    /// numbers begin with `first`. Refused: completions that do not answer these requests.
    fn new(requests: Vec<Request>, underway: PartialRollouts, first: usize) -> Result<(PoolOrder, Vec<Job>)> {
        let held = underway.holds();
        let known =
            |(request, sample): &(usize, usize)| requests.get(*request).is_some_and(|one| *sample < one.samples);
        let whole = |completion: &Completion| {
            let tokens = completion.tokens.len();
            tokens > 0 && completion.log_probs.len() == tokens && completion.versions.tokens() == tokens
        };
        let each_once = held.len() == underway.finished.len() + underway.begun.len();
        if !(each_once && held.iter().all(known) && underway.finished.iter().all(whole)) {
            let found = "completions of other requests than those that are asked for";
            return Err(Error::invalid("rollouts that are underway", found, "have them sampled from their beginning"));
        }
        let mut jobs: Vec<Job> = Vec::with_capacity(requests.len());
        for (index, request) in requests.into_iter().enumerate() {
            let mut job = Job::new(first + index, request);
            job.begun.retain(|begun| !held.contains(&(index, begun.sample)));
            let begun = underway.begun.iter().filter(|begun| begun.request == index);
            job.begun.extend(begun.map(|begun| PartialCompletion { request: first + index, ..begun.clone() }));
            jobs.push(job);
        }
        jobs.retain(|job| !job.begun.is_empty());
        let missing = jobs.iter().map(|job| job.begun.len()).sum();
        Ok((PoolOrder { finished: underway.finished, missing, told: 0, lost: false }, jobs))
    }

    /// Adds a completion of request number `request` of this order.
    fn add(&mut self, completion: Completion) {
        self.missing = self.missing.saturating_sub(1);
        self.finished.push(completion);
    }

    /// Those that are there and were not told of yet.
    fn untold(&mut self) -> &[Completion] {
        let first = std::mem::replace(&mut self.told, self.finished.len());
        &self.finished[first..]
    }

    /// All completions, sorted by request and sample.
    fn completions(mut self) -> Vec<Completion> {
        self.finished.sort_by_key(|completion| (completion.request, completion.sample));
        self.finished
    }
}

#[cfg(test)]
mod tests;
