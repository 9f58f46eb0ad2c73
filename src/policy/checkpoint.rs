//! A policy on disk, in the Hugging Face layout: `config.json` beside the weights.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::model::{check_finite, check_shape, foreign};
use super::weight_files::{self, WEIGHTS};
use super::{ModelConfig, Policy};
use crate::{Result, files};

/// What a checkpoint's weights mean.
const CONFIG: &str = "config.json";

impl Policy {
    /// Loads a checkpoint: one safetensors file, or the shards that an index names, in f32, bf16 or f16 (kept as f32);
    /// or adapters, with the weights that they name.
    pub fn load(folder: &Path) -> Result<Policy> {
        Policy::load_on(folder, || Policy::load_whole(&Policy::adapted_base(folder)?))
    }

    /// The same with adapters on a base that is there already, whose weights they share.
    pub fn load_on(folder: &Path, base: impl FnOnce() -> Result<Policy>) -> Result<Policy> {
        match Policy::is_adapter(folder) {
            true => base()?.load_adapters(folder),
            false => Policy::load_whole(folder),
        }
    }

    fn load_whole(folder: &Path) -> Result<Policy> {
        let config = Arc::new(ModelConfig::read(&folder.join(CONFIG))?);
        let shapes = config.weight_shapes();
        let mut weights = BTreeMap::new();
        let place = weight_files::each_tensor(folder, |place, name, view| {
            if is_redundant(&config, name) {
                return Ok(());
            }
            check_shape(place, &shapes, name, view.shape())?;
            let weight = weight_files::decode(place, name, view)?;
            check_finite(place, name, &weight.values)?;
            weights.insert(name.to_owned(), weight);
            Ok(())
        })?;
        Ok(Policy { origin: Some(folder.to_path_buf()), ..Policy::new(&place, config, weights)? })
    }

    /// The shape of the checkpoint in a folder, of which all weights are there and have the shapes that they should have.
    /// The weights themselves are not read, so that it takes no time.
    ///
    /// Errors: whatever [`Policy::load`] refuses but weights that are no numbers.
    pub fn examine(folder: &Path) -> Result<ModelConfig> {
        if Policy::is_adapter(folder) {
            return Policy::load(folder).map(|policy| ModelConfig::clone(&policy.config));
        }
        let config = ModelConfig::read(&folder.join(CONFIG))?;
        let shapes = config.weight_shapes();
        let mut missing: BTreeSet<&str> = shapes.keys().map(String::as_str).collect();
        let place = weight_files::each_tensor(folder, |place, name, view| {
            missing.remove(name);
            match is_redundant(&config, name) {
                true => Ok(()),
                false => check_shape(place, &shapes, name, view.shape()),
            }
        })?;
        match missing.first() {
            None => Ok(config),
            Some(name) => Err(foreign(&place, format!("{name} is missing"))),
        }
    }

    /// The files that [`Policy::load`] reads in a folder, and those of the weights that its adapters name.
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
        if Policy::is_adapter(folder) {
            let base = Policy::adapted_base(folder).ok().map(|base| Policy::files(&base)).transpose()?;
            return Ok(Policy::adapter_files(folder).into_iter().chain(base.unwrap_or_default()).collect());
        }
        let mut all = weight_files::paths(folder)?;
        all.push(folder.join(CONFIG));
        Ok(all)
    }

    /// Saves a checkpoint, each file whole or not at all: the weights, or of a policy with adapters these alone. They
    /// are written as f32, in the order of their names: the same weights give the same bytes. A value head goes into a
    /// file of its own.
    pub fn save(&self, folder: &Path) -> Result<()> {
        if let Some(head) = &self.value_head {
            head.save(folder)?;
        }
        if let Some(lora) = &self.lora {
            return self.save_adapters(lora, folder);
        }
        weight_files::write(&folder.join(WEIGHTS), &self.weights()?)?;
        files::write_atomic(&folder.join(CONFIG), self.config.to_json().as_bytes())
    }
}

/// Tensors that some checkpoints hold beside the weights.
fn is_redundant(config: &ModelConfig, name: &str) -> bool {
    // The head of a tied model is the embedding once more, and rotations follow from the config.
    (config.tie_word_embeddings && name == "lm_head.weight") || name.ends_with("rotary_emb.inv_freq")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Family;
    use crate::policy::config::tests::tiny;
    use crate::policy::model::tests::random_policy;
    use crate::policy::weight_files::INDEX;
    use half::f16;
    use safetensors::tensor::TensorView;
    use safetensors::{Dtype, SafeTensors};
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
        rewrite(&policy, folder.path(), Dtype::F16, |v| f16::from_f32(v).to_le_bytes().to_vec());
        let loaded = Policy::load(folder.path()).unwrap().weights().unwrap();
        for (name, weight) in policy.weights().unwrap() {
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= b.abs() / 2048.0 + 1e-7;
            assert!(loaded[&name].values.iter().zip(&weight.values).all(close), "{name}");
        }
        rewrite(&policy, folder.path(), Dtype::F64, |v| f64::from(v).to_le_bytes().to_vec());
        assert!(Policy::load(folder.path()).unwrap_err().to_string().contains("stored as F64"));
    }

    /// The same weights in two shards with an index, `damage` done to the index.
    fn shard(folder: &Path, damage: impl FnOnce(&mut serde_json::Value)) {
        let bytes = fs::read(folder.join(WEIGHTS)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut map = BTreeMap::new();
        let mut names: Vec<&str> = tensors.names().into_iter().collect();
        names.sort();
        for (number, names) in names.chunks(names.len() / 2 + 1).enumerate() {
            let file = format!("model-{:05}-of-00002.safetensors", number + 1);
            let views = names.iter().map(|name| (*name, tensors.tensor(name).unwrap()));
            fs::write(folder.join(&file), safetensors::serialize(views, None).unwrap()).unwrap();
            map.extend(names.iter().map(|name| (name.to_string(), file.clone())));
        }
        let mut index = serde_json::json!({ "metadata": {}, "weight_map": map });
        damage(&mut index);
        fs::write(folder.join(INDEX), index.to_string()).unwrap();
        fs::remove_file(folder.join(WEIGHTS)).unwrap();
    }

    #[test]
    fn shards_are_one_checkpoint() {
        let (policy, folder) = saved();
        shard(folder.path(), |_| ());
        assert_eq!(Policy::load(folder.path()).unwrap().weights().unwrap(), policy.weights().unwrap());
        // Saved over them, the one file counts.
        let other = random_policy(&tiny(Family::Qwen3, true), 2);
        other.save(folder.path()).unwrap();
        assert_eq!(Policy::load(folder.path()).unwrap().weights().unwrap(), other.weights().unwrap());
    }

    #[test]
    fn every_damage_to_shards_is_one_clear_line() {
        let message = |damage: &dyn Fn(&Path), index: fn(&mut serde_json::Value)| {
            let (_, folder) = saved();
            shard(folder.path(), index);
            damage(folder.path());
            let message = Policy::load(folder.path()).unwrap_err().to_string();
            assert!(message.contains(folder.path().to_str().unwrap()) && !message.contains('\n'), "{message}");
            message
        };
        const SECOND: &str = "model-00002-of-00002.safetensors";
        let gone = message(&|folder| fs::remove_file(folder.join(SECOND)).unwrap(), |_| ());
        assert!(gone.contains(&format!("it names {SECOND}, which is not there")), "{gone}");
        let cut = message(&|folder| fs::write(folder.join(SECOND), "cut").unwrap(), |_| ());
        assert!(cut.contains(SECOND) && cut.contains("no safetensors"), "{cut}");
        let elsewhere = message(&|_| (), |index| {
            index["weight_map"]["model.norm.weight"] = "model-00001-of-00002.safetensors".into();
            index["weight_map"]["model.embed_tokens.weight"] = SECOND.into();
        });
        assert!(elsewhere.contains("lies in") && elsewhere.contains("where it is not"), "{elsewhere}");
        let forgotten = message(&|_| (), |index| {
            index["weight_map"].as_object_mut().unwrap().remove("model.norm.weight");
        });
        assert!(forgotten.contains(INDEX) && forgotten.contains("model.norm.weight is missing"), "{forgotten}");
        let outside = message(&|_| (), |index| index["weight_map"]["model.norm.weight"] = "../secret".into());
        assert!(outside.contains("no name of a file beside it"), "{outside}");
        let broken = message(&|folder| fs::write(folder.join(INDEX), "{}").unwrap(), |_| ());
        assert!(broken.contains("no index of weights"), "{broken}");
        let pickled = message(
            &|folder| {
                fs::remove_file(folder.join(INDEX)).unwrap();
                fs::write(folder.join("pytorch_model.bin"), "").unwrap();
            },
            |_| (),
        );
        assert!(pickled.contains("pytorch_model.bin") && pickled.contains("save_pretrained"), "{pickled}");
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
        assert!(infinite.contains("not finite (inf at index"), "{infinite}");
        let nan = message(&|folder| {
            let (policy, _) = saved();
            rewrite(&policy, folder, Dtype::BF16, |v| {
                (if v > 1.4 { f32::NAN } else { v }.to_bits() >> 16).to_le_bytes()[..2].to_vec()
            });
        });
        assert!(nan.contains("not finite (NaN at index") && nan.contains("fetch it again"), "{nan}");
    }
}
