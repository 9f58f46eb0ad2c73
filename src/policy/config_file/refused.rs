//! What a `config.json` may ask for that this program does not compute: refused by name, rather than passed over.

use serde_json::Value;

use super::fields::JsonFields;
use crate::Result;
use crate::policy::Family;

const REMEDY: &str = "this program does not compute it; choose a model without";

/// The value of a key under which nothing changes, as when it is left out or null.
#[derive(Clone, Copy, PartialEq)]
enum Neutral {
    False,
    True,
    One,
    /// An object without a field.
    Empty,
    /// None but null.
    Null,
}

/// Of transformers, some of which only other families heed; and what those multiply by or cut off, which whoever gave
/// such a model the name of a supported family has forgotten about.
const UNSUPPORTED: [(&str, Neutral); 25] = [
    ("mlp_bias", Neutral::False),
    ("is_causal", Neutral::True),
    ("is_encoder_decoder", Neutral::False),
    ("partial_rotary_factor", Neutral::One),
    ("per_layer_config", Neutral::Empty),
    ("pruned_heads", Neutral::Empty),
    ("quantization_config", Neutral::Null),
    ("compression_config", Neutral::Null),
    ("transformers_weights", Neutral::Null),
    ("attention_chunk_size", Neutral::Null),
    ("kv_sharing_modes", Neutral::Null),
    ("attention_multiplier", Neutral::One),
    ("embedding_multiplier", Neutral::One),
    ("residual_multiplier", Neutral::One),
    ("logits_scaling", Neutral::One),
    ("logit_scale", Neutral::One),
    ("scale_emb", Neutral::One),
    ("scale_depth", Neutral::One),
    ("attn_logit_softcapping", Neutral::Null),
    ("final_logit_softcapping", Neutral::Null),
    ("query_pre_attn_scalar", Neutral::Null),
    ("clip_qkv", Neutral::Null),
    ("no_rope_layers", Neutral::Null),
    ("use_qk_norm", Neutral::False),
    ("alibi", Neutral::False),
];

impl Neutral {
    fn is(self, value: &Value) -> bool {
        match self {
            Neutral::False => *value == false,
            Neutral::True => *value == true,
            Neutral::One => value.as_f64() == Some(1.0),
            Neutral::Empty => value.as_object().is_some_and(|object| object.is_empty()),
            Neutral::Null => false,
        }
    }
}

impl JsonFields<'_> {
    pub(super) fn refuse_unsupported(&self, family: Family, layers: usize) -> Result<()> {
        for (key, neutral) in UNSUPPORTED {
            if let Some(value) = self.get(key).filter(|value| !neutral.is(value)) {
                let found = if value.is_object() || value.is_array() { "given".into() } else { value.to_string() };
                return self.refuse(key, found, REMEDY);
            }
        }
        // Two names of one function.
        if let Some(activation) = self.get("hidden_act").filter(|name| *name != "silu" && *name != "swish") {
            return self.refuse("hidden_act", activation, "only silu is supported");
        }
        self.refuse_other_models()?;
        self.refuse_windows(family, layers)
    }

    /// Weights of a model that is none of language, or that brings its own code.
    fn refuse_other_models(&self) -> Result<()> {
        let names = self.get("architectures").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let causal = |name: &Value| name.as_str().is_some_and(|name| name.ends_with("ForCausalLM"));
        if let Some(name) = names.first()
            && !names.iter().any(causal)
        {
            return self.refuse("architectures", name, "only those that end in ForCausalLM are language models");
        }
        match self.get("auto_map").and_then(|map| map.get("AutoModelForCausalLM")) {
            Some(code) => {
                let remedy =
                    "code that comes with a checkpoint is not run; choose a model that transformers computes itself";
                self.refuse("auto_map.AutoModelForCausalLM", code, remedy)
            }
            None => Ok(()),
        }
    }

    /// Layers in which a token sees only some of those before it. Mistral's are computed up to the window, which is
    /// the longest sequence here.
    fn refuse_windows(&self, family: Family, layers: usize) -> Result<()> {
        let window = match self.get("sliding_window") {
            None => false,
            Some(_) => self.size("sliding_window", None)? < self.size("max_position_embeddings", None)?,
        };
        let types = match self.get("layer_types") {
            None => None,
            Some(Value::Array(types)) if types.len() == layers => Some(types),
            Some(Value::Array(types)) => {
                let remedy = format!("there are {layers} layers (num_hidden_layers), and each has one");
                return self.refuse("layer_types", format!("{} long", types.len()), &remedy);
            }
            Some(other) => {
                return self.refuse("layer_types", other, "it has to be a list with an entry for each layer");
            }
        };
        let full = |name: &Value| {
            *name == "full_attention"
                || *name == "attention"
                || (family == Family::Mistral && *name == "sliding_attention")
        };
        if let Some(other) = types.and_then(|types| types.iter().find(|name| !full(name))) {
            return self.refuse("layer_types", other, "only full_attention is supported");
        }
        match family {
            Family::Mistral => Ok(()),
            // Its layers heed no window, but caches of transformers do.
            Family::Llama if self.flag("use_sliding_window")? => self.refuse("use_sliding_window", true, REMEDY),
            Family::Llama if window => {
                let remedy = "it is no key of llama; take it out if the model was trained without";
                self.refuse("sliding_window", self.size("sliding_window", None)?, remedy)
            }
            Family::Llama => Ok(()),
            // From this layer on, unless each says by itself what it is.
            Family::Qwen2 | Family::Qwen3 => {
                let windowed = types.is_none() && self.size("max_window_layers", Some(28))? < layers;
                let sliding = self.fields.get("sliding_window").is_none_or(|window| !window.is_null());
                if self.flag("use_sliding_window")? && windowed && sliding {
                    let remedy =
                        format!("with max_window_layers below the {layers} layers some have a window, {REMEDY}");
                    self.refuse("use_sliding_window", true, &remedy)
                } else {
                    Ok(())
                }
            }
        }
    }
}
