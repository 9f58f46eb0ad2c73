//! Low-rank adapters (LoRA, Hu et al., 2021): the weights of a policy stay as they are, and beside chosen linear layers
//! `W` a product of two small matrices is trained: `W + alpha / rank * B A`.

mod fields;
mod files;
mod layers;
mod patterns;
mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Tensor, Var};
use rand::Rng;
use serde::{Deserialize, Serialize};

pub(super) use files::{adapted_base, adapter_files, is_adapter};
use layers::linear_layers;
pub use layers::{AdapterSpec, LoraLayer, LoraLayers, Target};

use super::weight::{Weight, variables};
use super::{ModelConfig, Policy};
use crate::{Error, Result, random};

/// Which layers get fresh adapters, and how large these are. The words are those of PEFT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rows of A and columns of B.
    pub rank: usize,
    /// What an adapter adds is multiplied by `alpha / rank`, so that a learning rate goes with every rank.
    pub alpha: f64,
    /// The linear layers, of every block.
    pub target_modules: Vec<Target>,
}

impl Default for LoraConfig {
    fn default() -> LoraConfig {
        LoraConfig { rank: 16, alpha: 32.0, target_modules: Target::ALL.to_vec() }
    }
}

/// Beyond the size of any model.
const LARGEST_RANK: usize = 1 << 20;
/// What an adapter adds stays finite in single precision.
const LARGEST_ALPHA: f64 = 1e9;

impl LoraConfig {
    /// The adapters that these are in a model.
    pub fn layers(&self, config: &ModelConfig) -> LoraLayers {
        let adapter = LoraLayer { rank: self.rank, alpha: self.alpha };
        let adapted =
            |layer: &String| Target::from_layer(layer).is_some_and(|target| self.target_modules.contains(&target));
        linear_layers(config).map(|(layer, _)| layer).filter(adapted).map(|layer| (layer, adapter)).collect()
    }

    /// How many numbers the adapters consist of.
    pub fn parameter_count(&self, config: &ModelConfig) -> usize {
        self.layers(config).parameter_count(config)
    }

    /// Refuses what is no adapter; `place` begins the message.
    pub fn check(&self, place: &str) -> Result<()> {
        match self.fault() {
            Some((key, found, allowed)) => Err(Error::invalid(place, format!("{key} is {found}"), allowed)),
            None => Ok(()),
        }
    }

    /// The key that has a value it cannot have, that value, and what is allowed.
    pub fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        if self.rank == 0 {
            return Some(("rank", "0".into(), "1 or more"));
        }
        if self.rank > LARGEST_RANK {
            return Some(("rank", self.rank.to_string(), "1048576 at most"));
        }
        if !(self.alpha > 0.0 && self.alpha <= LARGEST_ALPHA) {
            return Some(("alpha", self.alpha.to_string(), "a positive number, 1e9 at most"));
        }
        self.target_modules.is_empty().then(|| ("target_modules", "empty".into(), "one linear layer or more"))
    }
}

impl Policy {
    /// The same policy with fresh adapters, which are all that is trained from now on. They change nothing yet: B is
    /// zero, and A uniform as PEFT draws it, each from a random stream named after it.
    pub fn with_lora(self, lora: &LoraConfig, seed: u64) -> Result<Policy> {
        lora.check("lora")?;
        let draw = |(name, shape): (String, Vec<usize>)| {
            let length = shape.iter().product();
            let values = if name.ends_with("lora_A.weight") {
                let (mut stream, bound) = (random::named(seed, &name), 1.0 / (shape[1] as f32).sqrt());
                (0..length).map(|_| stream.random_range(-bound..bound)).collect()
            } else {
                vec![0.0; length]
            };
            (name, Weight { shape, values })
        };
        let layers = lora.layers(&self.config);
        let adapters = layers.shapes(&self.config).into_iter().map(draw).collect();
        self.with_adapters("fresh adapters", Arc::new(layers), adapters)
    }

    /// The same policy with these adapters in place of any that it has. `place` begins the message when one is missing,
    /// unknown, misshapen or not finite.
    pub(super) fn with_adapters(
        self,
        place: &str,
        lora: Arc<LoraLayers>,
        adapters: BTreeMap<String, Weight>,
    ) -> Result<Policy> {
        let variables = variables(place, &lora.shapes(&self.config), adapters)?;
        let frozen = match self.lora {
            Some(_) => self.frozen,
            None => Arc::new(self.variables.iter().map(|(name, v)| (name.clone(), v.as_detached_tensor())).collect()),
        };
        Ok(Policy { variables, frozen, lora: Some(lora), ..self })
    }

    /// A policy without adapters that computes the same: what they add is added to the weights.
    pub fn merged(&self) -> Result<Policy> {
        let Some(lora) = &self.lora else { return Policy::new("policy", self.config.clone(), self.weights()?) };
        let adapter = |layer: &str, part: &str| -> Result<&Tensor> {
            let name = format!("{layer}.{part}.weight");
            let found = self.variables.get(&name).map(Var::as_tensor);
            found.ok_or_else(|| Error::invalid("adapters", format!("{name} is missing"), "load them again"))
        };
        let mut weights = BTreeMap::new();
        for (name, tensor) in self.frozen.iter() {
            let merged = match name.strip_suffix(".weight").and_then(|layer| Some((layer, lora.get(layer)?))) {
                Some((layer, found)) => {
                    let product = adapter(layer, "lora_B")?.matmul(adapter(layer, "lora_A")?)?;
                    (tensor + (product * f64::from(found.scale()))?)?
                }
                None => tensor.clone(),
            };
            let weight = Weight { shape: merged.dims().to_vec(), values: merged.flatten_all()?.to_vec1()? };
            weights.insert(name.clone(), weight);
        }
        Ok(Policy::new("merged weights", self.config.clone(), weights)?.with_precision(self.precision))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::policy::config::tests::tiny;
    use crate::policy::model::tests::{batch, random_policy};
    use crate::policy::{Family, PackedBatch};

    /// A policy whose adapters are drawn, so that none is 0.
    pub(crate) fn adapted(family: Family, target_modules: &[Target]) -> Policy {
        let lora = LoraConfig { rank: 3, alpha: 5.0, target_modules: target_modules.to_vec() };
        let config = ModelConfig { attention_bias: family == Family::Llama, ..tiny(family, true) };
        let policy = random_policy(&config, 3).with_lora(&lora, 1).unwrap();
        let mut adapters = policy.weights().unwrap();
        for (name, weight) in &mut adapters {
            let mut stream = random::named(9, name);
            weight.values.iter_mut().for_each(|value| *value = stream.random_range(-0.5..0.5));
        }
        let layers = lora.layers(&policy.config);
        policy.with_adapters("test", Arc::new(layers), adapters).unwrap()
    }

    /// The same with other ranks and strengths here and there, and no adapters elsewhere.
    pub(crate) fn unevenly_adapted(family: Family) -> Policy {
        let policy = adapted(family, &Target::ALL);
        let layers: LoraLayers = policy
            .lora
            .as_ref()
            .unwrap()
            .iter()
            .enumerate()
            .filter(|(at, _)| at % 4 != 3)
            .map(|(at, (layer, _))| (layer.to_owned(), LoraLayer { rank: 1 + at % 3, alpha: 1.0 + at as f64 }))
            .collect();
        let draw = |(name, shape): (String, Vec<usize>)| {
            let mut stream = random::named(7, &name);
            let values = (0..shape.iter().product()).map(|_| stream.random_range(-0.5..0.5)).collect();
            (name, Weight { shape, values })
        };
        let adapters = layers.shapes(&policy.config).into_iter().map(draw).collect();
        policy.with_adapters("test", Arc::new(layers), adapters).unwrap()
    }

    fn scored(policy: &Policy, batch: &PackedBatch) -> Vec<f32> {
        policy.score(batch).unwrap().log_prob.to_vec1().unwrap()
    }

    #[test]
    fn adapters_compute_what_merged_weights_compute() {
        for (family, targets) in [
            (Family::Qwen2, &Target::ALL[..]),
            (Family::Llama, &[Target::QProj, Target::VProj]),
            (Family::Qwen3, &[Target::OProj, Target::UpProj, Target::DownProj]),
        ] {
            let policy = adapted(family, targets);
            let (merged, batch) = (policy.merged().unwrap(), batch());
            let (found, truth) = (scored(&policy, &batch), scored(&merged, &batch));
            assert!(found.iter().zip(&truth).all(|(a, b)| (a - b).abs() < 1e-5), "{family:?}");
            let base = Policy { lora: None, variables: merged.variables.clone(), ..policy.clone() };
            assert_eq!(scored(&base.with_lora(&LoraConfig::default(), 0).unwrap(), &batch), truth, "B begins at zero");
        }
        let policy = unevenly_adapted(Family::Qwen2);
        let (found, truth) = (scored(&policy, &batch()), scored(&policy.merged().unwrap(), &batch()));
        assert!(found.iter().zip(&truth).all(|(a, b)| (a - b).abs() < 1e-5), "each with its own rank and strength");
    }

    #[test]
    fn gradients_are_those_of_the_adapters_alone_and_follow_from_those_of_merged_weights() {
        let policy = adapted(Family::Qwen2, &[Target::QProj, Target::VProj, Target::DownProj]);
        let batch = batch();
        let gradients =
            |policy: &Policy| policy.log_probs(&batch).unwrap().backward_from(batch.weights.clone()).unwrap();
        let (found, whole) = (gradients(&policy), gradients(&policy.merged().unwrap()));
        assert!(found.iter().map(|(name, _)| name).eq(policy.variables.keys().map(String::as_str)));
        for layer in
            ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj", "model.layers.1.mlp.down_proj"]
        {
            let scale = f64::from(policy.lora.as_ref().unwrap().get(layer).unwrap().scale());
            // With W = W0 + s B A: dA = s B^T dW and dB = s dW A^T.
            let name = |part: &str| format!("{layer}.{part}.weight");
            let (a, b) = (&policy.variables[&name("lora_A")], &policy.variables[&name("lora_B")]);
            let dw = whole.get(&format!("{layer}.weight")).unwrap();
            let da = (b.t().unwrap().matmul(dw).unwrap() * scale).unwrap();
            let db = (dw.matmul(&a.t().unwrap()).unwrap() * scale).unwrap();
            for (part, truth) in [("lora_A", da), ("lora_B", db)] {
                let apart = (found.get(&name(part)).unwrap() - &truth).unwrap().abs().unwrap();
                let largest = |t: Tensor| t.flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
                assert!(largest(apart) < 1e-4 * largest(truth.abs().unwrap()).max(0.1), "{layer} {part}");
            }
        }
    }

    #[test]
    fn only_adapters_count() {
        let policy = adapted(Family::Llama, &[Target::KProj]);
        let lora = policy.lora.clone().unwrap();
        assert_eq!(lora.parameter_count(&policy.config), 2 * (3 * 12 + 8 * 3));
        assert_eq!(policy.variables.len(), 4);
        let wrong = LoraConfig { rank: 0, ..LoraConfig::default() };
        assert!(policy.with_lora(&wrong, 0).unwrap_err().to_string().contains("lora: rank is 0; 1 or more"));
    }
}
