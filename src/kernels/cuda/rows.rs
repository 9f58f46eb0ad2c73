//! Rows of a table, and what comes back to them.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::device::CudaDevice;
use super::driver::{Grid, count};
use super::tensor::address;
use crate::Result;

/// Rows of `from` `[n, d]`, `[rows, d]` in f32.
pub(in crate::kernels) fn gather(card: &CudaDevice, from: &Tensor, rows: &Tensor) -> Result<Tensor> {
    let (d, picked) = (from.dim(1)?, rows.elem_count());
    let out = card.empty((picked, d), DType::F32)?;
    let arguments = [address(&out)?.into(), address(from)?.into(), address(rows)?.into(), count(picked), d.into()];
    card.launch(from.dtype(), "gather_rows", Grid::over(picked * d), &arguments)?;
    Ok(out)
}

/// Which rows were picked, and where each went in the order of the batch: then what comes back to one is summed by one
/// block, always in this order.
pub(in crate::kernels) struct Picked {
    rows: Vec<u32>,
    /// Of each row's places in `order`, and the end.
    starts: Vec<u32>,
    order: Vec<u32>,
}

impl Picked {
    pub(in crate::kernels) fn new(picked: &[u32]) -> Picked {
        let mut places: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (place, row) in (0..).zip(picked) {
            places.entry(*row).or_default().push(place);
        }
        let mut starts = vec![0];
        starts.extend(places.values().scan(0, |end, list| {
            *end += list.len() as u32;
            Some(*end)
        }));
        Picked { rows: places.keys().copied().collect(), starts, order: places.into_values().flatten().collect() }
    }

    /// From gradients of what was picked, `[picked, d]`, to those of the whole `[n, d]`, both in f32.
    pub(in crate::kernels) fn put_back(
        &self,
        card: &CudaDevice,
        gradient: &Tensor,
        [n, d]: [usize; 2],
    ) -> Result<Tensor> {
        let whole = card.zeros((n, d), DType::F32)?;
        let [rows, starts, order] = [card.upload(&self.rows)?, card.upload(&self.starts)?, card.upload(&self.order)?];
        let tensors = [&whole, gradient, &rows, &starts, &order];
        let mut arguments = Vec::with_capacity(6);
        for tensor in tensors {
            arguments.push(address(tensor)?.into());
        }
        arguments.push(d.into());
        card.launch(DType::F32, "put_back_rows", Grid::new([self.rows.len(), 1], 256), &arguments)?;
        Ok(whole)
    }
}
