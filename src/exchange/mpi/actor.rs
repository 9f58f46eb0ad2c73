//! A rank that samples for rank 0, and takes its share of the learning.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::message::{FromActor, Start, ToActor, of_json, pack, unpack};
use super::share::Share;
use super::wire::Wire;
use super::{BEAT, End, LOOK, host};
use crate::exchange::counter::Counter;
use crate::exchange::crew::Crew;
use crate::exchange::on_cores;
use crate::exchange::worker::{Command, News};
use crate::policy::{ModelConfig, Snapshot};
use crate::rollout::{Begun, Engine, PackedWeights, Published};
use crate::{Error, Result};

/// How long the learner may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// A rank other than 0. It reads no config and writes no file: all that it needs comes from rank 0.
pub struct Actor {
    end: End,
    rank: usize,
    ranks: usize,
}

/// What an actor works with from one model to the next.
struct Work {
    crew: Crew,
    counter: Counter,
    config: Arc<ModelConfig>,
    /// What is sampled from, as it came and packed.
    loaded: Option<(Snapshot, Arc<PackedWeights>)>,
    /// Number of the desk that news is for.
    round: u64,
    /// What the workers have told so far, and how many have not.
    told: (Vec<Begun>, usize),
    share: Share,
}

impl Actor {
    pub(super) fn new(end: End, rank: usize, ranks: usize) -> Actor {
        Actor { end, rank, ranks }
    }

    /// Samples and differentiates until rank 0 says that it is over.
    ///
    /// Errors: rank 0 has said nothing for a minute, or cannot be understood.
    pub fn serve(mut self) -> Result<()> {
        let mut wire = Wire::new(self.ranks);
        let outcome = attend(&mut wire, self.rank);
        if !matches!(outcome, Ok(Stop { alone: false })) {
            self.end.alone();
        }
        outcome.map(|_| ())
    }
}

/// How rank 0 has ended it.
struct Stop {
    alone: bool,
}

fn attend(wire: &mut Wire, rank: usize) -> Result<Stop> {
    wire.send(0, pack(&FromActor::Hello(host()))?)?;
    let mut work: Option<Work> = None;
    let (mut heard, mut beat) = (Instant::now(), Instant::now());
    loop {
        let mut quiet = true;
        if let Some((_, bytes)) = wire.next()? {
            (quiet, heard) = (false, Instant::now());
            match unpack::<ToActor>(&bytes)? {
                ToActor::Stop { alone } => return Ok(Stop { alone }),
                ToActor::Alive => {}
                ToActor::Start(start) => {
                    // The old crew ends first: it may hold much memory.
                    drop(work.take());
                    let begun = work.insert(Work::new(&start)?);
                    wire.send(0, pack(&FromActor::Started(begun.crew.len()))?)?;
                }
                ToActor::Load(load) => {
                    wire.send(0, pack(&FromActor::Unpacking)?)?;
                    wire.advance()?;
                    if let Some(work) = &mut work {
                        let before = work.loaded.as_ref();
                        let snapshot = load.snapshot(&work.config, before.map(|(snapshot, _)| snapshot))?;
                        let panels = PackedWeights::pack_after(&snapshot, before.map(|(_, panels)| &**panels))?;
                        let panels = Arc::new(panels);
                        work.share.publish(&snapshot);
                        work.loaded = Some((snapshot, panels.clone()));
                        work.crew.tell(|| Command::Load(Published::Packed(panels.clone())));
                    }
                    wire.send(0, pack(&FromActor::Alive)?)?;
                }
                ToActor::Learn(lesson) => {
                    wire.send(0, pack(&FromActor::Unpacking)?)?;
                    wire.advance()?;
                    if let Some(Work { share, loaded: Some((loaded, _)), .. }) = &mut work {
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
        while let Some(news) = work.as_mut().and_then(Work::news) {
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

impl Work {
    fn new(start: &Start) -> Result<Work> {
        let config: ModelConfig = of_json(&start.config)?;
        let engines = (0..on_cores(start.workers)).map(|_| Engine::new(&config, start.slots, start.max_tokens));
        let crew = Crew::start(engines.collect::<Result<Vec<_>>>()?)?;
        let (counter, desk) = Counter::open();
        crew.tell(|| Command::Serve(desk.clone()));
        let (told, share) = ((Vec::new(), 0), Share::start(crew.len())?);
        Ok(Work { crew, counter, config: Arc::new(config), loaded: None, round: 0, told, share })
    }

    fn obey(&mut self, message: ToActor) {
        match message {
            ToActor::Serve(round) => {
                let (counter, desk) = Counter::open();
                (self.counter, self.round, self.told) = (counter, round, (Vec::new(), 0));
                self.crew.tell(|| Command::Serve(desk.clone()));
            }
            ToActor::Job { urgent, job } => self.counter.put(job, urgent),
            ToActor::Tell => {
                self.told = (Vec::new(), self.crew.len());
                self.crew.tell(|| Command::Tell);
            }
            ToActor::Part { number, part } => self.share.work(number, part.into_owned()),
            ToActor::Start(_) | ToActor::Load(_) | ToActor::Learn(_) | ToActor::Alive | ToActor::Stop { .. } => {}
        }
    }

    /// The next thing to say: what a worker says, but that all of them together say how far they are.
    fn news(&mut self) -> Option<News> {
        while let Ok(report) = self.counter.reports.try_recv() {
            match report.news {
                News::Begun(begun) => {
                    let (all, missing) = &mut self.told;
                    all.extend(begun);
                    *missing = missing.saturating_sub(1);
                    if *missing == 0 {
                        return Some(News::Begun(std::mem::take(all)));
                    }
                }
                News::Idled(idle) => return Some(News::Idled(idle / self.crew.len().max(1) as u32)),
                news => return Some(news),
            }
        }
        None
    }
}
