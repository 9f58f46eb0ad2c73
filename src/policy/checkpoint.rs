//! A policy on disk, in the Hugging Face layout: `config.json` beside `model.safetensors`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{ModelConfig, Policy, Weight};
use crate::{Error, Result, files};

/// The two files of a checkpoint.
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";

impl Policy {
    /// Loads a checkpoint. Weights may be f32, bf16 or f16; they are kept as f32.
    pub fn load(folder: &Path) -> Result<Policy> {
        let config = Arc::new(ModelConfig::read(&folder.join(CONFIG))?);
        let path = folder.join(WEIGHTS);
        let place = path.display().to_string();
        let bytes = files::read_bytes(&path)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| {
            let remedy = "the file is damaged or was not written to its end; fetch or save it again";
            Error::invalid(&place, format!("no safetensors ({error})"), remedy)
        })?;
        let mut weights = BTreeMap::new();
        for (name, view) in tensors.iter() {
            // transformers writes the head of a tied model in some releases; it is the embedding once more.
            if config.tie_word_embeddings && name == "lm_head.weight" {
                continue;
            }
            let weight = Weight { shape: view.shape().to_vec(), values: decode(&place, name, &view)? };
            weights.insert(name.to_owned(), weight);
        }
        Policy::new(&place, config, weights)
    }

    /// Saves a checkpoint, each file whole or not at all. Weights are written as f32, in the order of their names:
    /// the same weights give the same bytes.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let weights = self.weights()?;
        let path = folder.join(WEIGHTS);
        let bytes: Vec<Vec<u8>> = weights
            .values()
            .map(|weight| weight.values.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let refuse = |error: safetensors::SafeTensorError| {
            Error::invalid(path.display().to_string(), error.to_string(), "the weights cannot be written")
        };
        let mut views = Vec::with_capacity(weights.len());
        for ((name, weight), bytes) in weights.iter().zip(&bytes) {
            views.push((name, TensorView::new(Dtype::F32, weight.shape.clone(), bytes).map_err(refuse)?));
        }
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(refuse)?;
        files::write_atomic(&path, &bytes)?;
        files::write_atomic(&folder.join(CONFIG), self.config.to_json().as_bytes())
    }
}

fn decode(place: &str, name: &str, view: &TensorView) -> Result<Vec<f32>> {
    let halves =
        |widen: fn(u16) -> f32| view.data().as_chunks().0.iter().map(|b| widen(u16::from_le_bytes(*b))).collect();
    match view.dtype() {
        Dtype::F32 => Ok(view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        Dtype::BF16 => Ok(halves(|bits| f32::from_bits(u32::from(bits) << 16))),
        Dtype::F16 => Ok(halves(widen_f16)),
        other => {
            Err(Error::invalid(place, format!("{name} is stored as {other:?}"), "f32, bf16 and f16 can be loaded"))
        }
    }
}

/// IEEE half precision to single precision, exactly.
fn widen_f16(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Family;
    use crate::policy::config::tests::tiny;
    use crate::policy::model::tests::random_policy;
    use std::fs;

    fn saved() -> (Policy, tempfile::TempDir) {
        let policy = random_policy(&tiny(Family::Qwen3, true), 1);
        let folder = tempfile::tempdir().unwrap();
        policy.save(folder.path()).unwrap();
        (policy, folder)
    }

    /// Writes the weights in another precision.
    fn rewrite(policy: &Policy, folder: &Path, dtype: Dtype, encode: fn(f32) -> Vec<u8>) {
        let weights = policy.weights().unwrap();
        let bytes: Vec<Vec<u8>> =
            weights.values().map(|w| w.values.iter().flat_map(|v| encode(*v)).collect()).collect();
        let views = weights
            .iter()
            .zip(&bytes)
            .map(|((name, weight), bytes)| (name, TensorView::new(dtype, weight.shape.clone(), bytes).unwrap()));
        fs::write(folder.join(WEIGHTS), safetensors::serialize(views, None).unwrap()).unwrap();
    }

    #[test]
    fn what_is_saved_is_loaded_bit_for_bit_and_saving_again_gives_the_same_bytes() {
        let (policy, folder) = saved();
        let loaded = Policy::load(folder.path()).unwrap();
        assert_eq!(loaded.weights().unwrap(), policy.weights().unwrap());
        assert_eq!(loaded.config, policy.config);
        let first = fs::read(folder.path().join(WEIGHTS)).unwrap();
        loaded.save(folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join(WEIGHTS)).unwrap(), first);
        let (_, metadata) = SafeTensors::read_metadata(&first).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    }

    #[test]
    fn half_precisions_are_widened() {
        let (policy, folder) = saved();
        rewrite(&policy, folder.path(), Dtype::BF16, |v| ((v.to_bits() >> 16) as u16).to_le_bytes().to_vec());
        let loaded = Policy::load(folder.path()).unwrap().weights().unwrap();
        for (name, weight) in policy.weights().unwrap() {
            let truth: Vec<f32> = weight.values.iter().map(|v| f32::from_bits(v.to_bits() >> 16 << 16)).collect();
            assert_eq!(loaded[&name].values, truth);
        }
        for (bits, value) in
            [(0x3C00, 1.0), (0xC000, -2.0), (0x0001, 2f32.powi(-24)), (0x7BFF, 65504.0), (0x3555, 0.333_251_95)]
        {
            assert_eq!(widen_f16(bits), value);
        }
        assert!(widen_f16(0x7C01).is_nan() && widen_f16(0xFC00) == f32::NEG_INFINITY && widen_f16(0x8000) == 0.0);
        rewrite(&policy, folder.path(), Dtype::F64, |v| f64::from(v).to_le_bytes().to_vec());
        assert!(Policy::load(folder.path()).unwrap_err().to_string().contains("stored as F64"));
    }

    #[test]
    fn every_damage_is_one_clear_line() {
        let message = |damage: &dyn Fn(&Path)| {
            let (_, folder) = saved();
            damage(folder.path());
            let message = Policy::load(folder.path()).unwrap_err().to_string();
            assert!(message.contains(folder.path().to_str().unwrap()) && !message.contains('\n'), "{message}");
            message
        };
        let other_config = |change: fn(&mut ModelConfig)| {
            message(&|folder| {
                let mut config = tiny(Family::Qwen3, true);
                change(&mut config);
                fs::write(folder.join(CONFIG), config.to_json()).unwrap();
            })
        };
        assert!(message(&|folder| fs::remove_file(folder.join(WEIGHTS)).unwrap()).contains("cannot read"));
        assert!(message(&|folder| fs::remove_file(folder.join(CONFIG)).unwrap()).contains("cannot read"));
        for length in [0, 5, 200, 9000] {
            let cut = message(&|folder| {
                let bytes = fs::read(folder.join(WEIGHTS)).unwrap();
                assert!(length < bytes.len());
                fs::write(folder.join(WEIGHTS), &bytes[..length]).unwrap();
            });
            assert!(cut.contains("no safetensors"), "{cut}");
        }
        assert!(other_config(|c| c.vocab_size = 24).contains("has shape [23, 12], not [24, 12]"));
        assert!(other_config(|c| c.num_hidden_layers = 3).contains("model.layers.2.input_layernorm.weight is missing"));
        assert!(other_config(|c| c.num_hidden_layers = 1).contains("is no weight of this model"));
        assert!(other_config(|c| c.tie_word_embeddings = false).contains("lm_head.weight is missing"));
        let infinite = message(&|folder| {
            let (policy, _) = saved();
            rewrite(&policy, folder, Dtype::F32, |v| (if v > 1.4 { f32::INFINITY } else { v }).to_le_bytes().to_vec());
        });
        assert!(infinite.contains("not finite"), "{infinite}");
    }
}
