//! How rotations are slowed down, in the words of a `config.json`.

use std::f64::consts::TAU;

use serde_json::{Value, json};

use crate::Result;
use crate::gguf::Gguf;

/// What each frequency is divided by: how llama.cpp writes down the scaling of Llama 3.
pub(super) const FACTORS: &str = "rope_freqs.weight";
/// Between these many turns within the first context Llama 3 changes smoothly. Its context is in the file as little as they
/// are.
const SLOW: f64 = 1.0;
const FAST: f64 = 4.0;
/// The first context of the published models.
const FIRST_CONTEXT: usize = 8192;
/// How far a factor may be from what it should be: it is stored in f32.
const NEAR: f64 = 1e-4;

/// The rotary object of a `config.json`, or null. `key` puts the name of the architecture before the end of a key; with it
/// come the base of wavelengths, the dimensions of a head, and the longest context.
pub(super) fn scaling(
    gguf: &Gguf,
    key: &impl Fn(&str) -> String,
    (theta, head_dim, positions): (f64, usize, usize),
) -> Result<Value> {
    let number = |name: &str| gguf.number(&key(name));
    let kind = gguf.text(&key("rope.scaling.type"))?;
    let factor = match number("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => number("rope.scale_linear")?,
    };
    // Zero stands for none.
    let factor = factor.filter(|factor| *factor != 0.0).unwrap_or(1.0);
    let first = gguf.size(&key("rope.scaling.original_context_length"))?.filter(|first| *first > 0);
    let scaling = match kind {
        Some("none") => Value::Null,
        None | Some("linear") if factor == 1.0 => Value::Null,
        None | Some("linear") => json!({ "rope_type": "linear", "factor": factor }),
        Some("yarn") => yarn(gguf, key, factor, first.unwrap_or(positions))?,
        Some(other) => {
            let remedy = "none, linear and yarn are supported; choose a model with one of these";
            return Err(gguf.refuse(&key("rope.scaling.type"), format!("{other:?}"), remedy));
        }
    };
    if !gguf.has_tensor(FACTORS) {
        return Ok(scaling);
    }
    if !scaling.is_null() {
        let remedy = "rotations can be scaled in one way; choose a model of which they are";
        return Err(gguf.refuse(FACTORS, "there beside rope.scaling", remedy));
    }
    llama3(gguf, theta, head_dim, first)
}

fn yarn(gguf: &Gguf, key: &impl Fn(&str) -> String, factor: f64, first: usize) -> Result<Value> {
    let remedy = "this program computes YaRN with 1; choose a model without it";
    for name in ["rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor"] {
        // Less than zero stands for the default.
        if let Some(other) = gguf.number(&key(name))?.filter(|value| *value >= 0.0 && *value != 1.0) {
            return Err(gguf.refuse(&key(name), other, remedy));
        }
    }
    let mut yarn = json!({ "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": first });
    for name in ["beta_fast", "beta_slow"] {
        if let Some(turns) = gguf.number(&key(&format!("rope.scaling.yarn_{name}")))? {
            yarn[name] = turns.into();
        }
    }
    // llama.cpp multiplies what follows from the factor, transformers takes this in its place.
    if let Some(attention) = gguf.number(&key("rope.scaling.attn_factor"))?.filter(|attention| *attention != 1.0) {
        yarn["attention_factor"] = (attention * (0.1 * factor.max(1.0).ln() + 1.0)).into();
    }
    Ok(yarn)
}

/// The scaling of Llama 3 that gives the factors in the file.
fn llama3(gguf: &Gguf, theta: f64, head_dim: usize, first: Option<usize>) -> Result<Value> {
    let refuse = |found: String| {
        let remedy = "factors of the scaling of Llama 3 are supported; choose a model with these or none";
        Err(gguf.refuse(FACTORS, found, remedy))
    };
    let found: Vec<f64> = gguf.read(FACTORS)?.into_iter().map(f64::from).collect();
    if found.len() != head_dim / 2 {
        return refuse(format!("{} factors for {} pairs of dimensions", found.len(), head_dim / 2));
    }
    let near = |a: f64, b: f64| (a - b).abs() <= NEAR * b.abs();
    if found.iter().all(|factor| near(*factor, 1.0)) {
        return Ok(Value::Null);
    }
    let factor = found.iter().copied().fold(1.0, f64::max);
    let mut contexts = first.into_iter().chain([FIRST_CONTEXT]).chain((4..24).map(|power| 1 << power));
    let fits = |context: &usize| {
        (0..).zip(&found).all(|(pair, found)| {
            let wavelength = TAU * theta.powf(f64::from(2 * pair) / head_dim as f64);
            let turns = *context as f64 / wavelength;
            let kept = ((turns - SLOW) / (FAST - SLOW)).clamp(0.0, 1.0);
            near(*found, 1.0 / ((1.0 - kept) / factor + kept))
        })
    };
    match contexts.find(fits) {
        Some(context) => Ok(json!({
            "rope_type": "llama3",
            "factor": (factor * 1e4).round() / 1e4,
            "low_freq_factor": SLOW,
            "high_freq_factor": FAST,
            "original_max_position_embeddings": context,
        })),
        None => refuse(format!("a list of {} factors, up to {factor}", found.len())),
    }
}
