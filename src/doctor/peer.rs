//! The same model as candle-transformers has it: another implementation, to hold ours against.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{llama, mistral, qwen2, qwen3};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::kernels::RopeScaling;
use crate::policy::{Family, ModelConfig, Policy};
use crate::{Error, Result};

/// Most positions that two models are compared on.
const POSITIONS: usize = 4096;

/// A model of candle-transformers, in f32 on the CPU: from tokens `[1, length]` to logits of the one after them.
pub struct Peer(Box<Logits>);

type Logits = dyn FnMut(&Tensor) -> candle_core::Result<Tensor>;

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
            .then(|| format!("head_dim of {} (it takes hidden_size / num_attention_heads)", model.head_dim)),
    }
}

impl Peer {
    /// The same weights in candle-transformers' model. What [`lacks`] names is not there.
    ///
    /// # Errors
    ///
    /// Weights that candle-transformers does not take.
    pub fn new(policy: &Policy) -> Result<Peer> {
        let mut tensors = HashMap::new();
        for (name, weight) in policy.weights()? {
            tensors.insert(name, Tensor::from_vec(weight.values, weight.shape, &Device::Cpu)?);
        }
        let (weights, config) = (VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &policy.config);
        Ok(Peer(match config.family {
            Family::Llama => {
                let config = translated::<llama::LlamaConfig>(config)?.into_config(false);
                let model = llama::Llama::load(weights, &config)?;
                Box::new(move |tokens| {
                    let mut cache = llama::Cache::new(false, DType::F32, &config, &Device::Cpu)?;
                    model.forward(tokens, 0, &mut cache)
                })
            }
            Family::Mistral => {
                let mut model = mistral::Model::new(&translated(config)?, weights)?;
                Box::new(move |tokens| {
                    model.clear_kv_cache();
                    model.forward(tokens, 0)
                })
            }
            Family::Qwen2 => {
                let mut model = qwen2::ModelForCausalLM::new(&translated(config)?, weights)?;
                Box::new(move |tokens| {
                    model.clear_kv_cache();
                    model.forward(tokens, 0)
                })
            }
            Family::Qwen3 => {
                let mut model = qwen3::ModelForCausalLM::new(&translated(config)?, weights)?;
                Box::new(move |tokens| {
                    model.clear_kv_cache();
                    model.forward(tokens, 0)
                })
            }
        }))
    }

    /// Logits of the token after these, `[vocab_size]`.
    ///
    /// # Errors
    ///
    /// More tokens than the model has positions for.
    pub fn logits(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        Ok((self.0)(&input)?.flatten_all()?.to_vec1()?)
    }
}

/// A model's config as one of candle-transformers, which has the names of a `config.json` too.
fn translated<C: DeserializeOwned>(model: &ModelConfig) -> Result<C> {
    // Tables are made for as many positions as are said to be there.
    let positions = model.longest_sequence().min(POSITIONS);
    let translate = || -> serde_json::Result<C> {
        let mut fields: serde_json::Map<String, Value> = serde_json::from_value(serde_json::to_value(model)?)?;
        fields.insert("hidden_act".into(), "silu".into());
        fields.insert("max_position_embeddings".into(), positions.into());
        fields.insert("max_window_layers".into(), model.num_hidden_layers.into());
        fields.insert("use_sliding_window".into(), false.into());
        if model.family != Family::Mistral {
            fields.insert("sliding_window".into(), positions.into());
        }
        // What else has passed [`lacks`] turns as if it were not there.
        if !matches!(model.rope_scaling, Some(RopeScaling::Llama3(_))) {
            fields.insert("rope_scaling".into(), json!(null));
        }
        serde_json::from_value(fields.into())
    };
    translate().map_err(|error| Error::invalid("candle-transformers", error.to_string(), "this is a bug: report it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::config::tests::tiny;

    #[test]
    fn what_the_other_model_lacks_goes_on_from_has_no() {
        let model = ModelConfig { head_dim: 8, ..tiny(Family::Llama, true) };
        assert_eq!(lacks(&model).unwrap(), "head_dim of 8 (it takes hidden_size / num_attention_heads)");
    }
}
