//! Sampling: token ids in, token ids out.
//!
//! [`Engine`] is the loop; what it runs on is a `Backend`: `cpu`, with weights packed for the processor
//! ([`PackedWeights`]), or `cuda`, for policies that live on a card.

mod arithmetic;
mod backend;
mod cpu;
mod cuda;
mod engine;
pub mod request;
mod running;
mod sampler;
#[cfg(test)]
pub(crate) mod tests;
mod versions;

pub use backend::Backend;
pub use cpu::{Cpu, PackedWeights, SLOTS};
pub use cuda::{Cuda, CudaEngine};
pub use engine::Engine;
pub use request::{Begun, Completion, Finish, Job, Limits, Request};
pub use versions::Versions;

use std::sync::Arc;

use crate::policy::{ModelConfig, Snapshot};

/// A policy version for engines to sample from.
#[derive(Clone)]
pub enum Published {
    /// Packed for the processor.
    Packed(Arc<PackedWeights>),
    /// Of a policy on a card.
    OnCard(Snapshot),
}

impl Published {
    /// The policy version.
    pub fn version(&self) -> u64 {
        match self {
            Published::Packed(weights) => weights.version,
            Published::OnCard(snapshot) => snapshot.version,
        }
    }

    /// The shape of the model.
    pub fn config(&self) -> &ModelConfig {
        match self {
            Published::Packed(weights) => &weights.config,
            Published::OnCard(snapshot) => &snapshot.config,
        }
    }
}
