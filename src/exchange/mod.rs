//! What moves weights and rollouts between actors and learner: threads and channels, or ranks and messages.
//!
//! Worker `threads`, each with an engine of its own, draw jobs from one queue; the `pool` takes requests, puts their jobs
//! into the queue, watches the workers and hands out what they have sampled. With the feature `mpi` other processes can
//! stand in for the threads.

#[cfg(feature = "mpi")]
pub mod mpi;
mod pool;
mod threads;
mod worker;

use crate::Result;
use crate::learner::RemoteRanks;
use crate::policy::Policy;

pub use pool::{CompletionListener, Fill, PartialRollouts, Ticket, WorkerPool};
#[cfg(test)]
pub(crate) use worker::Sampler;

/// A number of workers: one for each core of this machine unless told.
pub fn on_cores(workers: Option<usize>) -> usize {
    workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Who samples: threads of this process, or other ranks.
pub trait Actors: Send + Sync {
    /// A pool for a policy, with so many workers in each process; see [`on_cores`].
    fn pool(&self, workers: Option<usize>, policy: &Policy) -> Result<WorkerPool>;

    /// Themselves as those who help to learn, where they do.
    fn others(&self) -> Option<&dyn RemoteRanks> {
        None
    }
}

/// Threads of this process.
pub struct Threads;

impl Actors for Threads {
    fn pool(&self, workers: Option<usize>, policy: &Policy) -> Result<WorkerPool> {
        WorkerPool::for_policy(policy, on_cores(workers), policy.config.longest_sequence())
    }
}
