use std::sync::Arc;

use super::*;
use crate::exchange::Sampler;
use crate::policy::Family;
use crate::rollout::tests::{mixture, request, snapshot, tiny};
use crate::rollout::{Engine, Finish, PartialCompletion, Versions};

fn pool(count: usize, slots: usize) -> (WorkerPool, Snapshot) {
    let snapshot = snapshot(&tiny(Family::Qwen2), 9);
    let mut pool = WorkerPool::start(count, &snapshot.config, slots, 64).unwrap();
    pool.publish(&snapshot).unwrap();
    (pool, snapshot)
}

fn submit(pool: &mut WorkerPool, requests: Vec<Request>) -> Ticket {
    pool.submit(requests, PartialRollouts::default()).unwrap()
}

fn collect(pool: &mut WorkerPool, ticket: Ticket) -> Result<Vec<Completion>> {
    pool.collect(ticket, &mut |_, _| {})
}

/// The same weights with a norm that makes every logit infinite.
fn broken_norm(good: &Snapshot) -> Snapshot {
    let mut weights = good.weights.as_ref().clone();
    weights.get_mut("model.norm.weight").unwrap().values.fill(f32::INFINITY);
    Snapshot { weights: Arc::new(weights), ..good.clone() }
}

#[test]
fn completions_do_not_depend_on_the_number_of_workers() {
    let requests = mixture(40);
    let (mut one, snapshot) = pool(1, 8);
    assert_eq!(one.generate(Vec::new()).unwrap(), []);
    let expected = one.generate(requests.clone()).unwrap();
    assert!(one.waited() > Duration::ZERO);
    let mut engine = Engine::new(&snapshot.config, 5, 64).unwrap();
    engine.load(&snapshot).unwrap();
    assert_eq!(engine.generate(&requests).unwrap(), expected);
    for (count, slots) in [(3, 8), (3, 1), (2, 64)] {
        assert_eq!(pool(count, slots).0.generate(requests.clone()).unwrap(), expected);
    }
}

#[test]
fn what_is_wrong_is_said_and_the_pool_goes_on() {
    let (mut pool, good) = pool(3, 2);
    let mut requests = mixture(6);
    requests[4].prompt[0] = 99;
    let message = pool.generate(requests).unwrap_err().to_string();
    assert!(message.contains("request 4") && message.contains("token id 99"), "{message}");

    for (weights, found) in
        [(broken_norm(&good), "not finite"), (snapshot(&tiny(Family::Llama), 1), "another shape than the engine's")]
    {
        pool.publish(&weights).unwrap();
        for _ in 0..2 {
            let message = pool.generate(mixture(6)).unwrap_err().to_string();
            assert!(message.contains(found), "{message}");
        }
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
        let ticket = submit(pool, long());
        // Workers may be done with all of it before this thread gets its turn.
        for _ in 0..50 {
            let underway = pool.underway().remove(&ticket).unwrap();
            if (5..1000).contains(&underway.finished.len()) && !underway.begun.is_empty() {
                return (ticket, underway);
            }
        }
        collect(pool, ticket).unwrap();
    }
}

#[test]
fn orders_are_worked_on_ahead_and_urgent_ones_go_first() {
    let (mut pool, first) = pool(2, 4);
    let expected = pool.generate(mixture(9)).unwrap();
    let tickets: Vec<Ticket> = (0..3).map(|_| submit(&mut pool, mixture(9))).collect();
    assert_eq!(pool.generate(mixture(9)).unwrap(), expected);
    // In any order.
    for ticket in [tickets[1], tickets[0], tickets[2]] {
        assert_eq!(collect(&mut pool, ticket).unwrap(), expected);
    }
    assert_eq!(pool.fill(), Fill::default());
    assert!(collect(&mut pool, tickets[0]).unwrap_err().to_string().contains("lost"));
    // What is published before an order is what it is sampled from, whatever the workers were at.
    let (ahead, _) = on_the_way(&mut pool);
    let second = Snapshot { version: 6, ..snapshot(&first.config, 10) };
    pool.publish(&second).unwrap();
    let urgent = pool.generate(mixture(9)).unwrap();
    assert!(urgent.iter().all(|completion| completion.versions.runs() == [(6, completion.tokens.len())]));
    assert_ne!(urgent[0].log_probs, expected[0].log_probs);
    let ahead = collect(&mut pool, ahead).unwrap();
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
    let two = submit(&mut pool, mixture(5));
    assert_eq!(pool.underway().keys().copied().collect::<Vec<_>>(), [one, two]);
    let PartialRollouts { finished, begun } = &kept;
    let of = |request: usize, sample: usize| {
        expected.iter().find(|other| (other.request, other.sample) == (request, sample)).unwrap()
    };
    assert!(finished.iter().all(|completion| completion == of(completion.request, completion.sample)));
    assert!(begun.iter().all(|begun| of(begun.request, begun.sample).tokens.starts_with(&begun.tokens)));
    // Nothing is taken away by looking, and what was kept ends elsewhere as it does here.
    assert_eq!(collect(&mut pool, one).unwrap(), expected);
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<PartialRollouts>(&text).unwrap(), kept);
    let (mut other, _) = self::pool(3, 2);
    let ticket = other.submit(long(), kept.clone()).unwrap();
    assert_eq!(collect(&mut other, ticket).unwrap(), expected);
    assert!(other.submit(mixture(12), kept).is_err());
}

#[test]
fn what_was_finished_survives_a_worker_that_fails() {
    let (mut pool, good) = pool(2, 4);
    let expected = pool.generate(long()).unwrap();
    let (ticket, _) = on_the_way(&mut pool);
    pool.publish(&broken_norm(&good)).unwrap();
    let message = collect(&mut pool, ticket).map(|all| all.len()).unwrap_err().to_string();
    assert!(message.contains("not finite"), "{message}");
    let underway = pool.underway();
    assert!(underway[&ticket].finished.len() >= 5 && underway[&ticket].begun.is_empty());
    assert!(underway[&ticket].finished.iter().all(|completion| expected.contains(completion)));
    assert!(collect(&mut pool, ticket).unwrap_err().to_string().contains("lost with the worker that failed"));
}

fn completion(request: usize, sample: usize) -> Completion {
    let mut versions = Versions::default();
    versions.push(4);
    let (tokens, log_probs) = (vec![7], vec![-0.5]);
    PartialCompletion { tokens, log_probs, versions, ..PartialCompletion::new(request, sample) }.end(Finish::Stop)
}

#[test]
fn only_what_is_missing_becomes_a_job_and_completions_of_something_else_are_refused() {
    let requests = vec![request(&[1], 2, 1.0, 0), request(&[2], 3, 1.0, 1), request(&[3], 1, 1.0, 2)];
    let begun = PartialCompletion { tokens: vec![5, 6], ..PartialCompletion::new(1, 2) };
    let finished = vec![completion(1, 0), completion(2, 0)];
    let (order, jobs) = PoolOrder::new(requests, PartialRollouts { finished, begun: vec![begun] }, 10).unwrap();
    assert_eq!((order.missing, order.finished.len()), (4, 2));
    let begun = |job: &Job| job.begun.iter().map(|one| (one.request, one.sample, one.tokens.len())).collect::<Vec<_>>();
    assert_eq!(
        jobs.iter().map(|job| (job.number, begun(job))).collect::<Vec<_>>(),
        [(10, vec![(10, 0, 0), (10, 1, 0)]), (11, vec![(11, 1, 0), (11, 2, 2)]),]
    );
    let twice = vec![completion(0, 1), completion(0, 1)];
    let empty = Completion { tokens: Vec::new(), ..completion(0, 0) };
    for finished in [vec![completion(1, 0)], vec![completion(0, 2)], twice, vec![empty]] {
        let underway = PartialRollouts { finished, begun: Vec::new() };
        assert!(PoolOrder::new(vec![request(&[1], 2, 1.0, 0)], underway, 0).is_err());
    }
}

/// Does with the first job what it is told.
enum Broken {
    Panics,
    Sleeps,
    /// Slowly, and with what it has finished.
    Works(Vec<Completion>),
}

impl Sampler for Broken {
    fn take(&mut self, job: Job) -> Result<()> {
        match self {
            Broken::Panics => panic!("the roof is on fire"),
            Broken::Sleeps => std::thread::sleep(Duration::from_millis(1500)),
            Broken::Works(finished) => {
                std::thread::sleep(Duration::from_millis(1));
                finished.push(completion(job.number, 0));
            }
        }
        Ok(())
    }

    fn finished(&mut self) -> Vec<Completion> {
        match self {
            Broken::Works(finished) => std::mem::take(finished),
            _ => Vec::new(),
        }
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
    while pool.backend.check().is_ok() {
        std::thread::yield_now();
    }
    let message = pool.generate(vec![request(&[1], 1, 1.0, 0)]).unwrap_err().to_string();
    assert!(message.contains("no longer running"), "{message}");
}

#[test]
fn a_worker_that_hangs_is_named_and_not_waited_for_whether_or_not_others_go_on() {
    for samplers in [vec![Broken::Sleeps], vec![Broken::Sleeps, Broken::Works(Vec::new())]] {
        let mut pool = broken(samplers);
        pool.set_patience(Duration::from_millis(50));
        let error = pool.generate((0..1000).map(|key| request(&[1], 1, 1.0, key)).collect()).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }));
        let message = error.to_string();
        assert!(message.contains("missing completions from rollout worker 0"), "{message}");
        let started = Instant::now();
        drop(pool);
        assert!(started.elapsed() < Duration::from_secs(1), "a stuck worker is not waited for");
    }
}
