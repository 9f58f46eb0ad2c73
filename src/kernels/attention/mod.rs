//! Causal grouped-query attention over packed sequences, with rotary positions.
//!
//! Scores exist for one block of queries of one head at a time. The forward pass keeps the logarithm of each
//! softmax's denominator, from which the backward pass recomputes the probabilities (Dao et al., 2022).

mod cuda;

pub(crate) use cuda::WIDEST as WIDEST_ON_CARD;

use std::sync::Arc;

use super::cuda::CudaDevice;
use super::graph::Value;
use super::heads::Heads;
use super::layout::Sequence;
use super::matrix::{Matrix, Write, multiply};
use super::memory::{filled, read, tensor};
use super::positions::Positions;

use super::rope::Direction;
use super::simd::{dot, exp, exp_shifted, max, vectorised};
use crate::Result;

/// Queries handled at once: bounds the scores in memory and skips most of what causality hides.
const BLOCK: usize = 64;

/// From `[n, heads.width()]` (before the rotation) to `[n, query heads * dim]`, for sequences of rows as the layout of
/// `positions` has them. A continuation sees the whole of its prefix.
pub fn attention(qkv: &Value, heads: Heads, positions: &Arc<Positions>) -> Result<Value> {
    let (n, width) = qkv.tensor().dims2()?;
    assert_eq!(width, heads.width(), "columns of query, key and value");
    assert_eq!(positions.layout.rows(), n, "rows of the layout");
    if let Some(card) = CudaDevice::holding(qkv.tensor()) {
        return cuda::attention(&card, qkv, heads, &positions.on_card(&card)?);
    }
    let pass = AttentionPass { heads, positions: positions.clone(), longest: positions.layout.longest() };
    let mut log_sums = vec![0.0; heads.query * n];
    let result = {
        let qkv = read(qkv.tensor())?;
        filled(n * heads.query * heads.dim, |out| pass.forward(out, &mut log_sums, &qkv))
    };
    let result = tensor(result, (n, heads.query * heads.dim))?;
    let (input, output) = (qkv.tensor().clone(), result.clone());
    Ok(Value::computed(result, &[qkv], move |gradient| {
        let (qkv, output, gradient) = (read(&input)?, read(&output)?, read(gradient)?);
        let d_qkv = filled(n * width, |d_qkv| pass.backward(d_qkv, &qkv, &output, &gradient, &log_sums));
        Ok(vec![tensor(d_qkv, (n, width))?])
    }))
}

/// What came out of the forward pass, and the gradient of it.
struct AttentionOutput<'a> {
    output: &'a [f32],
    gradient: &'a [f32],
    log_sums: &'a [f32],
}

/// What both passes know about the batch.
///
/// Both work on one sequence at a time, in a scratch of its rows by position: `[heads, longest, dim]`, first rotated
/// queries (scaled by 1 / sqrt(dim)), then rotated keys, then values. What a prefix has put there stays while its
/// continuations, which begin behind it, come and go.
struct AttentionPass {
    heads: Heads,
    positions: Arc<Positions>,
    longest: usize,
}

impl AttentionPass {
    /// Log-sum-exps come sequence by sequence, in each head by head, in each row by row.
    fn forward(&self, out: &mut [f32], log_sums: &mut [f32], qkv: &[f32]) {
        let Heads { query, dim, .. } = self.heads;
        let out_width = query * dim;
        let mut scratch = self.scratch();
        let mut scores = vec![0.0; self.longest * BLOCK];
        for sequence in self.positions.layout.sequences().iter().filter(|sequence| !sequence.rows.is_empty()) {
            let out = &mut out[sequence.rows.start * out_width..];
            let log_sums = &mut log_sums[sequence.rows.start * query..sequence.rows.end * query];
            self.gather(&mut scratch, qkv, sequence);
            for (head, log_sums) in log_sums.chunks_exact_mut(sequence.rows.len()).enumerate() {
                let [queries, keys, values] = self.places(head);
                for QueryBlock { row, rows, first, end } in blocks(sequence) {
                    let queries = Matrix::new(&scratch[queries + first * dim..], rows, dim);
                    let keys = Matrix::new(&scratch[keys..], end, dim);
                    let values = Matrix::new(&scratch[values..], end, dim);
                    let scores = &mut scores[..rows * end];
                    multiply(scores, end, queries, keys.transposed(), Write::Replace);
                    softmax(scores, &mut log_sums[row..row + rows], first, end);
                    let out = &mut out[row * out_width + head * dim..];
                    multiply(out, out_width, Matrix::new(scores, rows, end), values, Write::Replace);
                }
            }
        }
    }

    fn backward(&self, d_qkv: &mut [f32], qkv: &[f32], output: &[f32], gradient: &[f32], log_sums: &[f32]) {
        let (mut scratch, mut d_scratch) = (self.scratch(), self.scratch());
        let mut scores = [0; 2].map(|_| vec![0.0; self.longest * BLOCK]);
        let came = AttentionOutput { output, gradient, log_sums };
        for group in self.positions.layout.prefix_groups().filter(|group| !group[0].rows.is_empty()) {
            for (number, sequence) in group.iter().enumerate() {
                self.gather(&mut scratch, qkv, sequence);
                self.clear(&mut d_scratch, sequence);
                self.differentiate(&mut d_scratch, &scratch, sequence, &came, &mut scores);
                // The rows of a prefix are whole when every continuation has added to them.
                if number > 0 {
                    self.scatter(d_qkv, &d_scratch, sequence);
                }
            }
            self.scatter(d_qkv, &d_scratch, &group[0]);
        }
    }

    /// Adds the gradients of one sequence's keys and values, its prefix's included; writes those of its queries.
    fn differentiate(
        &self,
        d_scratch: &mut [f32],
        scratch: &[f32],
        sequence: &Sequence,
        &AttentionOutput { output, gradient, log_sums }: &AttentionOutput,
        [probabilities, d_scores]: &mut [Vec<f32>; 2],
    ) {
        let Heads { query, dim, .. } = self.heads;
        let out_width = query * dim;
        let length = sequence.rows.len();
        for head in 0..query {
            let log_sums = &log_sums[sequence.rows.start * query + head * length..][..length];
            let [queries_at, keys_at, values_at] = self.places(head);
            for QueryBlock { row, rows, first, end } in blocks(sequence) {
                let queries_at = queries_at + first * dim;
                let queries = Matrix::new(&scratch[queries_at..], rows, dim);
                let keys = Matrix::new(&scratch[keys_at..], end, dim);
                let values = Matrix::new(&scratch[values_at..], end, dim);
                let at = (sequence.rows.start + row) * out_width + head * dim;
                let (output, gradient) = (&output[at..], &gradient[at..]);
                let d_out = Matrix::with_step(gradient, rows, dim, out_width);

                let (p, d) = (&mut probabilities[..rows * end], &mut d_scores[..rows * end]);
                multiply(p, end, queries, keys.transposed(), Write::Replace);
                multiply(d, end, d_out, values.transposed(), Write::Replace);
                softmax_backward(d, p, &log_sums[row..row + rows], output, gradient, out_width, dim, first, end);
                let (p, d) = (Matrix::new(p, rows, end), Matrix::new(d, rows, end));
                multiply(&mut d_scratch[values_at..], dim, p.transposed(), d_out, Write::Add);
                multiply(&mut d_scratch[keys_at..], dim, d.transposed(), queries, Write::Add);
                multiply(&mut d_scratch[queries_at..], dim, d, keys, Write::Replace);
            }
        }
    }

    fn scratch(&self) -> Vec<f32> {
        vec![0.0; self.longest * self.heads.width()]
    }

    /// Where a query head, its keys and its values begin in the scratch.
    fn places(&self, head: usize) -> [usize; 3] {
        let Heads { query, key, dim } = self.heads;
        let key_head = query + head / (query / key);
        [head, key_head, key_head + key].map(|head| head * self.longest * dim)
    }

    /// Puts a sequence's own rows into the scratch, behind its prefix.
    fn gather(&self, scratch: &mut [f32], qkv: &[f32], sequence: &Sequence) {
        let (Heads { dim, .. }, width) = (self.heads, self.heads.width());
        let qkv = &qkv[sequence.rows.start * width..sequence.rows.end * width];
        for (head, scratch) in self.own(scratch, sequence).enumerate() {
            let from = qkv.get(head * dim..).unwrap_or_default();
            match self.scale(head) {
                Some(scale) => self.positions.rope().turn(
                    Direction::Forth,
                    sequence.prefix.len(),
                    scratch,
                    dim,
                    from,
                    width,
                    scale,
                ),
                None => {
                    let rows = scratch.chunks_exact_mut(dim).zip(from.chunks(width));
                    rows.for_each(|(to, from)| to.copy_from_slice(&from[..dim]));
                }
            }
        }
    }

    /// The gradients that belong to them: the way back.
    fn scatter(&self, d_qkv: &mut [f32], d_scratch: &[f32], sequence: &Sequence) {
        let (Heads { dim, .. }, width) = (self.heads, self.heads.width());
        let d_qkv = &mut d_qkv[sequence.rows.start * width..sequence.rows.end * width];
        for (head, whole) in d_scratch.chunks_exact(self.longest * dim).enumerate() {
            let from = &whole[sequence.prefix.len() * dim..sequence.positions() * dim];
            let to = d_qkv.get_mut(head * dim..).unwrap_or_default();
            match self.scale(head) {
                Some(scale) => {
                    self.positions.rope().turn(Direction::Back, sequence.prefix.len(), to, width, from, dim, scale)
                }
                None => {
                    let rows = to.chunks_mut(width).zip(from.chunks_exact(dim));
                    rows.for_each(|(to, from)| to[..dim].copy_from_slice(from));
                }
            }
        }
    }

    fn clear(&self, d_scratch: &mut [f32], sequence: &Sequence) {
        self.own(d_scratch, sequence).for_each(|rows| rows.fill(0.0));
    }

    /// A sequence's own rows in the scratch, head by head.
    fn own<'a>(&self, scratch: &'a mut [f32], sequence: &Sequence) -> impl Iterator<Item = &'a mut [f32]> {
        let dim = self.heads.dim;
        let rows = sequence.prefix.len() * dim..sequence.positions() * dim;
        scratch.chunks_exact_mut(self.longest * dim).map(move |head| &mut head[rows.clone()])
    }

    /// What a rotated head is multiplied by; values are not rotated.
    fn scale(&self, head: usize) -> Option<f32> {
        let Heads { query, key, dim } = self.heads;
        match head {
            _ if head < query => Some(1.0 / (dim as f32).sqrt()),
            _ if head < query + key => Some(1.0),
            _ => None,
        }
    }
}

/// Some queries of a sequence, and the keys that the last of them sees.
struct QueryBlock {
    /// The first query among the sequence's own rows.
    row: usize,
    /// How many.
    rows: usize,
    /// The first query's position.
    first: usize,
    /// The position behind the last query.
    end: usize,
}

fn blocks(sequence: &Sequence) -> impl Iterator<Item = QueryBlock> {
    let (length, before) = (sequence.rows.len(), sequence.prefix.len());
    (0..length).step_by(BLOCK).map(move |row| {
        let rows = BLOCK.min(length - row);
        QueryBlock { row, rows, first: before + row, end: before + row + rows }
    })
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
    use crate::kernels::cuda::emulated::on_card;
    use crate::kernels::layout::Layout;
    use crate::kernels::rotary::tests::YARN;
    use crate::kernels::testing::{check, random_tensor};
    use crate::kernels::{RopeScaling, Rotary};
    use candle_core::{D, DType, Device, Result, Tensor, Var};

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
            let positions = Arc::new(Positions::new(lengths(starts).collect(), Rotary::new(dim, 50.0, None)));
            check(
                &[(random_tensor(&[n, heads.width()], 1) * 2.0).unwrap()],
                |v| attention(v[0], heads, &positions),
                |t| plain(&t[0], heads, 50.0, starts),
            );
        }
    }

    fn lengths(starts: &[usize]) -> impl Iterator<Item = usize> {
        starts.windows(2).map(|pair| pair[1] - pair[0])
    }

    #[test]
    fn branches_compute_what_whole_sequences_do() {
        // Prefixes of 3, 0 and 70 rows, a sequence alone between them, continuations of many lengths, one of them empty.
        let mut layout = Layout::default();
        let mut whole = Vec::new();
        for (prefix, continuations) in [(3, &[2, 5, 1][..]), (4, &[]), (0, &[2, 3]), (70, &[1, 66, 0, 9])] {
            let first = layout.rows();
            layout.push(prefix);
            if continuations.is_empty() {
                whole.push((first..first + prefix, first..first));
            }
            for length in continuations {
                let start = layout.rows();
                layout.continuation(*length);
                whole.push((first..first + prefix, start..start + length));
            }
        }
        let n = layout.rows();
        let rows: Vec<u32> =
            whole.iter().flat_map(|(prefix, own)| prefix.clone().chain(own.clone())).map(|row| row as u32).collect();
        let starts: Vec<usize> = [0]
            .into_iter()
            .chain(whole.iter().scan(0, |sum, (prefix, own)| {
                *sum += prefix.len() + own.len();
                Some(*sum)
            }))
            .collect();
        // Where each row of the shared form stands among the rows of whole sequences, first or only.
        let shown: Vec<u32> = (0..n as u32).map(|row| rows.iter().position(|r| *r == row).unwrap() as u32).collect();
        let heads = Heads { query: 4, key: 2, dim: 6 };
        let positions = Arc::new(Positions::new(layout, Rotary::new(6, 50.0, None)));
        let select = |t: &Tensor, rows: &[u32]| t.index_select(&Tensor::new(rows, t.device())?, 0);
        check(
            &[(random_tensor(&[n, heads.width()], 1) * 2.0).unwrap()],
            |v| attention(v[0], heads, &positions),
            |t| select(&plain(&select(&t[0], &rows)?, heads, 50.0, &starts)?, &shown),
        );
    }

    #[test]
    fn a_card_computes_heads_of_every_width_and_scores_that_rise_far_above_those_before() {
        fn run(input: &Tensor, heads: Heads) -> [Tensor; 2] {
            let lengths = [37, 150].into_iter().collect();
            let rotary = Rotary::new(heads.dim, 50.0, Some(&RopeScaling::Yarn(YARN)));
            let positions = Arc::new(Positions::new(lengths, rotary));
            let qkv = Value::variable("qkv", &Var::from_tensor(input).unwrap());
            let out = attention(&qkv, heads, &positions).unwrap();
            let slope = random_tensor(out.tensor().dims(), 2).to_dtype(input.dtype()).unwrap();
            let result = out.tensor().clone();
            let gradients = out.backward(slope).unwrap();
            [&result, gradients.get("qkv").unwrap()].map(|tensor| tensor.to_dtype(DType::F32).unwrap())
        }
        for (dim, last) in [(24, 6.0), (72, 1.0), (136, 1.0)] {
            let heads = Heads { query: 4, key: 2, dim };
            let growth = Tensor::from_iter((0..187).map(|row| 1.0 + row as f32 * last / 187.0), &Device::Cpu).unwrap();
            let input = random_tensor(&[187, heads.width()], 1).broadcast_mul(&growth.unsqueeze(1).unwrap()).unwrap();
            // What bf16 can hold, so that all begin with the same.
            let narrow = input.to_dtype(DType::BF16).unwrap();
            let input = narrow.to_dtype(DType::F32).unwrap();
            let truth = run(&input, heads);
            on_card(|| {
                for (input, allowed) in [(&input, 1e-5), (&narrow, 2e-2)] {
                    let [out, gradient] = run(input, heads);
                    let far = [apart(&out, &truth[0]), apart(&gradient, &truth[1])];
                    assert!(far.iter().all(|far| *far < allowed), "{dim} {far:?} {allowed}");
                }
            });
        }
    }

    #[test]
    fn heads_too_wide_for_a_card_are_one_clear_line() {
        let heads = Heads { query: 1, key: 1, dim: 258 };
        let positions = Arc::new(Positions::new([2].into_iter().collect(), Rotary::new(258, 50.0, None)));
        let input = Value::constant(random_tensor(&[2, heads.width()], 1));
        assert!(attention(&input, heads, &positions).is_ok());
        on_card(|| {
            let error = attention(&input, heads, &positions).err().unwrap().to_string();
            assert!(error.contains("258 dimensions") && error.contains("at most 256"), "{error}");
        });
    }

    /// The norm of the difference, relative to that of the truth.
    fn apart(found: &Tensor, truth: &Tensor) -> f64 {
        let norm = |tensor: Tensor| tensor.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        f64::from((norm((found - truth).unwrap()) / norm(truth.clone())).sqrt())
    }

    #[test]
    fn sequences_do_not_see_each_other_nor_the_future() {
        let heads = Heads { query: 2, key: 1, dim: 4 };
        let input = random_tensor(&[9, heads.width()], 1);
        let run = |input: &Tensor, starts: &[usize]| -> Vec<Vec<f32>> {
            let positions = Arc::new(Positions::new(lengths(starts).collect(), Rotary::new(4, 50.0, None)));
            let out = attention(&Value::constant(input.clone()), heads, &positions).unwrap();
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
