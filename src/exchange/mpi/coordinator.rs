//! Rank 0's side: one thread that does all that is said to other ranks, for whoever has a handle.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::message::{FromActor, Load, StartEngines, ToActor, json, pack, unpack};
use super::transport::MpiTransport;
use super::{BEAT, End, LOOK};
use crate::exchange::threads::WorkerBackend;
use crate::exchange::worker::{JobReceiver, WorkerEvent, WorkerReport};
use crate::exchange::{Actors, WorkerPool};
use crate::policy::{Policy, Snapshot};
use crate::rollout::Limits;
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

/// The other ranks, as rank 0 speaks to them.
#[derive(Clone)]
pub struct MpiRanks {
    commands: Sender<CoordinatorCommand>,
    ranks: usize,
    shared: Arc<CoordinatorState>,
}

/// The same as the workers of a pool.
struct RankWorkers {
    ranks: MpiRanks,
    /// What they sample from.
    published: Option<Snapshot>,
}

/// What the coordinator tells those who speak through it.
#[derive(Default)]
struct CoordinatorState {
    /// Names of the actors' machines, as far as they are known.
    hosts: Mutex<Vec<String>>,
    /// An actor has died.
    lost: AtomicBool,
}

/// What the coordinator is asked to do.
enum CoordinatorCommand {
    Start(StartEngines),
    Load(Arc<[u8]>),
    Reset(JobReceiver),
    ReportPartial,
    Stop,
}

impl LearnerRank {
    pub(super) fn start(end: End, ranks: usize, stopping: Arc<dyn Fn() -> bool + Send + Sync>) -> Result<LearnerRank> {
        let (commands, received) = unbounded();
        let hosts = Mutex::new(vec![String::new(); ranks]);
        let shared = Arc::new(CoordinatorState { hosts, ..CoordinatorState::default() });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("coordinator".into()).spawn(move || {
            MpiCoordinator::new(MpiTransport::new(ranks), received, theirs, ranks).work(&*stopping);
        });
        let thread =
            thread.map_err(|error| Error::invalid("MPI", format!("no thread for it: {error}"), "free memory"))?;
        Ok(LearnerRank { end, others: MpiRanks { commands, ranks, shared }, thread: Some(thread) })
    }

    /// Those who sample.
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

impl Actors for MpiRanks {
    /// Where the policy is on a card, each rank samples on the card of its number among the ranks of its machine.
    fn pool(&self, workers: Option<usize>, policy: &Policy) -> Result<WorkerPool> {
        let (config, max_tokens) = (&policy.config, policy.config.longest_sequence());
        let card = policy.is_on_card().then_some(policy.precision);
        self.say(CoordinatorCommand::Start(StartEngines { config: json(config.as_ref())?, max_tokens, workers, card }));
        let workers = RankWorkers { ranks: self.clone(), published: None };
        Ok(WorkerPool::with_backend(workers, Limits { max_tokens, vocab_size: config.vocab_size }))
    }
}

impl MpiRanks {
    /// How many they are, of which there is at least one.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.ranks - 1
    }

    fn say(&self, command: CoordinatorCommand) {
        // The coordinator goes when the learner does, and then nobody waits for an answer.
        let _ = self.commands.send(command);
    }
}

impl WorkerBackend for RankWorkers {
    fn len(&self) -> usize {
        self.ranks.len()
    }

    /// Worker 0 is rank 1.
    fn name(&self, worker: usize) -> String {
        self.ranks.shared.name(worker + 1)
    }

    fn publish(&mut self, snapshot: &Snapshot) -> Result<()> {
        let message = pack(&ToActor::Load(Load::new(snapshot, self.published.as_ref())?))?;
        self.published = Some(snapshot.clone());
        self.ranks.say(CoordinatorCommand::Load(message));
        Ok(())
    }

    fn reset(&self, jobs: &JobReceiver) {
        self.ranks.say(CoordinatorCommand::Reset(jobs.clone()));
    }

    fn report_partial(&self) {
        self.ranks.say(CoordinatorCommand::ReportPartial);
    }
}

impl CoordinatorState {
    fn name(&self, rank: usize) -> String {
        match self.hosts().get(rank).filter(|host| !host.is_empty()) {
            Some(host) => format!("rank {rank} (on {host})"),
            None => format!("rank {rank}"),
        }
    }

    fn hosts(&self) -> MutexGuard<'_, Vec<String>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
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
        let known = |rank| RankState { rank, heard: Instant::now(), unpacking: false, lost: false, owed: 0, slots: 1 };
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
                CoordinatorCommand::Load(message) => self.send_all(&message)?,
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
            FromActor::Hello(host) => {
                if let Some(known) = self.shared.hosts().get_mut(rank) {
                    *known = host;
                }
            }
            FromActor::Started(slots) => actor.slots = slots,
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
                actor.lost = true;
                (actor.rank, actor.heard.elapsed())
            })
            .collect();
        for (rank, silent) in dead {
            self.shared.lost.store(true, Ordering::SeqCst);
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
