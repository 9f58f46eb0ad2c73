//! Sampling: token ids in, token ids out.
//!
//! [`Engine`] keeps its own packed copy of the weights ([`Panels`]) and a static cache; no tensor library stands in
//! the way of a token. From the bottom up: `simd` (instruction sets), `rows` and `matrix` (products whose rows do not
//! depend on each other), `arithmetic` and `attention`, `panels` and `forward` (the decoder), `sampler`, `engine`.
//! `card` is the same for policies that live on a card.

mod adapters;
mod arithmetic;
mod attention;
mod cache;
mod card;
mod engine;
mod forward;
mod matrix;
mod panels;
pub mod request;
mod rows;
mod running;
mod sampler;
mod simd;
#[cfg(test)]
pub(crate) mod tests;
mod versions;

pub use card::CardEngine;
pub use engine::{Engine, SLOTS};
pub use panels::Panels;
pub use request::{Begun, Completion, Finish, Job, Limits, Request};
pub use versions::Versions;

use std::sync::Arc;

use crate::policy::Snapshot;

/// A policy version for engines to sample from.
#[derive(Clone)]
pub enum Published {
    /// Packed for the processor.
    Packed(Arc<Panels>),
    /// Of a policy on a card.
    OnCard(Snapshot),
}
