//! What ranks say to each other: the jobs and the events that channels carry within a process, and what belongs to them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::gradient::{GradientOutcome, GradientSetup, NamedWeights};
use super::load::Load;
use crate::exchange::worker::WorkerEvent;
use crate::kernels::Precision;
use crate::learner::TokenBatch;
use crate::rollout::Job;

/// From the learner to an actor.
#[derive(Serialize, Deserialize)]
pub(super) enum ToActor<'a> {
    /// Make engines for a model.
    Start(StartEngines),
    Load(Load<'a>),
    /// Drop everything; events are of this round from now on.
    Reset(u64),
    Job {
        urgent: bool,
        job: Job,
    },
    ReportPartial,
    /// Learn this from now on.
    Learn(GradientSetup<'a>),
    /// Differentiate these parts of a batch.
    Share(Cow<'a, [TokenBatch]>),
    /// Add their gradients, one after the other, to the sum over all parts before them.
    AddTo(NamedWeights),
    /// The learner is alive.
    Alive,
    /// It is over. Alone: another rank has died, and MPI's common end would be waited for in vain.
    Stop {
        alone: bool,
    },
}

/// From an actor to the learner.
#[derive(Serialize, Deserialize)]
pub(super) enum FromActor {
    /// The name of its machine.
    Hello(String),
    /// It has made engines.
    Started {
        /// Of all its workers.
        slots: usize,
        /// Threads that it learns with: none, if it is on a card.
        threads: usize,
    },
    Event {
        round: u64,
        event: WorkerEvent,
    },
    /// What has come of its share.
    Learned(GradientOutcome),
    /// It will say nothing while it unpacks weights.
    Unpacking,
    Alive,
}

/// The engines of an actor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StartEngines {
    /// In the words of `config.json`.
    pub config: String,
    pub max_tokens: usize,
    /// Workers; one on each core unless told.
    pub workers: Option<usize>,
    /// On the card of each rank, which computes with this precision, where the learner is on one.
    pub card: Option<Precision>,
}

#[cfg(test)]
mod tests {
    use super::super::load::{pack, unpack};
    use super::*;
    use crate::Error;
    use crate::rollout::tests::request;
    use crate::rollout::{Finish, PartialCompletion, Versions};

    #[test]
    fn jobs_and_events_arrive_as_they_were() {
        let job = Job::new(7, request(&[1, 2, 3], 4, 0.7, 5));
        let bytes = pack(&ToActor::Job { urgent: true, job: job.clone() }).unwrap();
        assert!(matches!(unpack(&bytes).unwrap(), ToActor::Job { urgent: true, job: found } if found == job));
        let mut versions = Versions::default();
        [3, 3, 4].into_iter().for_each(|version| versions.push(version));
        let (tokens, log_probs) = (vec![5, 6, 2], vec![-0.25, -1e-9, -7.125]);
        let (sampling_mask, top_logprobs) = (vec![vec![2, 5], vec![], vec![2]], vec![vec![(5, -0.5), (2, -0.25)]; 3]);
        let completion = PartialCompletion {
            tokens,
            log_probs,
            versions,
            sampling_mask,
            top_logprobs,
            ..PartialCompletion::new(7, 3)
        };
        let completion = completion.end(Finish::Stop);
        let bytes = pack(&FromActor::Event { round: 2, event: WorkerEvent::Completed(completion.clone()) }).unwrap();
        let found = unpack(&bytes).unwrap();
        assert!(
            matches!(found, FromActor::Event { round: 2, event: WorkerEvent::Completed(found) } if found == completion)
        );
        let failure = Error::invalid("request 3", "logits that are not finite", "lower the learning rate");
        let words = failure.to_string();
        let bytes = pack(&FromActor::Event { round: 0, event: WorkerEvent::Failed(failure) }).unwrap();
        let found = unpack(&bytes).unwrap();
        assert!(
            matches!(found, FromActor::Event { event: WorkerEvent::Failed(found), .. } if found.to_string() == words)
        );
        assert!(unpack::<FromActor>(&[99]).is_err());
    }
}
