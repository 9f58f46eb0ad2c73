//! Engines on threads of their own, which hand over what they sample while they go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use tokio::sync::mpsc::UnboundedSender;

use crate::exchange::on_cores;
use crate::policy::Policy;
use crate::rollout::{Backend, Completion, Cpu, CpuEngine, CudaEngine, Engine, Job, Request, slots};
use crate::{Error, Result};

/// A request with whom its completions are sent to.
pub(super) struct StreamJob {
    pub request: Request,
    /// Its number among the prompts of one call.
    pub prompt: usize,
    pub events: UnboundedSender<StreamEvent>,
    /// Samples that are not wanted any further.
    pub stopped: Arc<[AtomicBool]>,
    /// Whether every token is told of as soon as it is there; otherwise only whole completions are.
    pub by_token: bool,
}

/// What an engine says. When nobody listens any more, the request is dropped.
#[derive(Debug)]
pub(super) enum StreamEvent {
    Tokens { prompt: usize, sample: usize, tokens: Vec<u32>, top_logprobs: Vec<Vec<(u32, f32)>> },
    Ended { prompt: usize, completion: Completion },
    Failed(String),
}

/// The queue that all engines take their requests from. They end when it is dropped.
pub(super) struct EngineThreads {
    jobs: Sender<StreamJob>,
}

impl EngineThreads {
    /// Starts the engines that suit a policy: one on the card where it lives, or one for each of so many threads.
    ///
    /// # Errors
    ///
    /// Weights that do not fit into memory, or a thread that cannot be started.
    pub fn start(policy: &Policy, workers: Option<usize>, max_tokens: usize) -> Result<EngineThreads> {
        let (jobs, received) = unbounded();
        let snapshot = policy.snapshot(0)?;
        if let Some(mut engine) = CudaEngine::for_policy(policy, max_tokens)? {
            engine.load(&snapshot)?;
            spawn(0, 1, engine, received)?;
        } else {
            let (weights, engines) = (Cpu::publish(&snapshot)?, on_cores(workers));
            for worker in 0..engines {
                let mut engine = CpuEngine::new(&policy.config, slots(&policy.config), max_tokens)?;
                engine.load_published(weights.clone())?;
                spawn(worker, engines, engine, received.clone())?;
            }
        }
        Ok(EngineThreads { jobs })
    }

    /// Puts a request there; false where every engine has ended.
    pub fn put(&self, job: StreamJob) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// Requests that no engine has begun.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }
}

fn spawn<B: Backend>(worker: usize, engines: usize, engine: Engine<B>, jobs: Receiver<StreamJob>) -> Result<()>
where
    Engine<B>: Send + 'static,
{
    let started = thread::Builder::new().name(format!("engine-{worker}")).spawn(move || work(engine, engines, &jobs));
    started.map(drop).map_err(|error| {
        Error::invalid("engines", format!("cannot start thread {worker}: {error}"), "use fewer workers")
    })
}

/// A request that an engine is at.
struct Underway {
    job: StreamJob,
    /// Of each sample, the tokens that were told of.
    told: Vec<usize>,
    ended: Vec<bool>,
}

impl Underway {
    fn wants(&self, sample: usize) -> bool {
        !self.job.events.is_closed() && !self.job.stopped[sample].load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        (0..self.ended.len()).all(|sample| self.ended[sample] || !self.wants(sample))
    }

    /// Whoever has gone away is noticed with the next step.
    fn say(&self, event: StreamEvent) {
        drop(self.job.events.send(event));
    }
}

/// The life of one of so many engines.
fn work<B: Backend>(mut engine: Engine<B>, engines: usize, jobs: &Receiver<StreamJob>) {
    let mut underway: BTreeMap<usize, Underway> = BTreeMap::new();
    let mut number = 0;
    loop {
        // Its share of those that wait, as far as there is room, and at least one where there is nothing else to do.
        let mut share = jobs.len().div_ceil(engines);
        while engine.has_room() && (share > 0 || engine.is_idle()) {
            share = share.saturating_sub(1);
            let next =
                if engine.is_idle() { jobs.recv().map_err(|_| TryRecvError::Disconnected) } else { jobs.try_recv() };
            match next {
                Ok(job) if job.events.is_closed() => {}
                Ok(job) => begin(&mut engine, number, job, &mut underway),
                Err(TryRecvError::Disconnected) if engine.is_idle() => return,
                Err(_) => break,
            }
            number += 1;
        }
        if let Err(error) = engine.step() {
            let words = error.to_string();
            underway.values().for_each(|one| one.say(StreamEvent::Failed(words.clone())));
            underway.clear();
            engine.clear();
        }
        for partial in engine.running() {
            let Some(one) = underway.get_mut(&partial.request).filter(|one| one.job.by_token) else { continue };
            let before = std::mem::replace(&mut one.told[partial.sample], partial.tokens.len());
            if before < partial.tokens.len() {
                one.say(StreamEvent::Tokens {
                    prompt: one.job.prompt,
                    sample: partial.sample,
                    tokens: partial.tokens[before..].to_vec(),
                    top_logprobs: partial.top_logprobs.get(before..).unwrap_or_default().to_vec(),
                });
            }
        }
        for completion in engine.finished() {
            let Some(one) = underway.get_mut(&completion.request) else { continue };
            one.ended[completion.sample] = true;
            one.say(StreamEvent::Ended { prompt: one.job.prompt, completion });
        }
        engine.retain(|partial| underway.get(&partial.request).is_some_and(|one| one.wants(partial.sample)));
        underway.retain(|_, one| !one.is_over());
    }
}

fn begin<B: Backend>(engine: &mut Engine<B>, number: usize, job: StreamJob, underway: &mut BTreeMap<usize, Underway>) {
    let samples = job.request.samples;
    match engine.take(Job::new(number, job.request.clone())) {
        Ok(()) => drop(underway.insert(number, Underway { job, told: vec![0; samples], ended: vec![false; samples] })),
        Err(error) => drop(job.events.send(StreamEvent::Failed(error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::policy::Family;
    use crate::policy::model::tests::random_policy;
    use crate::rollout::tests::{request, tiny};

    /// So many tokens take an engine far longer than a test does.
    const LONG: usize = 1 << 14;

    fn engines(max_tokens: usize) -> EngineThreads {
        let config = crate::policy::ModelConfig { max_position_embeddings: LONG, ..tiny(Family::Llama) };
        EngineThreads::start(&random_policy(&config, 7), Some(1), max_tokens).unwrap()
    }

    fn ask(engines: &EngineThreads, request: Request) -> (UnboundedReceiver<StreamEvent>, Arc<[AtomicBool]>) {
        let (events, heard) = unbounded_channel();
        let stopped: Arc<[AtomicBool]> = (0..request.samples).map(|_| AtomicBool::new(false)).collect();
        let job = StreamJob { request, prompt: 0, events, stopped: stopped.clone(), by_token: true };
        assert!(engines.put(job));
        (heard, stopped)
    }

    /// Whether an engine lets go of a request before long.
    fn is_let_go(flags: &Arc<[AtomicBool]>) -> bool {
        let began = Instant::now();
        while Arc::strong_count(flags) > 1 && began.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(2));
        }
        Arc::strong_count(flags) == 1
    }

    #[test]
    fn whoever_goes_away_frees_the_slots_and_others_are_answered() {
        let engines = engines(LONG);
        let long = || Request { stop: Vec::new(), max_new_tokens: LONG - 3, ..request(&[1, 2, 5], 8, 1.0, 3) };
        let (mut heard, flags) = ask(&engines, long());
        assert!(matches!(heard.blocking_recv(), Some(StreamEvent::Tokens { .. })));
        drop(heard);
        assert!(is_let_go(&flags));
        // One of them is enough; the others go on.
        let (mut heard, flags) = ask(&engines, long());
        flags[3].store(true, Ordering::Relaxed);
        let (mut short, _) = ask(&engines, request(&[4, 5], 1, 1.0, 1));
        while !matches!(short.blocking_recv(), Some(StreamEvent::Ended { .. })) {}
        assert!(matches!(heard.blocking_recv(), Some(StreamEvent::Tokens { .. })) && Arc::strong_count(&flags) == 2);
        flags.iter().for_each(|flag| flag.store(true, Ordering::Relaxed));
        assert!(is_let_go(&flags));
        while heard.blocking_recv().is_some() {}
    }

    #[test]
    fn tokens_that_are_told_of_are_those_of_the_completion() {
        let engines = engines(64);
        let (mut heard, _) = ask(&engines, request(&[1, 2, 5], 20, 1.0, 3));
        let mut told = vec![Vec::new(); 20];
        let mut ended = 0;
        while let Some(event) = heard.blocking_recv() {
            match event {
                StreamEvent::Tokens { sample, tokens, .. } => told[sample].extend(tokens),
                StreamEvent::Ended { completion, .. } => {
                    assert!(completion.tokens.starts_with(&told[completion.sample]));
                    ended += 1;
                }
                StreamEvent::Failed(message) => panic!("{message}"),
            }
        }
        assert_eq!(ended, 20);
        assert!(told.iter().map(Vec::len).sum::<usize>() > 40);
    }

    #[test]
    fn what_cannot_be_answered_is_told_and_harms_nobody_else() {
        let engines = engines(64);
        let (mut heard, _) = ask(&engines, request(&[], 1, 1.0, 3));
        assert!(matches!(heard.blocking_recv(), Some(StreamEvent::Failed(_))));
        let (mut heard, _) = ask(&engines, request(&[1], 1, 1.0, 3));
        assert!(!matches!(heard.blocking_recv(), Some(StreamEvent::Failed(_)) | None));
    }
}
