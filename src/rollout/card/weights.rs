//! The weights of one policy version as a step on the card uses them: layers side by side in one matrix, in the type
//! of activations; norms, biases and the table of embeddings in f32.

use candle_core::{DType, Tensor};

use crate::kernels::Precision;
use crate::kernels::cuda::{Card, as_type};
use crate::policy::{LoraLayers, Snapshot};
use crate::{Error, Result};

/// A whole policy.
pub(super) struct Decoder {
    pub(super) version: u64,
    /// `[vocab, hidden]`, where the residual stream begins.
    pub(super) embedding: Tensor,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Tensor,
    /// `[vocab, hidden]`
    pub(super) head: Tensor,
}

/// One layer of it.
pub(super) struct Layer {
    pub(super) input_norm: Tensor,
    /// Query, key and value.
    pub(super) attention_in: Linear,
    /// Of each query and each key head (Qwen3).
    pub(super) head_norms: Option<[Tensor; 2]>,
    pub(super) attention_out: Linear,
    pub(super) post_norm: Tensor,
    /// Gate and up.
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
}

/// Linear layers of one input, side by side.
pub(super) struct Linear {
    /// `[outputs, inputs]`
    pub(super) weight: Tensor,
    /// `[outputs]`
    pub(super) bias: Option<Tensor>,
    pub(super) adapters: Vec<Adapter>,
}

/// What stands beside one of several layers: `scale * (x A^T) B^T`.
pub(super) struct Adapter {
    pub(super) column: usize,
    pub(super) a: Tensor,
    pub(super) b: Tensor,
    pub(super) scale: f32,
}

impl Decoder {
    /// Copies a snapshot; when this returns, the snapshot's tensors are no longer used.
    pub(super) fn new(card: &Card, snapshot: &Snapshot, precision: Precision) -> Result<Decoder> {
        let source = Source { card, snapshot, real: precision.real() };
        let config = &snapshot.config;
        let head = if config.tie_word_embeddings { "model.embed_tokens.weight" } else { "lm_head.weight" };
        let decoder = Decoder {
            version: snapshot.version,
            embedding: source.get("model.embed_tokens.weight", DType::F32)?,
            layers: (0..config.num_hidden_layers).map(|layer| source.layer(layer)).collect::<Result<_>>()?,
            norm: source.get("model.norm.weight", DType::F32)?,
            head: source.get(head, precision.real())?,
        };
        card.finish()?;
        Ok(decoder)
    }

    /// The largest rank of an adapter.
    pub(super) fn largest_rank(&self) -> Result<usize> {
        let linears = self.layers.iter().flat_map(|l| [&l.attention_in, &l.attention_out, &l.gate_up, &l.down]);
        let ranks = linears.flat_map(|linear| &linear.adapters).map(|adapter| Ok(adapter.a.dim(0)?));
        ranks.collect::<Result<Vec<usize>>>().map(|ranks| ranks.into_iter().max().unwrap_or(0))
    }
}

/// Where weights come from.
struct Source<'a> {
    card: &'a Card,
    snapshot: &'a Snapshot,
    real: DType,
}

impl Source<'_> {
    /// A copy of a weight, in a type.
    fn get(&self, name: &str, dtype: DType) -> Result<Tensor> {
        let Some(tensor) = self.snapshot.frozen.get(name) else {
            let place = format!("policy version {}", self.snapshot.version);
            return Err(Error::invalid(place, format!("{name} is not on the card"), "move the policy there first"));
        };
        let moved = tensor.to_device(&self.card.device())?;
        match moved.dtype() == dtype {
            // On the same queue it would be no copy, and nothing may change under a step.
            true => Ok(moved.copy()?),
            false => as_type(&moved, dtype),
        }
    }

    fn layer(&self, layer: usize) -> Result<Layer> {
        let config = &self.snapshot.config;
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let norm = |part: &str| self.get(&name(part), DType::F32);
        let head_norms = match config.family.has_head_norm() {
            true => Some([norm("self_attn.q_norm.weight")?, norm("self_attn.k_norm.weight")?]),
            false => None,
        };
        let (attention, mlp) = (name("self_attn"), name("mlp"));
        Ok(Layer {
            input_norm: norm("input_layernorm.weight")?,
            attention_in: self.linear(&attention, &["q_proj", "k_proj", "v_proj"], config.has_query_bias())?,
            head_norms,
            attention_out: self.linear(&attention, &["o_proj"], config.attention_bias)?,
            post_norm: norm("post_attention_layernorm.weight")?,
            gate_up: self.linear(&mlp, &["gate_proj", "up_proj"], false)?,
            down: self.linear(&mlp, &["down_proj"], false)?,
        })
    }

    fn linear(&self, block: &str, layers: &[&str], has_bias: bool) -> Result<Linear> {
        let all = |part: &str, dtype| -> Result<Tensor> {
            let parts = layers.iter().map(|layer| self.get(&format!("{block}.{layer}.{part}"), dtype));
            Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
        };
        let weight = all("weight", self.real)?;
        let bias = if has_bias { Some(all("bias", DType::F32)?) } else { None };
        let adapters = match &self.snapshot.lora {
            Some(lora) => self.adapters(lora, block, layers)?,
            None => Vec::new(),
        };
        Ok(Linear { weight, bias, adapters })
    }

    fn adapters(&self, lora: &LoraLayers, block: &str, layers: &[&str]) -> Result<Vec<Adapter>> {
        let (mut adapters, mut column) = (Vec::new(), 0);
        for layer in layers {
            if let Some(adapter) = lora.get(&format!("{block}.{layer}")) {
                let part = |part: &str| self.get(&format!("{block}.{layer}.{part}.weight"), self.real);
                adapters.push(Adapter { column, a: part("lora_A")?, b: part("lora_B")?, scale: adapter.scale() });
            }
            let weight = self.snapshot.frozen.get(&format!("{block}.{layer}.weight"));
            column += weight.map_or(Ok(0), |weight| weight.dim(0))?;
        }
        Ok(adapters)
    }
}
