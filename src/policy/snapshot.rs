//! A numbered copy of the weights, safe to hand to another thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::{LoraLayers, ModelConfig, Policy, Recompute, Weight};
use crate::Result;
use crate::kernels::Precision;

/// The weights of a policy as they were after one optimizer step. What is trained is a real copy: candle tensors share
/// storage and optimizers write in place, so a rollout thread must never hold the learner's own tensors.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Optimizer steps behind these weights.
    pub version: u64,
    pub config: Arc<ModelConfig>,
    /// By Hugging Face name (`model.layers.0.self_attn.q_proj.weight`, …): all weights, or the adapters alone.
    pub weights: Arc<BTreeMap<String, Weight>>,
    /// Tensors that nobody writes to: the weights below the adapters, which all versions share; and of a policy on a
    /// card, which stays there, copies of what is trained.
    pub frozen: Arc<BTreeMap<String, Tensor>>,
    /// What adapters there are.
    pub lora: Option<Arc<LoraLayers>>,
}

impl Policy {
    /// A copy of all that is trained as it is now, under a version number.
    pub fn snapshot(&self, version: u64) -> Result<Snapshot> {
        let (weights, frozen) = match self.card() {
            None => (self.weights()?, self.frozen.clone()),
            Some(card) => {
                let mut copies = self.frozen.as_ref().clone();
                for (name, variable) in &self.variables {
                    copies.insert(name.clone(), variable.copy()?.detach());
                }
                // Whoever samples from them does not wait for what the learner has asked of the card.
                card.finish()?;
                (BTreeMap::new(), Arc::new(copies))
            }
        };
        let (config, lora) = (self.config.clone(), self.lora.clone());
        Ok(Snapshot { version, config, weights: Arc::new(weights), frozen, lora })
    }
}

impl Policy {
    /// The policy that a snapshot was taken from, on the processor: a copy of what is trained, in products of f32 and at
    /// temperature 1. It has no value head, of which snapshots know nothing.
    pub fn from_snapshot(snapshot: &Snapshot) -> Result<Policy> {
        let variable = |(name, weight): (&String, &Weight)| -> Result<(String, Var)> {
            Ok((name.clone(), Var::from_slice(&weight.values, weight.shape.as_slice(), &Device::Cpu)?))
        };
        Ok(Policy {
            config: snapshot.config.clone(),
            variables: snapshot.weights.iter().map(variable).collect::<Result<_>>()?,
            frozen: snapshot.frozen.clone(),
            lora: snapshot.lora.clone(),
            precision: Precision::F32,
            temperature: 1.0,
            recompute: Recompute::default(),
            origin: None,
            value_head: None,
        })
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
        let restored = Policy::new("snapshot", before.config.clone(), before.weights.as_ref().clone()).unwrap();
        assert_eq!(*restored.snapshot(3).unwrap().weights, *before.weights);
        let (again, tokens) = (Policy::from_snapshot(&before).unwrap(), [3, 1, 4]);
        let logits = |policy: &Policy| {
            let logits = policy.logits(&tokens, &[3].into_iter().collect()).unwrap();
            logits.to_vec2::<f32>().unwrap()
        };
        assert_eq!(logits(&again), logits(&restored));
    }
}
