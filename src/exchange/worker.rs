//! A rollout worker: one thread that owns an engine, works on what it is given, and does what it is told in between.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select_biased};

use crate::rollout::{Backend, Completion, Engine, Job, PartialCompletion, Published};
use crate::{Error, Result};

/// What a worker is told. It listens between two steps of its engine.
pub(super) enum WorkerCommand {
    /// Sample from these weights from now on; what is running goes on under them.
    Load(Published),
    /// Drop everything, and draw from this queue from now on.
    Reset(JobReceiver),
    /// Say how far everything has come.
    ReportPartial,
}

/// Where workers get their jobs from, and where they report to. They share it, so that none idles while another has
/// more to do.
#[derive(Clone)]
pub(super) struct JobReceiver {
    /// What goes before all others.
    pub urgent: Receiver<Job>,
    pub jobs: Receiver<Job>,
    pub reports: Sender<WorkerReport>,
}

/// What a worker says.
#[derive(Debug)]
pub(super) struct WorkerReport {
    pub worker: usize,
    pub news: WorkerEvent,
}

#[derive(Debug)]
#[cfg_attr(feature = "mpi", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum WorkerEvent {
    /// It has begun with so many completions.
    Took(usize),
    Completed(Completion),
    /// How far everything has come that it has not completed.
    Begun(Vec<PartialCompletion>),
    /// It had nothing to do for so long, and now it has.
    Idled(Duration),
    /// It has dropped everything.
    Failed(#[cfg_attr(feature = "mpi", serde(with = "super::mpi::failure"))] Error),
}

/// What does the sampling: an engine, or in tests something that hangs or panics.
pub(crate) trait Sampler {
    /// Goes on with these weights.
    fn load(&mut self, weights: Published) -> Result<()>;
    /// Whether a job that came now would be begun at once.
    fn has_room(&self) -> bool;
    /// Whether there is nothing to do.
    fn is_idle(&self) -> bool;
    /// Begins a job. Only if there is room.
    fn take(&mut self, job: Job) -> Result<()>;
    /// One more token of everything that is running.
    fn step(&mut self) -> Result<()>;
    /// What has ended since this was last asked.
    fn finished(&mut self) -> Vec<Completion>;
    /// How far everything has come that has not.
    fn begun(&self) -> Vec<PartialCompletion>;
    /// Drops everything.
    fn clear(&mut self);
}

impl<B: Backend> Sampler for Engine<B> {
    fn load(&mut self, weights: Published) -> Result<()> {
        self.load_published(weights)
    }

    fn has_room(&self) -> bool {
        Engine::has_room(self)
    }

    fn is_idle(&self) -> bool {
        Engine::is_idle(self)
    }

    fn take(&mut self, job: Job) -> Result<()> {
        Engine::take(self, job)
    }

    fn step(&mut self) -> Result<()> {
        Engine::step(self)
    }

    fn finished(&mut self) -> Vec<Completion> {
        Engine::finished(self)
    }

    fn begun(&self) -> Vec<PartialCompletion> {
        Engine::begun(self)
    }

    fn clear(&mut self) {
        Engine::clear(self);
    }
}

/// The life of a worker: it ends when nobody can command it any more, or with a panic, which it reports as an error.
pub(super) fn work(worker: usize, sampler: impl Sampler, commands: Receiver<WorkerCommand>) {
    let mut worker = RolloutWorker { worker, sampler, commands, desk: None, unusable: None, idle: None };
    loop {
        match catch_unwind(AssertUnwindSafe(|| worker.round())) {
            Ok(Ok(Round::Over)) => return,
            Ok(Ok(Round::Next)) => {}
            Ok(Err(error)) => {
                worker.sampler.clear();
                worker.report(WorkerEvent::Failed(error));
            }
            Err(panic) => return worker.report(WorkerEvent::Failed(panicked(&name(worker.worker), panic.as_ref()))),
        }
    }
}

struct RolloutWorker<S> {
    worker: usize,
    sampler: S,
    commands: Receiver<WorkerCommand>,
    desk: Option<JobReceiver>,
    /// Why the newest weights do not fit: an error of every job, until better ones come.
    unusable: Option<String>,
    /// Since when it has had nothing to do.
    idle: Option<Instant>,
}

enum Round {
    Next,
    /// Nobody is there to command it.
    Over,
}

impl<S: Sampler> RolloutWorker<S> {
    /// Listens, takes as many jobs as there is room for, and does one step; or waits for something to do.
    fn round(&mut self) -> Result<Round> {
        while let Some(heard) = self.listen() {
            if let Listened::Nobody = heard {
                return Ok(Round::Over);
            }
        }
        while self.sampler.has_room()
            && let Some(job) = self.desk.as_ref().and_then(|desk| desk.next())
        {
            self.begin(job)?;
        }
        if self.sampler.is_idle() {
            return self.wait();
        }
        self.sampler.step()?;
        self.hand_in();
        Ok(Round::Next)
    }

    /// Does what it has been told. None when that is nothing.
    fn listen(&mut self) -> Option<Listened> {
        match self.commands.try_recv() {
            Ok(command) => Some(self.obey(command)),
            Err(error) => error.is_disconnected().then_some(Listened::Nobody),
        }
    }

    fn obey(&mut self, command: WorkerCommand) -> Listened {
        match command {
            WorkerCommand::Load(weights) => {
                self.unusable = self.sampler.load(weights).err().map(|error| error.to_string())
            }
            WorkerCommand::ReportPartial => self.report(WorkerEvent::Begun(self.sampler.begun())),
            WorkerCommand::Reset(desk) => {
                self.sampler.clear();
                self.desk = Some(desk);
                return Listened::OtherDesk;
            }
        }
        Listened::Same
    }

    /// Begins a job that it has just been given. Weights that were published before the job was are loaded by now.
    fn begin(&mut self, job: Job) -> Result<()> {
        while let Some(heard) = self.listen() {
            match heard {
                Listened::Same => {}
                // The job was one of the queue that it has left.
                Listened::OtherDesk | Listened::Nobody => return Ok(()),
            }
        }
        if let Some(since) = self.idle.take() {
            self.report(WorkerEvent::Idled(since.elapsed()));
        }
        self.report(WorkerEvent::Took(job.begun.len()));
        if let Some(found) = &self.unusable {
            return Err(Error::invalid(name(self.worker), found, "publish weights that fit"));
        }
        self.sampler.take(job)?;
        self.hand_in();
        Ok(())
    }

    fn hand_in(&mut self) {
        for completion in self.sampler.finished() {
            self.report(WorkerEvent::Completed(completion));
        }
    }

    /// Sleeps until there is a command or a job.
    fn wait(&mut self) -> Result<Round> {
        self.idle.get_or_insert_with(Instant::now);
        let nothing = || (never(), never());
        let (urgent, jobs) = self.desk.as_ref().map_or_else(nothing, |desk| (desk.urgent.clone(), desk.jobs.clone()));
        let job = select_biased! {
            recv(self.commands) -> command => {
                let Ok(command) = command else { return Ok(Round::Over) };
                self.obey(command);
                return Ok(Round::Next);
            }
            recv(urgent) -> job => job,
            recv(jobs) -> job => job,
        };
        match job {
            Ok(job) => self.begin(job)?,
            // The queue is closed: another will be named, or nobody is there any more.
            Err(_) => self.desk = None,
        }
        Ok(Round::Next)
    }

    /// Nobody listens any more when the queue has been closed.
    fn report(&self, news: WorkerEvent) {
        if let Some(desk) = &self.desk {
            let _ = desk.reports.send(WorkerReport { worker: self.worker, news });
        }
    }
}

impl JobReceiver {
    /// The next job, if there is one.
    fn next(&self) -> Option<Job> {
        self.urgent.try_recv().or_else(|_| self.jobs.try_recv()).ok()
    }
}

/// What came of listening.
enum Listened {
    Same,
    OtherDesk,
    Nobody,
}

/// How messages name a worker of this process.
pub(super) fn name(worker: usize) -> String {
    format!("rollout worker {worker}")
}

/// What becomes of a panic of whoever has this name.
pub(super) fn panicked(name: &str, panic: &(dyn Any + Send)) -> Error {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    let remedy = "this is a bug: report it; the same command goes on from what is saved";
    Error::invalid(name, format!("panicked ({message})"), remedy)
}
