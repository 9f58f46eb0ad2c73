//! A numbered copy of the weights, safe to hand to another thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ModelConfig;

/// One weight matrix or vector, row-major f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// The weights of a policy as they were after one optimizer step. A real copy: candle tensors share storage
/// and optimizers write in place, so a rollout thread must never hold the learner's own tensors.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Optimizer steps behind these weights.
    pub version: u64,
    pub config: Arc<ModelConfig>,
    /// By Hugging Face name (`model.layers.0.self_attn.q_proj.weight`, …).
    pub weights: Arc<BTreeMap<String, Weight>>,
}
