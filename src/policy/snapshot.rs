//! A numbered copy of the weights, safe to hand to another thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ModelConfig, Policy};
use crate::Result;

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

impl Policy {
    /// A copy of all weights as they are now, under a version number.
    pub fn snapshot(&self, version: u64) -> Result<Snapshot> {
        Ok(Snapshot { version, config: self.config.clone(), weights: Arc::new(self.weights()?) })
    }

    /// A policy of its own with the weights of a snapshot.
    pub fn from_snapshot(snapshot: &Snapshot) -> Result<Policy> {
        Policy::new("snapshot", snapshot.config.clone(), snapshot.weights.as_ref().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::tests::random_policy;
    use crate::policy::{Family, config};

    #[test]
    fn a_snapshot_is_a_copy() {
        let policy = random_policy(&config::tests::tiny(Family::Qwen2, true), 1);
        let before = policy.snapshot(3).unwrap();
        let name = "model.norm.weight";
        let variable = &policy.variables[name];
        variable.set(&(variable.as_tensor() + 1.0).unwrap()).unwrap();
        let after = policy.snapshot(4).unwrap();
        assert_ne!(before.weights[name], after.weights[name]);
        assert_eq!((before.version, after.version), (3, 4));
        let restored = Policy::from_snapshot(&before).unwrap();
        assert_eq!(*restored.snapshot(3).unwrap().weights, *before.weights);
    }
}
