//! What moves weights and rollouts between actors and learner: threads and channels.
//!
//! A `crew` of `worker`s, each with an engine of its own, draws jobs from one queue; the `pool` takes orders, watches
//! the workers and hands out what they have sampled.

mod crew;
mod order;
mod pool;
mod worker;

pub use order::Underway;
pub use pool::{Fill, Throughput, Ticket, WorkerPool};
