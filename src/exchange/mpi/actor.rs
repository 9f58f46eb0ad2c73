//! A rank that samples for rank 0, and takes its share of the learning.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gradient_threads::GradientThreads;
use super::message::{FromActor, StartEngines, ToActor, of_json, pack, unpack};
use super::transport::MpiTransport;
use super::{BEAT, End, LOOK, host};
use crate::exchange::jobs::JobSender;
use crate::exchange::on_cores;
use crate::exchange::threads::WorkerThreads;
use crate::exchange::worker::{WorkerCommand, WorkerEvent};
use crate::policy::{ModelConfig, Snapshot};
use crate::rollout::{Engine, PackedWeights, PartialCompletion, Published};
use crate::{Error, Result};

/// How long the learner may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// A rank other than 0. It reads no config and writes no file: all that it needs comes from rank 0.
pub struct ActorRank {
    end: End,
    rank: usize,
    ranks: usize,
}

/// What an actor works with from one model to the next.
struct ActorSession {
    crew: WorkerThreads,
    counter: JobSender,
    config: Arc<ModelConfig>,
    /// What is sampled from, as it came and packed.
    loaded: Option<(Snapshot, Arc<PackedWeights>)>,
    /// Number of the queue that events are for.
    round: u64,
    /// What the workers have told so far, and how many have not.
    told: (Vec<PartialCompletion>, usize),
    share: GradientThreads,
}

impl ActorRank {
    pub(super) fn new(end: End, rank: usize, ranks: usize) -> ActorRank {
        ActorRank { end, rank, ranks }
    }

    /// Samples and differentiates until rank 0 says that it is over.
    ///
    /// Errors: rank 0 has said nothing for a minute, or cannot be understood.
    pub fn serve(mut self) -> Result<()> {
        let mut wire = MpiTransport::new(self.ranks);
        let outcome = attend(&mut wire, self.rank);
        if !matches!(outcome, Ok(Shutdown { alone: false })) {
            self.end.alone();
        }
        outcome.map(|_| ())
    }
}

/// How rank 0 has ended it.
struct Shutdown {
    alone: bool,
}

fn attend(wire: &mut MpiTransport, rank: usize) -> Result<Shutdown> {
    wire.send(0, pack(&FromActor::Hello(host()))?)?;
    let mut work: Option<ActorSession> = None;
    let (mut heard, mut beat) = (Instant::now(), Instant::now());
    loop {
        let mut quiet = true;
        if let Some((_, bytes)) = wire.next()? {
            (quiet, heard) = (false, Instant::now());
            match unpack::<ToActor>(&bytes)? {
                ToActor::Stop { alone } => return Ok(Shutdown { alone }),
                ToActor::Alive => {}
                ToActor::Start(start) => {
                    // The old workers end first: they may hold much memory.
                    drop(work.take());
                    let begun = work.insert(ActorSession::new(&start)?);
                    wire.send(0, pack(&FromActor::Started(begun.crew.len()))?)?;
                }
                ToActor::Load(load) => {
                    wire.send(0, pack(&FromActor::Unpacking)?)?;
                    wire.advance()?;
                    if let Some(work) = &mut work {
                        let before = work.loaded.as_ref();
                        let snapshot = load.snapshot(&work.config, before.map(|(snapshot, _)| snapshot))?;
                        let earlier = before.map(|(_, panels)| &**panels);
                        let panels = PackedWeights::pack(&snapshot, earlier, work.crew.len())?;
                        let panels = Arc::new(panels);
                        work.share.publish(&snapshot);
                        work.loaded = Some((snapshot, panels.clone()));
                        work.crew.tell(|| WorkerCommand::Load(Published::Packed(panels.clone())));
                    }
                    wire.send(0, pack(&FromActor::Alive)?)?;
                }
                ToActor::Learn(lesson) => {
                    wire.send(0, pack(&FromActor::Unpacking)?)?;
                    wire.advance()?;
                    if let Some(ActorSession { share, loaded: Some((loaded, _)), .. }) = &mut work {
                        share.learn(lesson, loaded)?;
                    }
                    wire.send(0, pack(&FromActor::Alive)?)?;
                }
                message => {
                    if let Some(work) = &mut work {
                        work.obey(message);
                    }
                }
            }
        }
        while let Some(news) = work.as_mut().and_then(ActorSession::news) {
            quiet = false;
            let round = work.as_ref().map_or(0, |work| work.round);
            wire.send(0, pack(&FromActor::News { round, news })?)?;
        }
        while let Some(answer) = work.as_ref().and_then(|work| work.share.answer()) {
            quiet = false;
            wire.send(0, answer?)?;
        }
        if beat.elapsed() >= BEAT {
            beat = Instant::now();
            wire.send(0, pack(&FromActor::Alive)?)?;
        }
        if heard.elapsed() >= SILENCE {
            let (waiter, awaited) = (format!("rank {rank} ({})", host()), "a word from rank 0".into());
            return Err(Error::Timeout { waiter, awaited, seconds: SILENCE.as_secs() });
        }
        if quiet {
            std::thread::sleep(LOOK);
        }
    }
}

impl ActorSession {
    fn new(start: &StartEngines) -> Result<ActorSession> {
        let config: ModelConfig = of_json(&start.config)?;
        let engines = (0..on_cores(start.workers)).map(|_| Engine::new(&config, start.slots, start.max_tokens));
        let crew = WorkerThreads::start(engines.collect::<Result<Vec<_>>>()?)?;
        let (counter, desk) = JobSender::open();
        crew.tell(|| WorkerCommand::Reset(desk.clone()));
        let (told, share) = ((Vec::new(), 0), GradientThreads::start(crew.len())?);
        Ok(ActorSession { crew, counter, config: Arc::new(config), loaded: None, round: 0, told, share })
    }

    fn obey(&mut self, message: ToActor) {
        match message {
            ToActor::Reset(round) => {
                let (counter, desk) = JobSender::open();
                (self.counter, self.round, self.told) = (counter, round, (Vec::new(), 0));
                self.crew.tell(|| WorkerCommand::Reset(desk.clone()));
            }
            ToActor::Job { urgent, job } => self.counter.put(job, urgent),
            ToActor::ReportPartial => {
                self.told = (Vec::new(), self.crew.len());
                self.crew.tell(|| WorkerCommand::ReportPartial);
            }
            ToActor::Part { number, part } => self.share.work(number, part.into_owned()),
            ToActor::Start(_) | ToActor::Load(_) | ToActor::Learn(_) | ToActor::Alive | ToActor::Stop { .. } => {}
        }
    }

    /// The next thing to say: what a worker says, but that all of them together say how far they are.
    fn news(&mut self) -> Option<WorkerEvent> {
        while let Ok(report) = self.counter.reports.try_recv() {
            match report.news {
                WorkerEvent::Begun(begun) => {
                    let (all, missing) = &mut self.told;
                    all.extend(begun);
                    *missing = missing.saturating_sub(1);
                    if *missing == 0 {
                        return Some(WorkerEvent::Begun(std::mem::take(all)));
                    }
                }
                WorkerEvent::Idled(idle) => return Some(WorkerEvent::Idled(idle / self.crew.len().max(1) as u32)),
                news => return Some(news),
            }
        }
        None
    }
}
