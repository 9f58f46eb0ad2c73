//! The output layer of a language model down to the log-probability of each target, without ever holding the logits
//! of a large batch: a chunk of rows at a time, computed again in the backward pass. A batch of a single chunk keeps
//! its logits instead.

mod cuda;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::cuda::CudaDevice;
use super::graph::Value;
use super::matrix::{Matrix, Write};
use super::memory::{filled, read, tensor};
use super::product::Precision;
use super::simd::{LANES, exp, max, vectorised};
use crate::{Error, Result};

/// Logits held at once (16 MB): those of a whole micro-batch where the vocabulary is small. Keeping them saves a
/// quarter of the products of the head, and few large products are faster than many small ones. Of a large head there are
/// more, as many as it has weights: each chunk reads all of the head and goes through its whole gradient.
const CHUNK: usize = 1 << 22;

/// How far below the target's logit those lie that could not be drawn: their probability is 0 in single precision, and all
/// that is computed from them finite.
const BELOW: f32 = 300.0;

/// Which next tokens of packed sequences are scored, of so many rows.
#[derive(Clone, Copy, Debug)]
pub struct PredictedTokens<'a> {
    /// Indices of states.
    pub rows: &'a [u32],
    /// The token that follows each.
    pub targets: &'a [u32],
    /// The token ids that could follow each, rising, the target among them: no other has a probability. An empty list, or no
    /// list at all, stands for the whole vocabulary.
    pub masks: &'a [Vec<u32>],
}

/// For each predicted token (a row of `hidden` `[n, d]`), its log-probability under softmax(hidden · head^T), head `[V, d]`,
/// and the entropy of that distribution in nats: a value `[2, rows]`, first all log-probabilities, then all entropies.
///
/// # Errors
///
/// A row, a target or a mask beyond what there is, or a target that its mask excludes.
pub fn log_prob(hidden: &Value, head: &Value, predicted: PredictedTokens, precision: Precision) -> Result<Value> {
    let on_card = CudaDevice::holding(hidden.tensor()).is_some();
    let chunk = if on_card { cuda::CHUNK } else { CHUNK.max(head.tensor().elem_count()) };
    in_chunks(hidden, head, predicted, precision, chunk)
}

fn in_chunks(
    hidden: &Value,
    head: &Value,
    predicted: PredictedTokens,
    precision: Precision,
    most_logits: usize,
) -> Result<Value> {
    let PredictedTokens { rows, targets, masks } = predicted;
    let ((n, d), (vocabulary, _)) = (hidden.tensor().dims2()?, head.tensor().dims2()?);
    assert_eq!(rows.len(), targets.len(), "one target per row");
    for (what, index, limit) in [("rows", rows.iter().max(), n), ("target token ids", targets.iter().max(), vocabulary)]
    {
        if let Some(index) = index.filter(|index| **index as usize >= limit) {
            let remedy = "targets come from the tokenizer of the model, rows from the packed batch";
            return Err(Error::invalid(what, format!("{index}, but there are only {limit}"), remedy));
        }
    }
    check_masks(predicted, vocabulary)?;
    if let Some(card) = CudaDevice::holding(hidden.tensor()) {
        return cuda::log_prob(&card, hidden, head, predicted, precision, most_logits);
    }
    let chunk = (most_logits / vocabulary).clamp(1, rows.len().max(1));
    let wants_head = !head.is_constant();
    let (rows, targets, masks) = (rows.to_vec(), targets.to_vec(), masks.to_vec());
    let pass = LogProbPass { rows, targets, masks, d, vocabulary, precision, chunk, wants_head };
    let mut logits = vec![0.0; chunk * vocabulary];
    let RowSummary { log_probs, log_sums, entropies } =
        pass.forward(&mut logits, &read(hidden.tensor())?, &read(head.tensor())?);
    let kept = Mutex::new((pass.rows.len() <= chunk).then_some(logits));
    let (states, weights) = (hidden.tensor().clone(), head.tensor().clone());
    let both = tensor([&log_probs[..], &entropies].concat(), (2, pass.rows.len()))?;
    Ok(Value::computed(both, &[hidden, head], move |gradient| {
        // They become their own gradients; a second backward pass has to compute them again.
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let known = RowStatistics { log_sums: &log_sums, entropies: &entropies };
        let (d_hidden, d_head) = pass.backward(kept, &read(&states)?, &read(&weights)?, known, &read(gradient)?);
        let vocabulary = if wants_head { vocabulary } else { 0 };
        Ok(vec![tensor(d_hidden, (n, d))?, tensor(d_head, (vocabulary, d))?])
    }))
}

/// Refuses masks that do not belong to these rows.
fn check_masks(PredictedTokens { rows, targets, masks }: PredictedTokens, vocabulary: usize) -> Result<()> {
    let refuse = |found: String| {
        Err(Error::invalid("sampling masks", found, "take them from the completions that were sampled with them"))
    };
    if !masks.is_empty() && masks.len() != rows.len() {
        return refuse(format!("{} for {} rows", masks.len(), rows.len()));
    }
    for (mask, target) in masks.iter().zip(targets).filter(|(mask, _)| !mask.is_empty()) {
        let rising = mask.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || mask.last().is_some_and(|token| *token as usize >= vocabulary) {
            return refuse(format!("one that is not rising below {vocabulary}"));
        }
        if mask.binary_search(target).is_err() {
            return refuse(format!("token {target} outside its own"));
        }
    }
    Ok(())
}

/// The log-probability of a token in `softmax(logits)`, and those of the `count` likeliest after it, falling.
pub fn likeliest(logits: &[f32], token: u32, count: usize) -> Vec<(u32, f32)> {
    if count == 0 {
        return Vec::new();
    }
    let most = max(logits);
    let log_sum = logits.iter().map(|logit| f64::from(logit - most).exp()).sum::<f64>().ln();
    let log_prob = |token: u32| (token, (f64::from(logits[token as usize] - most) - log_sum) as f32);
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let falling = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    if count < order.len() {
        order.select_nth_unstable_by(count, falling);
        order.truncate(count);
    }
    order.sort_unstable_by(falling);
    [token].into_iter().chain(order).map(log_prob).collect()
}

/// Leaves what stands at `kept`, and puts `rest` everywhere else.
fn keep_only(row: &mut [f32], kept: &[u32], rest: f32) {
    let values: Vec<f32> = kept.iter().map(|token| row[*token as usize]).collect();
    row.fill(rest);
    kept.iter().zip(values).for_each(|(token, value)| row[*token as usize] = value);
}

/// What both passes know about the batch.
struct LogProbPass {
    rows: Vec<u32>,
    targets: Vec<u32>,
    masks: Vec<Vec<u32>>,
    d: usize,
    vocabulary: usize,
    precision: Precision,
    /// Rows whose logits are held at once.
    chunk: usize,
    /// Whether the head is trained.
    wants_head: bool,
}

/// One number each for every row.
struct RowSummary {
    log_probs: Vec<f32>,
    log_sums: Vec<f32>,
    entropies: Vec<f32>,
}

/// What the backward pass takes over from the forward pass, a number for every row.
#[derive(Clone, Copy)]
struct RowStatistics<'a> {
    log_sums: &'a [f32],
    entropies: &'a [f32],
}

impl LogProbPass {
    /// Leaves the logits of the last chunk.
    fn forward(&self, logits: &mut [f32], hidden: &[f32], head: &[f32]) -> RowSummary {
        let LogProbPass { d, vocabulary, .. } = *self;
        let (mut log_sums, mut entropies) = (vec![0.0; self.rows.len()], vec![0.0; self.rows.len()]);
        let mut log_probs = Vec::with_capacity(self.rows.len());
        let mut inputs = Vec::new();
        for range in self.chunks() {
            gather(&mut inputs, hidden, &self.rows[range.clone()], d);
            let logits = &mut logits[..range.len() * vocabulary];
            self.logits(logits, &inputs, head, range.clone());
            summarise(&mut log_sums[range.clone()], &mut entropies[range.clone()], logits, vocabulary);
            let rows = logits.chunks_exact(vocabulary).zip(&self.targets[range.clone()]).zip(&log_sums[range]);
            log_probs.extend(rows.map(|((logits, target), log_sum)| logits[*target as usize] - log_sum));
        }
        RowSummary { log_probs, log_sums, entropies }
    }

    /// Gradients of states and head (empty where it is not trained), from those of log-probabilities and entropies.
    /// `kept` are the logits where there is one chunk only.
    fn backward(
        &self,
        kept: Option<Vec<f32>>,
        hidden: &[f32],
        head: &[f32],
        known: RowStatistics,
        gradient: &[f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let (gradient, of_entropy) = gradient.split_at(self.rows.len());
        let LogProbPass { d, vocabulary, precision, chunk, .. } = *self;
        let mut d_hidden = vec![0.0; hidden.len()];
        let (again, with_entropy) = (kept.is_none(), of_entropy.iter().any(|g| *g != 0.0));
        let mut logits = kept.unwrap_or_else(|| vec![0.0; chunk * vocabulary]);
        let (mut inputs, mut d_inputs) = (Vec::new(), vec![0.0; chunk * d]);
        let mut of_chunk = |d_head: &mut [f32], range: Range<usize>| {
            let (rows, count) = (&self.rows[range.clone()], range.len());
            let write = if range.start == 0 { Write::Replace } else { Write::Add };
            gather(&mut inputs, hidden, rows, d);
            let logits = &mut logits[..count * vocabulary];
            if again {
                self.logits(logits, &inputs, head, range.clone());
            }
            let masks = self.masks_of(range.clone());
            let (targets, gradient) = (&self.targets[range.clone()], &gradient[range.clone()]);
            let log_sums = &known.log_sums[range.clone()];
            if with_entropy {
                let (entropies, of_entropy) = (&known.entropies[range.clone()], &of_entropy[range]);
                logit_gradients_with_entropy(logits, log_sums, gradient, entropies, of_entropy, vocabulary);
            } else {
                logit_gradients(logits, log_sums, gradient, vocabulary)
            }
            for ((row, target), g) in logits.chunks_exact_mut(vocabulary).zip(targets).zip(gradient) {
                row[*target as usize] += g;
            }
            for (row, mask) in logits.chunks_exact_mut(vocabulary).zip(masks).filter(|(_, mask)| !mask.is_empty()) {
                keep_only(row, mask, 0.0);
            }
            let d_logits = Matrix::new(logits, count, vocabulary);
            let (input, head) = (Matrix::new(&inputs, count, d), Matrix::new(head, vocabulary, d));
            precision.multiply(&mut d_inputs, d, d_logits, head, Write::Replace);
            if self.wants_head {
                precision.multiply(d_head, d, d_logits.transposed(), input, write);
            }
            for (row, d_input) in rows.iter().zip(d_inputs.chunks_exact(d)) {
                let d_row = &mut d_hidden[*row as usize * d..][..d];
                d_row.iter_mut().zip(d_input).for_each(|(sum, g)| *sum += g);
            }
        };
        let d_head = match (self.wants_head, self.rows.is_empty()) {
            (true, true) => vec![0.0; head.len()],
            // The first chunk writes all of it.
            (true, false) => filled(head.len(), |d_head| self.chunks().for_each(|range| of_chunk(d_head, range))),
            (false, _) => {
                self.chunks().for_each(|range| of_chunk(&mut [], range));
                Vec::new()
            }
        };
        (d_hidden, d_head)
    }

    /// Those of a chunk's rows.
    fn logits(&self, logits: &mut [f32], inputs: &[f32], head: &[f32], range: Range<usize>) {
        let inputs = Matrix::new(inputs, inputs.len() / self.d, self.d);
        let head = Matrix::new(head, self.vocabulary, self.d).transposed();
        self.precision.multiply(logits, self.vocabulary, inputs, head, Write::Replace);
        let masked = self.masks_of(range.clone()).iter().zip(&self.targets[range]);
        for (row, (mask, target)) in logits.chunks_exact_mut(self.vocabulary).zip(masked) {
            if !mask.is_empty() {
                keep_only(row, mask, row[*target as usize] - BELOW);
            }
        }
    }

    /// None where nothing is masked.
    fn masks_of(&self, range: Range<usize>) -> &[Vec<u32>] {
        self.masks.get(range).unwrap_or_default()
    }

    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let (rows, chunk) = (self.rows.len(), self.chunk);
        (0..rows).step_by(chunk).map(move |start| start..rows.min(start + chunk))
    }
}

fn gather(to: &mut Vec<f32>, from: &[f32], rows: &[u32], d: usize) {
    to.clear();
    for &row in rows {
        to.extend_from_slice(&from[row as usize * d..][..d]);
    }
}

vectorised! {
    /// Log-sum-exp and entropy of each row of logits.
    fn summarise(log_sums: &mut [f32], entropies: &mut [f32], logits: &[f32], vocabulary: usize) {
        for ((row, log_sum), entropy) in logits.chunks_exact(vocabulary).zip(log_sums).zip(entropies) {
            let top = max(row);
            // Sums of e^z and of z e^z with z = logit - top, in one pass.
            let (mut weights, mut moments) = ([0f32; LANES], [0f32; LANES]);
            let blocks = row.chunks_exact(LANES);
            for (lane, logit) in blocks.remainder().iter().enumerate() {
                let z = logit - top;
                weights[lane] = exp(z);
                moments[lane] = exp(z) * z;
            }
            for block in blocks {
                for lane in 0..LANES {
                    let z = block[lane] - top;
                    let weight = exp(z);
                    weights[lane] += weight;
                    moments[lane] = weight.mul_add(z, moments[lane]);
                }
            }
            let (sum, moment) = (weights.iter().sum::<f32>(), moments.iter().sum::<f32>());
            *log_sum = top + sum.ln();
            *entropy = sum.ln() - moment / sum;
        }
    }
}

vectorised! {
    /// Logits to -g * probability; the target's own +g is the caller's.
    fn logit_gradients(logits: &mut [f32], log_sums: &[f32], gradient: &[f32], vocabulary: usize) {
        for ((row, log_sum), g) in logits.chunks_exact_mut(vocabulary).zip(log_sums).zip(gradient) {
            for logit in row {
                *logit = -g * exp(*logit - log_sum);
            }
        }
    }
}

vectorised! {
    /// The same where entropies have gradients too. That of an entropy H by the logit of a token of probability p is
    /// -p (ln p + H).
    fn logit_gradients_with_entropy(
        logits: &mut [f32],
        log_sums: &[f32],
        gradient: &[f32],
        entropies: &[f32],
        of_entropy: &[f32],
        vocabulary: usize
    ) {
        let known = log_sums.iter().zip(entropies).zip(gradient.iter().zip(of_entropy));
        for (row, ((log_sum, entropy), (g, h))) in logits.chunks_exact_mut(vocabulary).zip(known) {
            for logit in row {
                let log_prob = *logit - log_sum;
                *logit = -(g + h * (log_prob + entropy)) * exp(log_prob);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check, random_tensor};
    use candle_core::{D, Tensor};

    fn plain_log_softmax(
        hidden: &Tensor,
        head: &Tensor,
        rows: &[u32],
        masks: &[Vec<u32>],
    ) -> candle_core::Result<Tensor> {
        let vocabulary = head.dim(0)?;
        let rows = Tensor::new(rows, hidden.device())?;
        let logits = hidden.index_select(&rows, 0)?.matmul(&head.t()?)?;
        let excluded = |mask: &Vec<u32>, token: u32| !mask.is_empty() && !mask.contains(&token);
        let far = |mask: &Vec<u32>| {
            (0..vocabulary as u32).map(|token| if excluded(mask, token) { -1e4 } else { 0.0 }).collect()
        };
        let below: Vec<Vec<f32>> = masks.iter().map(far).collect();
        let logits = if masks.is_empty() {
            logits
        } else {
            {
                let below = Tensor::new(below, &candle_core::Device::Cpu)?.to_dtype(logits.dtype())?;
                (logits + below)?
            }
        };
        let top = logits.max_keepdim(D::Minus1)?.detach();
        let shifted = logits.broadcast_sub(&top)?;
        shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
    }

    #[test]
    fn agrees_with_candle_and_with_finite_differences_in_one_chunk_and_in_several() {
        for (n, d, vocabulary, rows) in [
            (1, 1, 1, &[0][..]),
            (4, 3, 5, &[0, 1, 2, 3]),
            (9, 7, 33, &[1, 3, 4, 8]),
            // A row that predicts twice, and one chunk that is not full.
            (6, 5, 19, &[5, 0, 2, 2, 1]),
        ] {
            // Wide enough that some probabilities are near 0 and 1.
            let inputs = [(random_tensor(&[n, d], 1) * 3.0).unwrap(), random_tensor(&[vocabulary, d], 2)];
            let targets: Vec<u32> = rows.iter().map(|row| (row * 7 + 3) % vocabulary as u32).collect();
            let none: Vec<Vec<u32>> = Vec::new();
            let mask = |(at, target): (usize, &u32)| -> Vec<u32> {
                let beside = |token: &u32| token == target || (*token as usize + at).is_multiple_of(3);
                if at % 4 == 3 { Vec::new() } else { (0..vocabulary as u32).filter(beside).collect() }
            };
            let some: Vec<Vec<u32>> = targets.iter().enumerate().map(mask).collect();
            for (masks, most_logits) in
                [(&none, 0), (&none, 2 * vocabulary), (&none, CHUNK), (&some, 2 * vocabulary), (&some, CHUNK)]
            {
                let predicted = PredictedTokens { rows, targets: &targets, masks };
                check(
                    &inputs,
                    |v| in_chunks(v[0], v[1], predicted, Precision::F32, most_logits),
                    |t| {
                        let all = plain_log_softmax(&t[0], &t[1], rows, masks)?;
                        let targets = Tensor::new(&targets[..], all.device())?.unsqueeze(1)?;
                        let entropies = (&all * all.exp()?)?.sum(1)?.neg()?;
                        Tensor::stack(&[all.gather(&targets, 1)?.squeeze(1)?, entropies], 0)
                    },
                );
            }
        }
    }

    #[test]
    fn the_likeliest_come_after_the_token_itself() {
        let logits = [0.0, 3.0, 1.0, 2.0, 3.0];
        let sum: f64 = logits.iter().map(|logit: &f32| f64::from(*logit).exp()).sum();
        let exact = |token: u32| f64::from(logits[token as usize]) - sum.ln();
        assert_eq!(likeliest(&logits, 2, 0), []);
        let found = likeliest(&logits, 2, 3);
        assert_eq!(found.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [2, 1, 4, 3]);
        assert!(found.iter().all(|(token, log_prob)| (f64::from(*log_prob) - exact(*token)).abs() < 1e-6));
        assert_eq!(likeliest(&logits, 2, 50).len(), 6);
    }

    #[test]
    fn bf16_moves_log_probs_and_gradients_a_little() {
        let run = |precision, most_logits| {
            let leaf = |name: &str, shape: &[usize], seed| {
                Value::variable(name, &candle_core::Var::from_tensor(&random_tensor(shape, seed)).unwrap())
            };
            let (hidden, head) = (leaf("hidden", &[9, 37], 1), leaf("head", &[53, 37], 2));
            let predicted = PredictedTokens { rows: &[1, 3, 8], targets: &[5, 0, 52], masks: &[] };
            let value = in_chunks(&hidden, &head, predicted, precision, most_logits).unwrap();
            let log_probs = read(value.tensor()).unwrap().to_vec();
            let gradients = value.backward(random_tensor(&[2, 3], 3)).unwrap();
            let gradient = |name: &str| read(gradients.get(name).unwrap()).unwrap().to_vec();
            [log_probs, gradient("hidden"), gradient("head")].concat()
        };
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
        let (exact, rounded) = (run(Precision::F32, CHUNK), run(Precision::Bf16, CHUNK));
        assert!(apart(&exact, &rounded) < 0.03);
        assert_eq!(apart(&exact, &rounded) > 1e-5, Precision::Bf16.rounds());
        assert!(apart(&rounded, &run(Precision::Bf16, 0)) < 1e-3, "chunks do not matter");
    }

    #[test]
    fn no_rows_give_no_log_probs_and_gradients_of_zero() {
        let leaf = |name: &str, shape: &[usize]| {
            Value::variable(name, &candle_core::Var::from_tensor(&random_tensor(shape, 1)).unwrap())
        };
        let none = PredictedTokens { rows: &[], targets: &[], masks: &[] };
        let value = log_prob(&leaf("h", &[2, 3]), &leaf("w", &[4, 3]), none, Precision::F32).unwrap();
        assert_eq!(value.tensor().dims(), [2, 0]);
        let gradients = value.backward(tensor(Vec::new(), (2, 0)).unwrap()).unwrap();
        for name in ["h", "w"] {
            assert!(read(gradients.get(name).unwrap()).unwrap().iter().all(|g| *g == 0.0));
        }
    }

    #[test]
    fn gradients_of_log_probs_alone_do_not_depend_on_how_they_are_computed() {
        let leaf = |name: &str, shape: &[usize], seed| {
            Value::variable(name, &candle_core::Var::from_tensor(&random_tensor(shape, seed)).unwrap())
        };
        let run = |of_entropy: f32| {
            let (hidden, head) = (leaf("h", &[5, 3], 1), leaf("w", &[19, 3], 2));
            let predicted = PredictedTokens { rows: &[4, 0], targets: &[1, 2], masks: &[] };
            let value = log_prob(&hidden, &head, predicted, Precision::F32).unwrap();
            let gradient = tensor(vec![0.5, -2.0, of_entropy, 0.0], (2, 2)).unwrap();
            read(value.backward(gradient).unwrap().get("h").unwrap()).unwrap().to_vec()
        };
        // So small an entropy gradient takes the other way, and changes nothing that can be seen.
        let apart = run(0.0).iter().zip(run(1e-20)).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
        assert!(apart < 1e-7, "{apart}");
    }

    #[test]
    fn a_target_outside_the_vocabulary_is_one_clear_line() {
        let (hidden, head) = (Value::constant(random_tensor(&[2, 3], 1)), Value::constant(random_tensor(&[4, 3], 2)));
        let refused = |target: u32, masks: &[Vec<u32>]| {
            let predicted = PredictedTokens { rows: &[1], targets: &[target], masks };
            log_prob(&hidden, &head, predicted, Precision::F32).err().unwrap().to_string()
        };
        let message = refused(4, &[]);
        assert!(message.contains("target token ids: 4"), "{message}");
        for (masks, part) in [
            (vec![vec![0, 2]], "token 1 outside its own"),
            (vec![vec![1, 4]], "not rising below 4"),
            (vec![vec![1, 0]], "not rising"),
            (vec![vec![1], vec![1]], "2 for 1 rows"),
        ] {
            let message = refused(1, &masks);
            assert!(message.contains(part), "{message}");
        }
    }
}
