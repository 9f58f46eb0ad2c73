//! Sampling: token ids in, token ids out.
//!
//! [`Engine`] is the loop; what it runs on is a `Backend`: `cpu`, with weights packed for the processor
//! ([`PackedWeights`]), or `cuda`, for policies that live on a card.

mod arithmetic;
mod backend;
mod cpu;
mod cuda;
mod engine;
mod params;
mod places;
mod published;
pub mod request;
mod running;
mod sampler;
#[cfg(test)]
pub(crate) mod tests;
mod versions;

pub use backend::Backend;
pub use cpu::{Cpu, CpuEngine, PackedWeights, slots};
pub use cuda::{Cuda, CudaEngine, SLOTS_ON_CARD};
pub use engine::Engine;
pub use params::SamplingParams;
pub use published::Published;
pub use request::{Completion, Finish, Job, Limits, PartialCompletion, Request};
pub use versions::Versions;
