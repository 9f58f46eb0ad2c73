//! Which linear layers of a policy have adapters, each with a rank and a strength of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Target;
use crate::policy::ModelConfig;

/// The adapter beside one linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraLayer {
    /// Rows of A and columns of B.
    pub rank: usize,
    /// What the adapter adds is multiplied by `alpha / rank`.
    pub alpha: f64,
}

impl LoraLayer {
    /// What the product `B A` is multiplied by.
    pub fn scale(self) -> f32 {
        (self.alpha / self.rank as f64) as f32
    }
}

/// The adapters of a policy by layer (`model.layers.0.self_attn.q_proj`, …).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraLayers(BTreeMap<String, LoraLayer>);

impl LoraLayers {
    /// The adapter beside the layer of this name, where it has one.
    pub fn get(&self, layer: &str) -> Option<LoraLayer> {
        self.0.get(layer).copied()
    }

    /// All of them, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, LoraLayer)> {
        self.0.iter().map(|(layer, adapter)| (layer.as_str(), *adapter))
    }

    /// The name and shape of every adapter's two matrices.
    pub fn shapes(&self, config: &ModelConfig) -> BTreeMap<String, Vec<usize>> {
        let both = |(layer, [outputs, inputs]): (String, [usize; 2])| {
            let rank = self.get(&layer)?.rank;
            let (a, b) = (vec![rank, inputs], vec![outputs, rank]);
            Some([(format!("{layer}.lora_A.weight"), a), (format!("{layer}.lora_B.weight"), b)])
        };
        linear_layers(config).filter_map(both).flatten().collect()
    }

    /// How many numbers the adapters consist of.
    pub fn parameter_count(&self, config: &ModelConfig) -> usize {
        self.shapes(config).values().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// The one rank and alpha of all adapters and the layers that have them in every block, where that says it all.
    pub(super) fn uniform(&self, config: &ModelConfig) -> Option<(LoraLayer, Vec<Target>)> {
        let first = *self.0.values().next()?;
        let has = |target: &Target| self.0.keys().any(|layer| layer.ends_with(target.name()));
        let targets: Vec<Target> = Target::ALL.into_iter().filter(has).collect();
        let same = self.0.values().all(|adapter| *adapter == first);
        (same && self.0.len() == targets.len() * config.num_hidden_layers).then_some((first, targets))
    }
}

impl FromIterator<(String, LoraLayer)> for LoraLayers {
    fn from_iter<I: IntoIterator<Item = (String, LoraLayer)>>(adapters: I) -> LoraLayers {
        LoraLayers(adapters.into_iter().collect())
    }
}

/// The layers that adapters can stand beside: name, and shape `[outputs, inputs]`.
pub(super) fn linear_layers(config: &ModelConfig) -> impl Iterator<Item = (String, [usize; 2])> {
    config.weight_shapes().into_iter().filter_map(|(name, shape)| {
        let layer = name.strip_suffix(".weight")?;
        let [outputs, inputs] = shape[..] else { return None };
        Target::of(layer).map(|_| (layer.to_owned(), [outputs, inputs]))
    })
}
