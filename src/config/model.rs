//! `[base]` and `[model]`: the model that is fine-tuned, and the shape of one that is made from scratch.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Ranges;
use crate::base::Place;
use crate::policy::{Family, ModelConfig};

/// The largest size of a model in any direction. Whether the machine has room for the whole is another question.
const LARGEST_SIZE: usize = 1 << 20;
/// The most layers.
const MOST_LAYERS: usize = 4096;

/// Where the base model comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaseConfig {
    /// A directory in the Hugging Face layout, a GGUF file, "embedded" for the base that ships, "embedded-versed" for the one that
    /// knows codebooks and hierarchies as well, or "pretrain" for one that the run makes first, as `[known]`, `[model]` and
    /// `[pretrain]` say. Those that ship spell the words of generated worlds only: where knowledge comes from files, their names stand
    /// for a model that has learned nothing, made from `[model]` with a tokenizer trained from the files.
    pub path: String,
}

impl Default for BaseConfig {
    fn default() -> Self {
        BaseConfig { path: "embedded".into() }
    }
}

impl BaseConfig {
    /// Where the base is, unless the run makes it.
    pub fn place(&self) -> Place<'_> {
        Place::from_name(&self.path)
    }

    /// The directory of the base that is named; `None` for one that ships and for one that is made.
    pub fn dir(&self) -> Option<&Path> {
        match self.place() {
            Place::Dir(dir) if !self.is_made() => Some(dir),
            _ => None,
        }
    }

    /// The run makes its base.
    pub fn is_made(&self) -> bool {
        self.path == "pretrain"
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        let allowed = "a directory, a GGUF file, \"embedded\", \"embedded-versed\" or \"pretrain\"";
        ranges.demand(!self.path.is_empty(), "base.path", "nothing", allowed);
    }
}

/// Sizes of the model that `pretrain` makes, in the words of a Hugging Face `config.json`. The vocabulary is
/// missing: the tokenizer decides it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSection {
    /// The family that the decoder has the shape of.
    pub family: Family,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside of the feed-forward blocks.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Heads of queries in a layer.
    pub num_attention_heads: usize,
    /// Heads of keys and values in a layer; a divisor of `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Dimensions of a head, an even number.
    pub head_dim: usize,
    /// What is added to the mean square in a norm.
    pub rms_norm_eps: f64,
    /// Base of the wavelengths of rotary positions.
    pub rope_theta: f64,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// The output layer has the weights of the embedding.
    pub tie_word_embeddings: bool,
}

impl Default for ModelSection {
    fn default() -> Self {
        ModelSection {
            family: Family::Qwen2,
            hidden_size: 128,
            intermediate_size: 256,
            num_hidden_layers: 3,
            num_attention_heads: 4,
            num_key_value_heads: 4,
            head_dim: 32,
            rms_norm_eps: 1e-6,
            rope_theta: 1e5,
            max_position_embeddings: 512,
            tie_word_embeddings: true,
        }
    }
}

impl ModelSection {
    /// The shape of the model for a vocabulary of this size.
    pub fn with_vocabulary(&self, vocab_size: usize) -> ModelConfig {
        ModelConfig {
            family: self.family,
            vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
            rms_norm_eps: self.rms_norm_eps,
            rope_theta: self.rope_theta,
            rope_scaling: None,
            max_position_embeddings: self.max_position_embeddings,
            sliding_window: None,
            attention_bias: false,
            tie_word_embeddings: self.tie_word_embeddings,
        }
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        for (key, size) in [
            ("model.hidden_size", self.hidden_size),
            ("model.intermediate_size", self.intermediate_size),
            ("model.num_attention_heads", self.num_attention_heads),
            ("model.num_key_value_heads", self.num_key_value_heads),
        ] {
            ranges.count(key, size, 1..=LARGEST_SIZE);
        }
        ranges.count("model.num_hidden_layers", self.num_hidden_layers, 1..=MOST_LAYERS);
        ranges.count("model.max_position_embeddings", self.max_position_embeddings, 8..=LARGEST_SIZE);
        // Rotary positions turn the dimensions of a head in pairs.
        let even = (2..=LARGEST_SIZE).contains(&self.head_dim) && self.head_dim.is_multiple_of(2);
        ranges.demand(
            even,
            "model.head_dim",
            self.head_dim,
            format!("an even number, 2 or more and {LARGEST_SIZE} at most"),
        );
        let heads = self.num_attention_heads;
        let shared = self.num_key_value_heads == 0 || heads.is_multiple_of(self.num_key_value_heads);
        let allowed = format!("a divisor of model.num_attention_heads, which is {heads}");
        ranges.demand(shared, "model.num_key_value_heads", self.num_key_value_heads, allowed);
        ranges.positive("model.rms_norm_eps", self.rms_norm_eps, 1.0);
        let theta = (1.0..=1e12).contains(&self.rope_theta);
        ranges.demand(theta, "model.rope_theta", self.rope_theta, "1 or more, 1e12 at most");
    }
}
