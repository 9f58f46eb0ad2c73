//! Whole tensors, element by element, and sums over them.

use candle_core::{DType, Tensor};

use super::device::CudaDevice;
use super::driver::{Grid, count};
use super::tensor::address;
use crate::Result;

/// Rows that one thread sums up at most.
const ROWS_PER_BLOCK: usize = 256;

/// The sum of one or more tensors of one shape, term after term, in the type of the first.
pub(in crate::kernels) fn sum(card: &CudaDevice, terms: &[&Tensor]) -> Result<Tensor> {
    let mut sum = terms[0].clone();
    for term in &terms[1..] {
        sum = if sum.dtype() == term.dtype() { (&sum + *term)? } else { add(card, &sum, term)? };
    }
    Ok(sum)
}

/// `a` in f32 and `b` in any type.
fn add(card: &CudaDevice, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (out, elements) = (card.empty(a.shape(), DType::F32)?, a.elem_count());
    let arguments = [address(&out)?.into(), address(a)?.into(), address(b)?.into(), count(elements)];
    card.launch(b.dtype(), "add", Grid::over(elements), &arguments)?;
    Ok(out)
}

/// Adds a bias `[m]` in f32 to every row of `y` `[n, m]`, in place.
pub(in crate::kernels) fn add_bias(card: &CudaDevice, y: &Tensor, bias: &Tensor) -> Result<()> {
    let elements = y.elem_count();
    let arguments = [address(y)?.into(), address(bias)?.into(), count(elements), bias.elem_count().into()];
    card.launch(y.dtype(), "add_bias", Grid::over(elements), &arguments)
}

/// The sum of all rows of `x` `[n, m]`, `[m]` in f32: blocks of rows first, then their sums.
pub(in crate::kernels) fn column_sums(card: &CudaDevice, x: &Tensor) -> Result<Tensor> {
    let (n, m) = x.dims2()?;
    let blocks = n.div_ceil(ROWS_PER_BLOCK).max(1);
    let out = card.empty((blocks, m), DType::F32)?;
    let arguments = [address(&out)?.into(), address(x)?.into(), n.into(), m.into(), ROWS_PER_BLOCK.into()];
    card.launch(x.dtype(), "column_sums", Grid::new([m.div_ceil(128), blocks], 128), &arguments)?;
    match blocks {
        1 => Ok(out.get(0)?),
        _ => column_sums(card, &out),
    }
}

/// Sum of the squares of each tensor's values in f32: one look at the card for all of them.
pub(in crate::kernels) fn squares(card: &CudaDevice, tensors: &[&Tensor]) -> Result<Vec<f64>> {
    let blocks: Vec<usize> = tensors.iter().map(|tensor| tensor.elem_count().div_ceil(4096).clamp(1, 1024)).collect();
    let parts = card.empty(blocks.iter().sum::<usize>().max(1), DType::F64)?;
    let mut start = address(&parts)?;
    for (tensor, blocks) in tensors.iter().zip(&blocks) {
        let values = tensor.contiguous()?;
        let grid = Grid { blocks: [*blocks, 1], ..Grid::over(1) };
        let arguments = [start.into(), address(&values)?.into(), count(values.elem_count())];
        card.launch(DType::F32, "squares", grid, &arguments)?;
        start.0 += (blocks * size_of::<f64>()) as u64;
    }
    let parts = parts.to_vec1::<f64>()?;
    let mut rest = &parts[..];
    let sum = |blocks: &usize| {
        let (own, others) = rest.split_at(*blocks);
        rest = others;
        own.iter().sum()
    };
    Ok(blocks.iter().map(sum).collect())
}
