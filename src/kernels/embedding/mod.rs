//! Token embeddings: rows of a table, and their gradients added back into it.

mod cuda;

use std::sync::Arc;

use super::cuda::CudaDevice;
use super::graph::Value;
use super::memory::{filled, read, tensor};
use crate::{Error, Result};

/// The rows of `table` `[V, d]` that `tokens` name, `[n, d]`. A token outside the table is an error.
pub fn embedding(table: &Value, tokens: &[u32]) -> Result<Value> {
    let (rows, d) = table.tensor().dims2()?;
    if let Some(token) = tokens.iter().find(|token| **token as usize >= rows) {
        return Err(Error::invalid(
            "token ids",
            format!("{token} in a vocabulary of {rows}"),
            "use the tokenizer that belongs to the model",
        ));
    }
    if let Some(card) = CudaDevice::holding(table.tensor()) {
        return cuda::embedding(&card, table, tokens);
    }
    let values = {
        let table = read(table.tensor())?;
        filled(tokens.len() * d, |out| {
            for (out, &token) in out.chunks_exact_mut(d).zip(tokens) {
                out.copy_from_slice(&table[token as usize * d..][..d]);
            }
        })
    };
    let held: Arc<[u32]> = tokens.into();
    Ok(Value::computed(tensor(values, (tokens.len(), d))?, &[table], move |gradient| {
        let gradient = read(gradient)?;
        let mut d_table = vec![0.0; rows * d];
        for (g, &token) in gradient.chunks_exact(d).zip(held.iter()) {
            for (sum, g) in d_table[token as usize * d..][..d].iter_mut().zip(g) {
                *sum += g;
            }
        }
        Ok(vec![tensor(d_table, (rows, d))?])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check, random_tensor};
    use candle_core::Tensor;

    #[test]
    fn agrees_with_candle_and_with_finite_differences_also_for_repeated_tokens() {
        for (rows, d, tokens) in [(1, 1, &[0][..]), (5, 3, &[4, 0, 4, 4, 2]), (7, 17, &[6])] {
            check(
                &[random_tensor(&[rows, d], 1)],
                |v| embedding(v[0], tokens),
                |t| t[0].index_select(&Tensor::new(tokens, t[0].device())?, 0),
            );
        }
    }

    #[test]
    fn a_token_outside_the_table_is_one_clear_line() {
        let table = Value::constant(random_tensor(&[3, 2], 1));
        let message = embedding(&table, &[0, 3]).err().unwrap().to_string();
        assert!(message.contains("3 in a vocabulary of 3"), "{message}");
    }
}
