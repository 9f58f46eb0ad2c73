//! The heads of the first layers: what they look at, and what they bring.

use std::collections::BTreeMap;

use super::directions::{normal, orthogonal, orthonormal, unit};
use super::{Code, Gates, Head, Structured};
use crate::policy::{ModelConfig, Weight};
use crate::random::{self, Stream};
use crate::{Error, Result};

/// Random parts of an offset head's query and key matrices are this much smaller than elsewhere, so that what stands
/// at a place does not draw the head away from its distance.
const POSITIONAL: f32 = 0.2;
/// How much the value matrices of offset heads differ from the one they share.
const VALUE_NOISE: f32 = 0.05;
/// Matching uses only dimensions that turn by less than this many radians per token: faster ones would make equal
/// tokens at different distances look different.
pub(super) const SLOW: f32 = 0.04;
/// A state after layer 0 is a token and those that offset heads have seen, each as long as an embedding; so many usually.
const PARTS: f32 = 5.0;
/// How far the token of its gate turns a query, in multiples of what holds it elsewhere: enough where later layers have
/// added to the state.
const TURNED: f32 = 3.0;

/// For each code, the matrix `[head_dim, hidden_size]` that reads it from a state after layer 0.
type Codes = Vec<(Code, Vec<f32>)>;

/// Aims the heads of layer 0. Their score for distance `s` is a sum of cosines of `(s - offset) * frequency`, which
/// is largest where all agree: at the offset.
pub(super) fn offset_heads(
    weights: &mut BTreeMap<String, Weight>,
    config: &ModelConfig,
    structured: &Structured,
    embedding_std: f64,
    seed: u64,
) -> Result<Codes> {
    let (d, dim) = (config.hidden_size, config.head_dim);
    let mut stream = random::named(seed, "offset heads");
    let shared = normal(&mut stream, dim * d, 1.0 / (d as f64).sqrt());
    let mut codes = vec![(Code::Own, shared.clone())];
    // What the heads have seen goes, as large as an embedding, into directions at right angles to each other.
    let mut directions = orthonormal(&mut stream, dim * structured.offsets.len(), d);
    // … and off the tokens that attention prefers, which would otherwise be preferred for what stood near them.
    let embeddings = values(weights, "model.embed_tokens.weight")?;
    let repeated = structured.heads.iter().chain(&structured.then).filter_map(|head| match head {
        Head::Repeat { token, .. } => Some(*token),
        Head::Match { .. } => None,
    });
    let gates = structured.gates.iter().flat_map(Gates::tokens);
    let preferred = repeated.chain([structured.anchor.token]).chain(gates);
    let preferred = preferred.map(|token| unit(embeddings, token, d)).collect();
    for preferred in orthogonal(preferred) {
        for direction in directions.chunks_exact_mut(d) {
            let along: f32 = preferred.iter().zip(direction.iter()).map(|(a, b)| a * b).sum();
            direction.iter_mut().zip(&preferred).for_each(|(value, p)| *value -= along * p);
        }
    }
    aim(weights, config, structured)?;
    let name = |part: &str| format!("model.layers.0.self_attn.{part}");
    for (head, &offset) in structured.offsets.iter().enumerate() {
        let rows = head * dim..(head + 1) * dim;
        let block = rows.start * d..rows.end * d;
        let noise = normal(&mut stream, dim * d, 1.0 / (d as f64).sqrt());
        let value = &mut values(weights, &name("v_proj.weight"))?[block];
        value.iter_mut().zip(shared.iter().zip(&noise)).for_each(|(v, (s, n))| *v = s + VALUE_NOISE * n);
        let directions = &directions[rows.start * d..rows.end * d];
        let scale = (embedding_std * (d as f64 / dim as f64).sqrt()) as f32;
        let output_width = config.num_attention_heads * dim;
        let output = values(weights, &name("o_proj.weight"))?;
        for row in 0..d {
            for column in 0..dim {
                output[row * output_width + rows.start + column] = directions[column * d + row] * scale;
            }
        }
        codes.push((Code::Previous(offset), directions.to_vec()));
    }
    Ok(codes)
}

/// Biases that make the heads of layer 0 look `offsets` back.
fn aim(weights: &mut BTreeMap<String, Weight>, config: &ModelConfig, structured: &Structured) -> Result<()> {
    let (d, dim) = (config.hidden_size, config.head_dim);
    let frequencies = config.rotary().frequencies;
    let name = |part: &str| format!("model.layers.0.self_attn.{part}");
    for (head, &offset) in structured.offsets.iter().enumerate() {
        for (i, frequency) in frequencies.iter().enumerate() {
            let size = structured.sharpness as f32 * (frequency / frequencies[0]).sqrt();
            let angle = offset as f32 * frequency;
            let (first, second) = (head * dim + i, head * dim + dim / 2 + i);
            let query = values(weights, &name("q_proj.bias"))?;
            (query[first], query[second]) = (size, 0.0);
            let key = values(weights, &name("k_proj.bias"))?;
            (key[first], key[second]) = (size * angle.cos(), size * angle.sin());
        }
        for part in ["q_proj.weight", "k_proj.weight"] {
            let block = head * dim * d..(head + 1) * dim * d;
            values(weights, &name(part))?[block].iter_mut().for_each(|weight| *weight *= POSITIONAL);
        }
    }
    Ok(())
}

/// Makes the heads of a layer bring their codes, each head into directions of its own or, if it says what it brings,
/// back into the space of tokens.
pub(super) fn fetch(
    weights: &mut BTreeMap<String, Weight>,
    config: &ModelConfig,
    structured: &Structured,
    (layer, heads): (usize, &[Head]),
    codes: &Codes,
    embedding_std: f64,
    stream: &mut Stream,
) -> Result<()> {
    let (d, dim) = (config.hidden_size, config.head_dim);
    let token = sum_of(codes, &[Code::Own], dim * d);
    let directions = orthonormal(stream, (dim * heads.len()).min(d), d);
    let size = (embedding_std * (d as f64 / dim as f64).sqrt()) as f32;
    let rows_of_length_1 = (dim as f32).sqrt();
    let width = config.num_attention_heads * dim;
    for (head, kind) in heads.iter().enumerate() {
        // One code where several are summed elsewhere: smaller, so that all heads bring as much.
        let (brought, scale, says) = match kind {
            Head::Match { says, fetched, .. } if fetched.is_empty() => {
                (sum_of(codes, &structured.fetched, dim * d), rows_of_length_1, *says)
            }
            Head::Match { says, fetched, .. } => {
                let scale = rows_of_length_1 * (fetched.len() as f32 / 2.0).sqrt().min(1.0);
                (sum_of(codes, fetched, dim * d), scale, *says)
            }
            Head::Repeat { code, .. } => (sum_of(codes, &[*code], dim * d), rows_of_length_1 / 2f32.sqrt(), true),
        };
        let block = head * dim * d..(head + 1) * dim * d;
        let value = &mut values(weights, &format!("model.layers.{layer}.self_attn.v_proj.weight"))?[block];
        value.iter_mut().zip(&brought).for_each(|(to, from)| *to = scale * from);
        let output = values(weights, &format!("model.layers.{layer}.self_attn.o_proj.weight"))?;
        for row in 0..d {
            for column in 0..dim {
                let direction = (head * dim + column) % (directions.len() / d);
                output[row * width + head * dim + column] = size
                    * if says { token[column * d + row] * rows_of_length_1 } else { directions[direction * d + row] };
            }
        }
    }
    Ok(())
}

/// Makes query and key of the heads of a layer read the codes of their pair.
pub(super) fn matching_heads(
    weights: &mut BTreeMap<String, Weight>,
    config: &ModelConfig,
    structured: &Structured,
    layer: usize,
    heads: &[Head],
    codes: &Codes,
) -> Result<()> {
    let (d, dim) = (config.hidden_size, config.head_dim);
    let frequencies = config.rotary().frequencies;
    let slow = frequencies.iter().filter(|frequency| **frequency < SLOW).count();
    let boost = (frequencies.len() as f32 / slow as f32).sqrt();
    let name = |part: &str| format!("model.layers.{layer}.self_attn.{part}.weight");
    for (head, kind) in heads.iter().enumerate() {
        let rows = head * dim * d..(head + 1) * dim * d;
        match kind {
            Head::Match { query, key, .. } => {
                for (part, code) in [("q_proj", query), ("k_proj", key)] {
                    let matrix = sum_of(codes, &[*code], d * dim);
                    let scale = structured.gain as f32 * boost * (dim as f32).sqrt();
                    let block = &mut values(weights, &name(part))?[rows.clone()];
                    for (row, (to, from)) in block.chunks_exact_mut(d).zip(matrix.chunks_exact(d)).enumerate() {
                        let scale = if frequencies[row % (dim / 2)] < SLOW { scale } else { 0.0 };
                        to.iter_mut().zip(from).for_each(|(to, from)| *to = scale * from);
                    }
                }
                prefer(weights, config, structured, (layer, head), structured.anchor.token, |gates| gates.answer)?;
            }
            Head::Repeat { token, .. } => {
                values(weights, &name("k_proj"))?[rows.clone()].fill(0.0);
                let query = &mut values(weights, &name("q_proj"))?[rows];
                query.iter_mut().for_each(|weight| *weight *= POSITIONAL);
                prefer(weights, config, structured, (layer, head), *token, |gates| gates.cue)?;
            }
        }
    }
    Ok(())
}

/// The sum of some codes, scaled to length 1 over all its values.
fn sum_of(codes: &Codes, wanted: &[Code], length: usize) -> Vec<f32> {
    let mut sum = vec![0.0f32; length];
    for (_, matrix) in codes.iter().filter(|(code, _)| wanted.contains(code)) {
        sum.iter_mut().zip(matrix).for_each(|(sum, value)| *sum += value);
    }
    let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|value| *value /= norm);
    sum
}

/// Adds to every score of a head where the key is the token: the slowest dimension of all queries points one way, and
/// that of the token's keys points along. With gates it does so from the token that `gate` chooses, and from all others
/// points the other way, where the keys of the token lie at which heads rest.
fn prefer(
    weights: &mut BTreeMap<String, Weight>,
    config: &ModelConfig,
    structured: &Structured,
    (layer, head): (usize, usize),
    token: u32,
    gate: impl Fn(&Gates) -> u32,
) -> Result<()> {
    let (d, dim) = (config.hidden_size, config.head_dim);
    let strength = structured.anchor.strength as f32;
    let slowest = head * dim + dim / 2 - 1;
    let row = slowest * d..(slowest + 1) * d;
    let name = |part: &str| format!("model.layers.{layer}.self_attn.{part}");
    let mut add = |part: &str, times: f32, token: u32| -> Result<()> {
        let along = unit(values(weights, "model.embed_tokens.weight")?, token, d);
        let row = &mut values(weights, &name(part))?[row.clone()];
        row.iter_mut().zip(&along).for_each(|(weight, value)| *weight += times * value);
        Ok(())
    };
    add("k_proj.weight", strength, token)?;
    let mut bias = strength;
    if let Some(gates) = &structured.gates {
        add("k_proj.weight", -strength, gates.rest)?;
        add("q_proj.weight", TURNED * strength * (PARTS / d as f32).sqrt(), gate(gates))?;
        bias = -strength;
    }
    values(weights, &name("q_proj.bias"))?[slowest] += bias;
    Ok(())
}

fn values<'a>(weights: &'a mut BTreeMap<String, Weight>, name: &str) -> Result<&'a mut Vec<f32>> {
    match weights.get_mut(name) {
        Some(weight) => Ok(&mut weight.values),
        None => Err(Error::invalid("initial weights", format!("{name} is missing"), "the model has no such layer")),
    }
}
