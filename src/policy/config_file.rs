//! `config.json` as Hugging Face transformers reads and writes it. Read field by field rather than into the config
//! types of candle-transformers: those know other families by other types, let an option pass that they do not compute,
//! and lack the newer spelling of `rope_parameters`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Family, ModelConfig};
use crate::kernels::RopeScaling;
use crate::{Error, Result, files};

impl Family {
    /// The class that transformers builds for this family.
    fn architecture(self) -> &'static str {
        match self {
            Family::Llama => "LlamaForCausalLM",
            Family::Mistral => "MistralForCausalLM",
            Family::Qwen2 => "Qwen2ForCausalLM",
            Family::Qwen3 => "Qwen3ForCausalLM",
        }
    }
}

impl ModelConfig {
    /// Reads a `config.json`. What is absent has the default of transformers; an option that this policy does not
    /// compute is an error rather than a wrong answer.
    pub fn read(path: &Path) -> Result<ModelConfig> {
        ModelConfig::parse(&path.display().to_string(), &files::read_small(path)?)
    }

    /// The same from text; `place` stands for the file in errors.
    pub fn parse(place: &str, text: &str) -> Result<ModelConfig> {
        let fields = match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(Error::invalid(place, "no JSON object", "it has to be a model's config.json")),
            Err(error) => return Err(Error::invalid(place, error.to_string(), "it has to be valid JSON")),
        };
        let fields = Fields { place, fields: &fields };
        let family = fields.family()?;
        fields.refuse_unsupported(family)?;
        let hidden_size = fields.size("hidden_size", None)?;
        let heads = fields.size("num_attention_heads", None)?;
        let config = ModelConfig {
            family,
            vocab_size: fields.size("vocab_size", None)?,
            hidden_size,
            intermediate_size: fields.size("intermediate_size", None)?,
            num_hidden_layers: fields.size("num_hidden_layers", None)?,
            num_attention_heads: heads,
            num_key_value_heads: fields.key_heads(family, heads)?,
            head_dim: fields
                .size("head_dim", Some(if family == Family::Qwen3 { 128 } else { hidden_size / heads.max(1) }))?,
            rms_norm_eps: fields.number("rms_norm_eps", 1e-6)?,
            rope_theta: fields.rope_theta()?,
            rope_scaling: fields.rope_scaling()?,
            max_position_embeddings: fields.size("max_position_embeddings", None)?,
            sliding_window: fields.sliding_window(family)?,
            attention_bias: family.heeds_attention_bias() && fields.flag("attention_bias")?,
            tie_word_embeddings: fields.flag("tie_word_embeddings")?,
        };
        config.check(place)?;
        Ok(config)
    }

    /// The text of a `config.json` from which transformers and this program build the same model.
    pub fn to_json(&self) -> String {
        let mut fields = json!({
            "architectures": [self.family.architecture()],
            "hidden_act": "silu",
            // Older and newer releases of transformers look for the rotations in different places.
            "rope_parameters": self.rope_scaling.map_or(json!({ "rope_type": "default" }), |scaling| json!(scaling)),
            "dtype": "float32",
        });
        fields["rope_parameters"]["rope_theta"] = self.rope_theta.into();
        if let (Some(fields), Ok(Value::Object(sizes))) = (fields.as_object_mut(), serde_json::to_value(self)) {
            fields.extend(sizes);
            if !self.family.heeds_attention_bias() {
                fields.remove("attention_bias");
            }
            if self.family == Family::Mistral {
                // Left out, it would be the 4096 of the first of them.
                fields.insert("sliding_window".into(), self.sliding_window.into());
            }
        }
        format!("{fields:#}\n")
    }
}

/// The fields of one file, for messages that name it.
struct Fields<'a> {
    place: &'a str,
    fields: &'a Map<String, Value>,
}

impl Fields<'_> {
    /// A field that is there and not null.
    fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    fn refuse<T>(&self, key: &str, found: impl std::fmt::Display, remedy: &str) -> Result<T> {
        Err(Error::invalid(self.place, format!("{key} is {found}"), remedy))
    }

    fn size(&self, key: &str, default: Option<usize>) -> Result<usize> {
        match (self.get(key), default) {
            (Some(value), _) => match value.as_u64().and_then(|size| usize::try_from(size).ok()) {
                Some(size) => Ok(size),
                None => self.refuse(key, value, "it has to be a whole number"),
            },
            (None, Some(default)) => Ok(default),
            (None, None) => self.refuse(key, "missing", "add it"),
        }
    }

    fn number(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_f64().map_or_else(|| self.refuse(key, value, "it has to be a number"), Ok),
        }
    }

    fn flag(&self, key: &str) -> Result<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(value) => value.as_bool().map_or_else(|| self.refuse(key, value, "it has to be true or false"), Ok),
        }
    }

    fn family(&self) -> Result<Family> {
        let known = "llama (with SmolLM2), mistral, qwen2 (with Qwen2.5) and qwen3 are supported";
        match self.get("model_type") {
            Some(name) => serde_json::from_value(name.clone()).or_else(|_| self.refuse("model_type", name, known)),
            None => self.refuse("model_type", "missing", known),
        }
    }

    /// At the top (transformers 4) or inside `rope_parameters` (transformers 5).
    fn rope_theta(&self) -> Result<f64> {
        match self.get("rope_parameters").and_then(Value::as_object) {
            Some(parameters) if parameters.contains_key("rope_theta") => {
                Fields { place: self.place, fields: parameters }.number("rope_theta", 1e4)
            }
            _ => self.number("rope_theta", 1e4),
        }
    }

    /// At the top (transformers 4) or inside `rope_parameters` (transformers 5).
    fn rope_scaling(&self) -> Result<Option<RopeScaling>> {
        for key in ["rope_parameters", "rope_scaling"] {
            let Some(Value::Object(rope)) = self.get(key) else { continue };
            let mut rope = rope.clone();
            // The oldest files say `type`.
            let kind = rope.get("rope_type").or_else(|| rope.get("type")).cloned().unwrap_or("default".into());
            if kind == "default" {
                continue;
            }
            rope.insert("rope_type".into(), kind.clone());
            if !["linear", "llama3"].iter().any(|known| kind == *known) {
                let remedy = "default, linear and llama3 are supported; choose a model with one of these";
                return self.refuse(&format!("{key}.rope_type"), kind, remedy);
            }
            return match serde_json::from_value(rope.into()) {
                Ok(scaling) => Ok(Some(scaling)),
                Err(error) => self.refuse(key, format!("not whole ({error})"), "take it from the model's own files"),
            };
        }
        Ok(None)
    }

    fn key_heads(&self, family: Family, heads: usize) -> Result<usize> {
        let default = match family {
            Family::Llama => heads,
            Family::Mistral => 8,
            Family::Qwen2 | Family::Qwen3 => 32,
        };
        self.size("num_key_value_heads", Some(default))
    }

    /// Only Mistral has one; in files of Qwen it stands beside `use_sliding_window = false`.
    fn sliding_window(&self, family: Family) -> Result<Option<usize>> {
        match (family, self.fields.get("sliding_window")) {
            (Family::Mistral, None) => Ok(Some(4096)),
            (Family::Mistral, Some(Value::Null)) => Ok(None),
            (Family::Mistral, Some(_)) => self.size("sliding_window", None).map(Some),
            _ => Ok(None),
        }
    }

    fn refuse_unsupported(&self, family: Family) -> Result<()> {
        let remedy = "this program does not compute it; choose a model without";
        for key in ["mlp_bias", "use_sliding_window"] {
            if self.flag(key)? {
                return self.refuse(key, "true", remedy);
            }
        }
        if let Some(activation) = self.get("hidden_act").filter(|activation| *activation != "silu") {
            return self.refuse("hidden_act", activation, "only silu is supported");
        }
        if let Some(layers) = self.get("layer_types").and_then(Value::as_array)
            && let Some(layer) = layers.iter().find(|layer| {
                // Up to the window, which is the longest sequence here, Mistral's sliding layers are full ones.
                *layer != "full_attention" && !(family == Family::Mistral && *layer == "sliding_attention")
            })
        {
            return self.refuse("layer_types", layer, "only full_attention is supported");
        }
        match self.get("partial_rotary_factor").filter(|factor| factor.as_f64() != Some(1.0)) {
            Some(factor) => self.refuse("partial_rotary_factor", factor, remedy),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::config::tests::tiny;

    fn read(text: &str) -> Result<ModelConfig> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        ModelConfig::read(&path)
    }

    /// A file of transformers 4, with a change.
    fn changed(key: &str, value: Value) -> Result<ModelConfig> {
        let mut fields = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32, "hidden_size": 64,
            "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_act": "silu",
            "max_position_embeddings": 2048, "rope_scaling": null, "rope_theta": 500000.0, "attention_bias": false,
            "unheard_of": [1, 2],
        });
        fields[key] = value;
        read(&fields.to_string())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 16,
        };
        for config in [
            tiny(Family::Llama, false),
            tiny(Family::Qwen2, true),
            tiny(Family::Qwen3, false),
            tiny(Family::Mistral, false),
            ModelConfig { sliding_window: Some(32), ..tiny(Family::Mistral, false) },
            ModelConfig { rope_scaling: Some(scaling), attention_bias: true, ..tiny(Family::Llama, true) },
            ModelConfig { rope_scaling: Some(RopeScaling::Linear { factor: 2.0 }), ..tiny(Family::Qwen3, true) },
        ] {
            assert_eq!(read(&config.to_json()).unwrap(), config);
        }
        let fields: Value = serde_json::from_str(&tiny(Family::Qwen3, true).to_json()).unwrap();
        assert_eq!(fields["architectures"][0], "Qwen3ForCausalLM");
        assert_eq!(fields["model_type"], "qwen3");
        assert_eq!(fields["rope_theta"], 10000.0);
    }

    #[test]
    fn absent_fields_have_the_defaults_of_transformers() {
        let config = changed("x", Value::Null).unwrap();
        assert_eq!((config.head_dim, config.num_key_value_heads, config.rms_norm_eps), (16, 4, 1e-6));
        assert_eq!((config.rope_theta, config.tie_word_embeddings), (5e5, false));
        let newer = changed("rope_parameters", json!({"rope_theta": 1e6, "rope_type": "default"})).unwrap();
        assert_eq!(newer.rope_theta, 1e6);
        let oldest = changed("rope_scaling", json!({"type": "linear", "factor": 4.0})).unwrap();
        assert_eq!(oldest.rope_scaling, Some(RopeScaling::Linear { factor: 4.0 }));
        assert!(changed("attention_bias", true.into()).unwrap().attention_bias);
    }

    #[test]
    fn a_sliding_window_limits_the_length() {
        let window = |family: &str, window: Option<Value>| {
            let mut fields: Value = serde_json::from_str(&tiny(Family::Mistral, true).to_json()).unwrap();
            fields["model_type"] = family.into();
            match window {
                Some(window) => fields["sliding_window"] = window,
                None => drop(fields.as_object_mut().unwrap().remove("sliding_window")),
            }
            let config = read(&fields.to_string()).unwrap();
            (config.sliding_window, config.longest_sequence())
        };
        assert_eq!(window("mistral", Some(Value::Null)), (None, 64));
        assert_eq!(window("mistral", Some(16.into())), (Some(16), 16));
        assert_eq!(window("mistral", None), (Some(4096), 64));
        assert_eq!(window("qwen2", Some(16.into())), (None, 64));
    }

    #[test]
    fn what_cannot_be_computed_is_one_line_with_file_and_key() {
        let message = |key: &str, value: Value| changed(key, value).unwrap_err().to_string();
        for (key, value, part) in [
            ("model_type", json!("mamba"), "model_type is \"mamba\""),
            ("model_type", Value::Null, "model_type is missing"),
            ("hidden_size", Value::Null, "hidden_size is missing"),
            ("hidden_size", json!(-3), "hidden_size is -3"),
            ("hidden_act", json!("gelu"), "hidden_act is \"gelu\""),
            ("attention_bias", json!("no"), "attention_bias is \"no\""),
            ("mlp_bias", json!(true), "mlp_bias is true"),
            ("use_sliding_window", json!(true), "use_sliding_window is true"),
            ("rope_scaling", json!({"rope_type": "dynamic", "factor": 4.0}), "rope_scaling.rope_type is \"dynamic\""),
            ("rope_scaling", json!({"rope_type": "llama3", "factor": 4.0}), "missing field `low_freq_factor`"),
            ("rope_scaling", json!({"rope_type": "linear", "factor": -4.0}), "rope_scaling.factor is -4"),
            ("tie_word_embeddings", json!("yes"), "tie_word_embeddings is \"yes\""),
            ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0}), "rope_scaling.rope_type is \"yarn\""),
            ("layer_types", json!(["full_attention", "sliding_attention"]), "layer_types is \"sliding_attention\""),
            ("num_attention_heads", json!(0), "num_attention_heads is 0"),
        ] {
            let message = message(key, value);
            assert!(message.contains(part) && message.contains("config.json"), "{message}");
            assert!(!message.contains('\n'));
        }
        assert!(read("{\"model_type\": ").unwrap_err().to_string().contains("valid JSON"));
        assert!(read("[]").unwrap_err().to_string().contains("no JSON object"));
    }
}
