//! Workers on threads of their own, and what a pool asks of its workers wherever they are.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};

use super::worker::{JobReceiver, Sampler, WorkerCommand, name, work};
use crate::policy::{ModelConfig, Snapshot};
use crate::rollout::{CudaEngine, Engine, PackedWeights, Published};
use crate::{Error, Result};

/// How long a worker may take to end: longer than a step of an engine.
const GRACE: Duration = Duration::from_secs(5);

/// Who works for a pool: threads of this process, or other ranks.
pub(super) trait WorkerBackend: Send {
    /// How many workers report.
    fn len(&self) -> usize;
    /// How messages name a worker.
    fn name(&self, worker: usize) -> String;
    /// Has all of them sample from these weights from now on.
    fn publish(&mut self, snapshot: &Snapshot) -> Result<()>;
    /// Has all of them let go of weights and caches, where they can have them again.
    fn unload(&mut self) {}
    /// Has all of them drop everything and take their jobs from this queue.
    fn reset(&self, jobs: &JobReceiver);
    /// Has all of them say how far they are.
    fn report_partial(&self);
    /// Waits for none of them any more, because one hangs.
    fn give_up(&mut self) {}
    /// An error if one of them has ended that has not reported it as a failure.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Each with an engine of its own: several on the processor, or one on a card.
pub(super) struct WorkerThreads {
    workers: Vec<WorkerThread>,
    on_card: bool,
    /// What those on the processor sample from.
    packed: Option<Arc<PackedWeights>>,
    /// One of them hangs.
    hung: bool,
}

struct WorkerThread {
    commands: Sender<WorkerCommand>,
    thread: JoinHandle<()>,
}

impl WorkerThreads {
    /// A worker for each sampler.
    pub fn start(samplers: Vec<impl Sampler + Send + 'static>) -> Result<WorkerThreads> {
        if samplers.is_empty() {
            return Err(Error::invalid("rollout workers", "0", "at least one is needed"));
        }
        let start = |(number, sampler)| {
            let (commands, received) = unbounded();
            let thread = std::thread::Builder::new().name(format!("rollout-{number}"));
            let thread = thread.spawn(move || work(number, sampler, received)).map_err(|error| {
                Error::invalid("rollout workers", format!("cannot start thread {number}: {error}"), "use fewer workers")
            })?;
            Ok(WorkerThread { commands, thread })
        };
        let workers = samplers.into_iter().enumerate().map(start).collect::<Result<_>>()?;
        Ok(WorkerThreads { workers, on_card: false, packed: None, hung: false })
    }

    /// `count` workers on the processor, each with an engine of `slots` slots of `max_tokens` tokens.
    pub fn on_processor(count: usize, config: &ModelConfig, slots: usize, max_tokens: usize) -> Result<WorkerThreads> {
        let engines = (0..count).map(|_| Engine::new(config, slots, max_tokens));
        WorkerThreads::start(engines.collect::<Result<Vec<_>>>()?)
    }

    /// One worker, on a card.
    pub fn on_card(engine: CudaEngine) -> Result<WorkerThreads> {
        let mut workers = WorkerThreads::start(vec![engine])?;
        workers.on_card = true;
        Ok(workers)
    }

    /// Tells all of them the same. One whose thread has ended hears nothing.
    fn tell(&self, command: impl Fn() -> WorkerCommand) {
        for worker in &self.workers {
            let _ = worker.commands.send(command());
        }
    }
}

impl WorkerBackend for WorkerThreads {
    fn len(&self) -> usize {
        self.workers.len()
    }

    fn name(&self, worker: usize) -> String {
        name(worker)
    }

    fn publish(&mut self, snapshot: &Snapshot) -> Result<()> {
        let weights = if self.on_card {
            // The copy goes as soon as the engine has its own.
            Published::OnCard(snapshot.clone())
        } else {
            let packed = Arc::new(PackedWeights::pack(snapshot, self.packed.as_deref(), self.workers.len())?);
            self.packed = Some(packed.clone());
            Published::Packed(packed)
        };
        self.tell(|| WorkerCommand::Load(weights.clone()));
        self.check()
    }

    /// What lies below adapters is packed once, and kept.
    fn unload(&mut self) {
        if self.packed.as_ref().is_some_and(|packed| !packed.has_frozen()) {
            self.packed = None;
            self.tell(|| WorkerCommand::Unload);
        }
    }

    fn reset(&self, jobs: &JobReceiver) {
        self.tell(|| WorkerCommand::Reset(jobs.clone()));
    }

    fn report_partial(&self) {
        self.tell(|| WorkerCommand::ReportPartial);
    }

    fn give_up(&mut self) {
        self.hung = true;
    }

    fn check(&self) -> Result<()> {
        let Some(gone) = self.workers.iter().position(|worker| worker.thread.is_finished()) else { return Ok(()) };
        let remedy = "it panicked, and that was told of when it happened; the same command goes on from what is saved";
        Err(Error::invalid(name(gone), "no longer running", remedy))
    }
}

impl Drop for WorkerThreads {
    /// Ends the workers and waits for them, except for any that hangs.
    fn drop(&mut self) {
        let deadline = Instant::now() + if self.hung { Duration::ZERO } else { GRACE };
        let threads: Vec<JoinHandle<()>> = self.workers.drain(..).map(|worker| worker.thread).collect();
        for thread in threads {
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
