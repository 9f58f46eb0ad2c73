//! Adapters on disk, in the layout of PEFT: `adapter_config.json` beside `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::fields::{AdapterFields, CONFIG};
use super::{LoraLayers, targets};
use crate::gguf;
use crate::policy::value_head::is_of_trl;
use crate::policy::weight_files::{StoredPrecision, decode, map, parse, write};
use crate::policy::{Policy, no_checkpoint};
use crate::{Error, Result, files};

const WEIGHTS: &str = "adapter_model.safetensors";
/// Adapters that only Python can read.
const PICKLED: &str = "adapter_model.bin";
/// What PEFT puts before the name of a weight.
const PREFIX: &str = "base_model.model.";
/// A weight that a model may come with that shares its head with the embedding.
const HEAD: &str = "lm_head.weight";

/// Whether a folder holds adapters rather than whole weights.
pub(in crate::policy) fn is_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).exists()
}

/// What adapters consist of.
pub(in crate::policy) fn adapter_files(folder: &Path) -> [PathBuf; 2] {
    [CONFIG, WEIGHTS].map(|name| folder.join(name))
}

/// The folder, or the GGUF file, of the model that the adapters in a folder belong to: the one that they name, or what has been moved
/// together with them.
pub(in crate::policy) fn adapted_base(folder: &Path) -> Result<PathBuf> {
    let fields = AdapterFields::read(folder)?;
    let key = "base_model_name_or_path";
    let named = match fields.get(key) {
        Value::String(named) if !named.is_empty() => Path::new(named),
        _ => {
            return fields
                .refuse(key, "it has to be the directory or the GGUF file of the model that the adapters belong to");
        }
    };
    match std::iter::once(named.to_path_buf())
        .chain(moved_together(folder, named))
        .find(|path| path.is_dir() || gguf::is_file(path))
    {
        Some(path) => Ok(path),
        None => {
            let theirs = || "it has to be that of the model that they belong to".to_owned();
            let remedy = no_checkpoint(named).map_or_else(theirs, |(_, remedy)| remedy);
            fields.refuse(key, &format!("there is no such directory or GGUF file; {remedy}"))
        }
    }
}

/// Where the model would be if it and its adapters had been moved together: beside these, or in a folder that keeps its
/// name, some way up (`stages/whole-…` for `checkpoints/train-…/step-…`).
fn moved_together<'a>(folder: &'a Path, named: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
    let beside = named.file_name().and_then(|name| Some(folder.parent()?.join(name)));
    let two: Option<PathBuf> =
        named.file_name().and_then(|name| Some(Path::new(named.parent()?.file_name()?).join(name)));
    let above = folder.ancestors().skip(1).take(4);
    beside.into_iter().chain(above.filter_map(move |above| two.as_ref().map(|two| above.join(two))))
}

/// The name of a weight without what PEFT puts before it.
fn unprefixed(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

impl Policy {
    /// This policy with the adapters that a folder holds, in place of any that it has.
    pub(in crate::policy) fn load_adapters(self, folder: &Path) -> Result<Policy> {
        let lora = AdapterFields::read(folder)?.lora(|fields| targets::layers(fields, &self.config))?;
        let path = folder.join(WEIGHTS);
        let place = path.display().to_string();
        if !path.exists() && folder.join(PICKLED).exists() {
            let found = format!("the adapters are in {PICKLED}, which is not read");
            let remedy = format!("load them with PEFT and save_pretrained them as {WEIGHTS}");
            return Err(Error::invalid(folder.display().to_string(), found, remedy));
        }
        let map = map(&path)?;
        let tensors = parse(&place, &map)?;
        self.demand_adapters_alone(&place, tensors.iter().map(|(name, _)| unprefixed(name)))?;
        let mut adapters = BTreeMap::new();
        for (name, view) in tensors.iter() {
            let name = unprefixed(name);
            if !is_of_trl(name) {
                adapters.insert(name.to_owned(), decode(&place, name, &view)?);
            }
        }
        self.with_adapters(&place, Arc::new(lora), adapters)
    }

    /// Refuses weights of the model itself among those of adapters: an embedding and a head that were trained as well.
    fn demand_adapters_alone<'a>(&self, place: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let whole = self.config.weight_shapes();
        // The first by name: in a file they come in any order.
        let Some(name) = names.filter(|name| *name == HEAD || whole.contains_key(*name)).min() else { return Ok(()) };
        let remedy = "extra trained weights are not computed here: merge the adapters with PEFT (merge_and_unload) and \
                      save the whole model";
        Err(Error::invalid(place, format!("{name} is beside the adapters, a weight of the model itself"), remedy))
    }

    /// Writes the adapters alone, each file whole or not at all. They name the weights that they belong to by an
    /// absolute path, so that it does not matter from where they are loaded.
    pub(in crate::policy) fn save_adapters(&self, lora: &LoraLayers, folder: &Path) -> Result<()> {
        let adapters = self.weights()?.into_iter().map(|(name, weight)| (format!("{PREFIX}{name}"), weight)).collect();
        write(&folder.join(WEIGHTS), &adapters, StoredPrecision::F32)?;
        let base = match &self.origin {
            Some(origin) => Some(std::path::absolute(origin).map_err(Error::io(origin, "find"))?),
            None => None,
        };
        let mut fields = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        if let Some(fields) = fields.as_object_mut() {
            fields.extend(self.described(lora));
        }
        files::write_atomic(&folder.join(CONFIG), format!("{fields:#}\n").as_bytes())
    }

    /// The keys that say which layers have which adapters: short where these are the same in every block, by full names
    /// otherwise.
    fn described(&self, lora: &LoraLayers) -> Map<String, Value> {
        if let Some((all, targets)) = lora.uniform(&self.config) {
            let fields = [("r", json!(all.rank)), ("lora_alpha", json!(all.alpha)), ("target_modules", json!(targets))];
            return fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        }
        // Keys are expressions, in which a point stands for any character.
        let key = |layer: &str| format!("^{}$", layer.replace('.', r"\."));
        let ranks: Map<_, _> = lora.iter().map(|(layer, adapter)| (key(layer), json!(adapter.rank))).collect();
        let alphas: Map<_, _> = lora.iter().map(|(layer, adapter)| (key(layer), json!(adapter.alpha))).collect();
        let targets: Vec<&str> = lora.iter().map(|(layer, _)| layer).collect();
        let first = lora.iter().next().map(|(_, adapter)| adapter);
        let fields = [
            ("r", json!(first.map(|adapter| adapter.rank))),
            ("lora_alpha", json!(first.map(|adapter| adapter.alpha))),
            ("target_modules", json!(targets)),
            ("rank_pattern", json!(ranks)),
            ("alpha_pattern", json!(alphas)),
        ];
        fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::lora::Target;
    use crate::policy::lora::tests::{adapted, unevenly_adapted};
    use crate::policy::{Checkpoint, Family};

    #[test]
    fn adapters_come_back_on_the_weights_that_they_name() {
        let home = tempfile::tempdir().unwrap();
        let (base, folder) = (home.path().join("base"), home.path().join("adapter"));
        let policy = adapted(Family::Qwen3, &[Target::QProj, Target::UpProj]);
        let frozen = Policy { variables: Default::default(), lora: None, ..policy.clone() };
        policy.save(&folder).unwrap();
        let message = Policy::load(&folder).unwrap_err().to_string();
        assert!(message.contains("base_model_name_or_path is null"), "{message}");
        let weights = policy.merged().unwrap();
        weights.save(&base).unwrap();
        let origin = Some(base.clone());
        Policy { origin, ..policy.clone() }.save(&folder).unwrap();
        let loaded = Policy::load(&folder).unwrap();
        assert_eq!(loaded.weights().unwrap(), policy.weights().unwrap());
        assert_eq!((loaded.lora, loaded.origin), (policy.lora.clone(), Some(base)));
        let onto = Policy::saved_on(&folder, || Ok(policy.clone())).unwrap();
        assert!(Arc::ptr_eq(&onto.frozen, &frozen.frozen), "the frozen weights are shared");
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        let policy = adapted(Family::Llama, &[Target::QProj]);
        let message = |key: &str, value: Value| {
            policy.save(home.path()).unwrap();
            let path = home.path().join(CONFIG);
            let mut fields: Value = serde_json::from_str(&files::read_text(&path).unwrap()).unwrap();
            fields[key] = value;
            std::fs::write(&path, fields.to_string()).unwrap();
            Policy::saved_on(home.path(), || Ok(policy.clone())).unwrap_err().to_string()
        };
        for (key, value, part) in [
            ("peft_type", json!("IA3"), "peft_type is \"IA3\""),
            ("use_dora", json!(true), "use_dora is true"),
            ("rank_pattern", json!({"q_proj": 4}), "lora_A.weight has shape [3, 12], not [4, 12]"),
            ("rank_pattern", json!({"q_proj": 1.5}), "rank_pattern is"),
            ("rank_pattern", json!({"q_proj": 0}), "rank is 0 for model.layers.0"),
            ("rank_pattern", json!({"(": 2}), "no regular expression"),
            ("target_modules", json!(".*"), "it names lm_head"),
            ("target_modules", json!(["q_proj", "self_attn"]), "it names model.layers.0.self_attn"),
            ("target_modules", json!("(a+)+$"), "that is no layer of the model"),
            ("exclude_modules", json!(["q_proj"]), "that is no layer of the model"),
            ("layers_to_transform", json!("first"), "layers_to_transform is"),
            ("a_key_of_the_future", json!(1), "this key is not known"),
            ("bias", json!("all"), "bias is \"all\""),
            ("target_modules", json!(["embed_tokens"]), "some of q_proj, k_proj"),
            ("r", json!(4), "lora_A.weight has shape [3, 12], not [4, 12]"),
            ("r", json!(0), "rank is 0"),
            ("target_modules", json!(["q_proj", "k_proj"]), "k_proj.lora_A.weight is missing"),
        ] {
            let message = message(key, value);
            assert!(message.contains(part) && message.contains("adapter_") && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn adapters_of_several_ranks_come_back_as_they_were() {
        let home = tempfile::tempdir().unwrap();
        let policy = unevenly_adapted(Family::Qwen2);
        policy.save(home.path()).unwrap();
        let whole = || policy.merged();
        let again = Policy::saved_on(home.path(), whole).unwrap();
        assert_eq!((again.weights().unwrap(), &again.lora), (policy.weights().unwrap(), &policy.lora));
    }

    #[test]
    fn a_model_that_was_moved_with_its_adapters_is_found() {
        let home = tempfile::tempdir().unwrap();
        let policy = adapted(Family::Llama, &[Target::VProj]);
        let run = home.path().join("run");
        let whole = run.join("stages/whole-1");
        policy.merged().unwrap().save(&whole).unwrap();
        let trained = Policy { origin: Some(whole), ..policy.clone() };
        let places = ["stages/train-1", "checkpoints/train-1/step-000002"];
        places.iter().for_each(|place| trained.save(&run.join(place)).unwrap());
        let moved = home.path().join("moved");
        std::fs::rename(&run, &moved).unwrap();
        for place in places {
            let loaded = Policy::load(&moved.join(place)).unwrap();
            assert_eq!(loaded.origin, Some(moved.join("stages/whole-1")));
            assert_eq!(loaded.weights().unwrap(), policy.weights().unwrap());
        }
        std::fs::remove_dir_all(moved.join("stages/whole-1")).unwrap();
        let message = Policy::load(&moved.join(places[0])).unwrap_err().to_string();
        assert!(message.contains("run/stages/whole-1") && message.contains("no such directory"), "{message}");
    }

    #[test]
    fn adapters_that_name_each_other_are_one_line() {
        let home = tempfile::tempdir().unwrap();
        let folders = ["a", "b", "itself"].map(|name| home.path().join(name));
        let policy = adapted(Family::Llama, &[Target::VProj]);
        for (folder, origin) in [(0, 1), (1, 0), (2, 2)] {
            std::fs::create_dir_all(&folders[origin]).unwrap();
            let origin = Some(folders[origin].join("../").join(folders[origin].file_name().unwrap()));
            Policy { origin, ..policy.clone() }.save(&folders[folder]).unwrap();
        }
        for folder in folders {
            let message = Checkpoint::open(&folder).err().unwrap().to_string();
            assert!(message.contains("adapter_config.json") && message.contains("name these again"), "{message}");
            assert!(!message.contains('\n'));
        }
    }

    #[test]
    fn adapters_on_adapters_are_added_to_what_these_make() {
        let home = tempfile::tempdir().unwrap();
        let [whole, first, second] = ["whole", "first", "second"].map(|name| home.path().join(name));
        let policy = adapted(Family::Qwen3, &[Target::QProj]);
        let base = Policy { lora: None, variables: policy.merged().unwrap().variables, ..policy.clone() };
        base.save(&whole).unwrap();
        Policy { origin: Some(whole), ..policy.clone() }.save(&first).unwrap();
        Policy { origin: Some(first), ..policy.clone() }.save(&second).unwrap();
        let found = Policy::load(&second).unwrap();
        assert_eq!(found.origin, None, "no directory holds the sum");
        let name = "model.layers.1.self_attn.q_proj.weight";
        let value = |policy: &Policy| policy.merged().unwrap().weights().unwrap()[name].values[5];
        let below = base.weights().unwrap()[name].values[5];
        let added = value(&found) - below;
        let single = value(&Policy::load(&home.path().join("first")).unwrap()) - below;
        assert!(single.abs() > 1e-3 && (added - 2.0 * single).abs() < 1e-5, "{added} for twice {single}");
    }

    #[test]
    fn weights_of_the_model_among_those_of_adapters_are_refused_with_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let policy = adapted(Family::Llama, &[Target::VProj]);
        policy.save(home.path()).unwrap();
        let all: BTreeMap<String, _> =
            policy.weights().unwrap().into_iter().map(|(name, weight)| (format!("{PREFIX}{name}"), weight)).collect();
        for name in [HEAD, "model.embed_tokens.weight"] {
            let mut more = all.clone();
            more.insert(format!("{PREFIX}{name}"), crate::policy::Weight { shape: vec![1], values: vec![0.5] });
            write(&home.path().join(WEIGHTS), &more, StoredPrecision::F32).unwrap();
            let message = Policy::saved_on(home.path(), || Ok(policy.clone())).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("merge_and_unload"), "{message}");
        }
    }

    #[test]
    fn a_model_on_the_hub_that_adapters_belong_to_is_to_be_fetched() {
        let home = tempfile::tempdir().unwrap();
        let text = r#"{"peft_type": "LORA", "base_model_name_or_path": "an-owner/a-model"}"#;
        std::fs::write(home.path().join(CONFIG), text).unwrap();
        let message = Checkpoint::open(home.path()).err().unwrap().to_string();
        assert!(message.contains("base_model_name_or_path is \"an-owner/a-model\""), "{message}");
        assert!(message.ends_with("`hf download an-owner/a-model --local-dir an-owner/a-model`"), "{message}");
    }

    #[test]
    fn the_value_head_of_trl_beside_adapters_is_nothing() {
        let home = tempfile::tempdir().unwrap();
        let policy = adapted(Family::Llama, &[Target::VProj]);
        policy.save(home.path()).unwrap();
        let path = home.path().join(WEIGHTS);
        let mut weights: BTreeMap<String, _> =
            policy.weights().unwrap().into_iter().map(|(name, weight)| (format!("{PREFIX}{name}"), weight)).collect();
        for name in ["v_head.summary.weight", "base_model.model.v_head.summary.bias"] {
            weights.insert(name.into(), crate::policy::Weight { shape: vec![1], values: vec![0.5] });
        }
        write(&path, &weights, StoredPrecision::F32).unwrap();
        let again = Policy::saved_on(home.path(), || Ok(policy.clone())).unwrap();
        assert_eq!(again.weights().unwrap(), policy.weights().unwrap());
    }
}
