//! The weights of one policy version, checked and packed for decoding.

use super::matrix::Packed;
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
    /// `[vocab, hidden]`
    pub(super) embedding: Vec<f32>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    pub(super) head: Packed,
}

impl Panels {
    /// Packs a snapshot. Errors name a weight that is missing or has another shape than the config says.
    pub fn pack(snapshot: &Snapshot) -> Result<Panels> {
        let config = snapshot.config.as_ref();
        check(config)?;
        let weights = Weights { snapshot };
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let embedding = weights.get("model.embed_tokens.weight", &[vocab, hidden])?;
        let head = match config.tie_word_embeddings {
            true => embedding,
            false => weights.get("lm_head.weight", &[vocab, hidden])?,
        };
        Ok(Panels {
            version: snapshot.version,
            config: config.clone(),
            embedding: embedding.to_vec(),
            layers: (0..config.num_hidden_layers).map(|layer| weights.layer(config, layer)).collect::<Result<_>>()?,
            norm: weights.get("model.norm.weight", &[hidden])?.to_vec(),
            head: Packed::stack(hidden, &[head], &[]),
        })
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
struct Weights<'a> {
    snapshot: &'a Snapshot,
}

impl<'a> Weights<'a> {
    fn get(&self, name: &str, shape: &[usize]) -> Result<&'a [f32]> {
        let place = || format!("policy version {}, weight {name}", self.snapshot.version);
        let Some(Weight { shape: found, values }) = self.snapshot.weights.get(name) else {
            return Err(Error::invalid(place(), "missing", format!("the config asks for one of shape {shape:?}")));
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
            attention_in: Packed::stack(hidden, &matrices, &biases),
            head_norms,
            attention_out: Packed::stack(queries, &[get("self_attn.o_proj.weight", &[hidden, queries])?], &output_bias),
            post_norm: get("post_attention_layernorm.weight", &[hidden])?.to_vec(),
            gate_up: Packed::stack(hidden, &[gate, up], &[]),
            down: Packed::stack(inner, &[get("mlp.down_proj.weight", &[hidden, inner])?], &[]),
        })
    }
}
