//! Reinforcement learning: the loop, the batches that it samples, and what it learns from them.

mod advantages;
mod batch;
mod collect;
mod hint;
mod judging;
pub mod live_reward;
#[cfg(test)]
mod panicking;
mod prefetch;
pub mod rollouts;
mod sampler;
mod sentences;
mod solved;
pub mod train;
mod trainer;
mod training_loop;
mod update;

pub use train::train;
