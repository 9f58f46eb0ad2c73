use std::sync::Arc;

use super::*;
use crate::policy::Family;
use crate::rollout::tests::{mixture, request, snapshot, tiny};
use crate::rollout::{Finish, Job, Published, Versions};

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
fn on_the_way(pool: &mut WorkerPool) -> (Ticket, PartialRollouts) {
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
    let PartialRollouts { finished, begun } = &kept;
    let of = |request: usize, sample: usize| {
        expected.iter().find(|other| (other.request, other.sample) == (request, sample)).unwrap()
    };
    assert!(finished.iter().all(|completion| completion == of(completion.request, completion.sample)));
    assert!(begun.iter().all(|begun| of(begun.request, begun.sample).tokens.starts_with(&begun.tokens)));
    // Nothing is taken away by looking, and what was kept ends elsewhere as it does here.
    assert_eq!(pool.collect(one).unwrap(), expected);
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<PartialRollouts>(&text).unwrap(), kept);
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
    fn load(&mut self, _: Published) -> Result<()> {
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

    fn begun(&self) -> Vec<PartialCompletion> {
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
    while pool.team.check().is_ok() {
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
