//! A policy in a GGUF file: its metadata is translated into a `config.json`, its tensors into weights by the names and in
//! the order that Hugging Face gives them. From there on they go the way of a directory.

mod keys;
mod rope;
mod weights;
mod writing;

use serde_json::json;

use super::ModelConfig;
use crate::Result;
use crate::gguf::Gguf;

pub(super) use weights::each_tensor;
pub use writing::GgufPrecision;

/// Families by what llama.cpp calls them and by their `model_type`. Llama stands for Mistral, too.
const ARCHITECTURES: [(&str, &str); 3] = [("llama", "llama"), ("qwen2", "qwen2"), ("qwen3", "qwen3")];
/// Says which one it is, and how keys about the model begin.
const ARCHITECTURE: &str = "general.architecture";
/// The embedding; the head, where it is another matrix.
const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

/// The shape of the model in a file.
///
/// # Errors
/// Keys that are missing, or that say what is not computed.
pub(super) fn config(gguf: &Gguf) -> Result<ModelConfig> {
    let model_type = keys::demand_supported(gguf)?;
    let key = |name: &str| format!("{}.{name}", gguf.text(ARCHITECTURE).ok().flatten().unwrap_or_default());
    let size = |name: &str| gguf.needed_size(&key(name));
    let vocabulary = gguf.shape(EMBEDDING)?.first().copied().unwrap_or_default();
    let heads = size("attention.head_count")?;
    let hidden = size("embedding_length")?;
    let head_dim = gguf.size(&key("attention.key_length"))?.unwrap_or(hidden / heads.max(1));
    demand_alike(gguf, &key("vocab_size"), vocabulary, "rows of the embedding")?;
    demand_alike(gguf, &key("attention.value_length"), head_dim, "what keys have")?;
    demand_alike(gguf, &key("rope.dimension_count"), head_dim, "all dimensions of a head")?;
    let epsilon = key("attention.layer_norm_rms_epsilon");
    let Some(epsilon) = gguf.number(&epsilon)? else { return Err(gguf.missing(&epsilon)) };
    let positions = size("context_length")?;
    let theta = gguf.number(&key("rope.freq_base"))?.unwrap_or(1e4);
    let config = json!({
        "model_type": model_type,
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": size("feed_forward_length")?,
        "num_hidden_layers": size("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": gguf.size(&key("attention.head_count_kv"))?.unwrap_or(heads),
        "head_dim": head_dim,
        "rms_norm_eps": epsilon,
        "rope_theta": theta,
        "rope_scaling": rope::scaling(gguf, &key, (theta, head_dim, positions))?,
        "max_position_embeddings": positions,
        "attention_bias": gguf.has_tensor("blk.0.attn_q.bias"),
        "tie_word_embeddings": !gguf.has_tensor(HEAD),
    });
    ModelConfig::parse(gguf.place(), &config.to_string())
}

/// Refuses a key that says another number than what the model has.
fn demand_alike(gguf: &Gguf, key: &str, has: usize, what: &str) -> Result<()> {
    match gguf.size(key)? {
        Some(other) if other != has => Err(gguf.refuse(key, other, &format!("it has to be {has}, {what}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
