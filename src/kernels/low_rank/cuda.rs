//! Adapters beside linear layers.

use candle_core::{DType, Tensor};

use super::adapter::LowRank;
use crate::Result;
use crate::kernels::cuda::{CudaDevice, CudaMatrix, as_type};
use crate::kernels::graph::Value;
use crate::kernels::matrix::Write::{Add, Replace};
use crate::kernels::product::Precision;

/// See [`low_rank`](crate::kernels::low_rank()).
pub(super) fn low_rank(
    card: &CudaDevice,
    y: &Value,
    x: &Value,
    adapters: &[LowRank],
    precision: Precision,
) -> Result<Value> {
    let (card, real) = (card.clone(), precision.real());
    let (n, k) = x.tensor().dims2()?;
    let input = as_type(x.tensor(), real)?;
    let result = y.tensor().copy()?;
    let mut held = Vec::with_capacity(adapters.len());
    for LowRank { column, a, b, scale } in adapters {
        let (a, b) = (as_type(a.tensor(), real)?, as_type(b.tensor(), real)?);
        let (outputs, rank) = b.dims2()?;
        let low = card.empty((n, rank), real)?;
        card.multiply(
            &CudaMatrix::view(&low)?,
            &CudaMatrix::view(&input)?,
            &CudaMatrix::view(&a)?.transposed(),
            *scale,
            Replace,
        )?;
        let out = CudaMatrix::view(&result)?.columns(*column, outputs);
        card.multiply(&out, &CudaMatrix::view(&low)?, &CudaMatrix::view(&b)?.transposed(), 1.0, Add)?;
        held.push(CudaHeldAdapter { column: *column, a, b, low, scale: *scale });
    }
    let mut inputs = vec![y, x];
    inputs.extend(adapters.iter().flat_map(|adapter| [&adapter.a, &adapter.b]));
    let wanted = (!x.is_constant()).then_some(x.tensor().dtype());
    Ok(Value::computed(result, &inputs, move |gradient| {
        let dy = CudaMatrix::view(gradient)?;
        let dx = wanted.map(|dtype| card.empty((n, k), dtype)).transpose()?;
        let mut shares = vec![gradient.clone(), dx.clone().unwrap_or_else(|| gradient.clone())];
        let mut write = Replace;
        for CudaHeldAdapter { column, a, b, low, scale } in &held {
            let (outputs, rank) = b.dims2()?;
            let dy = dy.columns(*column, outputs);
            let db = card.empty((outputs, rank), DType::F32)?;
            card.multiply(&CudaMatrix::view(&db)?, &dy.transposed(), &CudaMatrix::view(low)?, 1.0, Replace)?;
            let d_low = card.empty((n, rank), low.dtype())?;
            card.multiply(&CudaMatrix::view(&d_low)?, &dy, &CudaMatrix::view(b)?, *scale, Replace)?;
            let da = card.empty((rank, k), DType::F32)?;
            card.multiply(
                &CudaMatrix::view(&da)?,
                &CudaMatrix::view(&d_low)?.transposed(),
                &CudaMatrix::view(&input)?,
                1.0,
                Replace,
            )?;
            if let Some(dx) = &dx {
                card.multiply(&CudaMatrix::view(dx)?, &CudaMatrix::view(&d_low)?, &CudaMatrix::view(a)?, 1.0, write)?;
                write = Add;
            }
            shares.extend([da, db]);
        }
        Ok(shares)
    }))
}

/// What the backward pass needs of an adapter, in the type of the products.
struct CudaHeldAdapter {
    column: usize,
    a: Tensor,
    b: Tensor,
    /// `scale * x A^T`, `[n, rank]`
    low: Tensor,
    scale: f32,
}
