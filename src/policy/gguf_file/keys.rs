//! Which keys of a file may say what. `policy/README.md` has them in a table.

use super::{ARCHITECTURE, ARCHITECTURES};
use crate::Result;
use crate::gguf::Gguf;
use crate::gguf::MetaValue;

/// Keys behind the name of the architecture that are honoured.
pub(super) const HONOURED: [&str; 25] = [
    "vocab_size",
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "tensor_data_layout",
];
/// Keys that change nothing at one value, beside those that are false, 0 or empty.
pub(super) const NEUTRAL_AT_ONE: [&str; 6] = [
    "attention.scale",
    "embedding_scale",
    "residual_scale",
    "logit_scale",
    "rope.scaling.alpha",
    "attention.output_scale",
];
const REMEDY: &str = "this program does not compute it; choose a model without";

/// Refuses what is not computed. Gives the `model_type` of the model.
pub(super) fn demand_supported(gguf: &Gguf) -> Result<&'static str> {
    let known = "llama (with Mistral and SmolLM2), qwen2 (with Qwen2.5) and qwen3 are supported";
    let Some(name) = gguf.text(ARCHITECTURE)? else { return Err(gguf.refuse(ARCHITECTURE, "missing", known)) };
    let Some((_, model_type)) = ARCHITECTURES.iter().find(|(known, _)| *known == name) else {
        return Err(gguf.refuse(ARCHITECTURE, format!("{name:?}"), known));
    };
    demand_whole(gguf)?;
    for (key, value) in gguf.metadata() {
        let Some(key_of_model) = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let neutral = value.is_neutral() || NEUTRAL_AT_ONE.contains(&key_of_model) && is_one(value);
        if !neutral && !HONOURED.contains(&key_of_model) {
            return Err(gguf.refuse(key, value, REMEDY));
        }
    }
    let key = |rest: &str| format!("{name}.{rest}");
    let causal = key("attention.causal");
    if gguf.flag(&causal)? == Some(false) {
        return Err(gguf.refuse(&causal, false, REMEDY));
    }
    // The first files of Llama had other orders of their rows.
    let layout = key("tensor_data_layout");
    if let Some(other) = gguf.text(&layout)?.filter(|layout| *layout != "Meta AI original pth") {
        return Err(gguf.refuse(&layout, format!("{other:?}"), REMEDY));
    }
    // One that no sequence is longer than makes no difference.
    let window = key("attention.sliding_window");
    if let Some(size) = gguf.size(&window)?.filter(|size| *size > 0)
        && gguf.size(&key("context_length"))?.is_none_or(|positions| size < positions)
    {
        return Err(gguf.refuse(&window, size, REMEDY));
    }
    Ok(model_type)
}

/// Refuses a file that holds something else than all of a model.
fn demand_whole(gguf: &Gguf) -> Result<()> {
    if let Some(other) = gguf.text("general.type")?.filter(|kind| *kind != "model") {
        let remedy = "it has to be \"model\": adapters and projectors of this format are not read";
        return Err(gguf.refuse("general.type", format!("{other:?}"), remedy));
    }
    if let Some(parts) = gguf.size("split.count")?.filter(|parts| *parts > 1) {
        let remedy = "put them together with `llama-gguf-split --merge`, and name the one file";
        return Err(gguf.refuse("split.count", format!("{parts}: it is one of so many files"), remedy));
    }
    // How blocks are to be read; the first version was never written into files of this format.
    match gguf.size("general.quantization_version")? {
        None | Some(2) => Ok(()),
        Some(other) => {
            Err(gguf.refuse("general.quantization_version", other, "version 2 is read; convert the model anew"))
        }
    }
}

fn is_one(value: &MetaValue) -> bool {
    matches!(value, MetaValue::Whole(1)) || *value == MetaValue::Number(1.0)
}
