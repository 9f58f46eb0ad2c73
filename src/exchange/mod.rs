//! What moves weights and rollouts between actors and learner: threads and channels.

mod pool;
mod worker;

pub use pool::{Throughput, WorkerPool};
#[cfg(test)]
pub(crate) use worker::{Job, Sampler};
