//! A layer with one output, for some rows.

use candle_core::DType;

use crate::Result;
use crate::kernels::cuda::rows::{Picked, gather};
use crate::kernels::cuda::{CudaDevice, CudaMatrix, as_type, elementwise};
use crate::kernels::graph::Value;
use crate::kernels::matrix::Write::Replace;

/// See [`scalar_head`](crate::kernels::scalar_head()), whose checks have been made. In f32.
pub(super) fn scalar_head(
    card: &CudaDevice,
    hidden: &Value,
    weight: &Value,
    bias: &Value,
    rows: &[u32],
) -> Result<Value> {
    let (card, picked, (n, d)) = (card.clone(), Picked::new(rows), hidden.tensor().dims2()?);
    let states = gather(&card, hidden.tensor(), &card.upload(rows)?)?;
    let (w, count) = (as_type(weight.tensor(), DType::F32)?, rows.len());
    let values = card.empty((count, 1), DType::F32)?;
    card.multiply(
        &CudaMatrix::view(&values)?,
        &CudaMatrix::view(&states)?,
        &CudaMatrix::view(&w)?.transposed(),
        1.0,
        Replace,
    )?;
    elementwise::add_bias(&card, &values, bias.tensor())?;
    let wanted = (!hidden.is_constant()).then_some(hidden.tensor().dtype());
    Ok(Value::computed(values.reshape(count)?, &[hidden, weight, bias], move |gradient| {
        let gradient = gradient.reshape((count, 1))?;
        let (g, states) = (CudaMatrix::view(&gradient)?, CudaMatrix::view(&states)?);
        let d_weight = card.empty((1, d), DType::F32)?;
        card.multiply(&CudaMatrix::view(&d_weight)?, &g.transposed(), &states, 1.0, Replace)?;
        let d_hidden = match wanted {
            Some(dtype) => {
                let d_states = card.empty((count, d), DType::F32)?;
                card.multiply(&CudaMatrix::view(&d_states)?, &g, &CudaMatrix::view(&w)?, 1.0, Replace)?;
                as_type(&picked.put_back(&card, &d_states, [n, d])?, dtype)?
            }
            None => gradient.clone(),
        };
        Ok(vec![d_hidden, d_weight, elementwise::column_sums(&card, &gradient)?])
    }))
}
