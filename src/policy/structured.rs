//! The shape of a start from which reading is learned.
//!
//! A plain random start of this size does not learn to read facts from its context: attention has to find "the
//! token before the one that equals mine", which takes two layers that are useless apart, and in millions of tokens
//! nothing leads there. The structured start gives the two layers their shape: heads of layer 0 look a fixed
//! distance back and write what they see into directions of their own; heads of layer 1 compare such directions
//! (an induction circuit, Olsson et al., 2022). Reading then appears in seconds. Everything stays trainable and the
//! architecture is unchanged.

use std::collections::BTreeMap;

use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::init::normal;
use super::{ModelConfig, Weight};
use crate::random::{self, Stream};
use crate::{Error, Result};

/// Heads of layer 0 that look a fixed distance back, and heads of layer 1 that match what those have written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Structured {
    /// Size of the biases that aim a head at its distance; from 8 on nearly all attention goes there.
    pub sharpness: f64,
    /// Size of the matching heads' query and key matrices.
    pub gain: f64,
    /// Head `i` of layer 0 looks `offsets[i]` tokens back.
    pub offsets: Vec<usize>,
    /// What each head of layer 1 looks for.
    pub heads: Vec<Head>,
    /// What each head of layer 2 looks for: with what layer 1 has brought, a step further in a chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Head>,
    /// What matching heads bring from where they look: the sum of these codes.
    pub fetched: Vec<Code>,
    /// A token that matching heads prefer to look at: the one that ends a sentence, so that a question does not
    /// match itself.
    pub anchor: Anchor,
    /// Where heads have something to do; without it they look from everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
}

/// Tokens from which heads look. One that finds something for whatever token it is asked by speaks in between as well:
/// of the last candidate, say, where the cue of the answer is to be restated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// From here matching heads look: the colon of an answer.
    pub answer: u32,
    /// From here repeating heads look: the beginning of an answer.
    pub cue: u32,
    /// What all of them look at from elsewhere: the first token of every sequence.
    pub rest: u32,
}

impl Gates {
    fn tokens(&self) -> [u32; 3] {
        [self.answer, self.cue, self.rest]
    }
}

/// What a head of layer 1 or 2 is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Head {
    /// Looks for anchors whose `key` equals the `query` of the current token and brings what is fetched there.
    Match {
        query: Code,
        key: Code,
        /// Writes what it brings as if it were the token itself, so that it can be said next.
        #[serde(default)]
        says: bool,
        /// Brings the sum of these codes instead of what the others bring.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fetched: Vec<Code>,
    },
    /// Looks at `token`, wherever it stands, and says the `code` that it finds there.
    Repeat { token: u32, code: Code },
}

/// A token that attention prefers, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    pub token: u32,
    pub strength: f64,
}

/// What a token is recognised by after layer 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Code {
    /// The token itself: `own`.
    Own,
    /// The token so many places before it: `prev1`, `prev2`, …
    Previous(usize),
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Code, String> {
        let distance = text.strip_prefix("prev").and_then(|distance| distance.parse().ok());
        match (text.as_str(), distance) {
            ("own", _) => Ok(Code::Own),
            (_, Some(distance)) => Ok(Code::Previous(distance)),
            _ => Err(format!("unknown code {text:?}: own, prev1, prev2, … are allowed")),
        }
    }
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        match code {
            Code::Own => "own".to_owned(),
            Code::Previous(distance) => format!("prev{distance}"),
        }
    }
}

/// Random parts of an offset head's query and key matrices are this much smaller than elsewhere, so that what stands
/// at a place does not draw the head away from its distance.
const POSITIONAL: f32 = 0.2;
/// How much the value matrices of offset heads differ from the one they share.
const VALUE_NOISE: f32 = 0.05;
/// Matching uses only dimensions that turn by less than this many radians per token: faster ones would make equal
/// tokens at different distances look different.
const SLOW: f32 = 0.04;
/// A state after layer 0 is a token and those that offset heads have seen, each as long as an embedding; so many usually.
const PARTS: f32 = 5.0;
/// How far the token of its gate turns a query, in multiples of what holds it elsewhere: enough where later layers have
/// added to the state.
const TURNED: f32 = 3.0;

impl Structured {
    /// Gives the first layers of freshly drawn weights their shape.
    pub(super) fn shape(
        &self,
        weights: &mut BTreeMap<String, Weight>,
        config: &ModelConfig,
        embedding_std: f64,
        seed: u64,
    ) -> Result<()> {
        self.check(config)?;
        let codes = offset_heads(weights, config, self, embedding_std, seed)?;
        for (layer, heads, stream) in [(1, &self.heads, "fetched"), (2, &self.then, "fetched then")] {
            matching_heads(weights, config, self, layer, heads, &codes)?;
            fetch(weights, config, self, (layer, heads), &codes, embedding_std, &mut random::named(seed, stream))?;
        }
        Ok(())
    }

    fn check(&self, config: &ModelConfig) -> Result<()> {
        let refuse = |found: String, remedy: &str| Err(Error::invalid("init.structured", found, remedy));
        let heads = config.num_attention_heads;
        if !config.has_query_bias() {
            return refuse(format!("a {:?} model", config.family), "use model_type qwen2: heads are aimed by biases");
        }
        if config.num_key_value_heads != heads {
            let found = format!("{} key heads for {heads} query heads", config.num_key_value_heads);
            return refuse(found, "give each query head its own key head");
        }
        let needed = if self.then.is_empty() { 2 } else { 3 };
        let jobs = self.heads.len().max(self.then.len());
        if config.num_hidden_layers < needed || self.offsets.len() > heads || jobs > heads {
            let (offsets, layers) = (self.offsets.len(), config.num_hidden_layers);
            let found = format!("{offsets} offsets and {jobs} jobs for {heads} heads in {layers} layers");
            return refuse(found, &format!("at most one of each per head, and at least {needed} layers"));
        }
        if config.head_dim * self.offsets.len() > config.hidden_size {
            let (count, dim) = (self.offsets.len(), config.head_dim);
            let found = format!("{count} heads of {dim} in a hidden size of {}", config.hidden_size);
            return refuse(found, "offset heads write at right angles, so all of them have to fit in hidden_size");
        }
        let mut tokens = vec![self.anchor.token];
        let mut codes = self.fetched.clone();
        for head in self.heads.iter().chain(&self.then) {
            match head {
                Head::Match { query, key, fetched, .. } => codes.extend([query, key].into_iter().chain(fetched)),
                Head::Repeat { token, code } => {
                    tokens.push(*token);
                    codes.push(*code);
                }
            }
        }
        tokens.extend(self.gates.iter().flat_map(Gates::tokens));
        if let Some(token) = tokens.iter().find(|token| **token as usize >= config.vocab_size) {
            return refuse(format!("token {token}"), "it has to be a token of the vocabulary");
        }
        for code in &codes {
            if let Code::Previous(distance) = code
                && !self.offsets.contains(distance)
            {
                return refuse(format!("prev{distance}"), "only distances in offsets can be matched");
            }
        }
        if config.frequencies().iter().all(|frequency| *frequency as f32 >= SLOW) {
            let found = format!("rope_theta {} with heads of {}", config.rope_theta, config.head_dim);
            return refuse(found, "raise rope_theta (1e5), so that some dimensions turn slowly");
        }
        Ok(())
    }
}

/// For each code, the matrix `[head_dim, hidden_size]` that reads it from a state after layer 0.
type Codes = Vec<(Code, Vec<f32>)>;

/// Aims the heads of layer 0. Their score for distance `s` is a sum of cosines of `(s - offset) * frequency`, which
/// is largest where all agree: at the offset.
fn offset_heads(
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
    let preferred = preferred.map(|token| embedding(embeddings, token, d)).collect();
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
    let frequencies: Vec<f32> = config.frequencies().into_iter().map(|frequency| frequency as f32).collect();
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
fn fetch(
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
                    * match says {
                        true => token[column * d + row] * rows_of_length_1,
                        false => directions[direction * d + row],
                    };
            }
        }
    }
    Ok(())
}

/// Makes query and key of the heads of a layer read the codes of their pair.
fn matching_heads(
    weights: &mut BTreeMap<String, Weight>,
    config: &ModelConfig,
    structured: &Structured,
    layer: usize,
    heads: &[Head],
    codes: &Codes,
) -> Result<()> {
    let (d, dim) = (config.hidden_size, config.head_dim);
    let frequencies: Vec<f32> = config.frequencies().into_iter().map(|frequency| frequency as f32).collect();
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
        let unit = embedding(values(weights, "model.embed_tokens.weight")?, token, d);
        let row = &mut values(weights, &name(part))?[row.clone()];
        row.iter_mut().zip(&unit).for_each(|(weight, value)| *weight += times * value);
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

/// The embedding of a token, scaled to length 1.
fn embedding(embeddings: &[f32], token: u32, d: usize) -> Vec<f32> {
    let row = &embeddings[token as usize * d..(token as usize + 1) * d];
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    row.iter().map(|value| value / length).collect()
}

/// Directions at right angles that span the same space (Gram-Schmidt).
fn orthogonal(mut rows: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    for at in 0..rows.len() {
        let (before, rest) = rows.split_at_mut(at);
        let row = &mut rest[0];
        for b in before.iter() {
            let along: f32 = b.iter().zip(row.iter()).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(b).for_each(|(value, b)| *value -= along * b);
        }
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        row.iter_mut().for_each(|value| *value /= length);
    }
    rows
}

fn values<'a>(weights: &'a mut BTreeMap<String, Weight>, name: &str) -> Result<&'a mut Vec<f32>> {
    match weights.get_mut(name) {
        Some(weight) => Ok(&mut weight.values),
        None => Err(Error::invalid("initial weights", format!("{name} is missing"), "the model has no such layer")),
    }
}

/// `count` random directions of length 1 at right angles to each other, `[count, d]` (Gram-Schmidt).
fn orthonormal(stream: &mut Stream, count: usize, d: usize) -> Vec<f32> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(count);
    while rows.len() < count {
        let mut row: Vec<f64> = (0..d).map(|_| stream.sample(StandardNormal)).collect();
        for before in &rows {
            let along: f64 = before.iter().zip(&row).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(before).for_each(|(value, b)| *value -= along * b);
        }
        let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        row.iter_mut().for_each(|value| *value /= length);
        rows.push(row);
    }
    rows.into_iter().flatten().map(|value| value as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::init::tests::{model, structured};
    use crate::policy::{Family, InitConfig, Policy};
    use std::sync::Arc;

    /// Attention weights of the last of `tokens` in one head, from the definition.
    fn attention(policy: &Policy, states: &[Vec<f32>], layer: usize, head: usize) -> Vec<f64> {
        let (d, dim) = (policy.config.hidden_size, policy.config.head_dim);
        let weights = policy.weights().unwrap();
        let turned = |part: &str, position: usize| -> Vec<f64> {
            let matrix = &weights[&format!("model.layers.{layer}.self_attn.{part}.weight")].values;
            let bias = &weights[&format!("model.layers.{layer}.self_attn.{part}.bias")].values;
            let x = &states[position];
            let mean = x.iter().map(|v| v * v).sum::<f32>() / d as f32;
            let raw: Vec<f64> = (0..dim)
                .map(|i| {
                    let row = &matrix[(head * dim + i) * d..][..d];
                    let product: f32 = row.iter().zip(x).map(|(w, x)| w * x).sum();
                    f64::from(product / mean.sqrt() + bias[head * dim + i])
                })
                .collect();
            let half = dim / 2;
            let angle = |i: usize| position as f64 * 1e5f64.powf(-2.0 * i as f64 / dim as f64);
            let first = (0..half).map(|i| raw[i] * angle(i).cos() - raw[i + half] * angle(i).sin());
            let second = (0..half).map(|i| raw[i + half] * angle(i).cos() + raw[i] * angle(i).sin());
            first.chain(second).collect()
        };
        let query = turned("q_proj", states.len() - 1);
        let scores: Vec<f64> = (0..states.len())
            .map(|p| turned("k_proj", p).iter().zip(&query).map(|(a, b)| a * b).sum::<f64>() / (dim as f64).sqrt())
            .collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
        scores.iter().map(|s| (s - top).exp() / sum).collect()
    }

    fn rows(tensor: &candle_core::Tensor) -> Vec<Vec<f32>> {
        tensor.to_vec2().unwrap()
    }

    #[test]
    fn offset_heads_look_their_distance_back() {
        let policy = Policy::initialise(Arc::new(model()), &structured(), 0).unwrap();
        let tokens: Vec<u32> = (0..30).map(|i| i * 17 % 50).collect();
        let states = rows(&policy.variables["model.embed_tokens.weight"].as_tensor().clone());
        let states: Vec<Vec<f32>> = tokens.iter().map(|token| states[*token as usize].clone()).collect();
        for head in 0..4 {
            let weights = attention(&policy, &states, 0, head);
            assert!(weights[30 - 2 - head] > 0.9, "head {head}: {weights:?}");
        }
    }

    #[test]
    fn matching_heads_find_the_token_after_the_same_word() {
        let mut one_layer = model();
        one_layer.num_hidden_layers = 1;
        let policy = Policy::initialise(Arc::new(model()), &structured(), 0).unwrap();
        // The states after layer 0 alone: a model of one layer with the same weights, before the final norm (which
        // divides each row by one number and so changes no matching).
        let first = policy.weights().unwrap().into_iter().filter(|(name, _)| !name.contains("layers.1")).collect();
        let first = Policy::new("test", Arc::new(one_layer), first).unwrap();
        let plain = InitConfig { structured: None, ..structured() };
        let plain = Policy::initialise(Arc::new(model()), &plain, 0).unwrap();
        let (mut matched, mut unmatched) = (0.0, 0.0);
        // Eight sentences of three words, each with the anchor (7) at its end; then the last word of one of them.
        for again in 0..8 {
            let sentence = |i: u32| [10 + 3 * i, 11 + 3 * i, 12 + 3 * i, 7];
            let tokens: Vec<u32> = (0..8).flat_map(sentence).chain([12 + 3 * again]).collect();
            let states = rows(&first.hidden(&tokens, &[tokens.len()].into_iter().collect()).unwrap());
            // Head 0 compares own with prev1 at anchors: from a repeated word it looks at the end of its sentence.
            matched += attention(&policy, &states, 1, 0)[4 * again as usize + 3] / 8.0;
            unmatched += attention(&plain, &states, 1, 0)[4 * again as usize + 3] / 8.0;
        }
        assert!(matched > 0.4 && unmatched < 0.1, "{matched} {unmatched}");
    }

    #[test]
    fn heads_of_layer_2_go_on_from_what_layer_1_has_brought() {
        let config = ModelConfig { num_hidden_layers: 3, ..model() };
        let says =
            |query, key| Head::Match { query, key: Code::Previous(key), says: true, fetched: vec![Code::Previous(1)] };
        let mut init = structured();
        let shape = init.structured.as_mut().unwrap();
        shape.heads = vec![says(Code::Previous(1), 3)];
        shape.then = vec![says(Code::Own, 3)];
        let policy = Policy::initialise(Arc::new(config.clone()), &init, 0).unwrap();
        let first = policy.weights().unwrap().into_iter().filter(|(name, _)| !name.contains("layers.2")).collect();
        let config = ModelConfig { num_hidden_layers: 2, ..config };
        let first = Policy::new("test", Arc::new(config), first).unwrap();
        // Six sentences "of X are Y .", the first three of which are continued by the last three; then "X :".
        let (frame, copula, stop, colon) = (1, 2, 7, 3);
        let sentence = |x: u32, y: u32| [frame, x, copula, y, stop];
        let told = [(10, 20), (11, 21), (12, 22), (20, 30), (21, 31), (22, 32)];
        let (mut step, mut further) = (0.0, 0.0);
        for asked in 0..3 {
            let tokens: Vec<u32> = told.iter().flat_map(|(x, y)| sentence(*x, *y)).chain([10 + asked, colon]).collect();
            let states = rows(&first.hidden(&tokens, &[tokens.len()].into_iter().collect()).unwrap());
            let seen = attention(&policy, &states, 2, 0);
            step += seen[5 * (3 + asked as usize) + 4] / 3.0;
            further += (3..6).filter(|at| *at != 3 + asked as usize).map(|at| seen[5 * at + 4]).sum::<f64>() / 3.0;
        }
        // Layer 1 brings a little of the other two as well, so these are looked at, too: less than the right one, together.
        assert!(step > 0.5 && step > further, "{step} {further}");
        let mut shallow = structured();
        shallow.structured.as_mut().unwrap().then = vec![says(Code::Own, 3)];
        let error = Policy::initialise(Arc::new(model()), &shallow, 0).unwrap_err().to_string();
        assert!(error.contains("at least 3 layers"), "{error}");
    }

    #[test]
    fn with_gates_heads_look_from_their_token_and_rest_at_the_first_one_elsewhere() {
        let (rest, colon, begin, mark, other) = (1, 2, 3, 4, 5);
        let mut init = structured();
        let shape = init.structured.as_mut().unwrap();
        shape.heads.truncate(3);
        shape.heads.push(Head::Repeat { token: mark, code: Code::Previous(1) });
        shape.gates = Some(Gates { answer: colon, cue: begin, rest });
        let free = InitConfig {
            structured: init.structured.clone().map(|shape| Structured { gates: None, ..shape }),
            ..init.clone()
        };
        // Eight sentences of three words with the anchor (7) at their end, a question that asks for one, and a token: how
        // much of its attention is where `at` says, on the average over the questions.
        let share = |init: &InitConfig, at: &dyn Fn(u32) -> usize, last: u32, head: usize| -> f64 {
            let policy = Policy::initialise(Arc::new(model()), init, 0).unwrap();
            let config = Arc::new(ModelConfig { num_hidden_layers: 1, ..model() });
            let first = policy.weights().unwrap().into_iter().filter(|(name, _)| !name.contains("layers.1")).collect();
            let first = Policy::new("test", config, first).unwrap();
            let seen = |again: u32| {
                let sentence = |i: u32| [10 + 3 * i, 11 + 3 * i, 12 + 3 * i, 7];
                let told = [rest].into_iter().chain((0..8).flat_map(sentence));
                let tokens: Vec<u32> = told.chain([mark, 12 + 3 * again, last]).collect();
                let states = rows(&first.hidden(&tokens, &[tokens.len()].into_iter().collect()).unwrap());
                attention(&policy, &states, 1, head)[at(again)]
            };
            (0..8).map(seen).sum::<f64>() / 8.0
        };
        // Head 1 compares what stands before it with what stands before anchors; head 3 looks at the question mark.
        let (its_sentence, beginning, question) = (|again: u32| 4 + 4 * again as usize, |_: u32| 0, |_: u32| 33);
        // Attention that knows nothing gives every token a thirtieth.
        let found = share(&init, &its_sentence, colon, 1);
        assert!(found > 0.3, "{found}");
        let found = share(&init, &question, begin, 3);
        assert!(found > 0.9, "{found}");
        let elsewhere = [(begin, 1), (other, 1), (colon, 3), (other, 3)];
        let at_rest =
            elsewhere.map(|(last, head)| (share(&init, &beginning, last, head), share(&free, &beginning, last, head)));
        assert!(at_rest.iter().all(|(gated, free)| *gated > 0.4 && *free < 0.1), "{at_rest:?}");
    }

    #[test]
    fn codes_are_words_in_a_config_and_impossible_wishes_are_refused() {
        let text = toml::to_string(&structured()).unwrap();
        assert!(text.contains("key = \"prev1\""), "{text}");
        assert_eq!(toml::from_str::<InitConfig>(&text).unwrap(), structured());
        assert!(toml::from_str::<InitConfig>(&text.replace("prev1", "next1")).is_err());
        let refused = |config: ModelConfig, change: fn(&mut Structured)| {
            let mut init = structured();
            change(init.structured.as_mut().unwrap());
            Policy::initialise(Arc::new(config), &init, 0).unwrap_err().to_string()
        };
        assert!(refused(ModelConfig { family: Family::Llama, ..model() }, |_| ()).contains("use model_type qwen2"));
        assert!(refused(ModelConfig { num_key_value_heads: 2, ..model() }, |_| ()).contains("2 key heads"));
        assert!(
            refused(model(), |s| s.heads[0] = Head::Repeat { token: 1, code: Code::Previous(9) }).contains("prev9")
        );
        assert!(refused(model(), |s| s.offsets.push(5)).contains("5 offsets"));
        let outside = |s: &mut Structured| s.gates = Some(Gates { answer: 2, cue: 3, rest: 999 });
        assert!(refused(model(), outside).contains("token 999"));
        assert!(refused(ModelConfig { rope_theta: 10.0, ..model() }, |_| ()).contains("raise rope_theta"));
    }
}
