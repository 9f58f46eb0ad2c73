//! The shape of a policy, in the words of a Hugging Face `config.json`.

use serde::{Deserialize, Serialize};

/// Which family of decoder. They differ in two flags only; everything else is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// No biases.
    Llama,
    /// Biases on query, key and value.
    Qwen2,
    /// RMSNorm on each head's query and key, no biases.
    Qwen3,
}

/// Sizes and constants of a decoder-only transformer (pre-norm, RMSNorm, rotary positions, SwiGLU).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    #[serde(rename = "model_type")]
    pub family: Family,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    pub max_position_embeddings: usize,
    pub tie_word_embeddings: bool,
}
