//! Which linear layers of a policy have adapters, each with a rank and a strength of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Target;
use crate::policy::ModelConfig;
use crate::policy::architecture::{DecoderLayer, FusedLinear};

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
        let architecture = config.architecture();
        let adapters = architecture.linears().flat_map(|linear| linear.adapters(self));
        adapters.flat_map(|adapter| [adapter.a, adapter.b]).map(|weight| (weight.name, weight.shape)).collect()
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
    let parts = |FusedLinear { inputs, parts, .. }: FusedLinear| {
        parts.into_iter().map(move |part| (part.name, [part.outputs, inputs]))
    };
    config.architecture().layers.into_iter().flat_map(DecoderLayer::into_linears).flat_map(parts)
}
