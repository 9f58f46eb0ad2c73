//! Workers on threads of their own.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};

use super::worker::{Sampler, WorkerCommand, name, work};
use crate::{Error, Result};

/// How long a worker may take to end: longer than a step of an engine.
const GRACE: Duration = Duration::from_secs(5);

pub(super) struct WorkerThreads {
    workers: Vec<WorkerThread>,
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
        let start = |(number, sampler)| {
            let (commands, received) = unbounded();
            let thread = std::thread::Builder::new().name(format!("rollout-{number}"));
            let thread = thread.spawn(move || work(number, sampler, received)).map_err(|error| {
                Error::invalid("rollout workers", format!("cannot start thread {number}: {error}"), "use fewer workers")
            })?;
            Ok(WorkerThread { commands, thread })
        };
        Ok(WorkerThreads { workers: samplers.into_iter().enumerate().map(start).collect::<Result<_>>()?, hung: false })
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Waits for none of them any more.
    pub fn give_up(&mut self) {
        self.hung = true;
    }

    /// Tells all of them the same. One whose thread has ended hears nothing.
    pub fn tell(&self, command: impl Fn() -> WorkerCommand) {
        for worker in &self.workers {
            let _ = worker.commands.send(command());
        }
    }

    /// An error if one of them has ended, by a panic that was reported when it happened.
    pub fn check(&self) -> Result<()> {
        match self.workers.iter().position(|worker| worker.thread.is_finished()) {
            None => Ok(()),
            Some(gone) => {
                let remedy =
                    "it panicked, and that was told of when it happened; the same command goes on from what is saved";
                Err(Error::invalid(name(gone), "no longer running", remedy))
            }
        }
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
