//! The other ranks as the rest of rank 0 sees them: workers of a pool, and a share of a gradient's work.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use candle_core::TensorId;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::gradient::{GradientOutcome, GradientSetup, NamedWeights, to_weights};
use super::load::{Load, json, pack};
use super::message::{StartEngines, ToActor};
use crate::exchange::threads::WorkerBackend;
use crate::exchange::worker::JobReceiver;
use crate::exchange::{Actors, WorkerPool};
use crate::kernels::Gradients;
use crate::learner::objective::{TakenParts, shares};
use crate::learner::policy_gradient::Learned;
use crate::learner::{Objective, RemoteRanks, RemoteShare, TokenBatch};
use crate::policy::{Policy, Snapshot};
use crate::rollout::Limits;
use crate::{Error, Result};

/// How long a share of a gradient may take, from when the sum of those before it is there.
const PATIENCE: Duration = Duration::from_secs(600);

/// The other ranks, as rank 0 speaks to them.
#[derive(Clone)]
pub struct MpiRanks {
    pub(super) commands: Sender<CoordinatorCommand>,
    pub(super) ranks: usize,
    pub(super) shared: Arc<CoordinatorState>,
}

/// The same as the workers of a pool.
struct RankWorkers(MpiRanks);

/// The parts of a batch that a rank differentiates.
struct RankShare {
    rank: usize,
    ranks: MpiRanks,
}

/// What the coordinator tells those who speak through it, and what they know of the ranks together.
#[derive(Default)]
pub(super) struct CoordinatorState {
    /// Names of the actors' machines, as far as they are known.
    pub hosts: Mutex<Vec<String>>,
    /// Threads that learn, by rank: none of rank 0, and none of those that have died.
    pub threads: Mutex<Vec<usize>>,
    /// An actor has died.
    pub lost: AtomicBool,
    pub held: Mutex<Option<PublishedState>>,
}

/// What the other ranks hold.
pub(super) struct PublishedState {
    /// What was published last.
    published: Snapshot,
    /// The trained weights that were published or learned with last.
    weights: Arc<NamedWeights>,
    /// What tells the policy that they are held to from others.
    reference: Option<TensorId>,
}

/// What the coordinator is asked to do.
pub(super) enum CoordinatorCommand {
    Start(StartEngines),
    Load(Arc<[u8]>),
    Reset(JobReceiver),
    ReportPartial,
    Learn(Arc<[u8]>),
    /// The parts of a batch that a rank is to differentiate.
    Share {
        rank: usize,
        message: Arc<[u8]>,
    },
    /// The sum that it is to add their gradients to. The answer is what comes of it, or goes with the rank.
    AddTo {
        rank: usize,
        message: Arc<[u8]>,
        answer: Sender<GradientOutcome>,
    },
    Stop,
}

impl Actors for MpiRanks {
    /// Where the policy is on a card, each rank samples on the card of its number among the ranks of its machine.
    fn pool(&self, workers: Option<usize>, policy: &Policy) -> Result<WorkerPool> {
        let (config, max_tokens) = (policy.config.as_ref(), policy.config.longest_sequence());
        let card = policy.is_on_card().then_some(policy.precision);
        *lock(&self.shared.held) = None;
        self.say(CoordinatorCommand::Start(StartEngines { config: json(config)?, max_tokens, workers, card }));
        let limits = Limits { max_tokens, vocab_size: config.vocab_size };
        Ok(WorkerPool::with_backend(RankWorkers(self.clone()), limits))
    }

    fn others(&self) -> Option<&dyn RemoteRanks> {
        Some(self)
    }
}

impl MpiRanks {
    /// How many they are, of which there is at least one.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.ranks - 1
    }

    pub(super) fn say(&self, command: CoordinatorCommand) {
        // The coordinator goes when the learner does, and then nobody waits for an answer.
        let _ = self.commands.send(command);
    }
}

impl WorkerBackend for RankWorkers {
    fn len(&self) -> usize {
        self.0.len()
    }

    /// Worker 0 is rank 1.
    fn name(&self, worker: usize) -> String {
        self.0.shared.name(worker + 1)
    }

    fn publish(&mut self, snapshot: &Snapshot) -> Result<()> {
        let mut held = lock(&self.0.shared.held);
        let message = pack(&ToActor::Load(Load::new(snapshot, held.as_ref().map(|held| &held.published))?))?;
        let reference = held.take().and_then(|held| held.reference);
        *held = Some(PublishedState { published: snapshot.clone(), weights: snapshot.weights.clone(), reference });
        self.0.say(CoordinatorCommand::Load(message));
        Ok(())
    }

    fn reset(&self, jobs: &JobReceiver) {
        self.0.say(CoordinatorCommand::Reset(jobs.clone()));
    }

    fn report_partial(&self) {
        self.0.say(CoordinatorCommand::ReportPartial);
    }
}

impl RemoteRanks for MpiRanks {
    fn begin(
        &self,
        objective: &Objective,
        policy: &Policy,
        reference: Option<&Policy>,
        parts: &[TokenBatch],
        threads: usize,
    ) -> Result<Vec<TakenParts>> {
        let mut held = lock(&self.shared.held);
        let Some(held) = held.as_mut().filter(|held| held.knows(policy)) else { return Ok(Vec::new()) };
        let mut all = lock(&self.shared.threads).clone();
        if let Some(own) = all.first_mut() {
            *own = threads;
        }
        let shares = shares(parts.len(), &all).into_iter().enumerate().skip(1);
        let shares: Vec<(usize, Range<usize>)> = shares.filter(|(_, parts)| !parts.is_empty()).collect();
        if shares.is_empty() {
            return Ok(Vec::new());
        }
        let setup = GradientSetup::new(objective, policy, &held.weights)?;
        if !setup.weights.is_empty() {
            Arc::make_mut(&mut held.weights).extend(setup.weights.clone());
        }
        let id = |policy: &Policy| policy.variables.values().next().map(|variable| variable.id());
        let message = match reference.filter(|reference| id(reference) != held.reference) {
            None => pack(&ToActor::Learn(setup))?,
            Some(reference) => {
                held.reference = id(reference);
                let snapshot = reference.snapshot(0)?;
                pack(&ToActor::Learn(setup.held_to(&snapshot, reference.temperature, &held.published)?))?
            }
        };
        self.say(CoordinatorCommand::Learn(message));
        let begun = |(rank, theirs): (usize, Range<usize>)| -> Result<TakenParts> {
            let message = pack(&ToActor::Share(Cow::Borrowed(&parts[theirs.clone()])))?;
            self.say(CoordinatorCommand::Share { rank, message });
            Ok((theirs, Box::new(RankShare { rank, ranks: self.clone() })))
        };
        shares.into_iter().map(begun).collect()
    }
}

impl RemoteShare for RankShare {
    fn add_to(&self, sum: &Gradients) -> Result<Option<(Gradients, Vec<Learned>)>> {
        let (answer, answered) = bounded(1);
        let message = pack(&ToActor::AddTo(to_weights(sum)?))?;
        self.ranks.say(CoordinatorCommand::AddTo { rank: self.rank, message, answer });
        let name = || self.ranks.shared.name(self.rank);
        match answered.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome.into_result().map(Some).map_err(|error| error.attributed_to(&name())),
            // The rank has died, and whoever waits for completions is told so.
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(Error::Timeout {
                waiter: "the learner".into(),
                awaited: format!("a gradient from {}", name()),
                seconds: PATIENCE.as_secs(),
            }),
        }
    }
}

impl CoordinatorState {
    /// How messages name a rank.
    pub fn name(&self, rank: usize) -> String {
        match lock(&self.hosts).get(rank).filter(|host| !host.is_empty()) {
            Some(host) => format!("rank {rank} (on {host})"),
            None => format!("rank {rank}"),
        }
    }
}

impl PublishedState {
    /// Whether what of this policy is not trained is what was published.
    fn knows(&self, policy: &Policy) -> bool {
        let Snapshot { config, frozen, lora, .. } = &self.published;
        !policy.is_on_card() && *config == policy.config && Arc::ptr_eq(frozen, &policy.frozen) && *lora == policy.lora
    }
}

/// Notes something about a rank.
pub(super) fn set<T>(list: &Mutex<Vec<T>>, rank: usize, value: T) {
    if let Some(known) = lock(list).get_mut(rank) {
        *known = value;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
