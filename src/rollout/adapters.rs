//! Adapters beside the packed weights: `y += (x A^T) (scale B)^T`. Two thin products a step; nothing is merged, so a new
//! version of the adapters costs nothing but itself.

use super::matrix::{Packed, Store};
use super::panels::Weights;
use super::rows::Rows;
use crate::Result;
use crate::policy::{LoraLayers, ModelConfig};

/// The adapters of one layer, by the product that they stand beside.
pub(super) struct Adapters {
    pub(super) attention_in: Option<Adapter>,
    pub(super) attention_out: Option<Adapter>,
    pub(super) gate_up: Option<Adapter>,
    pub(super) down: Option<Adapter>,
}

impl Adapters {
    pub(super) fn pack(config: &ModelConfig, lora: &LoraLayers, layer: usize, weights: &Weights) -> Result<Adapters> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let queries = config.num_attention_heads * config.head_dim;
        let shared = config.num_key_value_heads * config.head_dim;
        let pack = |block: &str, inputs: usize, layers: &[(&str, usize)]| {
            Adapter::pack(lora, &format!("model.layers.{layer}.{block}"), inputs, layers, weights)
        };
        Ok(Adapters {
            attention_in: pack("self_attn", hidden, &[("q_proj", queries), ("k_proj", shared), ("v_proj", shared)])?,
            attention_out: pack("self_attn", queries, &[("o_proj", hidden)])?,
            gate_up: pack("mlp", hidden, &[("gate_proj", inner), ("up_proj", inner)])?,
            down: pack("mlp", inner, &[("down_proj", hidden)])?,
        })
    }
}

/// The adapters of layers whose outputs stand side by side.
pub(super) struct Adapter {
    /// A of all of them, one below the other.
    down: Packed,
    /// B of each in the rows of its layer and the columns of its A, times the scale.
    up: Packed,
}

impl Adapter {
    /// None where no layer has one.
    fn pack(
        lora: &LoraLayers,
        block: &str,
        inputs: usize,
        layers: &[(&str, usize)],
        weights: &Weights,
    ) -> Result<Option<Adapter>> {
        let found = |layer: &str| lora.get(&format!("{block}.{layer}"));
        let ranks: usize = layers.iter().filter_map(|(layer, _)| found(layer)).map(|adapter| adapter.rank).sum();
        if ranks == 0 {
            return Ok(None);
        }
        let (mut down, mut up) = (Vec::with_capacity(ranks * inputs), Vec::new());
        let mut first = 0;
        for (layer, outputs) in layers {
            let Some(adapter) = found(layer) else {
                up.resize(up.len() + outputs * ranks, 0.0);
                continue;
            };
            let (rank, scale) = (adapter.rank, adapter.scale());
            let name = |part: &str| format!("{block}.{layer}.{part}.weight");
            down.extend_from_slice(&weights.get(&name("lora_A"), &[rank, inputs])?);
            for row in weights.get(&name("lora_B"), &[*outputs, rank])?.chunks_exact(rank) {
                let start = up.len();
                up.resize(start + ranks, 0.0);
                up[start + first..][..rank].iter_mut().zip(row).for_each(|(to, b)| *to = scale * b);
            }
            first += rank;
        }
        let (down, up) = (Packed::stack(inputs, &[&down], &[]), Packed::stack(ranks, &[&up], &[]));
        Ok(Some(Adapter { down, up }))
    }

    /// Adds what the adapters make of the first `rows` rows of `input`. `scratch` keeps the rows between the two
    /// products, of each width that has occurred.
    pub(super) fn add(&self, input: &Rows, rows: usize, scratch: &mut Vec<Rows>, output: &mut Rows) {
        let width = self.down.outputs();
        let at = scratch.iter().position(|low| low.width == width).unwrap_or_else(|| {
            scratch.push(Rows::zeros(input.capacity(), width));
            scratch.len() - 1
        });
        self.down.product(input, rows, &mut scratch[at], Store::Replace);
        self.up.product(&scratch[at], rows, output, Store::Add);
    }
}
