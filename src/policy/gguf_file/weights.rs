//! Tensors as weights: their names, and the order of their rows.

use super::rope::FACTORS;
use super::{ARCHITECTURE, EMBEDDING, HEAD, config};
use crate::Result;
use crate::gguf::Gguf;
use crate::policy::Weight;
use crate::policy::weight_files::StoredTensor;

/// Outside of the layers: what llama.cpp calls a weight, and what Hugging Face does.
const OUTER: [(&str, &str); 3] =
    [(EMBEDDING, "model.embed_tokens.weight"), ("output_norm.weight", "model.norm.weight"), (HEAD, "lm_head.weight")];
/// The same within a layer.
const INNER: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
/// Heads whose rows are in another order for Llama: of each rotating pair one after the other, where Hugging Face has
/// the first of all pairs before the second of all.
const ROTATED: [&str; 2] = ["self_attn.q_proj.", "self_attn.k_proj."];

/// A tensor of a file, with what has to be done to its rows.
struct GgufTensor<'a> {
    gguf: &'a Gguf,
    name: &'a str,
    shape: &'a [usize],
    /// Rows of a head, where pairs of them have to be put apart.
    paired: Option<usize>,
}

impl StoredTensor for GgufTensor<'_> {
    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn decode(&self, _place: &str, _name: &str) -> Result<Weight> {
        let values = self.gguf.read(self.name)?;
        let values = match self.paired {
            Some(head) => apart(&values, head, values.len() / self.shape.first().copied().unwrap_or(1).max(1)),
            None => values,
        };
        Ok(Weight { shape: self.shape.to_vec(), values })
    }
}

/// Hands over every weight in a file: the file, the name that Hugging Face gives it, and the tensor. Gives the file that
/// a missing weight is to be blamed on.
pub(in crate::policy) fn each_tensor<F>(gguf: &Gguf, mut take: F) -> Result<String>
where
    F: FnMut(&str, &str, &dyn StoredTensor) -> Result<()>,
{
    let head_dim = config(gguf)?.head_dim;
    let paired = gguf.text(ARCHITECTURE)? == Some("llama");
    for name in gguf.tensors().filter(|name| *name != FACTORS) {
        let translated = translated(name).unwrap_or_else(|| name.to_owned());
        let paired = paired && ROTATED.iter().any(|part| translated.contains(part));
        let shape = gguf.shape(name)?;
        take(gguf.place(), &translated, &GgufTensor { gguf, name, shape, paired: paired.then_some(head_dim) })?;
    }
    Ok(gguf.place().to_owned())
}

/// What Hugging Face calls a tensor; none that it has no name for.
fn translated(name: &str) -> Option<String> {
    if let Some((_, outer)) = OUTER.iter().find(|(there, _)| *there == name) {
        return Some((*outer).to_owned());
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = rest.split_once('.')?;
    let number: usize = layer.parse().ok()?;
    let (_, inner) = INNER.iter().find(|(there, _)| *there == part)?;
    (number.to_string() == layer).then(|| format!("model.layers.{number}.{inner}.{kind}"))
}

/// What llama.cpp calls a weight, and whether it is one of heads that rotate; none that it has no name for.
pub(super) fn named(weight: &str) -> Option<(String, bool)> {
    if let Some((there, _)) = OUTER.iter().find(|(_, outer)| *outer == weight) {
        return Some(((*there).to_owned(), false));
    }
    let (layer, rest) = weight.strip_prefix("model.layers.")?.split_once('.')?;
    let (inner, kind) = rest.rsplit_once('.')?;
    let (there, _) = INNER.iter().find(|(_, part)| *part == inner)?;
    Some((format!("blk.{layer}.{there}.{kind}"), ROTATED.iter().any(|part| weight.contains(part))))
}

/// A weight of heads with the rows of each rotating pair one after the other.
pub(super) fn together(weight: Weight, head: usize) -> Weight {
    let width = weight.values.len() / weight.shape.first().copied().unwrap_or(1).max(1);
    let rows = |of_head: &[f32]| {
        let (first, second) = of_head.split_at(of_head.len() / 2);
        let pairs = first.chunks(width).zip(second.chunks(width));
        pairs.flat_map(|(one, other)| [one, other].concat()).collect::<Vec<f32>>()
    };
    let values = weight.values.chunks(head * width).flat_map(rows).collect();
    Weight { values, ..weight }
}

/// The rows of a matrix of heads, each of `head` rows of `width` numbers: those of even number first, then the odd ones.
fn apart(values: &[f32], head: usize, width: usize) -> Vec<f32> {
    let rows = |of_head: &[f32]| {
        let [even, odd] = [0, 1].map(|first| of_head.chunks(width).skip(first).step_by(2).flatten().copied());
        even.chain(odd).collect::<Vec<f32>>()
    };
    values.chunks(head * width).flat_map(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hugging_face() {
        let name = |name| translated(name).unwrap();
        assert_eq!(name("blk.12.attn_q.bias"), "model.layers.12.self_attn.q_proj.bias");
        assert_eq!(name("output_norm.weight"), "model.norm.weight");
        for there in ["blk.12.attn_q.bias", "blk.0.ffn_norm.weight", "output.weight", "token_embd.weight"] {
            assert_eq!(named(&name(there)).unwrap().0, there);
        }
        assert!(named("model.layers.1.self_attn.k_proj.weight").unwrap().1 && named("model.other.weight").is_none());
        for other in ["blk.01.attn_q.weight", "blk.+1.attn_q.weight", "blk.0.attn_qkv.weight", "blk.0.attn_q", "norm"] {
            assert_eq!(translated(other), None, "{other}");
        }
    }

    #[test]
    fn pairs_of_rows_are_put_apart_within_each_head() {
        let values: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let expected = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15].map(|i| i as f32);
        assert_eq!(apart(&values, 4, 2), expected);
        let weight = Weight { shape: vec![8, 2], values: expected.to_vec() };
        assert_eq!(together(weight, 4).values, values);
    }
}
