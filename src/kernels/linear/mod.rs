//! Linear layers: `y = x w^T + b`, several of them side by side in one product.

mod cuda;

use candle_core::Tensor;

use super::cuda::CudaDevice;
use super::graph::Value;
use super::matrix::{Matrix, Write};
use super::memory::{filled, read, tensor};
use super::product::Precision;
use super::simd::vectorised;
use crate::Result;

/// Applies one or more layers to the same input and sets their outputs side by side: with weights `[m_i, k]` and
/// `x` `[n, k]` the result is `[n, m_1 + m_2 + …]`. One large product is faster than several small ones, so query,
/// key and value (or gate and up) go through here together. Either all layers have a bias `[m_i]` or none has.
pub fn linear(x: &Value, weights: &[&Value], biases: &[&Value], precision: Precision) -> Result<Value> {
    if let Some(card) = CudaDevice::holding(x.tensor()) {
        return cuda::linear(&card, x, weights, biases, precision);
    }
    if weights.iter().chain(biases).all(|value| value.is_constant()) {
        return frozen(x, weights, biases, precision);
    }
    let (n, k) = x.tensor().dims2()?;
    let weight = stacked(weights)?;
    let (m, weight_inputs) = weight.dims2()?;
    assert_eq!(k, weight_inputs, "inputs of a linear layer");
    let result = {
        let (x, w) = (read(x.tensor())?, read(&weight)?);
        let (x, w) = (Matrix::new(&x, n, k), Matrix::new(&w, m, k).transposed());
        with_biases(n, m, biases, |y, write| precision.multiply(y, m, x, w, write))?
    };
    let inputs: Vec<&Value> = std::iter::once(&x).chain(weights).chain(biases).copied().collect();
    let sizes = weights.iter().map(|w| Ok(w.tensor().dim(0)?)).collect::<Result<Vec<usize>>>()?;
    let (input, wants_input, has_bias) = (x.tensor().clone(), !x.is_constant(), !biases.is_empty());
    Ok(Value::computed(tensor(result, (n, m))?, &inputs, move |gradient| {
        let (dx, dw) = gradients(&input, &weight, gradient, wants_input, precision)?;
        let mut shares = vec![dx];
        shares.extend(split(&dw, &sizes)?);
        if has_bias {
            let mut db = vec![0.0; m];
            sum_rows(&mut db, &read(gradient)?);
            shares.extend(split(&tensor(db, m)?, &sizes)?);
        }
        Ok(shares)
    }))
}

/// Layers that are not trained. Their weights are used where they lie: side by side they would be a second copy, held
/// until the backward pass.
fn frozen(x: &Value, weights: &[&Value], biases: &[&Value], precision: Precision) -> Result<Value> {
    let (n, k) = x.tensor().dims2()?;
    let (mut layers, mut m) = (Vec::with_capacity(weights.len()), 0);
    for weight in weights {
        let (outputs, inputs) = weight.tensor().dims2()?;
        assert_eq!(k, inputs, "inputs of a linear layer");
        layers.push((m..m + outputs, weight.tensor().clone()));
        m += outputs;
    }
    let held = layers.iter().map(|(_, weight)| read(weight)).collect::<Result<Vec<_>>>()?;
    let result = {
        let x = read(x.tensor())?;
        with_biases(n, m, biases, |y, write| {
            for ((columns, _), weight) in layers.iter().zip(&held).filter(|_| n > 0) {
                let weight = Matrix::new(weight, columns.len(), k).transposed();
                precision.multiply(&mut y[columns.start..], m, Matrix::new(&x, n, k), weight, write);
            }
        })?
    };
    drop(held);
    let result = tensor(result, (n, m))?;
    Ok(Value::computed(result, &[x], move |gradient| {
        let dy = read(gradient)?;
        let mut dx = vec![0.0; n * k];
        for (columns, weight) in &layers {
            let dy = Matrix::new(&dy, n, m).part(0, n, columns.start, columns.len());
            precision.multiply(&mut dx, k, dy, Matrix::new(&read(weight)?, columns.len(), k), Write::Add);
        }
        Ok(vec![tensor(dx, (n, k))?])
    }))
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

/// `(dx, dw)` from `dy` `[n, m]`. An input that wants no gradient gets an empty one.
fn gradients(x: &Tensor, w: &Tensor, dy: &Tensor, wants_input: bool, precision: Precision) -> Result<(Tensor, Tensor)> {
    let ((n, k), (m, _)) = (x.dims2()?, w.dims2()?);
    let (xs, ws, dys) = (read(x)?, read(w)?, read(dy)?);
    let dy = Matrix::new(&dys, n, m);
    let dx = if wants_input {
        tensor(filled(n * k, |dx| precision.multiply(dx, k, dy, Matrix::new(&ws, m, k), Write::Replace)), (n, k))?
    } else {
        tensor(Vec::new(), (0, k))?
    };
    let dw = filled(m * k, |dw| precision.multiply(dw, k, dy.transposed(), Matrix::new(&xs, n, k), Write::Replace));
    Ok((dx, tensor(dw, (m, k))?))
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
