//! `config.json` as Hugging Face transformers reads and writes it. Read field by field rather than into the config
//! types of candle-transformers: those know other families by other types, let an option pass that they do not compute,
//! and lack the newer spelling of `rope_parameters`.

mod fields;
mod refused;
mod rope;

use std::path::Path;

use serde_json::{Value, json};

use self::fields::JsonFields;
use super::{Family, ModelConfig};
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
        let fields = JsonFields { place, fields: &fields };
        let family = fields.family()?;
        let hidden_size = fields.size("hidden_size", None)?;
        let heads = fields.size("num_attention_heads", None)?;
        let num_hidden_layers = fields.size("num_hidden_layers", None)?;
        let max_position_embeddings = fields.size("max_position_embeddings", None)?;
        fields.refuse_unsupported(family, num_hidden_layers)?;
        let (rope_theta, rope_scaling) = fields.rotations(max_position_embeddings)?;
        let config = ModelConfig {
            family,
            vocab_size: fields.size("vocab_size", None)?,
            hidden_size,
            intermediate_size: fields.size("intermediate_size", None)?,
            num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: fields.key_heads(family, heads)?,
            head_dim: fields
                .size("head_dim", Some(if family == Family::Qwen3 { 128 } else { hidden_size / heads.max(1) }))?,
            rms_norm_eps: fields.number("rms_norm_eps", 1e-6)?,
            rope_theta,
            rope_scaling,
            max_position_embeddings,
            sliding_window: fields.sliding_window(family)?,
            attention_bias: family.heeds_attention_bias() && fields.flag("attention_bias")?,
            tie_word_embeddings: fields.flag("tie_word_embeddings")?,
        };
        config.check(place)?;
        Ok(config)
    }

    /// The text of a `config.json` from which transformers and this program build the same model, whose numbers are stored as
    /// `dtype`.
    pub fn to_json(&self, dtype: &str) -> String {
        let mut fields = json!({
            "architectures": [self.family.architecture()],
            "hidden_act": "silu",
            // Older and newer releases of transformers look for the rotations in different places.
            "rope_parameters": self.rope_scaling.map_or(json!({ "rope_type": "default" }), |scaling| json!(scaling)),
            "dtype": dtype,
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

impl JsonFields<'_> {
    /// Only Mistral has one; in files of Qwen it stands beside `use_sliding_window = false`.
    fn sliding_window(&self, family: Family) -> Result<Option<usize>> {
        match (family, self.fields.get("sliding_window")) {
            (Family::Mistral, None) => Ok(Some(4096)),
            (Family::Mistral, Some(Value::Null)) => Ok(None),
            (Family::Mistral, Some(_)) => self.size("sliding_window", None).map(Some),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rotary::tests::YARN;
    use crate::kernels::{Llama3, RopeScaling, Yarn};
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
        let llama3 = RopeScaling::Llama3(Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 16,
        });
        let yarn =
            Yarn { beta_fast: Some(24.0), truncate: false, mscale: Some(0.7), mscale_all_dim: Some(1.0), ..YARN };
        let scaled = |scaling| ModelConfig { rope_scaling: Some(scaling), ..tiny(Family::Qwen3, true) };
        for config in [
            tiny(Family::Llama, false),
            tiny(Family::Qwen2, true),
            tiny(Family::Qwen3, false),
            tiny(Family::Mistral, false),
            ModelConfig { sliding_window: Some(32), ..tiny(Family::Mistral, false) },
            ModelConfig { rope_scaling: Some(llama3), attention_bias: true, ..tiny(Family::Llama, true) },
            scaled(RopeScaling::Linear { factor: 2.0 }),
            scaled(RopeScaling::Dynamic { factor: 2.0 }),
            scaled(RopeScaling::Yarn(yarn)),
            scaled(RopeScaling::Yarn(Yarn { attention_factor: Some(1.25), ..yarn })),
        ] {
            assert_eq!(read(&config.to_json("float32")).unwrap(), config);
        }
        let fields: Value = serde_json::from_str(&tiny(Family::Qwen3, true).to_json("float32")).unwrap();
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
        assert_eq!(changed("hidden_act", "swish".into()).unwrap(), config);
    }

    #[test]
    fn of_two_descriptions_of_rotations_the_one_counts_that_transformers_takes() {
        let both = |scaling: Value, parameters: Value, first: Value| {
            let mut fields: Value = serde_json::from_str(&tiny(Family::Llama, true).to_json("float32")).unwrap();
            fields["rope_theta"] = 7e3.into();
            (fields["rope_scaling"], fields["rope_parameters"]) = (scaling, parameters);
            fields["original_max_position_embeddings"] = first;
            let config = read(&fields.to_string()).unwrap();
            (config.rope_theta, config.rope_scaling)
        };
        let linear = |factor| Some(RopeScaling::Linear { factor });
        let scaling = json!({"type": "linear", "factor": 3.0});
        let parameters = json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 9e3});
        assert_eq!(both(scaling, parameters.clone(), Value::Null), (7e3, linear(3.0)));
        assert_eq!(both(json!({}), parameters, Value::Null), (9e3, linear(2.0)));
        let yarn = |scaling, first| match both(scaling, Value::Null, first).1 {
            Some(RopeScaling::Yarn(yarn)) => (yarn.factor, yarn.original_max_position_embeddings, yarn.truncate),
            other => panic!("{other:?}"),
        };
        assert_eq!(yarn(json!({"rope_type": "yarn", "factor": 2}), Value::Null), (2.0, 64, true));
        let given =
            json!({"rope_type": "yarn", "factor": null, "original_max_position_embeddings": 16, "truncate": null});
        assert_eq!(yarn(given.clone(), Value::Null), (4.0, 16, false));
        assert_eq!(yarn(given, json!(32)), (2.0, 32, false));
    }

    #[test]
    fn windows_are_refused_only_where_a_layer_has_one() {
        let qwen = |changes: Value| {
            let mut fields: Value = serde_json::from_str(&tiny(Family::Qwen3, true).to_json("float32")).unwrap();
            fields.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            read(&fields.to_string())
        };
        for accepted in [
            json!({"use_sliding_window": true}),
            json!({"use_sliding_window": true, "max_window_layers": 2, "sliding_window": 16}),
            json!({"use_sliding_window": true, "max_window_layers": 0, "sliding_window": null}),
            json!({"use_sliding_window": false, "max_window_layers": 0, "sliding_window": 16}),
            json!({"use_sliding_window": true, "max_window_layers": 0, "layer_types": ["attention", "full_attention"]}),
        ] {
            assert_eq!(qwen(accepted).unwrap(), tiny(Family::Qwen3, true));
        }
        for refused in [
            json!({"use_sliding_window": true, "max_window_layers": 1, "sliding_window": 16}),
            json!({"use_sliding_window": true, "max_window_layers": 0}),
        ] {
            let message = qwen(refused).unwrap_err().to_string();
            assert!(
                message.contains("use_sliding_window is true; with max_window_layers below the 2 layers"),
                "{message}"
            );
        }
        let sliding = json!({"layer_types": ["full_attention", "sliding_attention"]});
        assert!(qwen(sliding).unwrap_err().to_string().contains("layer_types is \"sliding_attention\""));
    }

    #[test]
    fn key_heads_that_are_left_out_are_a_constant_and_null_is_as_many_as_queries() {
        let heads = |family: &str, key_heads: Option<Value>| {
            let mut fields: Value = serde_json::from_str(&tiny(Family::Llama, true).to_json("float32")).unwrap();
            (fields["model_type"], fields["num_attention_heads"]) = (family.into(), 32.into());
            match key_heads {
                Some(heads) => fields["num_key_value_heads"] = heads,
                None => drop(fields.as_object_mut().unwrap().remove("num_key_value_heads")),
            }
            read(&fields.to_string()).unwrap().num_key_value_heads
        };
        let found = ["llama", "mistral", "qwen2", "qwen3"]
            .map(|family| [None, Some(Value::Null), Some(4.into())].map(|key_heads| heads(family, key_heads)));
        assert_eq!(found, [[32, 32, 4], [8, 32, 4], [32, 32, 4], [32, 32, 4]]);
    }

    #[test]
    fn a_sliding_window_limits_the_length() {
        let window = |family: &str, window: Option<Value>| {
            let mut fields: Value = serde_json::from_str(&tiny(Family::Mistral, true).to_json("float32")).unwrap();
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
            ("rope_scaling", json!({"rope_type": "longrope", "factor": 4.0}), "rope_scaling.rope_type is \"longrope\""),
            ("rope_scaling", json!({"rope_type": "llama3", "factor": 4.0}), "missing field `low_freq_factor`"),
            ("rope_scaling", json!({"rope_type": "linear", "factor": -4.0}), "rope_scaling.factor is -4"),
            ("tie_word_embeddings", json!("yes"), "tie_word_embeddings is \"yes\""),
            ("rope_scaling", json!({"rope_type": "yarn", "beta_fast": 4.0}), "missing field `factor`"),
            ("rope_scaling", json!({"rope_type": "yarn", "factor": -4.0}), "rope_scaling.factor is -4"),
            ("rope_scaling", json!("yarn"), "rope_scaling is \"yarn\""),
            ("rope_parameters", json!({"full_attention": {}}), "rope_parameters.full_attention is an object"),
            ("rope_parameters", json!({"partial_rotary_factor": 0.5}), "rope_parameters.partial_rotary_factor is 0.5"),
            ("rope_parameters", json!({"rope_theta": "x"}), "rope_parameters.rope_theta is \"x\""),
            ("layer_types", json!(["full_attention"]), "layer_types is 1 long"),
            ("sliding_window", json!(16), "sliding_window is 16"),
            ("architectures", json!(["LlamaForSequenceClassification"]), "architectures is \"LlamaForSequenceC"),
            ("auto_map", json!({"AutoModelForCausalLM": "x.Y"}), "auto_map.AutoModelForCausalLM is \"x.Y\""),
            ("quantization_config", json!({"quant_method": "awq"}), "quantization_config is given"),
            ("per_layer_config", json!({"0": {"rms_norm_eps": 1.0}}), "per_layer_config is given"),
            ("is_causal", json!(false), "is_causal is false"),
            ("num_hidden_layers", json!(1_000_000_000_000_u64), "num_hidden_layers is 1000000000000"),
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
