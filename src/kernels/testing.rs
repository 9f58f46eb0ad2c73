//! What the tests of all kernels share: random inputs, and the check that a kernel computes what plain candle
//! operations compute and that its gradient is the one that finite differences see.

use candle_core::{DType, Device, Tensor, Var};
use rand::Rng;

use super::cuda;
use super::graph::{Gradients, Value};
use crate::{Result, random};

/// Uniform values in (-1, 1).
pub(crate) fn random(length: usize, seed: u64) -> Vec<f32> {
    let mut stream = random::stream(seed, &[length as u64]);
    (0..length).map(|_| stream.random_range(-1.0..1.0)).collect()
}

/// A tensor of uniform values in (-1, 1).
pub(crate) fn random_tensor(shape: &[usize], seed: u64) -> Tensor {
    Tensor::from_vec(random(shape.iter().product(), seed), shape, &Device::Cpu).unwrap()
}

/// Compares `kernel` with `plain` (candle operations, in f64): the result; the gradient of every input for a random
/// gradient of the result, as candle's own backward pass gives it; and, where the problem is small, as central
/// differences of `plain` give it, which does not trust candle's backward either.
pub(crate) fn check<K, P>(inputs: &[Tensor], kernel: K, plain: P)
where
    K: Fn(&[&Value]) -> Result<Value>,
    P: Fn(&[Tensor]) -> candle_core::Result<Tensor>,
{
    let (wide, names, gradients, seed) = compare(inputs, &kernel, &plain);
    differences(&wide, &names, &gradients, &seed, &plain);
    // The same operation as a card computes it.
    cuda::emulated::on_card(|| compare(inputs, &kernel, &plain));
}

fn compare<K, P>(inputs: &[Tensor], kernel: &K, plain: &P) -> (Vec<Var>, Vec<String>, Gradients, Tensor)
where
    K: Fn(&[&Value]) -> Result<Value>,
    P: Fn(&[Tensor]) -> candle_core::Result<Tensor>,
{
    let names: Vec<String> = (0..inputs.len()).map(|i| i.to_string()).collect();
    let leaves: Vec<Value> = inputs
        .iter()
        .zip(&names)
        .map(|(input, name)| Value::variable(name, &Var::from_tensor(input).unwrap()))
        .collect();
    let result = kernel(&leaves.iter().collect::<Vec<_>>()).unwrap();
    let wide: Vec<Var> =
        inputs.iter().map(|input| Var::from_tensor(&input.to_dtype(DType::F64).unwrap()).unwrap()).collect();
    let truth = plain(&wide.iter().map(|v| v.as_tensor().clone()).collect::<Vec<_>>()).unwrap();
    close("result", result.tensor(), &truth);

    let seed = random_tensor(result.tensor().dims(), 12345);
    let gradients = result.backward(seed.clone()).unwrap();
    let loss = (&truth * &seed.to_dtype(DType::F64).unwrap()).unwrap().sum_all().unwrap();
    let truths = loss.backward().unwrap();
    for (name, variable) in names.iter().zip(&wide) {
        close(&format!("gradient {name}"), gradients.get(name).unwrap(), truths.get(variable).unwrap());
    }
    (wide, names, gradients, seed)
}

fn differences<P>(inputs: &[Var], names: &[String], gradients: &Gradients, seed: &Tensor, plain: &P)
where
    P: Fn(&[Tensor]) -> candle_core::Result<Tensor>,
{
    const STEP: f64 = 1e-5;
    let seed = seed.to_dtype(DType::F64).unwrap();
    let values: Vec<Vec<f64>> = inputs.iter().map(|v| v.flatten_all().unwrap().to_vec1::<f64>().unwrap()).collect();
    let loss = |at: usize, element: usize, by: f64| -> f64 {
        let moved: Vec<Tensor> = inputs
            .iter()
            .enumerate()
            .map(|(i, variable)| {
                let mut copy = values[i].clone();
                if i == at {
                    copy[element] += by;
                }
                Tensor::from_vec(copy, variable.shape(), &Device::Cpu).unwrap()
            })
            .collect();
        (plain(&moved).unwrap() * &seed).unwrap().sum_all().unwrap().to_scalar().unwrap()
    };
    for (at, name) in names.iter().enumerate() {
        let gradient: Vec<f32> = gradients.get(name).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        // Every element of small inputs, a spread of large ones.
        for element in (0..gradient.len()).step_by(gradient.len().div_ceil(24)) {
            let slope = (loss(at, element, STEP) - loss(at, element, -STEP)) / (2.0 * STEP);
            let found = f64::from(gradient[element]);
            assert!(
                (slope - found).abs() <= 2e-4 * (1.0 + slope.abs()),
                "input {name}[{element}]: {found} against {slope}"
            );
        }
    }
}

/// Same shape, and every element within 2e-5 of the truth, relative to the largest one.
fn close(what: &str, found: &Tensor, truth: &Tensor) {
    assert_eq!(found.dims(), truth.dims(), "shape of {what}");
    let flat = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let (found, truth) = (flat(found), flat(truth));
    let scale = truth.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
    for (i, (f, t)) in found.iter().zip(&truth).enumerate() {
        assert!((f - t).abs() <= 2e-5 * scale, "{what}[{i}]: {f} against {t}");
    }
}
