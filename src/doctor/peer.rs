//! The same model as candle-transformers has it: another implementation, to hold ours against.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{llama, mistral, qwen2, qwen3};

use crate::Result;
use crate::kernels::RopeScaling;
use crate::policy::{Family, ModelConfig, Policy};

/// Most positions that two models are compared on.
const POSITIONS: usize = 4096;

/// A model of candle-transformers, in f32 on the CPU.
pub enum Peer {
    Llama(Box<llama::Llama>, Box<llama::Config>),
    Mistral(Box<mistral::Model>),
    Qwen2(Box<qwen2::ModelForCausalLM>),
    Qwen3(Box<qwen3::ModelForCausalLM>),
}

/// What a model has that candle-transformers' own of its family has not, if there is anything.
pub fn lacks(model: &ModelConfig) -> Option<String> {
    let heads = model.num_attention_heads * model.head_dim;
    match (&model.rope_scaling, model.family) {
        (None, _) | (Some(RopeScaling::Dynamic { .. }), _) | (Some(RopeScaling::Llama3(_)), Family::Llama) => {}
        (Some(_), _) => return Some("rope_scaling of this type".into()),
    }
    match model.family {
        Family::Qwen3 => None,
        _ if model.attention_bias => Some("attention_bias".into()),
        Family::Mistral if model.tie_word_embeddings => Some("tie_word_embeddings".into()),
        Family::Mistral => None,
        Family::Llama | Family::Qwen2 => (heads != model.hidden_size)
            .then(|| format!("a head_dim of {} (it takes hidden_size / num_attention_heads)", model.head_dim)),
    }
}

impl Peer {
    /// The same weights in candle-transformers' model. What [`lacks`] names is not there.
    ///
    /// # Errors
    ///
    /// Weights that candle-transformers does not take.
    pub fn of_policy(policy: &Policy) -> Result<Peer> {
        let mut tensors = HashMap::new();
        for (name, weight) in policy.weights()? {
            tensors.insert(name, Tensor::from_vec(weight.values, weight.shape, &Device::Cpu)?);
        }
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let c = policy.config.as_ref();
        Ok(match c.family {
            Family::Llama => {
                let config = llama_config(c);
                Peer::Llama(Box::new(llama::Llama::load(weights, &config)?), Box::new(config))
            }
            Family::Mistral => {
                let config = mistral::Config {
                    vocab_size: c.vocab_size,
                    hidden_size: c.hidden_size,
                    intermediate_size: c.intermediate_size,
                    num_hidden_layers: c.num_hidden_layers,
                    num_attention_heads: c.num_attention_heads,
                    head_dim: Some(c.head_dim),
                    num_key_value_heads: c.num_key_value_heads,
                    hidden_act: Activation::Silu,
                    max_position_embeddings: positions(c),
                    rms_norm_eps: c.rms_norm_eps,
                    rope_theta: c.rope_theta,
                    sliding_window: c.sliding_window,
                    use_flash_attn: false,
                };
                Peer::Mistral(Box::new(mistral::Model::new(&config, weights)?))
            }
            Family::Qwen2 => {
                let config = qwen2::Config {
                    vocab_size: c.vocab_size,
                    hidden_size: c.hidden_size,
                    intermediate_size: c.intermediate_size,
                    num_hidden_layers: c.num_hidden_layers,
                    num_attention_heads: c.num_attention_heads,
                    num_key_value_heads: c.num_key_value_heads,
                    max_position_embeddings: positions(c),
                    sliding_window: positions(c),
                    max_window_layers: c.num_hidden_layers,
                    tie_word_embeddings: c.tie_word_embeddings,
                    rope_theta: c.rope_theta,
                    rms_norm_eps: c.rms_norm_eps,
                    use_sliding_window: false,
                    hidden_act: Activation::Silu,
                };
                Peer::Qwen2(Box::new(qwen2::ModelForCausalLM::new(&config, weights)?))
            }
            Family::Qwen3 => {
                let config = qwen3::Config {
                    vocab_size: c.vocab_size,
                    hidden_size: c.hidden_size,
                    intermediate_size: c.intermediate_size,
                    num_hidden_layers: c.num_hidden_layers,
                    num_attention_heads: c.num_attention_heads,
                    head_dim: c.head_dim,
                    attention_bias: c.attention_bias,
                    num_key_value_heads: c.num_key_value_heads,
                    max_position_embeddings: positions(c),
                    sliding_window: None,
                    max_window_layers: c.num_hidden_layers,
                    tie_word_embeddings: c.tie_word_embeddings,
                    rope_theta: c.rope_theta,
                    rms_norm_eps: c.rms_norm_eps,
                    use_sliding_window: false,
                    hidden_act: Activation::Silu,
                };
                Peer::Qwen3(Box::new(qwen3::ModelForCausalLM::new(&config, weights)?))
            }
        })
    }

    /// Logits of the token after these, `[vocab_size]`.
    ///
    /// # Errors
    ///
    /// More tokens than the model has positions for.
    pub fn logits(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let logits = match self {
            Peer::Llama(model, config) => {
                let mut cache = llama::Cache::new(false, DType::F32, config, &Device::Cpu)?;
                model.forward(&input, 0, &mut cache)?
            }
            Peer::Mistral(model) => {
                model.clear_kv_cache();
                model.forward(&input, 0)?
            }
            Peer::Qwen2(model) => {
                model.clear_kv_cache();
                model.forward(&input, 0)?
            }
            Peer::Qwen3(model) => {
                model.clear_kv_cache();
                model.forward(&input, 0)?
            }
        };
        Ok(logits.flatten_all()?.to_vec1()?)
    }
}

/// Positions that tables are made for: candle-transformers makes them for as many as are said to be there.
fn positions(model: &ModelConfig) -> usize {
    model.longest_sequence().min(POSITIONS)
}

fn llama_config(c: &ModelConfig) -> llama::Config {
    let scaling = match &c.rope_scaling {
        Some(RopeScaling::Llama3(scaling)) => Some(llama::Llama3RopeConfig {
            factor: scaling.factor as f32,
            low_freq_factor: scaling.low_freq_factor as f32,
            high_freq_factor: scaling.high_freq_factor as f32,
            original_max_position_embeddings: scaling.original_max_position_embeddings,
            rope_type: llama::Llama3RopeType::Llama3,
        }),
        _ => None,
    };
    llama::Config {
        hidden_size: c.hidden_size,
        intermediate_size: c.intermediate_size,
        vocab_size: c.vocab_size,
        num_hidden_layers: c.num_hidden_layers,
        num_attention_heads: c.num_attention_heads,
        num_key_value_heads: c.num_key_value_heads,
        use_flash_attn: false,
        rms_norm_eps: c.rms_norm_eps,
        rope_theta: c.rope_theta as f32,
        bos_token_id: None,
        eos_token_id: None,
        rope_scaling: scaling,
        max_position_embeddings: positions(c),
        tie_word_embeddings: c.tie_word_embeddings,
    }
}
