//! A rank's share of the learning: it differentiates parts of rank 0's batches, on threads of its own.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::gradient::{GradientOutcome, GradientSetup};
use super::message::{BorrowedBytes, FromActor, pack};
use crate::exchange::worker::panicked;
use crate::learner::{Objective, TokenBatch};
use crate::policy::{Policy, Snapshot, Weight};
use crate::{Error, Result};

pub(super) struct GradientThreads {
    /// The trained weights that rank 0 learns with, as far as it has told.
    weights: Arc<BTreeMap<String, Weight>>,
    /// The policy that has them, once it was asked for.
    policy: Option<Policy>,
    /// The policy that objectives are held to, once it was told of.
    reference: Option<Policy>,
    task: Option<Arc<GradTask>>,
    jobs: Sender<GradientJob>,
    answers: Receiver<Result<Arc<[u8]>>>,
}

/// What parts are differentiated with. Nobody changes it: whoever is still at work with an older one goes on.
struct GradTask {
    objective: Objective,
    policy: Policy,
    reference: Option<Policy>,
}

struct GradientJob {
    number: u64,
    part: TokenBatch,
    task: Arc<GradTask>,
}

impl GradientThreads {
    /// Starts so many threads. They end with it, as soon as they are through with what they are at.
    pub fn start(threads: usize) -> Result<GradientThreads> {
        let ((jobs, to_do), (say, answers)) = (unbounded::<GradientJob>(), unbounded());
        for number in 0..threads {
            let (to_do, say) = (to_do.clone(), say.clone());
            let thread = std::thread::Builder::new().name(format!("learn-{number}"));
            let started = thread.spawn(move || {
                for job in to_do {
                    // Nobody listens any more when the share has ended.
                    let _ = say.send(job.answer(number));
                }
            });
            started.map_err(|error| {
                Error::invalid("MPI", format!("no thread to learn with: {error}"), "use fewer run.workers")
            })?;
        }
        Ok(GradientThreads { weights: Arc::default(), policy: None, reference: None, task: None, jobs, answers })
    }

    /// What is sampled from now is what is learned with next.
    pub fn publish(&mut self, snapshot: &Snapshot) {
        (self.weights, self.policy) = (snapshot.weights.clone(), None);
    }

    /// Takes up what is learned from now on. `loaded` is what is sampled from, and has whatever is not trained.
    pub fn learn(&mut self, mut lesson: GradientSetup, loaded: &Snapshot) -> Result<()> {
        if !lesson.weights.is_empty() {
            Arc::make_mut(&mut self.weights).append(&mut lesson.weights);
            self.policy = None;
        }
        if let Some(reference) = lesson.reference(loaded)? {
            self.reference = Some(reference);
        }
        let policy = match self.policy.take() {
            Some(policy) => policy,
            None => Policy::from_snapshot(&Snapshot { weights: self.weights.clone(), ..loaded.clone() })?,
        };
        let (objective, reference) = (lesson.objective()?, self.reference.clone());
        self.task = Some(Arc::new(GradTask { objective, policy: lesson.policy(&policy)?, reference }));
        self.policy = Some(policy);
        Ok(())
    }

    /// Has a part differentiated.
    pub fn work(&self, number: u64, part: TokenBatch) {
        if let Some(task) = &self.task {
            // Fails when no thread is there any more; then rank 0 loses its patience.
            let _ = self.jobs.send(GradientJob { number, part, task: task.clone() });
        }
    }

    /// The next message for rank 0.
    pub fn answer(&self) -> Option<Result<Arc<[u8]>>> {
        self.answers.try_recv().ok()
    }
}

impl GradientJob {
    fn answer(self, thread: usize) -> Result<Arc<[u8]>> {
        let GradTask { objective, policy, reference } = &*self.task;
        let differentiate = || objective.differentiate(policy, reference.as_ref(), &self.part);
        let outcome = catch_unwind(AssertUnwindSafe(differentiate));
        let outcome = outcome.unwrap_or_else(|panic| Err(panicked(&format!("learning thread {thread}"), &*panic)));
        let outcome = pack(&GradientOutcome::from_result(outcome))?;
        pack(&FromActor::Differentiated { number: self.number, outcome: BorrowedBytes(&outcome) })
    }
}
