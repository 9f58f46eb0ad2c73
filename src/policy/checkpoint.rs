//! A policy on disk: in the Hugging Face layout, `config.json` beside the weights, or in a GGUF file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lora::{adapted_base, adapter_files, is_adapter};
use super::value_head::is_of_trl;
use super::weight::{check_finite, check_shape, foreign};
use super::weight_files::{self, StoredPrecision, StoredTensor, WEIGHTS};
use super::{ModelConfig, Policy, Weight, gguf_file, no_checkpoint};
use crate::gguf::{self, Gguf};
use crate::{Error, Result, files};

/// What a checkpoint's weights mean.
const CONFIG: &str = "config.json";

/// A directory in the Hugging Face layout, opened: whole weights, or adapters with the directories that they name, down to
/// whole weights. A GGUF file is whole weights, too. What a stage of a run has saved is read with [`Policy::saved_on`] instead.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// From the one that was opened to the one with whole weights; all but that hold adapters.
    folders: Vec<PathBuf>,
    /// Of the whole weights.
    config: ModelConfig,
}

impl Checkpoint {
    /// Opens a directory or a GGUF file, without its weights.
    ///
    /// # Errors
    ///
    /// A config that is missing or says what is not computed; adapters whose model is missing, or that name themselves.
    pub fn open(folder: &Path) -> Result<Checkpoint> {
        let mut folders = vec![folder.to_path_buf()];
        let mut seen = Vec::new();
        let mut lowest = folder.to_path_buf();
        while is_adapter(&lowest) {
            seen.push(lowest.canonicalize().map_err(Error::io(&lowest, "read"))?);
            let below = adapted_base(&lowest)?;
            if seen.contains(&below.canonicalize().map_err(Error::io(&below, "read"))?) {
                let found = format!("base_model_name_or_path is {below:?}, adapters that name these again");
                let remedy = "it has to be the directory of the model that the adapters belong to";
                return Err(Error::invalid(adapter_files(&lowest)[0].display().to_string(), found, remedy));
            }
            folders.push(below.clone());
            lowest = below;
        }
        let config = read_config(&lowest)?;
        Ok(Checkpoint { folders, config })
    }

    /// The shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Whether the directory that was opened holds adapters.
    pub fn has_adapters(&self) -> bool {
        self.folders.len() > 1
    }

    /// The GGUF file that the weights are in, where they are in one: its metadata are what otherwise stands beside them.
    pub fn gguf(&self) -> Option<&Path> {
        self.folders.last().map(PathBuf::as_path).filter(|lowest| gguf::is_file(lowest))
    }

    /// A file that stands beside the weights, in the directory that was opened or else in the one that its adapters name.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|path| path.exists())
    }

    /// Every file that weights and adapters are read from, from the directory that was opened downwards.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for folder in &self.folders {
            if is_adapter(folder) {
                all.extend(adapter_files(folder))
            } else {
                all.extend(weight_files::paths(folder)?);
                all.extend((!gguf::is_file(folder)).then(|| folder.join(CONFIG)));
            }
        }
        Ok(all)
    }

    /// The policy, in f32 whatever the files hold. Its adapters stay beside the weights that they name; those of
    /// adapters below them are added to the weights.
    pub fn load(&self) -> Result<Policy> {
        let mut below = self.folders.iter().rev();
        let mut policy = match below.next() {
            Some(folder) => load_whole(folder)?,
            None => return Err(Error::invalid("checkpoint", "no directory", "open one with Checkpoint::open")),
        };
        for folder in below {
            if policy.lora.is_some() {
                policy = policy.merged()?;
            }
            policy = policy.load_adapters(folder)?;
        }
        Ok(policy)
    }

    /// Looks whether all weights are there and have the shapes that they should have. They are not read, so that it takes
    /// no time, but for those of adapters.
    ///
    /// # Errors
    ///
    /// Whatever [`Checkpoint::load`] refuses but weights that are no numbers.
    pub fn examine(&self) -> Result<()> {
        if self.has_adapters() {
            return self.load_merged().map(drop);
        }
        let shapes = self.config.weight_shapes();
        let mut missing: BTreeSet<&str> = shapes.keys().map(String::as_str).collect();
        let place = each_weight(&self.folders[0], &with_head(&self.config), |_, name, _| {
            missing.remove(name);
            Ok(())
        })?;
        match missing.first() {
            None => Ok(()),
            Some(name) => Err(foreign(&place, format!("{name} is missing"))),
        }
    }

    /// The policy as whole weights: what adapters change is part of them.
    pub fn load_merged(&self) -> Result<Policy> {
        match self.load()? {
            adapted if adapted.lora.is_some() => adapted.merged(),
            whole => Ok(whole),
        }
    }
}

/// The shape of the model whose whole weights are in a folder or a GGUF file.
fn read_config(folder: &Path) -> Result<ModelConfig> {
    if gguf::is_file(folder) {
        return gguf_file::config(&Gguf::open(folder)?);
    }
    let path = folder.join(CONFIG);
    match no_checkpoint(folder).filter(|_| !path.exists()) {
        Some((found, remedy)) => Err(Error::invalid(folder.display().to_string(), found, remedy)),
        None => ModelConfig::read(&path),
    }
}

/// The whole weights in a folder: one safetensors file, or the shards that an index names, in f32, bf16 or f16; or in a GGUF
/// file, in any type that can be read.
fn load_whole(folder: &Path) -> Result<Policy> {
    let mut config = read_config(folder)?;
    let mut weights = BTreeMap::new();
    let place = each_weight(folder, &with_head(&config), |place, name, tensor| {
        let weight = tensor.decode(place, name)?;
        check_finite(place, name, &weight.values)?;
        weights.insert(name.to_owned(), weight);
        Ok(())
    })?;
    if config.tie_word_embeddings {
        config.tie_word_embeddings = !has_head_of_its_own(&mut weights);
    }
    Ok(Policy { origin: Some(folder.to_path_buf()), ..Policy::new(&place, Arc::new(config), weights)? })
}

/// The shapes of all weights that a checkpoint may hold: also a model that shares its head with the embedding may come with
/// one.
fn with_head(config: &ModelConfig) -> BTreeMap<String, Vec<usize>> {
    ModelConfig { tie_word_embeddings: false, ..config.clone() }.weight_shapes()
}

/// Hands over every weight in a folder with its place, all of which have names and shapes of these.
fn each_weight(
    folder: &Path,
    shapes: &BTreeMap<String, Vec<usize>>,
    mut found: impl FnMut(&str, &str, &dyn StoredTensor) -> Result<()>,
) -> Result<String> {
    weight_files::each_tensor(folder, |place, name, tensor| {
        // Rotations follow from the config.
        if is_of_trl(name) || name.ends_with("rotary_emb.inv_freq") {
            return Ok(());
        }
        check_shape(place, shapes, name, tensor.shape())?;
        found(place, name, tensor)
    })
}

/// Whether a model that is said to share its head with the embedding comes with another head: then that is used, as
/// transformers does. A head that is the embedding once more is dropped.
fn has_head_of_its_own(weights: &mut BTreeMap<String, Weight>) -> bool {
    let own = match (weights.get(HEAD), weights.get(EMBEDDING)) {
        (Some(head), Some(embedding)) => head != embedding,
        _ => false,
    };
    if !own {
        weights.remove(HEAD);
    }
    own
}

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

impl Policy {
    /// Loads a directory in the Hugging Face layout, or a GGUF file: see [`Checkpoint`].
    pub fn load(folder: &Path) -> Result<Policy> {
        Checkpoint::open(folder)?.load()
    }

    /// What a policy that was trained from this base has saved in a folder: whole weights, or adapters, which share the
    /// weights of the base whatever directory they name.
    pub fn saved_on(folder: &Path, base: impl FnOnce() -> Result<Policy>) -> Result<Policy> {
        if is_adapter(folder) { base()?.load_adapters(folder) } else { load_whole(folder) }
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
        self.save_whole(folder, StoredPrecision::F32)
    }

    /// Saves whole weights, without a value head.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_whole(&self, folder: &Path, precision: StoredPrecision) -> Result<()> {
        weight_files::write(&folder.join(WEIGHTS), &self.weights()?, precision)?;
        files::write_atomic(&folder.join(CONFIG), self.config.to_json(precision.dtype()).as_bytes())
    }
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
                fs::write(folder.join(CONFIG), config.to_json("float32")).unwrap();
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

    /// Adds tensors to a saved checkpoint.
    fn add(policy: &Policy, folder: &Path, tensors: &[(&str, Weight)]) {
        let mut weights = policy.weights().unwrap();
        weights.extend(tensors.iter().map(|(name, weight)| (name.to_string(), weight.clone())));
        weight_files::write(&folder.join(WEIGHTS), &weights, StoredPrecision::F32).unwrap();
    }

    #[test]
    fn a_head_of_its_own_counts_whatever_the_config_says_of_it() {
        let (policy, folder) = saved();
        let embedding = policy.weights().unwrap()[EMBEDDING].clone();
        add(&policy, folder.path(), &[(HEAD, embedding.clone())]);
        let shared = Policy::load(folder.path()).unwrap();
        assert!(shared.config.tie_word_embeddings && shared.weights().unwrap() == policy.weights().unwrap());

        let head = Weight { values: embedding.values.iter().map(|value| 0.5 - value).collect(), ..embedding };
        add(&policy, folder.path(), &[(HEAD, head.clone())]);
        let own = Policy::load(folder.path()).unwrap();
        assert!(!own.config.tie_word_embeddings && own.weights().unwrap()[HEAD] == head);
        let logits =
            |policy: &Policy| policy.logits(&[3, 1], &[2].into_iter().collect()).unwrap().to_vec2::<f32>().unwrap();
        assert_ne!(logits(&own), logits(&policy));
        let again = tempfile::tempdir().unwrap();
        own.save(again.path()).unwrap();
        assert_eq!(logits(&Policy::load(again.path()).unwrap()), logits(&own), "and is saved as one");
        let narrow = Weight { shape: vec![1, 12], values: vec![0.5; 12] };
        add(&policy, folder.path(), &[(HEAD, narrow)]);
        assert!(Policy::load(folder.path()).unwrap_err().to_string().contains("lm_head.weight has shape [1, 12]"));
    }

    #[test]
    fn the_value_head_of_trl_is_passed_over() {
        let (policy, folder) = saved();
        let weight = Weight { shape: vec![1, 12], values: vec![0.5; 12] };
        let bias = Weight { shape: vec![1], values: vec![0.5] };
        add(&policy, folder.path(), &[("v_head.summary.weight", weight.clone()), ("v_head.summary.bias", bias)]);
        assert_eq!(Policy::load(folder.path()).unwrap().weights().unwrap(), policy.weights().unwrap());
        add(&policy, folder.path(), &[("value.weight", weight)]);
        assert!(Policy::load(folder.path()).unwrap_err().to_string().contains("value.weight is no weight"));
    }
}
