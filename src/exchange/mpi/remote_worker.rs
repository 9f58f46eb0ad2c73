//! The other ranks as rank 0 learns with them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use candle_core::TensorId;
use crossbeam_channel::{RecvTimeoutError, bounded};

use super::coordinator::{CoordinatorCommand, MpiRanks, lock};
use super::gradient::{GradientOutcome, GradientSetup};
use super::message::{BorrowedBytes, FromActor, ToActor, pack, unpack};
use crate::kernels::Gradients;
use crate::learner::policy_gradient::Learned;
use crate::learner::{GradWorker, Objective, RemoteRanks, TokenBatch};
use crate::policy::{Policy, Snapshot, Weight};
use crate::{Error, Result};

/// How long the gradient of one part may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the other ranks hold.
pub(super) struct PublishedState {
    /// What was published last.
    pub published: Snapshot,
    /// The trained weights that were published or learned with last.
    weights: Arc<BTreeMap<String, Weight>>,
    /// What tells the policy that they are held to from others.
    reference: Option<TensorId>,
}

impl PublishedState {
    /// The same after a publication.
    pub fn after(before: Option<PublishedState>, published: &Snapshot) -> PublishedState {
        let reference = before.and_then(|held| held.reference);
        PublishedState { published: published.clone(), weights: published.weights.clone(), reference }
    }

    /// Whether what of this policy is not trained is what was published.
    fn knows(&self, policy: &Policy) -> bool {
        let Snapshot { config, frozen, lora, .. } = &self.published;
        *config == policy.config && Arc::ptr_eq(frozen, &policy.frozen) && *lora == policy.lora
    }
}

impl RemoteRanks for MpiRanks {
    fn take_up(
        &self,
        objective: &Objective,
        policy: &Policy,
        reference: Option<&Policy>,
    ) -> Result<Vec<Box<dyn GradWorker>>> {
        let mut held = lock(&self.shared.held);
        let Some(held) = held.as_mut().filter(|held| held.knows(policy)) else { return Ok(Vec::new()) };
        let lesson = GradientSetup::new(objective, policy, &held.weights)?;
        if !lesson.weights.is_empty() {
            Arc::make_mut(&mut held.weights).extend(lesson.weights.clone());
        }
        let id = |policy: &Policy| policy.variables.values().next().map(|variable| variable.id());
        let message = match reference.filter(|reference| id(reference) != held.reference) {
            None => pack(&ToActor::Learn(lesson))?,
            Some(reference) => {
                held.reference = id(reference);
                let snapshot = reference.snapshot(0)?;
                pack(&ToActor::Learn(lesson.held_to(&snapshot, reference.temperature, &held.published)?))?
            }
        };
        self.say(CoordinatorCommand::Learn(message));
        let workers = lock(&self.shared.workers).clone();
        let helper = |rank| -> Box<dyn GradWorker> { Box::new(RemoteWorker { rank, ranks: self.clone() }) };
        // One of each rank after the other, so that few parts do not all go to the first.
        let most = workers.iter().copied().max().unwrap_or(0);
        let turns =
            (0..most).flat_map(|turn| workers.iter().enumerate().map(move |(rank, workers)| (turn, rank, *workers)));
        Ok(turns.filter(|(turn, _, workers)| turn < workers).map(|(_, rank, _)| helper(rank)).collect())
    }
}

/// A learning thread of another rank.
struct RemoteWorker {
    rank: usize,
    ranks: MpiRanks,
}

impl GradWorker for RemoteWorker {
    fn differentiate(&mut self, part: &TokenBatch) -> Result<Option<(Gradients, Learned)>> {
        let (answer, answered) = bounded(1);
        let (rank, number) = (self.rank, self.ranks.shared.next_part());
        let message = pack(&ToActor::Part { number, part: Cow::Borrowed(part) })?;
        self.ranks.say(CoordinatorCommand::Part { rank, number, message, answer });
        match answered.recv_timeout(PATIENCE) {
            Ok(bytes) => match unpack(&bytes)? {
                FromActor::Differentiated { outcome: BorrowedBytes(outcome), .. } => {
                    let outcome: GradientOutcome = unpack(outcome)?;
                    outcome.gradients().map(Some).map_err(|error| error.attributed_to(&self.ranks.shared.name(rank)))
                }
                _ => Ok(None),
            },
            // The rank has died, and whoever waits for completions is told so.
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(Error::Timeout {
                waiter: "the learner".into(),
                awaited: format!("a gradient from {}", self.ranks.shared.name(rank)),
                seconds: PATIENCE.as_secs(),
            }),
        }
    }
}
