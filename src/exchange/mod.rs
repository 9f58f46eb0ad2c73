//! What moves weights and rollouts between actors and learner: threads and channels, or ranks and messages.
//!
//! A `crew` of `worker`s, each with an engine of its own, draws jobs from one desk; the `pool` takes orders, puts their
//! jobs on the `counter` before it, watches the workers and hands out what they have sampled. With the feature `mpi`
//! other processes can stand in for the crew.

mod counter;
mod crew;
#[cfg(feature = "mpi")]
pub mod mpi;
mod order;
mod pool;
mod team;
mod worker;

use crate::Result;
use crate::policy::ModelConfig;
use crate::rollout::SLOTS;

pub use order::Underway;
pub use pool::{Fill, Throughput, Ticket, WorkerPool};
#[cfg(test)]
pub(crate) use worker::Sampler;

/// A number of workers, where 0 is one for each core of this machine.
pub fn on_cores(workers: usize) -> usize {
    match workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

/// Who samples.
#[derive(Clone, Default)]
pub enum Actors {
    /// Threads of this process.
    #[default]
    Threads,
    /// Other ranks.
    #[cfg(feature = "mpi")]
    Ranks(mpi::Actors),
}

impl Actors {
    /// A pool for a model, with so many workers in each process; see [`on_cores`].
    pub fn pool(&self, workers: usize, config: &ModelConfig) -> Result<WorkerPool> {
        let longest = config.longest_sequence();
        match self {
            Actors::Threads => WorkerPool::start(on_cores(workers), config, SLOTS, longest),
            #[cfg(feature = "mpi")]
            Actors::Ranks(ranks) => WorkerPool::on_ranks(ranks, workers, config, SLOTS, longest),
        }
    }
}
