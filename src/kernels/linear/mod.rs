//! Linear layers: `y = x w^T + b`, several of them side by side in one product.

mod cuda;

use std::ops::Range;

use candle_core::Tensor;

use super::cuda::CudaDevice;
use super::graph::Value;
use super::matrix::{Matrix, Write};
use super::memory::{filled, read, tensor};
use super::product::Precision;
use super::simd::vectorised;
use crate::Result;

/// Weights of more numbers than this are multiplied where they lie: side by side they would be a second copy of a large
/// part of the model, held until the backward pass.
const SIDE_BY_SIDE: usize = 1 << 20;

/// Applies one or more layers to the same input and sets their outputs side by side: with weights `[m_i, k]` and
/// `x` `[n, k]` the result is `[n, m_1 + m_2 + …]`. One large product is faster than several small ones, so query,
/// key and value (or gate and up) go through here together. Either all layers have a bias `[m_i]` or none has.
pub fn linear(x: &Value, weights: &[&Value], biases: &[&Value], precision: Precision) -> Result<Value> {
    if let Some(card) = CudaDevice::holding(x.tensor()) {
        return cuda::linear(&card, x, weights, biases, precision);
    }
    let numbers: usize = weights.iter().map(|weight| weight.tensor().elem_count()).sum();
    if weights.len() > 1 && numbers <= SIDE_BY_SIDE && !weights.iter().all(|weight| weight.is_constant()) {
        return where_they_lie(x, &[&below_one_another(weights)?], biases, precision);
    }
    where_they_lie(x, weights, biases, precision)
}

/// A product for each layer.
fn where_they_lie(x: &Value, weights: &[&Value], biases: &[&Value], precision: Precision) -> Result<Value> {
    let (n, k) = x.tensor().dims2()?;
    let (mut layers, mut m) = (Vec::with_capacity(weights.len()), 0);
    for weight in weights {
        let (outputs, inputs) = weight.tensor().dims2()?;
        assert_eq!(k, inputs, "inputs of a linear layer");
        layers.push(Layer { columns: m..m + outputs, weight: weight.tensor().clone(), trained: !weight.is_constant() });
        m += outputs;
    }
    let result = {
        let held = layers.iter().map(|layer| read(&layer.weight)).collect::<Result<Vec<_>>>()?;
        let x = read(x.tensor())?;
        with_biases(n, m, biases, |y, write| {
            for (Layer { columns, .. }, weight) in layers.iter().zip(&held).filter(|_| n > 0) {
                let weight = Matrix::new(weight, columns.len(), k).transposed();
                precision.multiply(&mut y[columns.start..], m, Matrix::new(&x, n, k), weight, write);
            }
        })?
    };
    let bias_sizes = biases.iter().map(|bias| Ok(bias.tensor().dim(0)?)).collect::<Result<Vec<usize>>>()?;
    let trained_biases = biases.iter().any(|bias| !bias.is_constant());
    let inputs: Vec<&Value> = std::iter::once(&x).chain(weights).chain(biases).copied().collect();
    // Held for the gradients of weights only.
    let (wants_input, trained) = (!x.is_constant(), layers.iter().any(|layer| layer.trained));
    let input = if trained { x.tensor().clone() } else { tensor(Vec::new(), (0, k))? };
    Ok(Value::computed(tensor(result, (n, m))?, &inputs, move |gradient| {
        let mut shares = vec![if wants_input { of_input(gradient, &layers, precision)? } else { none(k)? }];
        for layer in &layers {
            shares.push(if layer.trained { layer.of_weight(gradient, &input, precision)? } else { none(k)? });
        }
        if trained_biases {
            let mut sums = vec![0.0; m];
            sum_rows(&mut sums, &read(gradient)?);
            shares.extend(split(&tensor(sums, m)?, &bias_sizes)?);
        } else {
            shares.extend(bias_sizes.iter().map(|_| none(1)).collect::<Result<Vec<_>>>()?);
        }
        Ok(shares)
    }))
}

/// One of several layers, for the backward pass.
struct Layer {
    /// Its outputs among those of all.
    columns: Range<usize>,
    /// `[m_i, k]`.
    weight: Tensor,
    trained: bool,
}

impl Layer {
    /// Its columns of the gradient `[n, m]` of all outputs.
    fn of<'a>(&self, gradient: &'a [f32], (n, m): (usize, usize)) -> Matrix<'a> {
        Matrix::new(gradient, n, m).part(0, n, self.columns.start, self.columns.len())
    }

    /// The gradient of its weight, from that of all outputs and the input `[n, k]`.
    fn of_weight(&self, gradient: &Tensor, input: &Tensor, precision: Precision) -> Result<Tensor> {
        let ((n, k), shape) = (input.dims2()?, gradient.dims2()?);
        let (dy, x, rows) = (read(gradient)?, read(input)?, self.columns.len());
        if n == 0 {
            return tensor(vec![0.0; rows * k], (rows, k));
        }
        let (dy, x) = (self.of(&dy, shape).transposed(), Matrix::new(&x, n, k));
        tensor(filled(rows * k, |dw| precision.multiply(dw, k, dy, x, Write::Replace)), (rows, k))
    }
}

/// The gradient of the input of several layers, from that of all their outputs.
fn of_input(gradient: &Tensor, layers: &[Layer], precision: Precision) -> Result<Tensor> {
    let ((n, m), k) = (gradient.dims2()?, layers[0].weight.dim(1)?);
    let (dy, held) = (read(gradient)?, layers.iter().map(|layer| read(&layer.weight)).collect::<Result<Vec<_>>>()?);
    let dx = filled(n * k, |dx| {
        for (at, (layer, weight)) in layers.iter().zip(&held).enumerate().filter(|_| n > 0) {
            let write = if at == 0 { Write::Replace } else { Write::Add };
            precision.multiply(dx, k, layer.of(&dy, (n, m)), Matrix::new(weight, layer.columns.len(), k), write);
        }
    });
    tensor(dx, (n, k))
}

/// In place of a gradient that nobody wants.
fn none(k: usize) -> Result<Tensor> {
    tensor(Vec::new(), (0, k))
}

/// Weights as one, of the rows of all.
fn below_one_another(weights: &[&Value]) -> Result<Value> {
    let sizes = weights.iter().map(|weight| Ok(weight.tensor().dim(0)?)).collect::<Result<Vec<usize>>>()?;
    Ok(Value::computed(stacked(weights)?, weights, move |gradient| split(gradient, &sizes)))
}

/// Outputs `[n, m]` that `product` writes, or adds to the biases that stand there.
fn with_biases(n: usize, m: usize, biases: &[&Value], product: impl FnOnce(&mut [f32], Write)) -> Result<Vec<f32>> {
    if biases.is_empty() {
        return Ok(filled(n * m, |y| product(y, Write::Replace)));
    }
    let bias = stacked(biases)?;
    assert_eq!(bias.elem_count(), m, "length of the bias of a linear layer");
    let bias = read(&bias)?;
    Ok(filled(n * m, |y| {
        y.chunks_exact_mut(m).for_each(|row| row.copy_from_slice(&bias));
        product(y, Write::Add);
    }))
}

/// Tensors one below the other (a copy only when there are several).
fn stacked(parts: &[&Value]) -> Result<Tensor> {
    if let [one] = parts {
        return Ok(one.tensor().clone());
    }
    let mut shape = parts[0].tensor().dims().to_vec();
    shape[0] = 0;
    let mut values = Vec::with_capacity(parts.iter().map(|part| part.tensor().elem_count()).sum());
    for part in parts {
        assert_eq!(part.tensor().dims()[1..], shape[1..], "layers side by side have the same inputs");
        values.extend_from_slice(&read(part.tensor())?);
        shape[0] += part.tensor().dim(0)?;
    }
    tensor(values, shape)
}

/// The inverse of [`stacked`], without a copy.
fn split(whole: &Tensor, sizes: &[usize]) -> Result<Vec<Tensor>> {
    let mut start = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for &size in sizes {
        parts.push(whole.narrow(0, start, size)?);
        start += size;
    }
    Ok(parts)
}

vectorised! {
    /// Adds every row of `rows` to `sums`.
    fn sum_rows(sums: &mut [f32], rows: &[f32]) {
        for row in rows.chunks_exact(sums.len()) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check, random_tensor};
    use candle_core::Var;
    use half::bf16;

    #[test]
    fn agrees_with_candle_and_with_finite_differences() {
        for (n, k, sizes) in [(1, 1, &[1][..]), (3, 5, &[7]), (17, 6, &[4, 9, 2]), (33, 40, &[16, 1])] {
            for with_bias in [false, true] {
                let mut inputs = vec![random_tensor(&[n, k], 1)];
                inputs.extend(sizes.iter().map(|m| random_tensor(&[*m, k], 2 + *m as u64)));
                if with_bias {
                    inputs.extend(sizes.iter().map(|m| random_tensor(&[*m], 90 + *m as u64)));
                }
                let layers = sizes.len();
                check(
                    &inputs,
                    |v| linear(v[0], &v[1..=layers], &v[layers + 1..], Precision::F32),
                    |t| {
                        let weight = Tensor::cat(&t[1..=layers], 0)?;
                        let y = t[0].matmul(&weight.t()?)?;
                        if with_bias { y.broadcast_add(&Tensor::cat(&t[layers + 1..], 0)?) } else { Ok(y) }
                    },
                );
            }
        }
    }

    #[test]
    fn frozen_layers_give_the_same_and_pass_the_gradient_on() {
        let weights = [4, 9, 2].map(|m| Value::constant(random_tensor(&[m, 6], m as u64)));
        let biases = [4, 9, 2].map(|m| Value::constant(random_tensor(&[m], 50 + m as u64)));
        let plain = |values: &[Value]| {
            let tensors: Vec<Tensor> =
                values.iter().map(|v| v.tensor().to_dtype(candle_core::DType::F64).unwrap()).collect();
            Tensor::cat(&tensors, 0).unwrap()
        };
        for with_bias in [false, true] {
            let biases = if with_bias { &biases[..] } else { &[] };
            check(
                &[random_tensor(&[17, 6], 1)],
                |v| linear(v[0], &weights.each_ref(), &biases.iter().collect::<Vec<_>>(), Precision::F32),
                |t| {
                    let y = t[0].matmul(&plain(&weights).t()?)?;
                    if with_bias { y.broadcast_add(&plain(biases)) } else { Ok(y) }
                },
            );
        }
    }

    #[test]
    fn in_bf16_only_the_operands_are_rounded() {
        if !Precision::Bf16.rounds() {
            return eprintln!("skipped: this processor is no faster in bf16");
        }
        let round = |t: Tensor| -> Tensor {
            let values: Vec<f32> = read(&t).unwrap().iter().map(|value| bf16::from_f32(*value).to_f32()).collect();
            tensor(values, t.dims()).unwrap()
        };
        let run = |round: &dyn Fn(Tensor) -> Tensor, precision| {
            let leaf = |name: &str, shape: &[usize], seed| {
                Value::variable(name, &Var::from_tensor(&round(random_tensor(shape, seed))).unwrap())
            };
            let bias = Value::constant(random_tensor(&[19], 3));
            let y = linear(&leaf("x", &[5, 37], 1), &[&leaf("w", &[19, 37], 2)], &[&bias], precision).unwrap();
            let values = read(y.tensor()).unwrap().to_vec();
            let gradients = y.backward(round(random_tensor(&[5, 19], 4))).unwrap();
            let gradient = |name: &str| read(gradients.get(name).unwrap()).unwrap().to_vec();
            [values, gradient("x"), gradient("w")].concat()
        };
        let found = run(&|t| t, Precision::Bf16);
        let near = |other: Vec<f32>, within: f32| found.iter().zip(other).all(|(a, b)| (a - b).abs() < within);
        assert!(near(run(&round, Precision::F32), 1e-5));
        assert!(near(run(&|t| t, Precision::F32), 0.1) && !near(run(&|t| t, Precision::F32), 1e-3));
    }
}
