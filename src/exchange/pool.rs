//! Rollout workers behind a counter: requests in, completions out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::crew::Crew;
use super::order::{Order, Underway};
use super::worker::{Command, Desk, News, Report, Sampler, name};
use crate::policy::{ModelConfig, Snapshot};
use crate::rollout::{Begun, Completion, Engine, Job, Limits, Panels, Request};
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

/// Rollout workers on threads of their own. They draw requests from one queue, so that none idles while another has
/// more to do; what comes back does not depend on how many they are.
///
/// Either all at once ([`WorkerPool::generate`]), or ahead of time: [`WorkerPool::submit`] takes an order and comes back
/// at once, [`WorkerPool::collect`] waits for it, and weights that are published in between are taken up between two
/// tokens.
pub struct WorkerPool {
    limits: Limits,
    crew: Crew,
    counter: Counter,
    /// By the number of their first request.
    orders: BTreeMap<usize, Order>,
    /// The number of the next request.
    next: usize,
    /// A watch on each worker.
    watches: Vec<Watch>,
    patience: Duration,
    throughput: Throughput,
    idle: Duration,
    /// What a worker failed with, until it has been told of.
    failed: Option<Error>,
    /// What the workers sample from.
    published: Option<Arc<Panels>>,
}

/// An order that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(usize);

/// The pool's side of a [`Desk`].
struct Counter {
    urgent: Sender<Job>,
    jobs: Sender<Job>,
    reports: Receiver<Report>,
}

/// What is known of a worker.
#[derive(Clone, Copy)]
struct Watch {
    /// Completions that it has begun and not ended.
    begun: usize,
    /// When it last said something.
    heard: Instant,
    /// It has not said yet how far it is.
    asked: bool,
}

impl Counter {
    /// A new one, with its desk for the workers. Whatever was said and asked at another one goes with that.
    fn open() -> (Counter, Desk) {
        let ((urgent, urgent_jobs), (jobs, other_jobs), (reports, heard)) = (unbounded(), unbounded(), unbounded());
        (Counter { urgent, jobs, reports: heard }, Desk { urgent: urgent_jobs, jobs: other_jobs, reports })
    }
}

impl WorkerPool {
    /// Starts `count` workers, each with an engine of `slots` slots of `max_tokens` tokens.
    pub fn start(count: usize, config: &ModelConfig, slots: usize, max_tokens: usize) -> Result<WorkerPool> {
        let engines = (0..count).map(|_| Engine::new(config, slots, max_tokens)).collect::<Result<Vec<_>>>()?;
        let limits = Limits { max_tokens, vocab_size: config.vocab_size };
        WorkerPool::with_samplers(engines, limits)
    }

    fn with_samplers(samplers: Vec<impl Sampler + Send + 'static>, limits: Limits) -> Result<WorkerPool> {
        if samplers.is_empty() {
            return Err(Error::invalid("rollout workers", "0", "at least one is needed"));
        }
        let crew = Crew::start(samplers)?;
        let (counter, desk) = Counter::open();
        crew.tell(|| Command::Serve(desk.clone()));
        let watches = vec![Watch { begun: 0, heard: Instant::now(), asked: false }; crew.len()];
        Ok(WorkerPool {
            limits,
            crew,
            counter,
            orders: BTreeMap::new(),
            next: 0,
            watches,
            patience: PATIENCE,
            throughput: Throughput::default(),
            idle: Duration::ZERO,
            failed: None,
            published: None,
        })
    }

    /// The longest wait for a word from a worker (ten minutes unless told).
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
        self.crew.set_grace(patience);
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
        let missing: usize = self.orders.values().map(Order::missing).sum();
        let finished = self.orders.values().map(|order| order.finished().len()).sum();
        Fill { waiting: missing.saturating_sub(begun), begun, finished }
    }

    /// Packs a policy version once. All workers sample from it from their next token on, and begin nothing that is
    /// submitted later with an older one.
    pub fn publish(&mut self, snapshot: &Snapshot) -> Result<()> {
        let panels = Arc::new(Panels::pack_after(snapshot, self.published.as_deref())?);
        self.published = Some(panels.clone());
        self.crew.tell(|| Command::Load(panels.clone()));
        self.crew.check()
    }

    /// All completions of all requests, sorted by request and sample. They go before all that was submitted.
    ///
    /// Errors: a request that cannot be answered (before any work), or what [`WorkerPool::collect`] says.
    pub fn generate(&mut self, requests: Vec<Request>) -> Result<Vec<Completion>> {
        let ticket = self.place(requests, Underway::default(), true)?;
        let outcome = self.collect(ticket);
        self.orders.remove(&ticket.0);
        outcome
    }

    /// Takes an order of completions that are needed later.
    ///
    /// Errors: a request that cannot be answered, or a worker that has ended.
    pub fn submit(&mut self, requests: Vec<Request>) -> Result<Ticket> {
        self.place(requests, Underway::default(), false)
    }

    /// The same for an order that [`WorkerPool::underway`] told of.
    pub fn resume(&mut self, requests: Vec<Request>, underway: Underway) -> Result<Ticket> {
        self.place(requests, underway, false)
    }

    fn place(&mut self, requests: Vec<Request>, underway: Underway, urgent: bool) -> Result<Ticket> {
        for (number, request) in requests.iter().enumerate() {
            self.limits.check(number, request)?;
        }
        self.crew.check()?;
        let first = self.next;
        let count = requests.len();
        let (order, jobs) = Order::new(requests, underway, first)?;
        jobs.iter().try_for_each(|job| self.limits.check_job(job))?;
        self.next += count.max(1);
        let queue = if urgent { &self.counter.urgent } else { &self.counter.jobs };
        for job in jobs {
            // Cannot fail while a worker is there, and that there is none has been seen above.
            let _ = queue.send(job);
        }
        self.orders.insert(first, order);
        Ok(Ticket(first))
    }

    /// Waits for all completions of an order, sorted by request and sample.
    ///
    /// Errors: a worker that failed or panicked, or one that is at work and says nothing for longer than the patience.
    /// Then the others stop at once and all orders are lost; nothing of them reaches the next.
    pub fn collect(&mut self, ticket: Ticket) -> Result<Vec<Completion>> {
        let started = Instant::now();
        let outcome = self.wait(ticket);
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
    pub fn underway(&mut self) -> BTreeMap<Ticket, Underway> {
        if self.orders.is_empty() {
            return BTreeMap::new();
        }
        let mut begun = Vec::new();
        if self.orders.values().any(|order| !order.lost) {
            self.watches.iter_mut().for_each(|watch| watch.asked = true);
            self.crew.tell(|| Command::Tell);
            let deadline = Instant::now() + TELLING.min(self.patience);
            while self.watches.iter().any(|watch| watch.asked)
                && let Ok(report) = self.counter.reports.recv_deadline(deadline)
            {
                begun.extend(self.hear(report));
            }
        }
        let mut all: BTreeMap<Ticket, Underway> = BTreeMap::new();
        for (first, order) in &self.orders {
            all.insert(Ticket(*first), Underway { finished: order.finished().to_vec(), begun: Vec::new() });
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

    /// Listens until nothing is missing.
    fn wait(&mut self, ticket: Ticket) -> Result<()> {
        let mut quiet = Instant::now();
        loop {
            while let Ok(report) = self.counter.reports.try_recv() {
                self.hear(report);
                quiet = Instant::now();
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
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
                Err(RecvTimeoutError::Timeout) => return Err(self.stuck(who, missing)),
                Err(RecvTimeoutError::Disconnected) => {
                    self.crew.check()?;
                    return Err(lost());
                }
            }
        }
    }

    /// Notes what a worker says, and gives what it has begun if it was asked.
    fn hear(&mut self, Report { worker, news }: Report) -> Vec<Begun> {
        let Some(watch) = self.watches.get_mut(worker) else { return Vec::new() };
        watch.heard = Instant::now();
        match news {
            News::Took(completions) => watch.begun += completions,
            News::Completed(mut completion) => {
                watch.begun = watch.begun.saturating_sub(1);
                if let Some((first, order)) = self.orders.range_mut(..=completion.request).next_back() {
                    completion.request -= first;
                    order.add(completion);
                }
            }
            News::Begun(begun) => {
                watch.asked = false;
                return begun;
            }
            News::Idled(duration) => self.idle += duration,
            News::Failed(error) => {
                watch.asked = false;
                self.failed.get_or_insert(error);
            }
        }
        Vec::new()
    }

    /// Has the workers drop everything. Finished completions are kept for [`WorkerPool::underway`].
    fn drop_all(&mut self) {
        let (counter, desk) = Counter::open();
        self.counter = counter;
        self.crew.tell(|| Command::Serve(desk.clone()));
        self.orders.values_mut().for_each(|order| order.lost = true);
        self.watches.iter_mut().for_each(|watch| watch.begun = 0);
    }

    fn stuck(&self, worker: Option<usize>, missing: usize) -> Error {
        let who = worker.map_or("any rollout worker".into(), name);
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
mod tests {
    use super::*;
    use crate::policy::Family;
    use crate::rollout::tests::{mixture, request, snapshot, tiny};
    use crate::rollout::{Finish, Versions};

    fn pool(count: usize, slots: usize) -> (WorkerPool, Snapshot) {
        let snapshot = snapshot(&tiny(Family::Qwen2), 9);
        let mut pool = WorkerPool::start(count, &snapshot.config, slots, 64).unwrap();
        pool.publish(&snapshot).unwrap();
        (pool, snapshot)
    }

    #[test]
    fn completions_do_not_depend_on_the_number_of_workers() {
        let requests = mixture(40);
        let (mut one, snapshot) = pool(1, 8);
        let expected = one.generate(requests.clone()).unwrap();
        let mut engine = Engine::new(&snapshot.config, 5, 64).unwrap();
        engine.load(&snapshot).unwrap();
        assert_eq!(engine.generate(&requests).unwrap(), expected);
        for (count, slots) in [(3, 8), (3, 1), (2, 64)] {
            assert_eq!(pool(count, slots).0.generate(requests.clone()).unwrap(), expected);
        }
    }

    #[test]
    fn published_weights_are_used_from_the_next_call_on() {
        let (mut pool, first) = pool(3, 2);
        let before = pool.generate(mixture(5)).unwrap();
        let second = Snapshot { version: 6, ..snapshot(&first.config, 10) };
        pool.publish(&second).unwrap();
        let after = pool.generate(mixture(5)).unwrap();
        assert!(before.iter().all(|completion| completion.versions.oldest() == Some(5)));
        assert!(after.iter().all(|completion| completion.versions.oldest() == Some(6)));
        assert_ne!(before[0].log_probs, after[0].log_probs);
    }

    #[test]
    fn tokens_and_seconds_are_counted() {
        let (mut pool, _) = pool(2, 4);
        assert_eq!(pool.generate(Vec::new()).unwrap(), []);
        assert_eq!(pool.throughput().tokens, 0);
        let tokens: usize = (0..2).flat_map(|_| pool.generate(mixture(7)).unwrap()).map(|c| c.tokens.len()).sum();
        assert_eq!(pool.throughput().tokens, tokens as u64);
        assert!(pool.throughput().seconds > 0.0);
    }

    #[test]
    fn what_is_wrong_is_said_and_the_pool_goes_on() {
        let (mut pool, good) = pool(3, 2);
        let mut requests = mixture(6);
        requests[4].prompt[0] = 99;
        let message = pool.generate(requests).unwrap_err().to_string();
        assert!(message.contains("request 4") && message.contains("token id 99"), "{message}");

        let mut weights = good.weights.as_ref().clone();
        weights.get_mut("model.norm.weight").unwrap().values.fill(f32::INFINITY);
        pool.publish(&Snapshot { weights: Arc::new(weights), ..good.clone() }).unwrap();
        let message = pool.generate(mixture(6)).unwrap_err().to_string();
        assert!(message.contains("not finite"), "{message}");

        pool.publish(&snapshot(&tiny(Family::Llama), 1)).unwrap();
        for _ in 0..2 {
            let message = pool.generate(mixture(6)).unwrap_err().to_string();
            assert!(message.contains("another shape"), "{message}");
        }

        pool.publish(&good).unwrap();
        assert!(pool.generate(mixture(6)).is_ok());
        assert!(pool.publish(&Snapshot { weights: Arc::default(), ..good }).is_err());
        assert!(WorkerPool::start(0, &tiny(Family::Llama), 1, 8).is_err());
    }

    /// So many that much happens while they are sampled.
    fn long() -> Vec<Request> {
        let long = |key: u64| Request {
            stop: Vec::new(),
            max_new_tokens: 40 + key as usize % 20,
            ..request(&[1, 2, 3 + key as u32 % 30], 4, 1.0, key)
        };
        (0..1000).map(long).collect()
    }

    /// Such an order that has come some way, and how far.
    fn on_the_way(pool: &mut WorkerPool) -> (Ticket, Underway) {
        loop {
            let ticket = pool.submit(long()).unwrap();
            // Workers may be done with all of it before this thread gets its turn.
            for _ in 0..50 {
                let underway = pool.underway().remove(&ticket).unwrap();
                if (5..1000).contains(&underway.finished.len()) && !underway.begun.is_empty() {
                    return (ticket, underway);
                }
            }
            pool.collect(ticket).unwrap();
        }
    }

    #[test]
    fn orders_are_worked_on_ahead_and_urgent_ones_go_first() {
        let (mut pool, first) = pool(2, 4);
        let expected = pool.generate(mixture(9)).unwrap();
        let tickets: Vec<Ticket> = (0..3).map(|_| pool.submit(mixture(9)).unwrap()).collect();
        assert_eq!(pool.generate(mixture(9)).unwrap(), expected);
        // In any order.
        for ticket in [tickets[1], tickets[0], tickets[2]] {
            assert_eq!(pool.collect(ticket).unwrap(), expected);
        }
        assert_eq!(pool.fill(), Fill::default());
        assert!(pool.collect(tickets[0]).unwrap_err().to_string().contains("lost"));
        // What is published before an order is what it is sampled from, whatever the workers were at.
        let (ahead, _) = on_the_way(&mut pool);
        let second = Snapshot { version: 6, ..snapshot(&first.config, 10) };
        pool.publish(&second).unwrap();
        let urgent = pool.generate(mixture(9)).unwrap();
        assert!(urgent.iter().all(|completion| completion.versions.runs() == [(6, completion.tokens.len())]));
        let ahead = pool.collect(ahead).unwrap();
        assert_eq!(ahead.len(), 4000);
        assert!(ahead.iter().all(|completion| completion.versions.tokens() == completion.tokens.len()));
        assert!(ahead.iter().any(|completion| completion.versions.oldest() == Some(5)));
        assert!(ahead.iter().any(|completion| completion.versions.oldest() == Some(6)));
        assert!(pool.idled() > Duration::ZERO);
    }

    #[test]
    fn what_is_underway_can_be_kept_and_gone_on_with_elsewhere() {
        let (mut whole, _) = pool(2, 4);
        let expected = whole.generate(long()).unwrap();
        let (mut pool, _) = self::pool(2, 4);
        let (one, kept) = on_the_way(&mut pool);
        let two = pool.submit(mixture(5)).unwrap();
        assert_eq!(pool.underway().keys().copied().collect::<Vec<_>>(), [one, two]);
        let Underway { finished, begun } = &kept;
        let of = |request: usize, sample: usize| {
            expected.iter().find(|other| (other.request, other.sample) == (request, sample)).unwrap()
        };
        assert!(finished.iter().all(|completion| completion == of(completion.request, completion.sample)));
        assert!(begun.iter().all(|begun| of(begun.request, begun.sample).tokens.starts_with(&begun.tokens)));
        // Nothing is taken away by looking, and what was kept ends elsewhere as it does here.
        assert_eq!(pool.collect(one).unwrap(), expected);
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Underway>(&text).unwrap(), kept);
        let (mut other, _) = self::pool(3, 2);
        let ticket = other.resume(long(), kept.clone()).unwrap();
        assert_eq!(other.collect(ticket).unwrap(), expected);
        assert!(other.resume(mixture(12), kept).is_err());
    }

    #[test]
    fn what_was_finished_survives_a_worker_that_fails() {
        let (mut pool, good) = pool(2, 4);
        let expected = pool.generate(long()).unwrap();
        let (ticket, _) = on_the_way(&mut pool);
        let mut weights = good.weights.as_ref().clone();
        weights.get_mut("model.norm.weight").unwrap().values.fill(f32::INFINITY);
        pool.publish(&Snapshot { weights: Arc::new(weights), ..good }).unwrap();
        let message = pool.collect(ticket).map(|all| all.len()).unwrap_err().to_string();
        assert!(message.contains("not finite"), "{message}");
        let underway = pool.underway();
        assert!(underway[&ticket].finished.len() >= 5 && underway[&ticket].begun.is_empty());
        assert!(underway[&ticket].finished.iter().all(|completion| expected.contains(completion)));
        assert!(pool.collect(ticket).unwrap_err().to_string().contains("lost with the worker that failed"));
    }

    /// Does with the first job what it is told.
    enum Broken {
        Panics,
        Sleeps,
        /// Slowly, and with what it has finished.
        Works(Vec<Completion>),
    }

    impl Sampler for Broken {
        fn load(&mut self, _: Arc<Panels>) -> Result<()> {
            Ok(())
        }

        fn has_room(&self) -> bool {
            true
        }

        fn is_idle(&self) -> bool {
            true
        }

        fn take(&mut self, job: Job) -> Result<()> {
            match self {
                Broken::Panics => panic!("the roof is on fire"),
                Broken::Sleeps => std::thread::sleep(Duration::from_millis(1500)),
                Broken::Works(finished) => {
                    std::thread::sleep(Duration::from_millis(1));
                    let (request, versions, finish) = (job.number, Versions::default(), Finish::Stop);
                    let (tokens, log_probs) = (Vec::new(), Vec::new());
                    finished.push(Completion { request, sample: 0, tokens, log_probs, versions, finish });
                }
            }
            Ok(())
        }

        fn step(&mut self) -> Result<()> {
            Ok(())
        }

        fn finished(&mut self) -> Vec<Completion> {
            match self {
                Broken::Works(finished) => std::mem::take(finished),
                _ => Vec::new(),
            }
        }

        fn begun(&self) -> Vec<Begun> {
            Vec::new()
        }

        fn clear(&mut self) {}
    }

    fn broken(samplers: Vec<Broken>) -> WorkerPool {
        WorkerPool::with_samplers(samplers, Limits { max_tokens: 64, vocab_size: 37 }).unwrap()
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let mut pool = broken(vec![Broken::Panics, Broken::Panics]);
        let message = pool.generate(vec![request(&[1], 1, 1.0, 0)]).unwrap_err().to_string();
        assert!(message.contains("rollout worker") && message.contains("the roof is on fire"), "{message}");
        while pool.crew.check().is_ok() {
            std::thread::yield_now();
        }
        let message = pool.generate(vec![request(&[1], 1, 1.0, 0)]).unwrap_err().to_string();
        assert!(message.contains("no longer running"), "{message}");
    }

    #[test]
    fn a_worker_that_hangs_is_named_while_others_go_on() {
        let mut pool = broken(vec![Broken::Sleeps, Broken::Works(Vec::new())]);
        pool.set_patience(Duration::from_millis(50));
        let ticket = pool.submit((0..1000).map(|key| request(&[1], 1, 1.0, key)).collect()).unwrap();
        let message = pool.collect(ticket).unwrap_err().to_string();
        assert!(message.contains("missing completions from rollout worker 0"), "{message}");
    }

    #[test]
    fn a_stuck_worker_is_named() {
        let mut pool = broken(vec![Broken::Sleeps]);
        pool.set_patience(Duration::from_millis(50));
        let error = pool.generate(vec![request(&[1], 3, 1.0, 0)]).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }));
        let message = error.to_string();
        assert!(message.contains("3 missing completions from rollout worker 0"), "{message}");
        let started = Instant::now();
        drop(pool);
        assert!(started.elapsed() < Duration::from_secs(1), "a stuck worker is not waited for");
    }
}
