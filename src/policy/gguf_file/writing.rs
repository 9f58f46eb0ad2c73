//! A policy as metadata and tensors of a GGUF file, the way llama.cpp's own converter lays them out.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use candle_core::quantized::gguf_file::{Value, write};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::rope::FACTORS;
use super::weights::{named, together};
use super::{ARCHITECTURE, ARCHITECTURES};
use crate::kernels::RopeScaling;
use crate::policy::{Family, ModelConfig, Policy, Weight};
use crate::{Error, Result, files};

/// How the numbers of a GGUF file are written. Vectors are always f32, as llama.cpp wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GgufPrecision {
    F32,
    Bf16,
    F16,
    /// Eight bits in blocks of 32; matrices whose rows are no multiple of that are f16.
    Q8_0,
}

impl GgufPrecision {
    /// The number that llama.cpp gives files of this kind.
    fn file_type(self) -> u32 {
        match self {
            GgufPrecision::F32 => 0,
            GgufPrecision::F16 => 1,
            GgufPrecision::Q8_0 => 7,
            GgufPrecision::Bf16 => 32,
        }
    }

    fn of(self, weight: &Weight) -> GgmlDType {
        let blocks = weight.shape.last().is_some_and(|width| width.is_multiple_of(GgmlDType::Q8_0.block_size()));
        match self {
            _ if weight.shape.len() < 2 => GgmlDType::F32,
            GgufPrecision::F32 => GgmlDType::F32,
            GgufPrecision::Bf16 => GgmlDType::BF16,
            GgufPrecision::Q8_0 if blocks => GgmlDType::Q8_0,
            GgufPrecision::F16 | GgufPrecision::Q8_0 => GgmlDType::F16,
        }
    }
}

impl Policy {
    /// Writes whole weights with a tokenizer's metadata into one file for llama.cpp.
    ///
    /// # Errors
    /// What such a file has no words for; a file that cannot be written.
    pub fn save_gguf(
        &self,
        path: &Path,
        name: &str,
        tokenizer: Vec<(String, Value)>,
        precision: GgufPrecision,
    ) -> Result<()> {
        let place = path.display().to_string();
        let mut metadata = metadata(&place, &self.config, name, precision)?;
        metadata.extend(tokenizer);
        let llama = matches!(self.config.family, Family::Llama | Family::Mistral);
        let mut tensors: Vec<(String, QTensor)> = Vec::new();
        for (theirs, weight) in self.weights()? {
            if theirs == "lm_head.weight" && self.config.tie_word_embeddings {
                continue;
            }
            let Some((name, rotated)) = named(&theirs) else {
                return Err(Error::invalid(place, format!("{theirs} has no name there"), "export it as a directory"));
            };
            let weight = if llama && rotated { together(weight, self.config.head_dim) } else { weight };
            tensors.push((name, quantised(&weight, precision.of(&weight))?));
        }
        if let Some(factors) = factors(&self.config) {
            let weight = Weight { shape: vec![factors.len()], values: factors };
            tensors.push((FACTORS.into(), quantised(&weight, GgmlDType::F32)?));
        }
        let bytes: usize = tensors.iter().map(|(_, tensor)| tensor.storage_size_in_bytes()).sum();
        files::demand_room(path, bytes as u64)?;
        let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        files::write_atomic_with(path, |beside| {
            let mut file = BufWriter::new(File::create(beside).map_err(Error::io(path, "write"))?);
            write(&mut file, &metadata, &tensors)?;
            file.into_inner().map(drop).map_err(|error| Error::io(path, "write")(error.into_error()))
        })
    }
}

fn quantised(weight: &Weight, dtype: GgmlDType) -> Result<QTensor> {
    let tensor = Tensor::from_slice(&weight.values, weight.shape.as_slice(), &Device::Cpu)?;
    Ok(QTensor::quantize(&tensor, dtype)?)
}

fn metadata(place: &str, config: &ModelConfig, name: &str, precision: GgufPrecision) -> Result<Vec<(String, Value)>> {
    let known = match config.family {
        Family::Llama | Family::Mistral => 0,
        Family::Qwen2 => 1,
        Family::Qwen3 => 2,
    };
    let architecture = ARCHITECTURES[known].0;
    if let Some(window) = config.sliding_window.filter(|window| *window < config.max_position_embeddings) {
        let found = format!("a sliding window of {window} tokens");
        return Err(Error::invalid(place, found, "llama.cpp's files of this family have none: export a directory"));
    }
    let count = |value: usize| Value::U32(value as u32);
    let number = |value: f64| Value::F32(value as f32);
    let text = |value: &str| Value::String(value.to_owned());
    let mut metadata = vec![
        (ARCHITECTURE.to_owned(), text(architecture)),
        ("general.type".into(), text("model")),
        ("general.name".into(), text(name)),
        ("general.file_type".into(), Value::U32(precision.file_type())),
        ("general.quantization_version".into(), Value::U32(2)),
    ];
    let mut own = vec![
        ("vocab_size", count(config.vocab_size)),
        ("context_length", count(config.max_position_embeddings)),
        ("embedding_length", count(config.hidden_size)),
        ("block_count", count(config.num_hidden_layers)),
        ("feed_forward_length", count(config.intermediate_size)),
        ("attention.head_count", count(config.num_attention_heads)),
        ("attention.head_count_kv", count(config.num_key_value_heads)),
        ("attention.key_length", count(config.head_dim)),
        ("attention.value_length", count(config.head_dim)),
        ("attention.layer_norm_rms_epsilon", number(config.rms_norm_eps)),
        ("rope.dimension_count", count(config.head_dim)),
        ("rope.freq_base", number(config.rope_theta)),
    ];
    match config.rope_scaling {
        None | Some(RopeScaling::Llama3(_) | RopeScaling::Dynamic { .. }) => {}
        Some(RopeScaling::Linear { factor }) => {
            own.extend([("rope.scaling.type", text("linear")), ("rope.scaling.factor", number(factor))]);
        }
        Some(RopeScaling::Yarn(yarn)) => {
            if yarn.mscale.is_some() || yarn.attention_factor.is_some() || !yarn.truncate {
                let found = "YaRN with an attention factor of its own, or without rounding";
                return Err(Error::invalid(place, found, "its files have no words for that: export a directory"));
            }
            own.extend([
                ("rope.scaling.type", text("yarn")),
                ("rope.scaling.factor", number(yarn.factor)),
                ("rope.scaling.original_context_length", count(yarn.original_max_position_embeddings)),
            ]);
            own.extend(yarn.beta_fast.map(|turns| ("rope.scaling.yarn_beta_fast", number(turns))));
            own.extend(yarn.beta_slow.map(|turns| ("rope.scaling.yarn_beta_slow", number(turns))));
        }
    }
    metadata.extend(own.into_iter().map(|(key, value)| (format!("{architecture}.{key}"), value)));
    Ok(metadata)
}

/// What the frequencies of Llama 3 are divided by.
fn factors(config: &ModelConfig) -> Option<Vec<f32>> {
    let Some(RopeScaling::Llama3(_)) = config.rope_scaling else { return None };
    let plain = ModelConfig { rope_scaling: None, ..config.clone() }.rotary();
    let pairs = plain.frequencies.into_iter().zip(config.rotary().frequencies);
    Some(pairs.map(|(plain, slowed)| plain / slowed).collect())
}
