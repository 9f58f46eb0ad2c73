//! Rank 0's side: one thread that does all that is said to other ranks, for whoever has a handle.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::gradient::GradientOutcome;
use super::load::{pack, unpack};
use super::message::{FromActor, ToActor};
use super::ranks::{CoordinatorCommand, CoordinatorState, MpiRanks, set};
use super::transport::MpiTransport;
use super::{BEAT, End, LOOK};
use crate::exchange::worker::{JobReceiver, WorkerEvent, WorkerReport};
use crate::{Error, Result};

/// How long an actor may say nothing before it counts as dead.
const SILENCE: Duration = Duration::from_secs(10);
/// The same while it unpacks weights.
const UNPACKING: Duration = Duration::from_secs(120);
/// The same once this process has been told to end: MPI ends all when one has died, and leaves a second to say which.
const ENDING: Duration = Duration::from_millis(1500);
/// How long the last messages may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// Rank 0, as long as it lives: its end is that of the others.
pub struct LearnerRank {
    end: End,
    others: MpiRanks,
    thread: Option<JoinHandle<()>>,
}

impl LearnerRank {
    pub(super) fn start(end: End, ranks: usize, stopping: Arc<dyn Fn() -> bool + Send + Sync>) -> Result<LearnerRank> {
        let (commands, received) = unbounded();
        let (hosts, threads) = (Mutex::new(vec![String::new(); ranks]), Mutex::new(vec![0; ranks]));
        let shared = Arc::new(CoordinatorState { hosts, threads, ..CoordinatorState::default() });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("coordinator".into()).spawn(move || {
            MpiCoordinator::new(MpiTransport::new(ranks), received, theirs, ranks).work(&*stopping);
        });
        let thread =
            thread.map_err(|error| Error::invalid("MPI", format!("no thread for it: {error}"), "free memory"))?;
        Ok(LearnerRank { end, others: MpiRanks { commands, ranks, shared }, thread: Some(thread) })
    }

    /// Those who sample and help to learn.
    pub fn others(&self) -> MpiRanks {
        self.others.clone()
    }
}

impl Drop for LearnerRank {
    /// Sends the actors home.
    fn drop(&mut self) {
        self.others.say(CoordinatorCommand::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.others.shared.lost.store(true, Ordering::SeqCst);
        }
        if self.others.shared.lost.load(Ordering::SeqCst) {
            self.end.alone();
        }
    }
}

/// What the coordinator knows of an actor.
struct RankState {
    rank: usize,
    heard: Instant,
    unpacking: bool,
    lost: bool,
    /// Completions that it was asked for and has not sent.
    owed: usize,
    /// Of all its workers.
    slots: usize,
    /// Where its share of a gradient is waited for.
    learned: Option<Sender<GradientOutcome>>,
}

impl RankState {
    /// Completions that it owes for each slot.
    fn load(&self) -> f64 {
        self.owed as f64 / self.slots as f64
    }
}

struct MpiCoordinator {
    transport: MpiTransport,
    commands: Receiver<CoordinatorCommand>,
    shared: Arc<CoordinatorState>,
    actors: Vec<RankState>,
    jobs: Option<JobReceiver>,
    /// Number of the queue: what actors say to an older one is not heard.
    round: u64,
    beat: Instant,
    /// It has been told to stop.
    over: bool,
}

impl MpiCoordinator {
    fn new(
        transport: MpiTransport,
        commands: Receiver<CoordinatorCommand>,
        shared: Arc<CoordinatorState>,
        ranks: usize,
    ) -> MpiCoordinator {
        let known = |rank| RankState {
            rank,
            heard: Instant::now(),
            unpacking: false,
            lost: false,
            owed: 0,
            slots: 1,
            learned: None,
        };
        let actors = (1..ranks).map(known).collect();
        let (jobs, beat) = (None, Instant::now());
        MpiCoordinator { transport, commands, shared, actors, jobs, round: 0, beat, over: false }
    }

    /// Carries messages until it is told to stop.
    fn work(mut self, stopping: &(dyn Fn() -> bool + Send + Sync)) {
        loop {
            let outcome = self.turn(stopping);
            match outcome {
                Ok(Turn::Over) => return self.farewell(),
                Ok(Turn::Busy) => {}
                Ok(Turn::Quiet) => std::thread::sleep(LOOK),
                Err(error) => {
                    self.fail(0, error);
                    std::thread::sleep(BEAT);
                }
            }
        }
    }

    fn turn(&mut self, stopping: &(dyn Fn() -> bool + Send + Sync)) -> Result<Turn> {
        let mut turn = if self.obey()? { Turn::Busy } else { Turn::Quiet };
        while let Some((rank, bytes)) = self.transport.next()? {
            turn = Turn::Busy;
            self.hear(rank, bytes)?;
        }
        if self.hand_out()? {
            turn = Turn::Busy;
        }
        if self.beat.elapsed() >= BEAT {
            self.beat = Instant::now();
            self.send_all(&pack(&ToActor::Alive)?)?;
            self.look(stopping());
        }
        Ok(if self.over { Turn::Over } else { turn })
    }

    /// Does what it has been asked to. Whether that was anything.
    fn obey(&mut self) -> Result<bool> {
        let mut some = false;
        while let Ok(command) = self.commands.try_recv() {
            some = true;
            match command {
                CoordinatorCommand::Stop => self.over = true,
                CoordinatorCommand::ReportPartial => self.send_all(&pack(&ToActor::ReportPartial)?)?,
                CoordinatorCommand::Load(message) | CoordinatorCommand::Learn(message) => self.send_all(&message)?,
                CoordinatorCommand::Share { rank, message } => self.send_to(rank, message, None)?,
                CoordinatorCommand::AddTo { rank, message, answer } => self.send_to(rank, message, Some(answer))?,
                CoordinatorCommand::Start(start) => self.send_all(&pack(&ToActor::Start(start))?)?,
                CoordinatorCommand::Reset(jobs) => {
                    self.round += 1;
                    self.jobs = Some(jobs);
                    self.actors.iter_mut().for_each(|actor| actor.owed = 0);
                    self.send_all(&pack(&ToActor::Reset(self.round))?)?;
                }
            }
        }
        Ok(some)
    }

    fn hear(&mut self, rank: usize, bytes: Vec<u8>) -> Result<()> {
        let Some(actor) = self.actors.iter_mut().find(|actor| actor.rank == rank) else { return Ok(()) };
        (actor.heard, actor.unpacking) = (Instant::now(), false);
        match unpack(&bytes)? {
            FromActor::Hello(host) => set(&self.shared.hosts, rank, host),
            FromActor::Started { slots, threads } => {
                actor.slots = slots;
                set(&self.shared.threads, rank, threads);
            }
            FromActor::Event { round, event } if round == self.round => {
                if let WorkerEvent::Completed(_) = &event {
                    actor.owed = actor.owed.saturating_sub(1);
                }
                let event = match event {
                    WorkerEvent::Failed(error) => WorkerEvent::Failed(error.attributed_to(&self.shared.name(rank))),
                    event => event,
                };
                self.report(rank, event);
            }
            FromActor::Learned(outcome) => {
                if let Some(waiting) = actor.learned.take() {
                    let _ = waiting.send(outcome);
                }
            }
            FromActor::Unpacking => actor.unpacking = true,
            FromActor::Event { .. } | FromActor::Alive => {}
        }
        Ok(())
    }

    /// Gives jobs to the actors that owe least for each slot, and to none more than twice what its slots hold, so that
    /// it never has to wait for a job and others are not kept from one. Whether there was a job.
    fn hand_out(&mut self) -> Result<bool> {
        let mut some = false;
        while let Some(at) = self.with_room()
            && let Some((job, urgent)) = self.jobs.as_ref().and_then(JobReceiver::next)
        {
            some = true;
            let round = self.round;
            // Weights that were published before the job was put there go before it.
            self.obey()?;
            if self.round == round {
                let RankState { rank, owed, .. } = &mut self.actors[at];
                *owed += job.begun.len();
                self.transport.send(*rank, pack(&ToActor::Job { urgent, job })?)?;
            }
        }
        Ok(some)
    }

    /// The index of the actor that is to have the next job.
    fn with_room(&self) -> Option<usize> {
        let alive = self.actors.iter().enumerate().filter(|(_, actor)| !actor.lost);
        let (at, actor) = alive.min_by(|(_, one), (_, other)| one.load().total_cmp(&other.load()))?;
        (actor.load() < 2.0).then_some(at)
    }

    /// Names the actors that have died.
    fn look(&mut self, stopping: bool) {
        let limit = |actor: &RankState| match (stopping, actor.unpacking) {
            (true, _) => ENDING,
            (false, true) => UNPACKING,
            (false, false) => SILENCE,
        };
        let dead = |actor: &&mut RankState| !actor.lost && actor.heard.elapsed() >= limit(actor);
        let dead: Vec<(usize, Duration)> = self
            .actors
            .iter_mut()
            .filter(dead)
            .map(|actor| {
                // Whoever waits for its share does that.
                (actor.lost, actor.learned) = (true, None);
                (actor.rank, actor.heard.elapsed())
            })
            .collect();
        for (rank, silent) in dead {
            self.shared.lost.store(true, Ordering::SeqCst);
            set(&self.shared.threads, rank, 0);
            self.fail(rank, gone(&self.shared.name(rank), silent));
        }
    }

    fn report(&self, rank: usize, event: WorkerEvent) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.reports.send(WorkerReport { worker: rank.saturating_sub(1), event });
        }
    }

    fn fail(&self, rank: usize, error: Error) {
        self.report(rank, WorkerEvent::Failed(error));
    }

    /// Sends a message to a rank that is alive. An answer is waited for there from now on.
    fn send_to(&mut self, rank: usize, message: Arc<[u8]>, answer: Option<Sender<GradientOutcome>>) -> Result<()> {
        let Some(actor) = self.actors.iter_mut().find(|actor| actor.rank == rank && !actor.lost) else { return Ok(()) };
        actor.learned = answer;
        self.transport.send(rank, message)
    }

    fn send_all(&mut self, message: &Arc<[u8]>) -> Result<()> {
        for actor in self.actors.iter().filter(|actor| !actor.lost) {
            self.transport.send(actor.rank, message.clone())?;
        }
        Ok(())
    }

    /// Sends the actors home, and gives the message the time that it needs.
    fn farewell(mut self) {
        let deadline = Instant::now() + FAREWELL;
        let alone = self.shared.lost.load(Ordering::SeqCst);
        let _ = pack(&ToActor::Stop { alone }).and_then(|stop| self.send_all(&stop));
        while !self.transport.is_quiet() && Instant::now() < deadline {
            let _ = self.transport.advance();
            std::thread::sleep(LOOK);
        }
        if !self.transport.is_quiet() {
            self.shared.lost.store(true, Ordering::SeqCst);
        }
    }
}

enum Turn {
    Quiet,
    Busy,
    Over,
}

fn gone(name: &str, silent: Duration) -> Error {
    let found = format!("said nothing for {:.1} s: its process or its machine has died", silent.as_secs_f64());
    Error::invalid(name, found, "what was sampled and learned is saved; start the same command again to go on")
}
