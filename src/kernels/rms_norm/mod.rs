//! Root-mean-square normalisation (Zhang and Sennrich, 2019): `y = x / sqrt(mean(x^2) + epsilon) * weight`.

mod cuda;

use super::cuda::CudaDevice;
use super::graph::Value;
use super::memory::{filled, read, tensor};
use super::simd::{dot, vectorised};
use crate::Result;

/// Normalises every row of `x` `[n, d]` and scales it by `weight` `[d]`.
pub fn rms_norm(x: &Value, weight: &Value, epsilon: f64) -> Result<Value> {
    let d = weight.tensor().elem_count();
    rms_norm_heads(x, &[(weight, x.tensor().dim(1)? / d)], epsilon)
}

/// Normalises stretches of every row by themselves: `(weight [d], count)` covers the next `count` stretches of `d`
/// columns. Columns after the last stretch pass through. Qwen3 normalises each head of query and key in this way,
/// in a row that holds query, key and value side by side.
pub fn rms_norm_heads(x: &Value, parts: &[(&Value, usize)], epsilon: f64) -> Result<Value> {
    if let Some(card) = CudaDevice::holding(x.tensor()) {
        return cuda::rms_norm_heads(&card, x, parts, epsilon);
    }
    let (n, width) = x.tensor().dims2()?;
    let epsilon = epsilon as f32;
    let spans = Spans::new(parts, width);
    let result = {
        let input = read(x.tensor())?;
        let weights = parts.iter().map(|(weight, _)| read(weight.tensor())).collect::<Result<Vec<_>>>()?;
        filled(n * width, |y| {
            for (row, out) in input.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
                for (span, weight) in spans.of.iter().zip(&weights) {
                    forward(&mut out[span.clone()], &row[span.clone()], weight, epsilon);
                }
                out[spans.end..].copy_from_slice(&row[spans.end..]);
            }
        })
    };
    let inputs: Vec<&Value> = std::iter::once(x).chain(parts.iter().map(|(weight, _)| *weight)).collect();
    let held: Vec<_> = inputs.iter().map(|input| input.tensor().clone()).collect();
    Ok(Value::computed(tensor(result, (n, width))?, &inputs, move |gradient| {
        let (input, gradient) = (read(&held[0])?, read(gradient)?);
        let weights = held[1..].iter().map(read).collect::<Result<Vec<_>>>()?;
        let mut dw: Vec<Vec<f32>> = weights.iter().map(|weight| vec![0.0; weight.len()]).collect();
        let dx = filled(n * width, |dx| {
            for ((row, g), out) in
                input.chunks_exact(width).zip(gradient.chunks_exact(width)).zip(dx.chunks_exact_mut(width))
            {
                for ((span, weight), dw) in spans.of.iter().zip(&weights).zip(&mut dw) {
                    backward(&mut out[span.clone()], dw, &row[span.clone()], weight, &g[span.clone()], epsilon);
                }
                out[spans.end..].copy_from_slice(&g[spans.end..]);
            }
        });
        let mut shares = vec![tensor(dx, (n, width))?];
        for dw in dw {
            let length = dw.len();
            shares.push(tensor(dw, length)?);
        }
        Ok(shares)
    }))
}

/// Which columns belong to which weight.
struct Spans {
    of: Vec<std::ops::Range<usize>>,
    end: usize,
}

impl Spans {
    fn new(parts: &[(&Value, usize)], width: usize) -> Spans {
        let mut end = 0;
        let mut of = Vec::with_capacity(parts.len());
        for (weight, count) in parts {
            let start = end;
            end += weight.tensor().elem_count() * count;
            of.push(start..end);
        }
        assert!(end <= width, "normalised columns do not fit into a row");
        Spans { of, end }
    }
}

vectorised! {
    /// Consecutive stretches of `weight.len()` values.
    fn forward(y: &mut [f32], x: &[f32], weight: &[f32], epsilon: f32) {
        let d = weight.len();
        for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
            let scale = 1.0 / (dot(x, x) / d as f32 + epsilon).sqrt();
            for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                *y = x * scale * w;
            }
        }
    }
}

vectorised! {
    /// `dx`, and `dw` added up. The scale is computed again: cheaper than keeping it.
    fn backward(dx: &mut [f32], dw: &mut [f32], x: &[f32], weight: &[f32], dy: &[f32], epsilon: f32) {
        let d = weight.len();
        for ((x, dy), dx) in x.chunks_exact(d).zip(dy.chunks_exact(d)).zip(dx.chunks_exact_mut(d)) {
            let scale = 1.0 / (dot(x, x) / d as f32 + epsilon).sqrt();
            for i in 0..d {
                dx[i] = dy[i] * weight[i];
                dw[i] = (dy[i] * x[i]).mul_add(scale, dw[i]);
            }
            let along = dot(dx, x) * scale * scale * scale / d as f32;
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = *dx * scale - x * along;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check, random_tensor};
    use candle_core::{D, Tensor};

    fn plain(x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
        let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + 1e-5)?.sqrt()?;
        x.broadcast_div(&scale)?.broadcast_mul(weight)
    }

    #[test]
    fn agrees_with_candle_and_with_finite_differences() {
        for (n, d) in [(1, 1), (1, 7), (5, 16), (3, 33)] {
            let inputs = [random_tensor(&[n, d], 1), random_tensor(&[d], 2)];
            check(&inputs, |v| rms_norm(v[0], v[1], 1e-5), |t| plain(&t[0], &t[1]));
        }
    }

    #[test]
    fn heads_are_normalised_by_themselves_and_the_rest_passes_through() {
        for (n, d, queries, keys, rest) in [(1, 2, 1, 1, 2), (4, 6, 4, 2, 12), (3, 5, 1, 1, 0)] {
            let width = d * (queries + keys) + rest;
            let inputs = [random_tensor(&[n, width], 1), random_tensor(&[d], 2), random_tensor(&[d], 3)];
            check(
                &inputs,
                |v| rms_norm_heads(v[0], &[(v[1], queries), (v[2], keys)], 1e-5),
                |t| {
                    let q = plain(&t[0].narrow(1, 0, queries * d)?.reshape((n, queries, d))?, &t[1])?;
                    let k = plain(&t[0].narrow(1, queries * d, keys * d)?.reshape((n, keys, d))?, &t[2])?;
                    let v = t[0].narrow(1, (queries + keys) * d, rest)?;
                    Tensor::cat(&[q.reshape((n, queries * d))?, k.reshape((n, keys * d))?, v], 1)
                },
            );
        }
    }
}
