//! Matrices in the memory of a card, and their products.

use candle_core::{DType, Tensor};

use super::tensor::{Address, address};
use crate::{Error, Result};

/// A row-major matrix, or the transpose of one. It does not keep the memory: the tensor it is a view of has to live
/// until the kernels that use it are launched.
#[derive(Clone, Copy, Debug)]
pub struct CudaMatrix {
    pub start: Address,
    pub dtype: DType,
    pub rows: usize,
    pub columns: usize,
    /// Values between two rows in memory, of what is transposed if it is.
    pub step: usize,
    pub transposed: bool,
}

impl CudaMatrix {
    /// All of a tensor `[rows, columns]`.
    pub fn view(tensor: &Tensor) -> Result<CudaMatrix> {
        let (rows, columns) = tensor.dims2()?;
        let (start, dtype) = (address(tensor)?, tensor.dtype());
        Ok(CudaMatrix { start, dtype, rows, columns, step: columns, transposed: false })
    }

    /// The transpose, without moving anything.
    pub fn transposed(self) -> CudaMatrix {
        CudaMatrix { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// Some columns of a matrix that is not transposed.
    pub fn columns(self, first: usize, columns: usize) -> CudaMatrix {
        debug_assert!(!self.transposed && first + columns <= self.columns);
        CudaMatrix { start: self.at(first), columns, ..self }
    }

    /// Some rows of a matrix that is not transposed.
    pub fn rows(self, first: usize, rows: usize) -> CudaMatrix {
        debug_assert!(!self.transposed && first + rows <= self.rows);
        CudaMatrix { start: self.at(first * self.step), rows, ..self }
    }

    fn at(&self, values: usize) -> Address {
        Address(self.start.0 + (values * self.dtype.size_in_bytes()) as u64)
    }
}

/// Refuses a product of what does not fit together.
pub(super) fn check(out: &CudaMatrix, a: &CudaMatrix, b: &CudaMatrix) -> Result<()> {
    let fits = a.columns == b.rows && out.rows == a.rows && out.columns == b.columns && !out.transposed;
    let types = a.dtype == b.dtype && (out.dtype == a.dtype || out.dtype == DType::F32);
    if fits && types && matches!(a.dtype, DType::F32 | DType::BF16) {
        Ok(())
    } else {
        let size = |m: &CudaMatrix| format!("[{}, {}] of {:?}", m.rows, m.columns, m.dtype);
        let found = format!("{} times {} into {}", size(a), size(b), size(out));
        Err(Error::invalid("product on the card", found, "this is a bug: report it"))
    }
}
