//! The gated unit, a thread for each eight elements of a row.

use crate::Result;
use crate::kernels::cuda::{CudaDevice, Grid, address};
use crate::kernels::graph::Value;

/// From `[n, 2 f]`, gate and up side by side, to `[n, f]`.
pub(super) fn swiglu(card: &CudaDevice, gate_up: &Value) -> Result<Value> {
    let (held, card) = (gate_up.tensor().clone(), card.clone());
    let ((n, width), real) = (held.dims2()?, held.dtype());
    let f = width / 2;
    let y = card.empty((n, f), real)?;
    let arguments = [address(&y)?.into(), address(&held)?.into(), f.into()];
    card.launch(real, "swiglu", Grid::rows(n, f), &arguments)?;
    Ok(Value::computed(y, &[gate_up], move |gradient| {
        let dx = card.empty((n, width), real)?;
        let arguments = [address(&dx)?.into(), address(&held)?.into(), address(gradient)?.into(), f.into()];
        card.launch(real, "swiglu_backward", Grid::rows(n, f), &arguments)?;
        Ok(vec![dx])
    }))
}
