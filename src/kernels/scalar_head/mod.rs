//! A layer with one output, for some rows of its input: `w · x + b`.

mod cuda;

use std::sync::Arc;

use super::cuda::CudaDevice;
use super::graph::Value;
use super::memory::{read, tensor};
use crate::{Error, Result};

/// For each of `rows` (indices into `hidden` `[n, d]`) the number `weight · hidden[row] + bias`, with weight `[1, d]` and
/// bias `[1]`: a value `[rows]`. In f32 whatever the precision of the other products: so small a one costs nothing.
pub fn scalar_head(hidden: &Value, weight: &Value, bias: &Value, rows: &[u32]) -> Result<Value> {
    let (n, d) = hidden.tensor().dims2()?;
    assert_eq!((weight.tensor().dims(), bias.tensor().dims()), (&[1, d][..], &[1][..]), "shape of a scalar head");
    if let Some(row) = rows.iter().find(|row| **row as usize >= n) {
        let remedy = "rows come from the packed batch";
        return Err(Error::invalid("rows", format!("{row}, but there are only {n}"), remedy));
    }
    if let Some(card) = CudaDevice::holding(hidden.tensor()) {
        return cuda::scalar_head(&card, hidden, weight, bias, rows);
    }
    let values = {
        let (states, w, b) = (read(hidden.tensor())?, read(weight.tensor())?, read(bias.tensor())?);
        let one = |row: &u32| state(&states, *row, d).iter().zip(&w[..]).map(|(x, w)| x * w).sum::<f32>() + b[0];
        rows.iter().map(one).collect()
    };
    let (states, w, rows) = (hidden.tensor().clone(), weight.tensor().clone(), Arc::<[u32]>::from(rows));
    let wants_input = !hidden.is_constant();
    Ok(Value::computed(tensor(values, rows.len())?, &[hidden, weight, bias], move |gradient| {
        let (states, w, gradient) = (read(&states)?, read(&w)?, read(gradient)?);
        let mut d_states = vec![0.0; if wants_input { n * d } else { 0 }];
        let mut d_weight = vec![0.0; d];
        for (row, g) in rows.iter().zip(gradient.iter()) {
            d_weight.iter_mut().zip(state(&states, *row, d)).for_each(|(sum, x)| *sum += g * x);
            if wants_input {
                d_states[*row as usize * d..][..d].iter_mut().zip(w.iter()).for_each(|(sum, w)| *sum += g * w);
            }
        }
        let d_states = tensor(d_states, (if wants_input { n } else { 0 }, d))?;
        Ok(vec![d_states, tensor(d_weight, (1, d))?, tensor(vec![gradient.iter().sum()], 1)?])
    }))
}

fn state(states: &[f32], row: u32, d: usize) -> &[f32] {
    &states[row as usize * d..][..d]
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::*;
    use crate::kernels::testing::{check, random_tensor};

    #[test]
    fn agrees_with_candle_and_with_finite_differences() {
        // The last one asks for a row twice.
        for (n, d, rows) in [(1, 1, &[0][..]), (5, 3, &[1, 4]), (9, 17, &[0, 2, 3, 8]), (4, 6, &[3, 1, 3])] {
            check(
                &[random_tensor(&[n, d], 1), random_tensor(&[1, d], 2), random_tensor(&[1], 3)],
                |v| scalar_head(v[0], v[1], v[2], rows),
                |t| {
                    let states = t[0].index_select(&Tensor::new(rows, t[0].device())?, 0)?;
                    states.matmul(&t[1].t()?)?.squeeze(1)?.broadcast_add(&t[2])
                },
            );
        }
    }

    #[test]
    fn states_that_are_no_variable_get_no_gradient_and_a_row_that_is_not_there_is_one_clear_line() {
        let leaf = |name: &str, shape: &[usize]| {
            Value::variable(name, &candle_core::Var::from_tensor(&random_tensor(shape, 1)).unwrap())
        };
        let (states, weight, bias) = (Value::constant(random_tensor(&[4, 3], 1)), leaf("w", &[1, 3]), leaf("b", &[1]));
        let value = scalar_head(&states, &weight, &bias, &[0, 2]).unwrap();
        let gradients = value.backward(random_tensor(&[2], 3)).unwrap();
        assert_eq!(gradients.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "w"]);
        let message = scalar_head(&states, &weight, &bias, &[4]).err().unwrap().to_string();
        assert!(message.contains("rows: 4, but there are only 4"), "{message}");
    }
}
