//! A rank's share of the learning: parts of rank 0's batches, on threads of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::gradient::{GradientOutcome, GradientSetup, NamedWeights, to_gradients};
use super::load::pack;
use super::message::FromActor;
use crate::exchange::worker::panicked;
use crate::kernels::Gradients;
use crate::learner::{Objective, TokenBatch, parallel};
use crate::policy::{Policy, Snapshot};
use crate::{Error, Result};

/// What a rank learns with from one model to the next.
pub(super) struct GradientShare {
    /// The trained weights that rank 0 learns with, as far as it has told.
    weights: Arc<NamedWeights>,
    /// The policy that has them, once it was asked for.
    policy: Option<Policy>,
    /// The policy that objectives are held to, once it was told of.
    reference: Option<Policy>,
    /// What is differentiated, and of which policy.
    task: Option<(Objective, Policy)>,
    jobs: Sender<ShareJob>,
    /// Where the newest job waits for the sum over all parts before its own.
    sum: Option<Sender<Gradients>>,
    answers: Receiver<Result<Arc<[u8]>>>,
}

struct ShareJob {
    objective: Objective,
    policy: Policy,
    reference: Option<Policy>,
    parts: Vec<TokenBatch>,
    sum: Receiver<Gradients>,
}

impl GradientShare {
    /// Starts a thread that works on one share after the other, on so many threads. It ends with this, as soon as it is
    /// through with what it is at.
    pub fn start(threads: usize) -> Result<GradientShare> {
        let ((jobs, to_do), (say, answers)) = (unbounded::<ShareJob>(), unbounded());
        let thread = std::thread::Builder::new().name("learn".into()).spawn(move || {
            for answer in to_do.into_iter().filter_map(|job| job.answer(threads)) {
                // Nobody listens any more when the share has ended.
                let _ = say.send(answer);
            }
        });
        thread.map_err(|error| Error::invalid("MPI", format!("no thread to learn with: {error}"), "free memory"))?;
        let (weights, policy, reference, task, sum) = (Arc::default(), None, None, None, None);
        Ok(GradientShare { weights, policy, reference, task, jobs, sum, answers })
    }

    /// What is sampled from now is what is learned with next.
    pub fn publish(&mut self, snapshot: &Snapshot) {
        (self.weights, self.policy) = (snapshot.weights.clone(), None);
    }

    /// Takes up what is learned from now on. `loaded` is what is sampled from, and has whatever is not trained.
    pub fn learn(&mut self, mut setup: GradientSetup, loaded: &Snapshot) -> Result<()> {
        if !setup.weights.is_empty() {
            Arc::make_mut(&mut self.weights).append(&mut setup.weights);
            self.policy = None;
        }
        if let Some(reference) = setup.reference(loaded)? {
            self.reference = Some(reference);
        }
        let policy = match self.policy.take() {
            Some(policy) => policy,
            None => Policy::from_snapshot(&Snapshot { weights: self.weights.clone(), ..loaded.clone() })?,
        };
        self.task = Some((setup.objective()?, setup.policy(&policy)?));
        self.policy = Some(policy);
        Ok(())
    }

    /// Has parts of a batch differentiated.
    pub fn begin(&mut self, parts: Vec<TokenBatch>) {
        if let Some((objective, policy)) = self.task.clone() {
            // A job before it whose sum has never come is given up with the sender of that.
            let (sender, sum) = bounded(1);
            self.sum = Some(sender);
            // Fails when the thread is not there any more; then rank 0 loses its patience.
            let _ = self.jobs.send(ShareJob { objective, policy, reference: self.reference.clone(), parts, sum });
        }
    }

    /// Has the gradients of the newest parts added to the sum over those before them.
    pub fn add_to(&mut self, sum: NamedWeights) -> Result<()> {
        if let Some(waiting) = self.sum.take() {
            let _ = waiting.send(to_gradients(sum)?);
        }
        Ok(())
    }

    /// The next message for rank 0.
    pub fn answer(&self) -> Option<Result<Arc<[u8]>>> {
        self.answers.try_recv().ok()
    }
}

impl ShareJob {
    /// The message with what has come of it; none, if nobody wants to know.
    fn answer(self, threads: usize) -> Option<Result<Arc<[u8]>>> {
        let ShareJob { objective, policy, reference, parts, sum } = self;
        let part = |part: &TokenBatch| objective.differentiate(&policy, reference.as_ref(), part);
        let differentiated = catch_unwind(AssertUnwindSafe(|| parallel::each(parts.iter().collect(), threads, part)));
        let differentiated = differentiated.unwrap_or_else(|panic| Err(panicked("learning thread", &*panic)));
        let mut sum = sum.recv().ok()?;
        let outcome = differentiated.and_then(|parts| {
            let add = |(gradients, learned)| sum.add(gradients).map(|()| learned);
            let learned = parts.into_iter().map(add).collect::<Result<_>>()?;
            Ok((sum, learned))
        });
        Some(pack(&FromActor::Learned(GradientOutcome::from_result(outcome))))
    }
}
