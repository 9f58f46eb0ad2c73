//! Policy versions on their way to the engines.

use std::sync::Arc;

use super::cpu::PackedWeights;
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
