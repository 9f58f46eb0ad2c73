//! A rank that samples for rank 0, and takes its share of the learning.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::load::{of_json, pack, unpack};
use super::message::{FromActor, StartEngines, ToActor};
use super::share::GradientShare;
use super::transport::MpiTransport;
use super::{BEAT, End, LOOK, host};
use crate::exchange::on_cores;
use crate::exchange::threads::{WorkerBackend, WorkerThreads};
use crate::exchange::worker::{JobSender, WorkerEvent};
use crate::kernels::DeviceChoice;
use crate::policy::{ModelConfig, Snapshot};
use crate::rollout::{CudaEngine, PartialCompletion, SLOTS_ON_CARD, slots};
use crate::{Error, Result};

/// How long the learner may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// A rank other than 0. It reads no config and writes no file: all that it needs comes from rank 0.
pub struct ActorRank {
    pub(super) end: End,
    pub(super) rank: usize,
    pub(super) ranks: usize,
    /// Its number among the ranks of its machine.
    pub(super) local_rank: usize,
}

/// What an actor works with from one model to the next.
struct ActorSession {
    workers: WorkerThreads,
    /// Of all workers together.
    slots: usize,
    jobs: JobSender,
    config: Arc<ModelConfig>,
    /// What is sampled from.
    loaded: Option<Snapshot>,
    /// Number of the queue that events are for.
    round: u64,
    /// What the workers have told so far, and how many have not.
    told: (Vec<PartialCompletion>, usize),
    share: GradientShare,
}

impl ActorRank {
    /// Samples and differentiates until rank 0 says that it is over.
    ///
    /// Errors: rank 0 has said nothing for a minute, or cannot be understood.
    pub fn serve(mut self) -> Result<()> {
        let mut transport = MpiTransport::new(self.ranks);
        let outcome = self.attend(&mut transport);
        if !matches!(outcome, Ok(Shutdown { alone: false })) {
            self.end.alone();
        }
        outcome.map(|_| ())
    }

    fn attend(&self, transport: &mut MpiTransport) -> Result<Shutdown> {
        let say = |transport: &mut MpiTransport, message: FromActor| transport.send(0, pack(&message)?);
        say(transport, FromActor::Hello(host()))?;
        let mut session: Option<ActorSession> = None;
        let (mut heard, mut beat) = (Instant::now(), Instant::now());
        loop {
            let mut quiet = true;
            if let Some((_, bytes)) = transport.next()? {
                (quiet, heard) = (false, Instant::now());
                match unpack::<ToActor>(&bytes)? {
                    ToActor::Stop { alone } => return Ok(Shutdown { alone }),
                    ToActor::Alive => {}
                    ToActor::Start(start) => {
                        say(transport, FromActor::Unpacking)?;
                        transport.advance()?;
                        // The old workers end first: they may hold much memory.
                        drop(session.take());
                        let begun = session.insert(ActorSession::new(&start, self.local_rank)?);
                        let threads = if start.card.is_some() { 0 } else { begun.workers.len() };
                        say(transport, FromActor::Started { slots: begun.slots, threads })?;
                    }
                    ToActor::Load(load) => {
                        say(transport, FromActor::Unpacking)?;
                        transport.advance()?;
                        if let Some(session) = &mut session {
                            let snapshot = load.snapshot(&session.config, session.loaded.as_ref())?;
                            session.workers.publish(&snapshot)?;
                            session.share.publish(&snapshot);
                            session.loaded = Some(snapshot);
                        }
                        say(transport, FromActor::Alive)?;
                    }
                    ToActor::Learn(setup) => {
                        say(transport, FromActor::Unpacking)?;
                        transport.advance()?;
                        if let Some(ActorSession { share, loaded: Some(loaded), .. }) = &mut session {
                            share.learn(setup, loaded)?;
                        }
                        say(transport, FromActor::Alive)?;
                    }
                    ToActor::AddTo(sum) => {
                        if let Some(session) = &mut session {
                            session.share.add_to(sum)?;
                        }
                    }
                    message => {
                        if let Some(session) = &mut session {
                            session.obey(message);
                        }
                    }
                }
            }
            while let Some((round, event)) = session.as_mut().and_then(ActorSession::event) {
                quiet = false;
                say(transport, FromActor::Event { round, event })?;
            }
            while let Some(answer) = session.as_ref().and_then(|session| session.share.answer()) {
                quiet = false;
                transport.send(0, answer?)?;
            }
            if beat.elapsed() >= BEAT {
                beat = Instant::now();
                say(transport, FromActor::Alive)?;
            }
            if heard.elapsed() >= SILENCE {
                let (waiter, awaited) = (format!("rank {} ({})", self.rank, host()), "a word from rank 0".into());
                return Err(Error::Timeout { waiter, awaited, seconds: SILENCE.as_secs() });
            }
            if quiet {
                std::thread::sleep(LOOK);
            }
        }
    }
}

/// How rank 0 has ended it.
struct Shutdown {
    alone: bool,
}

impl ActorSession {
    fn new(start: &StartEngines, local_rank: usize) -> Result<ActorSession> {
        let config: ModelConfig = of_json(&start.config)?;
        let (workers, slots) = match start.card {
            None => {
                let (count, slots) = (on_cores(start.workers), slots(&config));
                (WorkerThreads::on_processor(count, &config, slots, start.max_tokens)?, count * slots)
            }
            Some(precision) => {
                let device = DeviceChoice::card_of_rank(local_rank)?.open()?;
                let engine = CudaEngine::on_device(&device, &config, precision, SLOTS_ON_CARD, start.max_tokens)?;
                (WorkerThreads::on_card(engine)?, SLOTS_ON_CARD)
            }
        };
        let (jobs, receiver) = JobSender::open(workers.len());
        workers.reset(&receiver);
        let (loaded, told, share) = (None, (Vec::new(), 0), GradientShare::start(workers.len())?);
        Ok(ActorSession { workers, slots, jobs, config: Arc::new(config), loaded, round: 0, told, share })
    }

    fn obey(&mut self, message: ToActor) {
        match message {
            ToActor::Reset(round) => {
                let (jobs, receiver) = JobSender::open(self.workers.len());
                (self.jobs, self.round, self.told) = (jobs, round, (Vec::new(), 0));
                self.workers.reset(&receiver);
            }
            ToActor::Job { urgent, job } => self.jobs.put(job, urgent),
            ToActor::ReportPartial => {
                self.told = (Vec::new(), self.workers.len());
                self.workers.report_partial();
            }
            ToActor::Share(parts) => self.share.begin(parts.into_owned()),
            ToActor::Start(_)
            | ToActor::Load(_)
            | ToActor::Learn(_)
            | ToActor::AddTo(_)
            | ToActor::Alive
            | ToActor::Stop { .. } => {}
        }
    }

    /// The next thing to say, and the queue that it is about: what a worker says, but that all of them together say how
    /// far they are.
    fn event(&mut self) -> Option<(u64, WorkerEvent)> {
        while let Ok(report) = self.jobs.reports.try_recv() {
            let event = match report.event {
                WorkerEvent::Begun(begun) => {
                    let (all, missing) = &mut self.told;
                    all.extend(begun);
                    *missing = missing.saturating_sub(1);
                    if *missing > 0 {
                        continue;
                    }
                    WorkerEvent::Begun(std::mem::take(all))
                }
                WorkerEvent::Idled(idle) => WorkerEvent::Idled(idle / self.workers.len().max(1) as u32),
                event => event,
            };
            return Some((self.round, event));
        }
        None
    }
}
