//! Rows of a table, and their gradients added back into it.

use crate::Result;
use crate::kernels::cuda::CudaDevice;
use crate::kernels::cuda::rows::{Picked, gather};
use crate::kernels::graph::Value;

/// The rows of `table` `[V, d]` that `tokens` name, `[n, d]` in f32: the residual stream begins with them.
pub(super) fn embedding(card: &CudaDevice, table: &Value, tokens: &[u32]) -> Result<Value> {
    let (rows, d) = table.tensor().dims2()?;
    let values = gather(card, table.tensor(), &card.upload(tokens)?)?;
    let (card, picked) = (card.clone(), Picked::new(tokens));
    Ok(Value::computed(values, &[table], move |gradient| Ok(vec![picked.put_back(&card, gradient, [rows, d])?])))
}
