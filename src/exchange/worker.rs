//! A rollout worker: one thread that owns an engine and does what it is told over a channel.

use crossbeam_channel::{Receiver, Sender};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::rollout::{CardEngine, Completion, Engine, Published, Request};
use crate::{Error, Result};

/// A request with its number in the list that was handed in.
pub(super) type Job = (usize, Request);

/// What a worker is told.
pub(super) enum Command {
    /// Sample from these weights from now on.
    Load(Published),
    /// Share these jobs with the other workers until there are none, and report.
    /// None is of more than `longest` tokens with its completion.
    Generate { longest: usize, jobs: Receiver<Job>, reports: Sender<Report> },
}

/// What a worker says.
pub(super) enum Report {
    Completed(Completion),
    /// No jobs are left and all of this worker's are done.
    Finished {
        worker: usize,
    },
    Failed(Error),
}

/// What does the sampling: an engine, or in tests something that hangs or panics.
pub(super) trait Sampler {
    fn load(&mut self, weights: Published) -> Result<()>;

    /// Takes jobs, of at most `longest` tokens, from `next` until there are none; hands each completion to `done`.
    fn serve(
        &mut self,
        longest: usize,
        next: &mut dyn FnMut() -> Option<Job>,
        done: &mut dyn FnMut(Completion) -> Result<()>,
    ) -> Result<()>;
}

impl Sampler for Engine {
    fn load(&mut self, weights: Published) -> Result<()> {
        match weights {
            Published::Packed(panels) => self.load_packed(panels),
            Published::OnCard(_) => Err(elsewhere("the processor")),
        }
    }

    fn serve(
        &mut self,
        longest: usize,
        next: &mut dyn FnMut() -> Option<Job>,
        done: &mut dyn FnMut(Completion) -> Result<()>,
    ) -> Result<()> {
        Engine::serve(self, longest, next, done)
    }
}

impl Sampler for CardEngine {
    fn load(&mut self, weights: Published) -> Result<()> {
        match weights {
            Published::OnCard(snapshot) => CardEngine::load(self, &snapshot),
            Published::Packed(_) => Err(elsewhere("a card")),
        }
    }

    fn serve(
        &mut self,
        longest: usize,
        next: &mut dyn FnMut() -> Option<Job>,
        done: &mut dyn FnMut(Completion) -> Result<()>,
    ) -> Result<()> {
        CardEngine::serve(self, longest, next, done)
    }
}

fn elsewhere(place: &str) -> Error {
    Error::invalid("rollout workers", format!("weights that are not on {place}"), "start a pool for this policy")
}

/// The life of a worker: it ends when the pool is dropped, or with a panic, which it reports as an error.
pub(super) fn work(worker: usize, mut sampler: impl Sampler, commands: Receiver<Command>) {
    // Weights that do not fit are an error of every call that wants completions, until better ones come.
    let mut unusable: Option<String> = None;
    for command in commands {
        match command {
            Command::Load(weights) => unusable = sampler.load(weights).err().map(|error| error.to_string()),
            Command::Generate { longest, jobs, reports } => {
                let outcome = catch_unwind(AssertUnwindSafe(|| match &unusable {
                    Some(found) => {
                        Err(Error::invalid(format!("rollout worker {worker}"), found, "publish weights that fit"))
                    }
                    None => sampler.serve(longest, &mut || jobs.try_recv().ok(), &mut |completion| {
                        reports.send(Report::Completed(completion)).map_err(|_| given_up())
                    }),
                }));
                let (report, alive) = match outcome {
                    Ok(Ok(())) => (Report::Finished { worker }, true),
                    Ok(Err(error)) => (Report::Failed(error), true),
                    Err(panic) => (Report::Failed(panicked(worker, panic.as_ref())), false),
                };
                // Nobody listens any more when the call has already ended with another worker's error.
                let _ = reports.send(report);
                if !alive {
                    return;
                }
            }
        }
    }
}

/// Ends a worker's sampling early; its report finds no listener.
fn given_up() -> Error {
    Error::Interrupted("the call for these completions has ended".into())
}

fn panicked(worker: usize, panic: &(dyn Any + Send)) -> Error {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    Error::invalid(format!("rollout worker {worker}"), format!("panicked ({message})"), "this is a bug: report it")
}
