//! Which linear layers of a policy have adapters, each with a rank and a strength of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::ModelConfig;
use crate::policy::architecture::{DecoderLayer, FusedLinear, LinearSpec, WeightSpec};

/// A linear layer of every block of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    QProj,
    KProj,
    VProj,
    OProj,
    GateProj,
    UpProj,
    DownProj,
}

impl Target {
    pub(super) const ALL: [Target; 7] = {
        use Target::{DownProj, GateProj, KProj, OProj, QProj, UpProj, VProj};
        [QProj, KProj, VProj, OProj, GateProj, UpProj, DownProj]
    };

    pub(super) fn name(self) -> &'static str {
        match self {
            Target::QProj => "q_proj",
            Target::KProj => "k_proj",
            Target::VProj => "v_proj",
            Target::OProj => "o_proj",
            Target::GateProj => "gate_proj",
            Target::UpProj => "up_proj",
            Target::DownProj => "down_proj",
        }
    }

    /// The target that a layer (`model.layers.0.self_attn.q_proj`) is, where it is one.
    pub(super) fn from_layer(layer: &str) -> Option<Target> {
        let (_, name) = layer.rsplit_once('.')?;
        Target::ALL.into_iter().find(|target| target.name() == name)
    }
}

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

/// The adapter beside one of several linear layers: it adds `scale * (x A^T) B^T`.
#[derive(Clone, Debug)]
pub struct AdapterSpec {
    /// Where the outputs of its layer begin.
    pub column: usize,
    /// `[rank, inputs]`
    pub a: WeightSpec,
    /// `[outputs, rank]`
    pub b: WeightSpec,
    pub scale: f32,
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

    /// The adapters beside linear layers whose outputs stand side by side.
    pub fn beside(&self, linear: &FusedLinear) -> Vec<AdapterSpec> {
        let mut column = 0;
        let adapter = |LinearSpec { name, outputs }: &LinearSpec| {
            let first = column;
            column += outputs;
            let adapter = self.get(name)?;
            Some(AdapterSpec {
                column: first,
                a: WeightSpec::new(format!("{name}.lora_A.weight"), &[adapter.rank, linear.inputs]),
                b: WeightSpec::new(format!("{name}.lora_B.weight"), &[*outputs, adapter.rank]),
                scale: adapter.scale(),
            })
        };
        linear.parts.iter().filter_map(adapter).collect()
    }

    /// The name and shape of every adapter's two matrices.
    pub fn shapes(&self, config: &ModelConfig) -> BTreeMap<String, Vec<usize>> {
        let architecture = config.architecture();
        let adapters = architecture.linears().flat_map(|linear| self.beside(linear));
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
