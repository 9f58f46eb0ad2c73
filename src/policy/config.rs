//! The shape of a policy, in the words of a Hugging Face `config.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::kernels::{Heads, RopeScaling, Rotary};
use crate::{Error, Result};

/// Which family of decoder. They differ in biases and in one norm; everything else is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama and what has its shape, SmolLM2 for one. Biases only where `attention_bias` says so.
    Llama,
    /// The same without biases; attention may be limited to a sliding window.
    Mistral,
    /// Biases on query, key and value.
    Qwen2,
    /// RMSNorm on each head's query and key. Biases only where `attention_bias` says so.
    Qwen3,
}

impl Family {
    /// Whether `attention_bias` in a `config.json` means something; elsewhere transformers passes over it.
    pub fn heeds_attention_bias(self) -> bool {
        matches!(self, Family::Llama | Family::Qwen3)
    }

    /// Whether each head's query and key are normalised.
    pub fn has_head_norm(self) -> bool {
        self == Family::Qwen3
    }
}

/// The largest size that a row of a matrix, or what it is made of, can have.
const WIDEST: usize = 1 << 24;
/// The most layers.
const DEEPEST: usize = 1 << 14;
/// The most of what 32 bits count: tokens and positions.
const COUNTED: usize = i32::MAX as usize;
/// The most weights: more than any machine that this program runs on holds.
const MOST_WEIGHTS: usize = 1 << 40;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeScaling>,
    pub max_position_embeddings: usize,
    /// A token sees only so many before it, itself counted (Mistral). Sequences may not be longer than that: up to
    /// there the window makes no difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<usize>,
    /// Biases on query, key, value and output of attention.
    pub attention_bias: bool,
    pub tie_word_embeddings: bool,
}

impl ModelConfig {
    /// Query, key and value heads of every layer.
    pub fn heads(&self) -> Heads {
        Heads { query: self.num_attention_heads, key: self.num_key_value_heads, dim: self.head_dim }
    }

    /// Whether query, key and value have biases.
    pub fn has_query_bias(&self) -> bool {
        self.family == Family::Qwen2 || self.attention_bias
    }

    /// How heads turn from one position to the next.
    pub fn rotary(&self) -> Rotary {
        Rotary::new(self.head_dim, self.rope_theta, self.rope_scaling.as_ref())
    }

    /// Tokens of the longest sequence that the policy can take.
    pub fn longest_sequence(&self) -> usize {
        self.sliding_window.map_or(self.max_position_embeddings, |window| window.min(self.max_position_embeddings))
    }

    /// The name and shape of every weight, as Hugging Face names them.
    pub fn weight_shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.architecture().weights().map(|weight| (weight.name, weight.shape)).collect()
    }

    /// How many numbers the policy consists of.
    pub fn parameter_count(&self) -> usize {
        let count = |shape: &Vec<usize>| shape.iter().fold(1, |product: usize, size| product.saturating_mul(*size));
        self.weight_shapes().values().fold(0, |sum: usize, shape| sum.saturating_add(count(shape)))
    }

    /// The same, where it can be said: not of sizes whose product is no number.
    fn countable(&self) -> Option<usize> {
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let heads = self.num_key_value_heads.checked_mul(2)?.checked_add(self.num_attention_heads.checked_mul(2)?)?;
        // Matrices and norms; biases are fewer than either.
        let layer = product(&[heads, self.head_dim, d])?.checked_add(product(&[3, f, d])?)?.checked_add(2 * d)?;
        layer.checked_mul(self.num_hidden_layers)?.checked_add(product(&[2, self.vocab_size, d])?)
    }

    /// Refuses sizes that do not fit together, or are beyond any model; `place` (a file, a config section) begins the
    /// message.
    pub fn check(&self, place: &str) -> Result<()> {
        let refuse = |key: &str, found: String, remedy: &str| {
            Err(Error::invalid(place, format!("{key} is {found}"), remedy.to_owned()))
        };
        for (key, value, most) in [
            ("vocab_size", self.vocab_size, COUNTED),
            ("hidden_size", self.hidden_size, WIDEST),
            ("intermediate_size", self.intermediate_size, WIDEST),
            ("num_hidden_layers", self.num_hidden_layers, DEEPEST),
            ("num_attention_heads", self.num_attention_heads, WIDEST),
            ("num_key_value_heads", self.num_key_value_heads, WIDEST),
            ("head_dim", self.head_dim, WIDEST),
            ("max_position_embeddings", self.max_position_embeddings, COUNTED),
        ] {
            if value == 0 {
                return refuse(key, "0".into(), "it has to be at least 1");
            }
            if value > most {
                return refuse(key, value.to_string(), &format!("it can be at most {most}"));
            }
        }
        if self.countable().is_none_or(|weights| weights > MOST_WEIGHTS) {
            let found = format!(
                "{} in {} layers, with a vocabulary of {}",
                self.hidden_size, self.num_hidden_layers, self.vocab_size
            );
            return refuse(
                "hidden_size",
                found,
                "that is a model of more than a million million weights: check the sizes",
            );
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let found = format!("{} with {} key heads", self.num_attention_heads, self.num_key_value_heads);
            return refuse("num_attention_heads", found, "it has to be a multiple of num_key_value_heads");
        }
        if !self.head_dim.is_multiple_of(2) {
            return refuse("head_dim", self.head_dim.to_string(), "rotary positions need an even number");
        }
        for (key, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)] {
            if !(value.is_finite() && value > 0.0) {
                return refuse(key, value.to_string(), "it has to be a positive number");
            }
        }
        if self.sliding_window == Some(0) {
            return refuse("sliding_window", "0".into(), "it has to be at least 1, or null");
        }
        match self.rope_scaling {
            Some(RopeScaling::Dynamic { .. }) if self.head_dim == 2 => {
                return refuse("head_dim", "2".into(), "with rotary scaling \"dynamic\" it has to be at least 4");
            }
            Some(RopeScaling::Yarn(_)) if self.rope_theta == 1.0 => {
                return refuse("rope_theta", "1".into(), "with rotary scaling \"yarn\" it has to be another number");
            }
            _ => {}
        }
        match self.rope_scaling.and_then(|scaling| scaling.fault()) {
            Some((key, value)) => refuse(
                &format!("rope_scaling.{key}"),
                value.to_string(),
                "factors are positive, and high_freq_factor is above low_freq_factor",
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A model of a few thousand weights, with grouped heads and odd sizes.
    pub(crate) fn tiny(family: Family, tied: bool) -> ModelConfig {
        ModelConfig {
            family,
            vocab_size: 23,
            hidden_size: 12,
            intermediate_size: 20,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 4,
            rms_norm_eps: 1e-6,
            rope_theta: 1e4,
            rope_scaling: None,
            max_position_embeddings: 64,
            sliding_window: None,
            attention_bias: false,
            tie_word_embeddings: tied,
        }
    }

    #[test]
    fn weights_are_those_of_the_family() {
        let shapes = tiny(Family::Qwen2, true).weight_shapes();
        assert_eq!(shapes["model.layers.1.self_attn.k_proj.bias"], [8]);
        assert!(!shapes.contains_key("lm_head.weight"));
        let shapes = tiny(Family::Qwen3, false).weight_shapes();
        assert_eq!(shapes["model.layers.0.self_attn.q_norm.weight"], [4]);
        assert_eq!(shapes["lm_head.weight"], [23, 12]);
        let biased = ModelConfig { attention_bias: true, ..tiny(Family::Llama, true) }.weight_shapes();
        assert_eq!(biased["model.layers.1.self_attn.v_proj.bias"], [8]);
        assert_eq!(biased["model.layers.1.self_attn.o_proj.bias"], [12]);
        assert!(tiny(Family::Llama, true).weight_shapes().keys().all(|name| !name.ends_with("bias")));
    }

    #[test]
    fn sizes_that_do_not_fit_together_are_refused_by_name() {
        let broken = |change: fn(&mut ModelConfig)| {
            let mut config = tiny(Family::Llama, true);
            config.check("model").unwrap();
            change(&mut config);
            config.check("model").unwrap_err().to_string()
        };
        assert!(broken(|c| c.hidden_size = 0).contains("model: hidden_size is 0"));
        assert!(broken(|c| c.num_key_value_heads = 3).contains("num_attention_heads is 4 with 3"));
        assert!(broken(|c| c.head_dim = 5).contains("head_dim is 5"));
        assert!(broken(|c| c.rope_theta = f64::NAN).contains("rope_theta is NaN"));
        assert!(broken(|c| c.sliding_window = Some(0)).contains("sliding_window is 0"));
        let negative = broken(|c| c.rope_scaling = Some(RopeScaling::Linear { factor: -1.0 }));
        assert!(negative.contains("rope_scaling.factor is -1"), "{negative}");
    }

    #[test]
    fn absurd_sizes_are_one_line_with_the_key() {
        type ConfigChange = fn(&mut ModelConfig, usize);
        let sizes: [(&str, ConfigChange); 8] = [
            ("vocab_size", |c, n| c.vocab_size = n),
            ("hidden_size", |c, n| c.hidden_size = n),
            ("intermediate_size", |c, n| c.intermediate_size = n),
            ("num_hidden_layers", |c, n| c.num_hidden_layers = n),
            ("num_attention_heads", |c, n| c.num_attention_heads = n),
            ("num_key_value_heads", |c, n| c.num_key_value_heads = n),
            ("head_dim", |c, n| c.head_dim = n),
            ("max_position_embeddings", |c, n| c.max_position_embeddings = n),
        ];
        for (key, change) in sizes {
            for size in [1_000_000_000_000, 1 << 63, usize::MAX] {
                let mut config = tiny(Family::Llama, true);
                change(&mut config, size);
                let message = config.check("config.json").unwrap_err().to_string();
                assert!(message.starts_with(&format!("config.json: {key} is {size}; ")), "{message}");
            }
        }
        let mut config = tiny(Family::Llama, true);
        (config.hidden_size, config.intermediate_size, config.num_hidden_layers) = (1 << 24, 1 << 24, 1 << 14);
        assert!(
            config.check("config.json").unwrap_err().to_string().contains("hidden_size is 16777216 in 16384 layers")
        );
        // What real models have is far below.
        (config.vocab_size, config.hidden_size, config.intermediate_size) = (256_000, 16_384, 53_248);
        (config.num_attention_heads, config.num_key_value_heads, config.head_dim) = (128, 8, 128);
        (config.num_hidden_layers, config.max_position_embeddings) = (126, 1_000_000_000);
        config.check("config.json").unwrap();
        assert!(config.countable().unwrap().abs_diff(config.parameter_count()) < 1 << 33);
    }
}
