//! Adapters on disk, in the layout of PEFT: `adapter_config.json` beside `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{LoraConfig, Target};
use crate::policy::Policy;
use crate::policy::weight_files::{decode, map, parse, write};
use crate::{Error, Result, files};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before the name of a weight.
const PREFIX: &str = "base_model.model.";

impl Policy {
    /// Whether a folder holds adapters rather than whole weights.
    pub(in crate::policy) fn is_adapter(folder: &Path) -> bool {
        folder.join(CONFIG).exists()
    }

    /// What adapters consist of.
    pub(in crate::policy) fn adapter_files(folder: &Path) -> [PathBuf; 2] {
        [CONFIG, WEIGHTS].map(|name| folder.join(name))
    }

    /// The folder of the weights that the adapters in a folder belong to.
    pub(in crate::policy) fn adapted_base(folder: &Path) -> Result<PathBuf> {
        match Fields::read(folder)?.fields.get("base_model_name_or_path") {
            Some(Value::String(base)) if Path::new(base).is_dir() => Ok(base.into()),
            base => {
                let found = format!("base_model_name_or_path is {}", base.unwrap_or(&Value::Null));
                let remedy = "it has to be the directory of the model that the adapters belong to";
                Err(Error::invalid(folder.join(CONFIG).display().to_string(), found, remedy))
            }
        }
    }

    /// This policy with the adapters that a folder holds.
    pub(in crate::policy) fn load_adapters(self, folder: &Path) -> Result<Policy> {
        let lora = Fields::read(folder)?.lora()?;
        let path = folder.join(WEIGHTS);
        let place = path.display().to_string();
        let map = map(&path)?;
        let mut adapters = BTreeMap::new();
        for (name, view) in parse(&place, &map)?.iter() {
            adapters.insert(name.strip_prefix(PREFIX).unwrap_or(name).to_owned(), decode(&place, name, &view)?);
        }
        self.with_adapters(&place, Arc::new(lora), adapters)
    }

    /// Writes the adapters alone, each file whole or not at all.
    pub(in crate::policy) fn save_adapters(&self, lora: &LoraConfig, folder: &Path) -> Result<()> {
        let adapters = self.weights()?.into_iter().map(|(name, weight)| (format!("{PREFIX}{name}"), weight)).collect();
        write(&folder.join(WEIGHTS), &adapters)?;
        let fields = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.origin,
            "r": lora.rank,
            "lora_alpha": lora.alpha,
            "target_modules": lora.target_modules,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        files::write_atomic(&folder.join(CONFIG), format!("{fields:#}\n").as_bytes())
    }
}

/// The fields of an `adapter_config.json`.
struct Fields {
    place: String,
    fields: Map<String, Value>,
}

impl Fields {
    fn read(folder: &Path) -> Result<Fields> {
        let path = folder.join(CONFIG);
        let place = path.display().to_string();
        match serde_json::from_str(&files::read_text(&path)?) {
            Ok(fields) => Ok(Fields { place, fields }),
            Err(error) => Err(Error::invalid(place, error.to_string(), "it has to be PEFT's adapter_config.json")),
        }
    }

    fn lora(&self) -> Result<LoraConfig> {
        let get = |key: &str| self.fields.get(key).unwrap_or(&Value::Null);
        let refuse = |key: &str, remedy: &str| {
            Err(Error::invalid(&self.place, format!("{key} is {}", get(key)), remedy.to_owned()))
        };
        if get("peft_type") != "LORA" {
            return refuse("peft_type", "only \"LORA\" is supported");
        }
        // What changes the product, or adds to it, and is not computed here.
        for key in [
            "use_rslora",
            "use_dora",
            "fan_in_fan_out",
            "lora_bias",
            "modules_to_save",
            "layers_to_transform",
            "rank_pattern",
            "alpha_pattern",
        ] {
            let off = match get(key) {
                Value::Null | Value::Bool(false) => true,
                Value::Object(map) => map.is_empty(),
                _ => false,
            };
            if !off {
                return refuse(key, "only plain adapters of one rank are supported; train them without");
            }
        }
        if !matches!(get("bias"), Value::Null) && get("bias") != "none" {
            return refuse("bias", "only \"none\" is supported");
        }
        let Some(rank) = get("r").as_u64().and_then(|rank| usize::try_from(rank).ok()) else {
            return refuse("r", "it has to be a whole number");
        };
        let Some(alpha) = get("lora_alpha").as_f64() else { return refuse("lora_alpha", "it has to be a number") };
        let Ok(mut target_modules) = serde_json::from_value::<Vec<Target>>(get("target_modules").clone()) else {
            let names = Target::ALL.map(Target::name).join(", ");
            return refuse("target_modules", &format!("it has to be a list of some of {names}"));
        };
        // PEFT keeps them as a set, in no order.
        target_modules.sort();
        let lora = LoraConfig { rank, alpha, target_modules };
        lora.check(&self.place)?;
        Ok(lora)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Family;
    use crate::policy::lora::tests::adapted;

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
        let onto = Policy::load_on(&folder, || Ok(policy.clone())).unwrap();
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
            Policy::load_on(home.path(), || Ok(policy.clone())).unwrap_err().to_string()
        };
        for (key, value, part) in [
            ("peft_type", json!("IA3"), "peft_type is \"IA3\""),
            ("use_dora", json!(true), "use_dora is true"),
            ("rank_pattern", json!({"q_proj": 4}), "rank_pattern is"),
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
}
