//! The weights of one policy version, checked and packed for decoding.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use candle_core::Tensor;

use super::adapters::Adapters;
use super::matrix::Packed;
use crate::kernels::memory::{Values, read};
use crate::policy::{ModelConfig, Snapshot, Weight};
use crate::{Error, Result};

/// One layer of the decoder.
pub(super) struct Layer {
    pub(super) input_norm: Vec<f32>,
    /// Query, key and value heads, one after the other.
    pub(super) attention_in: Packed,
    /// Norms of each query and each key head (Qwen3).
    pub(super) head_norms: Option<[Vec<f32>; 2]>,
    pub(super) attention_out: Packed,
    pub(super) post_norm: Vec<f32>,
    /// Gate and up, one after the other.
    pub(super) gate_up: Packed,
    pub(super) down: Packed,
}

/// A whole policy, packed. Made once per version and shared by all workers.
pub struct Panels {
    /// Policy version.
    pub version: u64,
    pub(super) config: ModelConfig,
    pub(super) decoder: Arc<Decoder>,
    /// Of each layer, where the policy has any.
    pub(super) adapters: Vec<Adapters>,
    /// What the decoder was packed from where only adapters are trained: later versions share it.
    frozen: Arc<BTreeMap<String, Tensor>>,
}

/// All weights but those of adapters.
pub(super) struct Decoder {
    /// `[vocab, hidden]`; none where the head is the same.
    embedding: Option<Vec<f32>>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    pub(super) head: Packed,
}

impl Decoder {
    fn pack(config: &ModelConfig, weights: &Weights) -> Result<Decoder> {
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let embedding = weights.get("model.embed_tokens.weight", &[vocab, hidden])?;
        let (embedding, head) = match config.tie_word_embeddings {
            true => (None, Packed::stack(hidden, &[&embedding], &[])),
            false => {
                let head = weights.get("lm_head.weight", &[vocab, hidden])?;
                (Some(embedding.to_vec()), Packed::stack(hidden, &[&head], &[]))
            }
        };
        Ok(Decoder {
            embedding,
            layers: (0..config.num_hidden_layers).map(|layer| weights.layer(config, layer)).collect::<Result<_>>()?,
            norm: weights.get("model.norm.weight", &[hidden])?.to_vec(),
            head,
        })
    }

    /// The embedding `[hidden]` of a token.
    pub(super) fn embed(&self, token: u32, to: &mut [f32]) {
        match &self.embedding {
            Some(embedding) => to.copy_from_slice(&embedding[token as usize * to.len()..][..to.len()]),
            None => self.head.copy_output(token as usize, to),
        }
    }
}

impl Panels {
    /// Packs a snapshot. Errors name a weight that is missing or has another shape than the config says.
    pub fn pack(snapshot: &Snapshot) -> Result<Panels> {
        Panels::pack_after(snapshot, None)
    }

    /// The same, knowing an earlier version: what has not changed since, the weights below adapters, is not packed
    /// again.
    pub fn pack_after(snapshot: &Snapshot, earlier: Option<&Panels>) -> Result<Panels> {
        let config = snapshot.config.as_ref();
        check(config)?;
        let weights = Weights { snapshot };
        let unchanged = |earlier: &&Panels| snapshot.lora.is_some() && Arc::ptr_eq(&earlier.frozen, &snapshot.frozen);
        let decoder = match earlier.filter(unchanged) {
            Some(earlier) => earlier.decoder.clone(),
            None => Arc::new(Decoder::pack(config, &weights)?),
        };
        let adapters = match &snapshot.lora {
            Some(lora) => {
                let layers = 0..config.num_hidden_layers;
                layers.map(|layer| Adapters::pack(config, lora, layer, &weights)).collect::<Result<_>>()?
            }
            None => Vec::new(),
        };
        let (config, frozen) = (config.clone(), snapshot.frozen.clone());
        Ok(Panels { version: snapshot.version, config, decoder, adapters, frozen })
    }
}

/// Refuses shapes that no decoder of these families has.
pub(super) fn check(config: &ModelConfig) -> Result<()> {
    let refuse = |found: String, remedy: &str| Err(Error::invalid("model config", found, remedy));
    let sizes = [
        ("vocab_size", config.vocab_size),
        ("hidden_size", config.hidden_size),
        ("intermediate_size", config.intermediate_size),
        ("num_hidden_layers", config.num_hidden_layers),
        ("num_attention_heads", config.num_attention_heads),
        ("num_key_value_heads", config.num_key_value_heads),
        ("head_dim", config.head_dim),
    ];
    if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return refuse(format!("{name} = 0"), "every size is at least 1");
    }
    let (heads, shared) = (config.num_attention_heads, config.num_key_value_heads);
    if !heads.is_multiple_of(shared) {
        return refuse(
            format!("num_attention_heads = {heads} with num_key_value_heads = {shared}"),
            "the first must be a multiple of the second",
        );
    }
    if !config.head_dim.is_multiple_of(2) {
        return refuse(format!("head_dim = {}", config.head_dim), "rotary positions need an even head_dim");
    }
    Ok(())
}

/// Weights by name, with their shapes checked.
pub(super) struct Weights<'a> {
    snapshot: &'a Snapshot,
}

/// The numbers of a weight: copied with the snapshot, or shared with the policy.
pub(super) enum Numbers<'a> {
    Copied(&'a [f32]),
    Shared(Values<'a>),
}

impl Deref for Numbers<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Numbers::Copied(values) => values,
            Numbers::Shared(values) => values,
        }
    }
}

impl<'a> Weights<'a> {
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Numbers<'a>> {
        let place = || format!("policy version {}, weight {name}", self.snapshot.version);
        let (found, values) = match (self.snapshot.weights.get(name), self.snapshot.frozen.get(name)) {
            (Some(Weight { shape, values }), _) => (&shape[..], Numbers::Copied(values)),
            (None, Some(tensor)) => (tensor.dims(), Numbers::Shared(read(tensor)?)),
            (None, None) => {
                return Err(Error::invalid(place(), "missing", format!("the config asks for one of shape {shape:?}")));
            }
        };
        if found != shape || values.len() != shape.iter().product::<usize>() {
            let found = format!("shape {found:?} with {} values", values.len());
            return Err(Error::invalid(place(), found, format!("the config asks for {shape:?}")));
        }
        Ok(values)
    }

    fn layer(&self, config: &ModelConfig, layer: usize) -> Result<Layer> {
        let (hidden, inner, head) = (config.hidden_size, config.intermediate_size, config.head_dim);
        let (queries, shared) = (config.num_attention_heads * head, config.num_key_value_heads * head);
        let get = |name: &str, shape: &[usize]| self.get(&format!("model.layers.{layer}.{name}"), shape);

        let projections = [("q", queries), ("k", shared), ("v", shared)];
        let matrices = projections
            .iter()
            .map(|(name, size)| get(&format!("self_attn.{name}_proj.weight"), &[*size, hidden]))
            .collect::<Result<Vec<_>>>()?;
        let biases = match config.has_query_bias() {
            true => projections
                .iter()
                .map(|(name, size)| get(&format!("self_attn.{name}_proj.bias"), &[*size]))
                .collect::<Result<Vec<_>>>()?,
            false => Vec::new(),
        };
        let output_bias = match config.attention_bias {
            true => vec![get("self_attn.o_proj.bias", &[hidden])?],
            false => Vec::new(),
        };
        let head_norms = match config.family.has_head_norm() {
            true => Some([
                get("self_attn.q_norm.weight", &[head])?.to_vec(),
                get("self_attn.k_norm.weight", &[head])?.to_vec(),
            ]),
            false => None,
        };
        let (gate, up) = (get("mlp.gate_proj.weight", &[inner, hidden])?, get("mlp.up_proj.weight", &[inner, hidden])?);
        Ok(Layer {
            input_norm: get("input_layernorm.weight", &[hidden])?.to_vec(),
            attention_in: Packed::stack(hidden, &slices(&matrices), &slices(&biases)),
            head_norms,
            attention_out: Packed::stack(
                queries,
                &[&get("self_attn.o_proj.weight", &[hidden, queries])?],
                &slices(&output_bias),
            ),
            post_norm: get("post_attention_layernorm.weight", &[hidden])?.to_vec(),
            gate_up: Packed::stack(hidden, &[&gate, &up], &[]),
            down: Packed::stack(inner, &[&get("mlp.down_proj.weight", &[hidden, inner])?], &[]),
        })
    }
}

fn slices<'a>(numbers: &'a [Numbers]) -> Vec<&'a [f32]> {
    numbers.iter().map(|numbers| &**numbers).collect()
}
