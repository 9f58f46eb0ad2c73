//! Rank 0's side: one thread that does all that is said to other ranks, for whoever has a handle.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::message::{FromActor, Load, StartEngines, ToActor, json, pack, unpack};
use super::remote_worker::PublishedState;
use super::transport::MpiTransport;
use super::{BEAT, End, LOOK};
use crate::exchange::worker::{JobReceiver, WorkerEvent, WorkerReport};
use crate::exchange::{Actors, WorkerPool};
use crate::learner::RemoteRanks;
use crate::policy::{ModelConfig, Policy, Snapshot};
use crate::rollout::{Job, SLOTS};
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
    orders: Sender<CoordinatorCommand>,
    ranks: usize,
    pub(super) shared: Arc<CoordinatorState>,
}

/// What the coordinator tells those who speak through it.
#[derive(Default)]
pub(super) struct CoordinatorState {
    /// Names of the actors' machines, as far as they are known.
    hosts: Mutex<Vec<String>>,
    /// Workers by rank: none of rank 0, and none of those that have died.
    pub workers: Mutex<Vec<usize>>,
    /// An actor has died.
    lost: AtomicBool,
    pub held: Mutex<Option<PublishedState>>,
    /// Parts that were sent to be differentiated.
    parts: AtomicU64,
}

/// What the coordinator is asked to do.
pub(super) enum CoordinatorCommand {
    Start(StartEngines),
    Load(Arc<[u8]>),
    Learn(Arc<[u8]>),
    /// A part for a rank. The answer is what comes of it, or goes with the rank.
    Part {
        rank: usize,
        number: u64,
        message: Arc<[u8]>,
        answer: Sender<Vec<u8>>,
    },
    Reset(JobReceiver),
    ReportPartial,
    Stop,
}

impl LearnerRank {
    pub(super) fn start(end: End, ranks: usize, stopping: Arc<dyn Fn() -> bool + Send + Sync>) -> Result<LearnerRank> {
        let (orders, received) = unbounded();
        let (hosts, workers) = (Mutex::new(vec![String::new(); ranks]), Mutex::new(vec![0; ranks]));
        let shared = Arc::new(CoordinatorState { hosts, workers, ..CoordinatorState::default() });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("coordinator".into()).spawn(move || {
            MpiCoordinator::new(MpiTransport::new(ranks), received, theirs, ranks).work(&*stopping);
        });
        let thread =
            thread.map_err(|error| Error::invalid("MPI", format!("no thread for it: {error}"), "free memory"))?;
        Ok(LearnerRank { end, others: MpiRanks { orders, ranks, shared }, thread: Some(thread) })
    }

    /// Those who sample and help to learn.
    pub fn others(&self) -> MpiRanks {
        self.others.clone()
    }
}

impl Drop for LearnerRank {
    /// Sends the actors home.
    fn drop(&mut self) {
        let _ = self.others.orders.send(CoordinatorCommand::Stop);
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
    /// Errors: a policy on a card.
    fn pool(&self, workers: Option<usize>, policy: &Policy) -> Result<WorkerPool> {
        if policy.is_on_card() {
            let remedy = "set run.device to \"cpu\", or start one process alone";
            return Err(Error::invalid("run.device", "a card, and ranks, which sample on processors", remedy));
        }
        WorkerPool::on_ranks(self, workers, &policy.config, SLOTS, policy.config.longest_sequence())
    }

    fn others(&self) -> Option<&dyn RemoteRanks> {
        Some(self)
    }
}

impl MpiRanks {
    /// How many they are.
    pub fn len(&self) -> usize {
        self.ranks - 1
    }

    /// Whether nobody samples; never so where there is rank 0 and another.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How messages name the actor with this number, which is rank 1 for actor 0.
    pub fn name(&self, actor: usize) -> String {
        self.shared.name(actor + 1)
    }

    /// Has them make engines of `slots` slots of `max_tokens` tokens for a model, `workers` on each (one a core unless told).
    pub fn start(&self, workers: Option<usize>, config: &ModelConfig, slots: usize, max_tokens: usize) -> Result<()> {
        *lock(&self.shared.held) = None;
        self.say(CoordinatorCommand::Start(StartEngines { config: json(config)?, slots, max_tokens, workers }));
        Ok(())
    }

    pub(in crate::exchange) fn publish(&self, snapshot: &Snapshot) -> Result<()> {
        let mut held = lock(&self.shared.held);
        let message = pack(&ToActor::Load(Load::new(snapshot, held.as_ref().map(|held| &held.published))?))?;
        *held = Some(PublishedState::after(held.take(), snapshot));
        self.say(CoordinatorCommand::Load(message));
        Ok(())
    }

    pub(in crate::exchange) fn serve(&self, desk: JobReceiver) {
        self.say(CoordinatorCommand::Reset(desk));
    }

    pub(in crate::exchange) fn tell(&self) {
        self.say(CoordinatorCommand::ReportPartial);
    }

    pub(super) fn say(&self, order: CoordinatorCommand) {
        // The coordinator goes when the learner does, and then nobody waits for an answer.
        let _ = self.orders.send(order);
    }
}

impl CoordinatorState {
    /// A number that no other part has.
    pub fn next_part(&self) -> u64 {
        self.parts.fetch_add(1, Ordering::Relaxed)
    }

    pub fn name(&self, rank: usize) -> String {
        match lock(&self.hosts).get(rank).filter(|host| !host.is_empty()) {
            Some(host) => format!("rank {rank} (on {host})"),
            None => format!("rank {rank}"),
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
    workers: usize,
}

struct MpiCoordinator {
    wire: MpiTransport,
    orders: Receiver<CoordinatorCommand>,
    shared: Arc<CoordinatorState>,
    actors: Vec<RankState>,
    desk: Option<JobReceiver>,
    /// Who waits for the gradient of a part, and from which rank.
    parts: BTreeMap<u64, (usize, Sender<Vec<u8>>)>,
    /// Number of the queue: what actors say to an older one is not heard.
    round: u64,
    /// Slots of each worker of an actor.
    slots: usize,
    beat: Instant,
    /// It has been told to stop.
    over: bool,
}

impl MpiCoordinator {
    fn new(
        wire: MpiTransport,
        orders: Receiver<CoordinatorCommand>,
        shared: Arc<CoordinatorState>,
        ranks: usize,
    ) -> MpiCoordinator {
        let known =
            |rank| RankState { rank, heard: Instant::now(), unpacking: false, lost: false, owed: 0, workers: 1 };
        let actors = (1..ranks).map(known).collect();
        let (desk, parts, beat) = (None, BTreeMap::new(), Instant::now());
        MpiCoordinator { wire, orders, shared, actors, desk, parts, round: 0, slots: 0, beat, over: false }
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
        while let Some((rank, bytes)) = self.wire.next()? {
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
        while let Ok(order) = self.orders.try_recv() {
            some = true;
            match order {
                CoordinatorCommand::Stop => self.over = true,
                CoordinatorCommand::ReportPartial => self.send_all(&pack(&ToActor::ReportPartial)?)?,
                CoordinatorCommand::Load(message) | CoordinatorCommand::Learn(message) => self.send_all(&message)?,
                CoordinatorCommand::Part { rank, number, message, answer } => {
                    if self.actors.iter().any(|actor| actor.rank == rank && !actor.lost) {
                        self.wire.send(rank, message)?;
                        self.parts.insert(number, (rank, answer));
                    }
                }
                CoordinatorCommand::Start(start) => {
                    self.slots = start.slots;
                    self.send_all(&pack(&ToActor::Start(start))?)?;
                }
                CoordinatorCommand::Reset(desk) => {
                    self.round += 1;
                    self.desk = Some(desk);
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
        let mut differentiated = None;
        match unpack(&bytes)? {
            FromActor::Hello(host) => set(&self.shared.hosts, rank, host),
            FromActor::Started(workers) => {
                actor.workers = workers;
                set(&self.shared.workers, rank, workers);
            }
            FromActor::News { round, news } if round == self.round => {
                if let WorkerEvent::Completed(_) = &news {
                    actor.owed = actor.owed.saturating_sub(1);
                }
                let news = match news {
                    WorkerEvent::Failed(error) => WorkerEvent::Failed(error.attributed_to(&self.shared.name(rank))),
                    news => news,
                };
                self.report(rank, news);
            }
            FromActor::Differentiated { number, .. } => differentiated = Some(number),
            FromActor::Unpacking => actor.unpacking = true,
            FromActor::News { .. } | FromActor::Alive => {}
        }
        // Whoever waits for it unpacks the rest.
        if let Some((_, answer)) = differentiated.and_then(|number| self.parts.remove(&number)) {
            let _ = answer.send(bytes);
        }
        Ok(())
    }

    /// Gives jobs to the actors that owe least for each worker, and to none more than twice what its slots hold, so that
    /// it never has to wait for a job and others are not kept from one. Whether there was a job.
    fn hand_out(&mut self) -> Result<bool> {
        let mut some = false;
        while let Some(at) = self.with_room()
            && let Some((job, urgent)) = self.desk.as_ref().and_then(next)
        {
            some = true;
            let round = self.round;
            // Weights that were published before the job was put there go before it.
            self.obey()?;
            if self.round == round {
                let RankState { rank, owed, .. } = &mut self.actors[at];
                *owed += job.begun.len();
                self.wire.send(*rank, pack(&ToActor::Job { urgent, job })?)?;
            }
        }
        Ok(some)
    }

    /// The index of the actor that is to have the next job.
    fn with_room(&self) -> Option<usize> {
        let alive = self.actors.iter().enumerate().filter(|(_, actor)| !actor.lost);
        let (at, actor) = alive.min_by_key(|(_, actor)| actor.owed / actor.workers.max(1))?;
        (actor.owed < 2 * self.slots * actor.workers).then_some(at)
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
            set(&self.shared.workers, rank, 0);
            // Whoever waits for them does them.
            self.parts.retain(|_, (of, _)| *of != rank);
            self.fail(rank, gone(&self.shared.name(rank), silent));
        }
    }

    fn report(&self, rank: usize, news: WorkerEvent) {
        if let Some(desk) = &self.desk {
            let _ = desk.reports.send(WorkerReport { worker: rank.saturating_sub(1), news });
        }
    }

    fn fail(&self, rank: usize, error: Error) {
        self.report(rank, WorkerEvent::Failed(error));
    }

    fn send_all(&mut self, message: &Arc<[u8]>) -> Result<()> {
        for actor in self.actors.iter().filter(|actor| !actor.lost) {
            self.wire.send(actor.rank, message.clone())?;
        }
        Ok(())
    }

    /// Sends the actors home, and gives the message the time that it needs.
    fn farewell(mut self) {
        let deadline = Instant::now() + FAREWELL;
        let alone = self.shared.lost.load(Ordering::SeqCst);
        let _ = pack(&ToActor::Stop { alone }).and_then(|stop| self.send_all(&stop));
        while !self.wire.is_quiet() && Instant::now() < deadline {
            let _ = self.wire.advance();
            std::thread::sleep(LOOK);
        }
        if !self.wire.is_quiet() {
            self.shared.lost.store(true, Ordering::SeqCst);
        }
    }
}

enum Turn {
    Quiet,
    Busy,
    Over,
}

/// The next job of a queue, and whether it goes before others.
fn next(desk: &JobReceiver) -> Option<(Job, bool)> {
    let urgent = desk.urgent.try_recv().map(|job| (job, true));
    urgent.or_else(|_| desk.jobs.try_recv().map(|job| (job, false))).ok()
}

/// Notes something about a rank.
fn set<T>(list: &Mutex<Vec<T>>, rank: usize, value: T) {
    if let Some(known) = lock(list).get_mut(rank) {
        *known = value;
    }
}

fn gone(name: &str, silent: Duration) -> Error {
    let found = format!("said nothing for {:.1} s: its process or its machine has died", silent.as_secs_f64());
    Error::invalid(name, found, "what was sampled and learned is saved; start the same command again to go on")
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
