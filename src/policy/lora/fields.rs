//! `adapter_config.json` as PEFT writes it: every key of its `LoraConfig`, and what it does here. The table in the
//! module's documentation is held to [`KEYS`].

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::patterns::{OrderedPatterns, Pattern};
use super::{LoraLayer, LoraLayers};
use crate::{Error, Result, files};

/// What a key of an `adapter_config.json` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdapterKeyEffect {
    /// It is read, and what is computed follows from it.
    Honoured,
    /// Adapters that are trained compute the same whatever it says.
    Nothing,
    /// It would change what is computed, and is refused unless it is off: absent, null, false or empty.
    Refused,
    /// Refused unless it is off, or says this.
    RefusedUnless(&'static str),
}

use AdapterKeyEffect::{Honoured, Nothing, Refused, RefusedUnless};

/// Every key that PEFT writes.
pub(super) const KEYS: [(&str, AdapterKeyEffect); 42] = [
    ("alora_invocation_tokens", Refused),
    ("alpha_pattern", Honoured),
    ("arrow_config", Refused),
    ("auto_mapping", Nothing),
    ("base_model_name_or_path", Honoured),
    ("bias", RefusedUnless("none")),
    ("corda_config", Nothing),
    ("ensure_weight_tying", Nothing),
    ("eva_config", Nothing),
    ("exclude_modules", Honoured),
    ("fan_in_fan_out", Nothing),
    ("inference_mode", Nothing),
    ("init_lora_weights", Honoured),
    ("kasa_config", Refused),
    ("layer_replication", Refused),
    ("layers_pattern", Honoured),
    ("layers_to_transform", Honoured),
    ("loftq_config", Nothing),
    ("lora_alpha", Honoured),
    ("lora_bias", Refused),
    ("lora_dropout", Nothing),
    ("lora_ga_config", Nothing),
    ("megatron_config", Refused),
    ("megatron_core", Nothing),
    ("modules_to_save", Refused),
    ("monteclora_config", Refused),
    ("peft_type", Honoured),
    ("peft_version", Nothing),
    ("qalora_group_size", Nothing),
    ("r", Honoured),
    ("rank_pattern", Honoured),
    ("revision", Nothing),
    ("runtime_config", Refused),
    ("target_modules", Honoured),
    ("target_parameters", Refused),
    ("task_type", RefusedUnless("CAUSAL_LM")),
    ("trainable_token_indices", Refused),
    ("use_bdlora", Refused),
    ("use_dora", Refused),
    ("use_qalora", Refused),
    ("use_rslora", Honoured),
    ("velora_config", Refused),
];

/// The name of the file.
pub(super) const CONFIG: &str = "adapter_config.json";

/// What PEFT takes for `r` and for `lora_alpha` where the file leaves them out.
const DEFAULT: f64 = 8.0;

/// The two keys whose fields are tried one after the other.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Patterns {
    rank_pattern: OrderedPatterns,
    alpha_pattern: OrderedPatterns,
}

/// The fields of an `adapter_config.json`.
pub(super) struct AdapterFields {
    place: String,
    fields: Map<String, Value>,
    patterns: Patterns,
}

impl AdapterFields {
    /// Reads the file in a folder.
    pub fn read(folder: &Path) -> Result<AdapterFields> {
        let path = folder.join(CONFIG);
        let (place, text) = (path.display().to_string(), files::read_text(&path)?);
        let read = || -> serde_json::Result<(Map<String, Value>, Patterns)> {
            Ok((serde_json::from_str(&text)?, serde_json::from_str(&text)?))
        };
        match read() {
            Ok((fields, patterns)) => Ok(AdapterFields { place, fields, patterns }),
            Err(error) => Err(Error::invalid(place, error.to_string(), "it has to be PEFT's adapter_config.json")),
        }
    }

    /// A field, or null.
    pub fn get(&self, key: &str) -> &Value {
        self.fields.get(key).unwrap_or(&Value::Null)
    }

    /// A number, or the default where it is left out: null is not left out.
    fn number(&self, key: &str) -> Option<f64> {
        self.fields.get(key).map_or(Some(DEFAULT), Value::as_f64)
    }

    /// An error that names a key and what it says.
    pub fn refuse<T>(&self, key: &str, remedy: &str) -> Result<T> {
        Err(Error::invalid(&self.place, format!("{key} is {}", self.get(key)), remedy))
    }

    /// The adapters that the file describes beside the layers of a model.
    pub fn lora(&self, layers: impl FnOnce(&AdapterFields) -> Result<Vec<String>>) -> Result<LoraLayers> {
        self.refuse_what_is_not_computed()?;
        let whole = |value: f64| (value.fract() == 0.0 && (0.0..1e9).contains(&value)).then_some(value as usize);
        let Some(rank) = self.number("r").and_then(whole) else {
            return self.refuse("r", "it has to be a whole number");
        };
        let Some(alpha) = self.number("lora_alpha") else {
            return self.refuse("lora_alpha", "it has to be a number");
        };
        let (ranks, alphas) = (self.compiled("rank_pattern")?, self.compiled("alpha_pattern")?);
        let stabilised = match self.get("use_rslora") {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            _ => return self.refuse("use_rslora", "it has to be true or false"),
        };
        let mut all = Vec::new();
        for layer in layers(self)? {
            let rank = match self.first("rank_pattern", &ranks, &layer)?.map(whole) {
                None => rank,
                Some(Some(rank)) => rank,
                Some(None) => return self.refuse("rank_pattern", "ranks have to be whole numbers"),
            };
            if rank == 0 {
                let found = format!("the rank is 0 for {layer}");
                return Err(Error::invalid(&self.place, found, "r and rank_pattern have to be 1 or more"));
            }
            let alpha = self.first("alpha_pattern", &alphas, &layer)?.unwrap_or(alpha);
            // Rank-stabilised adapters (Kalajdzievski, 2023) are multiplied by alpha / sqrt(rank).
            let alpha = if stabilised { alpha * (rank as f64).sqrt() } else { alpha };
            all.push((layer, LoraLayer { rank, alpha }));
        }
        Ok(all.into_iter().collect())
    }

    fn refuse_what_is_not_computed(&self) -> Result<()> {
        if self.get("peft_type") != "LORA" {
            return self.refuse("peft_type", "only \"LORA\" is supported");
        }
        for (key, value) in self.fields.iter().filter(|(_, value)| !is_off(value)) {
            let effect = KEYS.iter().find(|(known, _)| known == key).map(|(_, effect)| *effect);
            match effect {
                Some(Honoured | Nothing) => {}
                Some(RefusedUnless(allowed)) if value == allowed => {}
                Some(RefusedUnless(allowed)) => return self.refuse(key, &format!("only {allowed:?} is supported")),
                Some(Refused) => {
                    let remedy = "that is not computed here: merge the adapters with PEFT (merge_and_unload) and save \
                                  the whole model";
                    return self.refuse(key, remedy);
                }
                None => {
                    return self.refuse(key, "this key is not known, and may change what is computed; take it out");
                }
            }
        }
        self.check_initialisation()
    }

    /// Some ways to begin change the weights below the adapters, each time that these are loaded.
    fn check_initialisation(&self) -> Result<()> {
        let key = "init_lora_weights";
        let leaves_the_weights = ["gaussian", "eva", "orthogonal", "lora_ga", "mica"];
        match self.get(key) {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::String(way) if leaves_the_weights.contains(&way.to_lowercase().as_str()) => Ok(()),
            Value::String(way)
                if way == "loftq"
                    || ["pissa", "corda"].iter().any(|beginning| way.starts_with(beginning))
                    || way.to_lowercase() == "olora" =>
            {
                let remedy = "it changes the weights below: have PEFT convert the adapters \
                              (path_initial_model_for_weight_conversion), or merge them and save the whole model";
                self.refuse(key, remedy)
            }
            _ => self.refuse(key, &format!("true, false, {} are supported", leaves_the_weights.join(", "))),
        }
    }

    /// The expressions under a key with their numbers.
    fn compiled(&self, key: &str) -> Result<Vec<(Pattern, f64)>> {
        let all = if key == "rank_pattern" { &self.patterns.rank_pattern } else { &self.patterns.alpha_pattern };
        all.iter()
            .flatten()
            .map(|(text, value)| match Pattern::ending(text) {
                Ok(pattern) => Ok((pattern, *value)),
                Err(error) => self.refuse(key, &format!("{text:?} is no regular expression ({error})")),
            })
            .collect()
    }

    /// The number of the first expression that a layer matches.
    fn first(&self, key: &str, patterns: &[(Pattern, f64)], layer: &str) -> Result<Option<f64>> {
        for (pattern, value) in patterns {
            match pattern.matches(layer) {
                Ok(true) => return Ok(Some(*value)),
                Ok(false) => {}
                Err(error) => return self.refuse(key, &format!("it cannot be matched with {layer} ({error})")),
            }
        }
        Ok(None)
    }
}

/// Absent, null, false or empty.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
