//! Causal grouped-query attention over packed sequences, with rotary positions.
//!
//! Scores exist for one block of queries of one head at a time. The forward pass keeps the logarithm of each
//! softmax's denominator, from which the backward pass recomputes the probabilities (Dao et al., 2022).

use std::sync::Arc;

use super::graph::Value;
use super::memory::{filled, read, tensor};
use super::product::{Matrix, Write, multiply};
use super::rope::Rope;
use super::simd::{dot, exp, exp_shifted, max, vectorised};
use crate::Result;

/// How the columns of a row divide into heads: first all query heads, then all key heads, then all value heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    pub query: usize,
    /// As many value heads. Divides `query`: each serves `query / key` query heads in a row.
    pub key: usize,
    pub dim: usize,
}

impl Heads {
    /// Columns of query, key and value together.
    pub fn width(&self) -> usize {
        (self.query + 2 * self.key) * self.dim
    }
}

/// Queries handled at once: bounds the scores in memory and skips most of what causality hides.
const BLOCK: usize = 64;

/// From `[n, heads.width()]` (before the rotation) to `[n, query heads * dim]`. Sequence `s` covers the rows
/// `starts[s]..starts[s + 1]`; positions restart at 0 in each, and `rope` has to reach the longest.
pub fn attention(qkv: &Value, heads: Heads, rope: &Arc<Rope>, starts: &Arc<[usize]>) -> Result<Value> {
    let (n, width) = qkv.tensor().dims2()?;
    let longest = starts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    assert_eq!(width, heads.width(), "columns of query, key and value");
    assert_eq!(starts.last().copied().unwrap_or(0), n, "the last offset is the number of tokens");
    assert!(rope.positions() >= longest, "rotary tables are too short");
    let plan = Plan { heads, rope: rope.clone(), starts: starts.clone(), longest };
    let mut log_sums = vec![0.0; heads.query * n];
    let result = {
        let qkv = read(qkv.tensor())?;
        filled(n * heads.query * heads.dim, |out| plan.forward(out, &mut log_sums, &qkv))
    };
    let result = tensor(result, (n, heads.query * heads.dim))?;
    let (input, output) = (qkv.tensor().clone(), result.clone());
    Ok(Value::computed(result, &[qkv], move |gradient| {
        let (qkv, output, gradient) = (read(&input)?, read(&output)?, read(gradient)?);
        let d_qkv = filled(n * width, |d_qkv| plan.backward(d_qkv, &qkv, &output, &gradient, &log_sums));
        Ok(vec![tensor(d_qkv, (n, width))?])
    }))
}

/// What both passes know about the batch.
struct Plan {
    heads: Heads,
    rope: Arc<Rope>,
    starts: Arc<[usize]>,
    longest: usize,
}

impl Plan {
    /// Log-sum-exps come sequence by sequence, in each head by head, in each row by row.
    fn forward(&self, out: &mut [f32], log_sums: &mut [f32], qkv: &[f32]) {
        let Heads { query, key, dim } = self.heads;
        let (width, out_width) = (self.heads.width(), query * dim);
        let mut turned = vec![0.0; self.longest * self.turned_heads() * dim];
        let mut scores = vec![0.0; self.longest * BLOCK];
        for (start, length) in self.sequences() {
            let qkv = &qkv[start * width..][..length * width];
            let out = &mut out[start * out_width..][..length * out_width];
            let log_sums = &mut log_sums[start * query..][..length * query];
            self.turn(&mut turned, qkv, length);
            for (head, log_sums) in log_sums.chunks_exact_mut(length).enumerate() {
                let key_head = head / (query / key);
                for first in (0..length).step_by(BLOCK) {
                    let end = length.min(first + BLOCK);
                    let size = end - first;
                    let queries = Matrix::new(&turned[(head * length + first) * dim..], size, dim);
                    let keys = Matrix::new(&turned[(query + key_head) * length * dim..], end, dim);
                    let values = Matrix::with_step(&qkv[(query + key + key_head) * dim..], end, dim, width);
                    let scores = &mut scores[..size * end];
                    multiply(scores, end, queries, keys.transposed(), Write::Replace);
                    softmax(scores, &mut log_sums[first..end], first, end);
                    let out = &mut out[first * out_width + head * dim..];
                    multiply(out, out_width, Matrix::new(scores, size, end), values, Write::Replace);
                }
            }
        }
    }

    fn backward(&self, d_qkv: &mut [f32], qkv: &[f32], output: &[f32], gradient: &[f32], log_sums: &[f32]) {
        let Heads { query, key, dim } = self.heads;
        let (width, out_width) = (self.heads.width(), query * dim);
        let mut turned = vec![0.0; self.longest * self.turned_heads() * dim];
        let mut d_turned = turned.clone();
        let mut probabilities = vec![0.0; self.longest * BLOCK];
        let mut d_scores = probabilities.clone();
        for (start, length) in self.sequences() {
            let qkv = &qkv[start * width..][..length * width];
            let d_qkv = &mut d_qkv[start * width..][..length * width];
            let span = start * out_width..(start + length) * out_width;
            let (output, gradient) = (&output[span.clone()], &gradient[span]);
            let log_sums = &log_sums[start * query..][..length * query];
            self.turn(&mut turned, qkv, length);
            for (head, log_sums) in log_sums.chunks_exact(length).enumerate() {
                let key_head = head / (query / key);
                let (key_start, value_column) = ((query + key_head) * length * dim, (query + key + key_head) * dim);
                // From the last block, which sees every key: the first product for a key head replaces what the
                // buffer held, the others add to it.
                for first in (0..length).step_by(BLOCK).rev() {
                    let end = length.min(first + BLOCK);
                    let size = end - first;
                    let write = if end == length && head % (query / key) == 0 { Write::Replace } else { Write::Add };
                    let query_start = (head * length + first) * dim;
                    let queries = Matrix::new(&turned[query_start..], size, dim);
                    let keys = Matrix::new(&turned[key_start..], end, dim);
                    let values = Matrix::with_step(&qkv[value_column..], end, dim, width);
                    let at = first * out_width + head * dim;
                    let (output, gradient) = (&output[at..], &gradient[at..]);
                    let d_out = Matrix::with_step(gradient, size, dim, out_width);

                    let (p, d) = (&mut probabilities[..size * end], &mut d_scores[..size * end]);
                    multiply(p, end, queries, keys.transposed(), Write::Replace);
                    multiply(d, end, d_out, values.transposed(), Write::Replace);
                    softmax_backward(d, p, &log_sums[first..end], output, gradient, out_width, dim, first, end);
                    let (p, d) = (Matrix::new(p, size, end), Matrix::new(d, size, end));
                    multiply(&mut d_qkv[value_column..], width, p.transposed(), d_out, write);
                    multiply(&mut d_turned[key_start..], dim, d.transposed(), queries, write);
                    multiply(&mut d_turned[query_start..], dim, d, keys, Write::Replace);
                }
            }
            self.turn_back(d_qkv, &d_turned, length);
        }
    }

    /// First row and length of every sequence that is not empty.
    fn sequences(&self) -> impl Iterator<Item = (usize, usize)> {
        self.starts.windows(2).map(|pair| (pair[0], pair[1] - pair[0])).filter(|(_, length)| *length > 0)
    }

    /// Rotated queries (scaled by 1 / sqrt(dim)) and keys of one sequence, head after head: the rows of a head lie
    /// side by side for the products.
    fn turn(&self, turned: &mut [f32], qkv: &[f32], length: usize) {
        let Heads { dim, .. } = self.heads;
        for (head, turned) in turned.chunks_exact_mut(length * dim).take(self.turned_heads()).enumerate() {
            self.rope.turn(turned, dim, &qkv[head * dim..], self.heads.width(), self.scale(head));
        }
    }

    /// The gradients that belong to them.
    fn turn_back(&self, d_qkv: &mut [f32], d_turned: &[f32], length: usize) {
        let Heads { dim, .. } = self.heads;
        for (head, d_turned) in d_turned.chunks_exact(length * dim).take(self.turned_heads()).enumerate() {
            self.rope.turn_back(&mut d_qkv[head * dim..], self.heads.width(), d_turned, dim, self.scale(head));
        }
    }

    fn turned_heads(&self) -> usize {
        self.heads.query + self.heads.key
    }

    fn scale(&self, head: usize) -> f32 {
        if head < self.heads.query { 1.0 / (self.heads.dim as f32).sqrt() } else { 1.0 }
    }
}

vectorised! {
    /// Rows of scores to probabilities; row `i` sees the keys up to `first + i`. Keeps each log-sum-exp.
    fn softmax(scores: &mut [f32], log_sums: &mut [f32], first: usize, keys: usize) {
        for (i, (row, log_sum)) in scores.chunks_exact_mut(keys).zip(log_sums).enumerate() {
            let (seen, hidden) = row.split_at_mut(first + i + 1);
            let top = max(seen);
            let sum = exp_shifted(seen, top);
            let scale = 1.0 / sum;
            seen.iter_mut().for_each(|p| *p *= scale);
            hidden.fill(0.0);
            *log_sum = top + sum.ln();
        }
    }
}

vectorised! {
    /// Scores back to probabilities `p`, by their log-sum-exp; and in place from the gradient `d` of the
    /// probabilities to that of the scores, p * (d - output . gradient).
    fn softmax_backward(
        d: &mut [f32],
        p: &mut [f32],
        log_sums: &[f32],
        output: &[f32],
        gradient: &[f32],
        step: usize,
        dim: usize,
        first: usize,
        keys: usize,
    ) {
        let rows = d.chunks_exact_mut(keys).zip(p.chunks_exact_mut(keys)).zip(log_sums).enumerate();
        for ((i, ((d, p), log_sum)), (output, gradient)) in rows.zip(output.chunks(step).zip(gradient.chunks(step))) {
            let mean = dot(&output[..dim], &gradient[..dim]);
            let seen = first + i + 1;
            for (d, p) in d[..seen].iter_mut().zip(&mut p[..seen]) {
                *p = exp(*p - log_sum);
                *d = *p * (*d - mean);
            }
            d[seen..].fill(0.0);
            p[seen..].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check, random_tensor};
    use candle_core::{D, DType, Result, Tensor};

    /// Every sequence and head by itself, with whole score matrices and an explicit mask.
    fn plain(qkv: &Tensor, heads: Heads, theta: f64, starts: &[usize]) -> Result<Tensor> {
        let Heads { query, key, dim } = heads;
        let mut outputs = Vec::new();
        for pair in starts.windows(2).filter(|pair| pair[0] < pair[1]) {
            let length = pair[1] - pair[0];
            let rows = qkv.narrow(0, pair[0], length)?;
            let angles: Vec<f64> = (0..length)
                .flat_map(|p| (0..dim / 2).map(move |i| p as f64 * theta.powf(-2.0 * i as f64 / dim as f64)))
                .collect();
            let angles = Tensor::from_vec(angles, (length, dim / 2), qkv.device())?;
            let turn = |x: Tensor| -> Result<Tensor> {
                let (a, b) = (x.narrow(1, 0, dim / 2)?, x.narrow(1, dim / 2, dim / 2)?);
                let (cos, sin) = (angles.cos()?, angles.sin()?);
                Tensor::cat(&[((&a * &cos)? - (&b * &sin)?)?, ((&b * &cos)? + (&a * &sin)?)?], 1)
            };
            let mask: Vec<f64> =
                (0..length * length).map(|i| if i % length > i / length { f64::NEG_INFINITY } else { 0.0 }).collect();
            let mask = Tensor::from_vec(mask, (length, length), qkv.device())?;
            let mut columns = Vec::new();
            for head in 0..query {
                let group = head / (query / key);
                let q = turn(rows.narrow(1, head * dim, dim)?)?;
                let k = turn(rows.narrow(1, (query + group) * dim, dim)?)?;
                let v = rows.narrow(1, (query + key + group) * dim, dim)?;
                let scores = ((q.matmul(&k.t()?)? / (dim as f64).sqrt())? + &mask)?;
                let top = scores.max_keepdim(D::Minus1)?.detach();
                let weights = scores.broadcast_sub(&top)?.exp()?;
                let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
                columns.push(weights.matmul(&v.contiguous()?)?);
            }
            outputs.push(Tensor::cat(&columns, 1)?);
        }
        Tensor::cat(&outputs, 0)
    }

    #[test]
    fn agrees_with_candle_and_with_finite_differences() {
        for (query, key, dim, starts) in [
            (1, 1, 2, &[0, 1][..]),
            (2, 1, 4, &[0, 3, 4, 9]),
            (4, 2, 6, &[0, 5, 5, 12]),
            (3, 3, 8, &[0, 17]),
            (2, 2, 4, &[0, 70, 71, 133]),
        ] {
            let heads = Heads { query, key, dim };
            let n = *starts.last().unwrap();
            let rope = Arc::new(Rope::new(dim, 50.0, n));
            let starts: Arc<[usize]> = starts.into();
            check(
                &[(random_tensor(&[n, heads.width()], 1) * 2.0).unwrap()],
                |v| attention(v[0], heads, &rope, &starts),
                |t| plain(&t[0], heads, 50.0, &starts),
            );
        }
    }

    #[test]
    fn sequences_do_not_see_each_other_nor_the_future() {
        let heads = Heads { query: 2, key: 1, dim: 4 };
        let rope = Arc::new(Rope::new(4, 50.0, 9));
        let input = random_tensor(&[9, heads.width()], 1);
        let run = |input: &Tensor, starts: &[usize]| -> Vec<Vec<f32>> {
            let out = attention(&Value::constant(input.clone()), heads, &rope, &starts.into()).unwrap();
            out.tensor().to_vec2().unwrap()
        };
        let packed = run(&input, &[0, 4, 9]);
        assert_eq!(packed[..4], run(&input.narrow(0, 0, 4).unwrap(), &[0, 4]));
        assert_eq!(packed[4..], run(&input.narrow(0, 4, 5).unwrap(), &[0, 5]));
        assert_eq!(packed[4..7], run(&input.narrow(0, 4, 3).unwrap(), &[0, 3]));
        let large = Tensor::full(1000f32, (1, heads.width()), input.device()).unwrap().to_dtype(DType::F32).unwrap();
        let changed = Tensor::cat(&[&input.narrow(0, 0, 8).unwrap(), &large], 0).unwrap();
        assert_eq!(run(&changed, &[0, 4, 9])[..8], packed[..8]);
    }
}
