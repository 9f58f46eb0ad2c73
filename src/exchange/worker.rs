//! A rollout worker: one thread that owns an engine, works on jobs of a queue, and does what it is told in between.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, never, select_biased, unbounded};

use crate::rollout::{Backend, Completion, Engine, Job, PartialCompletion, Published};
use crate::{Error, Result};

/// What a worker is told. It listens between two steps of its engine.
pub(super) enum WorkerCommand {
    /// Sample from these weights from now on; what is running goes on under them.
    Load(Published),
    /// Let go of weights and caches, if there is nothing to do.
    Unload,
    /// Drop everything, and take jobs from this queue from now on.
    Reset(JobReceiver),
    /// Say how far everything has come.
    ReportPartial,
}

/// Where jobs are put, and where the reports of workers come in.
pub(super) struct JobSender {
    urgent: Sender<Job>,
    jobs: Sender<Job>,
    pub reports: Receiver<WorkerReport>,
}

/// Where workers get their jobs from, and where they report to. They share it, so that none idles while another has
/// more to do.
#[derive(Clone)]
pub(super) struct JobReceiver {
    /// What goes before all others.
    urgent: Receiver<Job>,
    jobs: Receiver<Job>,
    pub reports: Sender<WorkerReport>,
    /// How many share it.
    workers: usize,
}

/// What a worker says.
#[derive(Debug)]
pub(super) struct WorkerReport {
    pub worker: usize,
    pub event: WorkerEvent,
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

impl JobSender {
    /// A new queue for so many workers. What was asked and said over another one goes with that.
    pub fn open(workers: usize) -> (JobSender, JobReceiver) {
        let ((urgent, urgent_jobs), (jobs, other_jobs), (reports, reported)) = (unbounded(), unbounded(), unbounded());
        let receiver = JobReceiver { urgent: urgent_jobs, jobs: other_jobs, reports, workers };
        (JobSender { urgent, jobs, reports: reported }, receiver)
    }

    /// Puts a job there, before all others if it is urgent.
    pub fn put(&self, job: Job, urgent: bool) {
        // Fails when the last worker has ended, which is found out elsewhere.
        let _ = if urgent { self.urgent.send(job) } else { self.jobs.send(job) };
    }
}

impl JobReceiver {
    /// The jobs that wait, shared evenly.
    fn share(&self) -> usize {
        (self.urgent.len() + self.jobs.len()).div_ceil(self.workers.max(1))
    }

    /// The next job, if there is one, and whether it is urgent.
    pub fn next(&self) -> Option<(Job, bool)> {
        let urgent = self.urgent.try_recv().map(|job| (job, true));
        urgent.or_else(|_| self.jobs.try_recv().map(|job| (job, false))).ok()
    }
}

/// What does the sampling: an engine, or in tests something that hangs or panics. What is not said of it is that of a
/// sampler that ends every completion at once.
pub(crate) trait Sampler {
    /// Goes on with these weights.
    fn load(&mut self, _: Published) -> Result<()> {
        Ok(())
    }

    /// Lets go of weights and caches while there is nothing to do.
    fn unload(&mut self) {}

    /// Whether a job that came now would be begun at once.
    fn has_room(&self) -> bool {
        true
    }

    /// Whether there is nothing to do.
    fn is_idle(&self) -> bool {
        true
    }

    /// Begins a job. Only if there is room.
    fn take(&mut self, job: Job) -> Result<()>;

    /// One more token of everything that is running.
    fn step(&mut self) -> Result<()> {
        Ok(())
    }

    /// What has ended since this was last asked.
    fn finished(&mut self) -> Vec<Completion>;

    /// How far everything has come that has not.
    fn begun(&self) -> Vec<PartialCompletion> {
        Vec::new()
    }

    /// Drops everything.
    fn clear(&mut self) {}
}

impl<B: Backend> Sampler for Engine<B> {
    fn load(&mut self, weights: Published) -> Result<()> {
        self.load_published(weights)
    }

    fn unload(&mut self) {
        Engine::unload(self);
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
    let mut worker = RolloutWorker { worker, sampler, commands, jobs: None, unusable: None, idle: None };
    loop {
        match catch_unwind(AssertUnwindSafe(|| worker.round())) {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return,
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
    jobs: Option<JobReceiver>,
    /// Why the newest weights do not fit: an error of every job, until better ones come.
    unusable: Option<String>,
    /// Since when it has had nothing to do.
    idle: Option<Instant>,
}

impl<S: Sampler> RolloutWorker<S> {
    /// Listens, takes its share of the jobs as far as there is room, and does one step; or waits for something to do.
    /// Whether anybody is there to command it.
    fn round(&mut self) -> Result<bool> {
        if self.listen().is_none() {
            return Ok(false);
        }
        // With room for all of them it would leave the others nothing.
        let mut share = self.jobs.as_ref().map_or(0, JobReceiver::share);
        while share > 0
            && self.sampler.has_room()
            && let Some((job, _)) = self.jobs.as_ref().and_then(JobReceiver::next)
        {
            self.begin(job)?;
            share -= 1;
        }
        if self.sampler.is_idle() {
            return self.wait();
        }
        self.sampler.step()?;
        self.hand_in();
        Ok(true)
    }

    /// Does what it has been told, and says whether it was told to drop everything. None where nobody is there to tell
    /// it anything.
    fn listen(&mut self) -> Option<bool> {
        let mut reset = false;
        loop {
            match self.commands.try_recv() {
                Ok(command) => reset |= self.obey(command),
                Err(TryRecvError::Empty) => return Some(reset),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
    }

    /// Does what it is told, and says whether that was to drop everything.
    fn obey(&mut self, command: WorkerCommand) -> bool {
        match command {
            WorkerCommand::Load(weights) => {
                self.unusable = self.sampler.load(weights).err().map(|error| error.to_string())
            }
            WorkerCommand::Unload => self.sampler.unload(),
            WorkerCommand::ReportPartial => self.report(WorkerEvent::Begun(self.sampler.begun())),
            WorkerCommand::Reset(jobs) => {
                self.sampler.clear();
                self.jobs = Some(jobs);
                return true;
            }
        }
        false
    }

    /// Begins a job that it has just been given. Weights that were published before the job was are loaded by now.
    fn begin(&mut self, job: Job) -> Result<()> {
        if self.listen() != Some(false) {
            // The job was one of a queue that is left.
            return Ok(());
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

    /// Sleeps until there is a command or a job. Whether anybody is there to command it.
    fn wait(&mut self) -> Result<bool> {
        self.idle.get_or_insert_with(Instant::now);
        let nothing = || (never(), never());
        let (urgent, jobs) = self.jobs.as_ref().map_or_else(nothing, |jobs| (jobs.urgent.clone(), jobs.jobs.clone()));
        let job = select_biased! {
            recv(self.commands) -> command => {
                let Ok(command) = command else { return Ok(false) };
                self.obey(command);
                return Ok(true);
            }
            recv(urgent) -> job => job,
            recv(jobs) -> job => job,
        };
        match job {
            Ok(job) => self.begin(job)?,
            // The queue is closed: another will be named, or nobody is there any more.
            Err(_) => self.jobs = None,
        }
        Ok(true)
    }

    /// Nobody listens any more when the queue has been closed.
    fn report(&self, event: WorkerEvent) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.reports.send(WorkerReport { worker: self.worker, event });
        }
    }
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
