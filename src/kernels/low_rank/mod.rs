//! Low-rank side products of linear layers (LoRA, Hu et al., 2021): `y + scale * (x A^T) B^T`, each with a scale of
//! its own.

mod adapter;
mod cuda;

pub use adapter::LowRank;

use candle_core::Tensor;

use super::cuda::CudaDevice;
use super::graph::Value;
use super::matrix::{Matrix, Write};
use super::memory::{filled, read, tensor};
use super::product::Precision;
use crate::Result;

/// Adds to the outputs `y` `[n, m]` of linear layers what their adapters make of the same input `x` `[n, k]`. Layers
/// without an adapter keep their columns.
pub fn low_rank(y: &Value, x: &Value, adapters: &[LowRank], precision: Precision) -> Result<Value> {
    if let Some(card) = CudaDevice::holding(x.tensor()) {
        return cuda::low_rank(&card, y, x, adapters, precision);
    }
    let ((n, m), (_, k)) = (y.tensor().dims2()?, x.tensor().dims2()?);
    let mut result = read(y.tensor())?.to_vec();
    let mut held = Vec::with_capacity(adapters.len());
    {
        let x = read(x.tensor())?;
        for LowRank { column, a, b, scale } in adapters {
            let (a, b) = (a.tensor().clone(), b.tensor().clone());
            let ((rank, inputs), (outputs, b_rank)) = (a.dims2()?, b.dims2()?);
            assert!(inputs == k && b_rank == rank && column + outputs <= m, "shapes of an adapter");
            let low = scaled(n * rank, *scale, |low| {
                let a = read(&a)?;
                precision.multiply(low, rank, Matrix::new(&x, n, k), Matrix::new(&a, rank, k).transposed(), REPLACE);
                Ok(())
            })?;
            if n > 0 {
                let b = read(&b)?;
                let b = Matrix::new(&b, outputs, rank).transposed();
                precision.multiply(&mut result[*column..], m, Matrix::new(&low, n, rank), b, Write::Add);
            }
            held.push(HeldAdapter { column: *column, a, b, low, scale: *scale });
        }
    }
    let mut inputs = vec![y, x];
    inputs.extend(adapters.iter().flat_map(|adapter| [&adapter.a, &adapter.b]));
    let (input, wants_input) = (x.tensor().clone(), !x.is_constant());
    Ok(Value::computed(tensor(result, (n, m))?, &inputs, move |gradient| {
        let (x, dy) = (read(&input)?, read(gradient)?);
        let mut dx = vec![0.0; if wants_input { n * k } else { 0 }];
        let mut shares = Vec::with_capacity(2 + 2 * held.len());
        for HeldAdapter { column, a, b, low, scale } in &held {
            let ((rank, _), (outputs, _)) = (a.dims2()?, b.dims2()?);
            let dy = Matrix::new(&dy, n, m).part(0, n, *column, outputs);
            let db = filled(outputs * rank, |db| {
                precision.multiply(db, rank, dy.transposed(), Matrix::new(low, n, rank), REPLACE);
            });
            let d_low = scaled(n * rank, *scale, |d_low| {
                precision.multiply(d_low, rank, dy, Matrix::new(&read(b)?, outputs, rank), REPLACE);
                Ok(())
            })?;
            let d_low = Matrix::new(&d_low, n, rank);
            let da = filled(rank * k, |da| {
                precision.multiply(da, k, d_low.transposed(), Matrix::new(&x, n, k), REPLACE);
            });
            if wants_input {
                precision.multiply(&mut dx, k, d_low, Matrix::new(&read(a)?, rank, k), Write::Add);
            }
            shares.extend([tensor(da, (rank, k))?, tensor(db, (outputs, rank))?]);
        }
        let rows = if wants_input { n } else { 0 };
        shares.splice(0..0, [gradient.clone(), tensor(dx, (rows, k))?]);
        Ok(shares)
    }))
}

const REPLACE: Write = Write::Replace;

/// What the backward pass needs of an adapter.
struct HeldAdapter {
    column: usize,
    a: Tensor,
    b: Tensor,
    /// `scale * x A^T`, `[n, rank]`
    low: Vec<f32>,
    scale: f32,
}

/// `length` values that `fill` writes, times `scale`.
fn scaled(length: usize, scale: f32, fill: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<Vec<f32>> {
    let mut values = vec![0.0; length];
    fill(&mut values)?;
    values.iter_mut().for_each(|value| *value *= scale);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check, random_tensor};

    #[test]
    fn agrees_with_candle_and_with_finite_differences() {
        // Outputs 3, 5 and 2 side by side; the second layer has no adapter, the others have ranks and
        // scales of their own.
        for n in [1, 6, 17] {
            let shapes: [&[usize]; 6] = [&[n, 10], &[n, 7], &[2, 7], &[3, 2], &[4, 7], &[2, 4]];
            let inputs: Vec<Tensor> = shapes.iter().zip(1..).map(|(shape, seed)| random_tensor(shape, seed)).collect();
            check(
                &inputs,
                |v| {
                    let adapter =
                        |column, at: usize, scale| LowRank { column, a: v[at].clone(), b: v[at + 1].clone(), scale };
                    low_rank(v[0], v[1], &[adapter(0, 2, 0.7), adapter(8, 4, -1.5)], Precision::F32)
                },
                |t| {
                    let side =
                        |at: usize, scale: f32| t[1].matmul(&t[at].t()?)?.matmul(&t[at + 1].t()?)? * f64::from(scale);
                    let nothing = t[0].narrow(1, 3, 5)?.zeros_like()?;
                    &t[0] + Tensor::cat(&[side(2, 0.7)?, nothing, side(4, -1.5)?], 1)?
                },
            );
        }
    }
}
