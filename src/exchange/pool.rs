//! Rollout workers behind one call.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::worker::{Command, Report, Sampler, work};
use crate::policy::{ModelConfig, Policy, Snapshot};
use crate::rollout::{CardEngine, Completion, Engine, Limits, Panels, Published, Request, SLOTS};
use crate::{Error, Result};

/// How long [`WorkerPool::generate`] waits for one more completion before it gives up.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a pool has sampled so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Throughput {
    /// Sampled tokens, prompts not counted.
    pub tokens: u64,
    /// Wall-clock seconds inside [`WorkerPool::generate`].
    pub seconds: f64,
}

/// Rollout workers on threads of their own. They draw requests from one queue, so that none idles while another has
/// more to do; what comes back does not depend on how many they are.
pub struct WorkerPool {
    limits: Limits,
    workers: Vec<Worker>,
    patience: Duration,
    throughput: Throughput,
    /// What the workers sample from.
    published: Option<Published>,
    /// Whether they do it on a card.
    on_card: bool,
}

struct Worker {
    commands: Sender<Command>,
    thread: JoinHandle<()>,
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
        match CardEngine::for_policy(policy, max_tokens)? {
            None => WorkerPool::start(count, &policy.config, SLOTS, max_tokens),
            Some(engine) => {
                let limits = Limits { max_tokens, vocab_size: policy.config.vocab_size };
                let mut pool = WorkerPool::with_samplers(vec![engine], limits)?;
                pool.on_card = true;
                Ok(pool)
            }
        }
    }

    fn with_samplers(samplers: Vec<impl Sampler + Send + 'static>, limits: Limits) -> Result<WorkerPool> {
        if samplers.is_empty() {
            return Err(Error::invalid("rollout workers", "0", "at least one is needed"));
        }
        let start = |(number, sampler)| {
            let (commands, received) = unbounded();
            let thread = std::thread::Builder::new().name(format!("rollout-{number}"));
            let thread = thread.spawn(move || work(number, sampler, received)).map_err(|error| {
                Error::invalid("rollout workers", format!("cannot start thread {number}: {error}"), "use fewer workers")
            })?;
            Ok(Worker { commands, thread })
        };
        let workers = samplers.into_iter().enumerate().map(start).collect::<Result<_>>()?;
        let (throughput, published, on_card) = (Throughput::default(), None, false);
        Ok(WorkerPool { limits, workers, patience: PATIENCE, throughput, published, on_card })
    }

    /// The longest wait for one more completion (ten minutes unless told).
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// What has been sampled so far.
    pub fn throughput(&self) -> Throughput {
        self.throughput
    }

    /// Packs a policy version once; all workers sample from it from the next call on.
    pub fn publish(&mut self, snapshot: &Snapshot) -> Result<()> {
        let published = match (&self.published, self.on_card) {
            (_, true) => Published::OnCard(snapshot.clone()),
            (Some(Published::Packed(earlier)), false) => {
                Published::Packed(Arc::new(Panels::pack_after(snapshot, Some(earlier))?))
            }
            (_, false) => Published::Packed(Arc::new(Panels::pack(snapshot)?)),
        };
        self.published = Some(published.clone());
        self.tell(|| Command::Load(published.clone()))
    }

    /// All completions of all requests, sorted by request and sample.
    ///
    /// Errors: a request that cannot be answered (before any work), a worker that failed or panicked, or nothing for
    /// longer than the patience. The other workers stop at once; nothing of this call reaches the next.
    pub fn generate(&mut self, requests: Vec<Request>) -> Result<Vec<Completion>> {
        for (number, request) in requests.iter().enumerate() {
            self.limits.check(number, request)?;
        }
        let started = Instant::now();
        let wanted = requests.iter().map(|request| request.samples).sum();
        let longest = requests.iter().map(Request::tokens).max().unwrap_or(0);
        // Channels of this call's own: whatever an ended call leaves behind goes with them.
        let (queue, jobs) = unbounded();
        let (reports, collected) = unbounded();
        for job in requests.into_iter().enumerate() {
            // Cannot fail: this function holds the receiver.
            let _ = queue.send(job);
        }
        drop(queue);
        self.tell(|| Command::Generate { longest, jobs: jobs.clone(), reports: reports.clone() })?;
        drop(reports);
        let collected = self.collect(&collected, wanted);
        if collected.is_err() {
            while jobs.try_recv().is_ok() {}
        }
        let mut completions = collected?;
        completions.sort_by_key(|completion| (completion.request, completion.sample));
        self.throughput.tokens += completions.iter().map(|completion| completion.tokens.len() as u64).sum::<u64>();
        self.throughput.seconds += started.elapsed().as_secs_f64();
        Ok(completions)
    }

    fn collect(&self, reports: &Receiver<Report>, wanted: usize) -> Result<Vec<Completion>> {
        let mut busy: BTreeSet<usize> = (0..self.workers.len()).collect();
        let mut completions = Vec::with_capacity(wanted);
        while !busy.is_empty() {
            match reports.recv_timeout(self.patience) {
                Ok(Report::Completed(completion)) => completions.push(completion),
                Ok(Report::Finished { worker }) => {
                    busy.remove(&worker);
                }
                Ok(Report::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => return Err(self.stuck(&busy, wanted - completions.len())),
                Err(RecvTimeoutError::Disconnected) => return Err(gone(&busy)),
            }
        }
        Ok(completions)
    }

    fn tell(&self, command: impl Fn() -> Command) -> Result<()> {
        for (number, worker) in self.workers.iter().enumerate() {
            worker.commands.send(command()).map_err(|_| gone(&BTreeSet::from([number])))?;
        }
        Ok(())
    }

    fn stuck(&self, busy: &BTreeSet<usize>, missing: usize) -> Error {
        Error::Timeout {
            waiter: "the caller of generate".into(),
            awaited: format!("the next of {missing} missing completions from {}", names(busy)),
            seconds: self.patience.as_secs(),
        }
    }
}

impl Drop for WorkerPool {
    /// Ends the workers and waits for them, except for any that is still busy after the patience.
    fn drop(&mut self) {
        let deadline = Instant::now() + self.patience;
        for Worker { commands, thread } in self.workers.drain(..) {
            drop(commands);
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // A panic has been reported by the worker itself.
                let _ = thread.join();
            }
        }
    }
}

/// A worker whose thread has ended, by a panic that an earlier call reported.
fn gone(workers: &BTreeSet<usize>) -> Error {
    Error::invalid(names(workers), "no longer running", "it panicked in an earlier call; start the run again")
}

fn names(workers: &BTreeSet<usize>) -> String {
    let numbers: Vec<_> = workers.iter().map(usize::to_string).collect();
    format!("rollout worker {}", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::worker::Job;
    use crate::policy::Family;
    use crate::rollout::tests::{mixture, request, snapshot, tiny};

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
        assert!(before.iter().all(|completion| completion.version == 5));
        assert!(after.iter().all(|completion| completion.version == 6));
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

    /// Does with the first job what it is told.
    enum Broken {
        Panics,
        Sleeps,
    }

    impl Sampler for Broken {
        fn load(&mut self, _: Published) -> Result<()> {
            Ok(())
        }

        fn serve(
            &mut self,
            _: usize,
            next: &mut dyn FnMut() -> Option<Job>,
            _: &mut dyn FnMut(Completion) -> Result<()>,
        ) -> Result<()> {
            match (next(), &self) {
                (None, _) => {}
                (Some(_), Broken::Panics) => panic!("the roof is on fire"),
                (Some(_), Broken::Sleeps) => std::thread::sleep(Duration::from_millis(1500)),
            }
            Ok(())
        }
    }

    fn broken(samplers: Vec<Broken>) -> WorkerPool {
        WorkerPool::with_samplers(samplers, Limits { max_tokens: 64, vocab_size: 37 }).unwrap()
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let mut pool = broken(vec![Broken::Panics, Broken::Panics]);
        let message = pool.generate(vec![request(&[1], 1, 1.0, 0)]).unwrap_err().to_string();
        assert!(message.contains("rollout worker") && message.contains("the roof is on fire"), "{message}");
        while pool.workers.iter().all(|worker| !worker.thread.is_finished()) {
            std::thread::yield_now();
        }
        let message = pool.generate(vec![request(&[1], 1, 1.0, 0)]).unwrap_err().to_string();
        assert!(message.contains("no longer running"), "{message}");
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
