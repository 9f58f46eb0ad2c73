//! The same operations on an NVIDIA card. Every operation of [`kernels`](super) looks where its input lives and comes
//! here for a tensor on a card; what a caller sees is the same.
//!
//! `source/` holds the kernels in CUDA C++, one module for f32 activations and one for bf16; `build.rs` compiles them
//! with the feature `cuda`. The files here launch them, each with the operations of the file of the same name one
//! folder up. Matrix products go to cuBLAS. Without a card the tests compile the same kernels with a C++ compiler and
//! run all of this on the processor, with the same launches ([`emulated`]).
//!
//! Types: the residual stream, weights, their gradients and whatever is one number for a row are f32; activations
//! inside a block are f32 or bf16, as [`Precision`](super::Precision) says. The gradient of a tensor has its type.

// Without the feature there is no card, so nothing here is ever asked for what it knows.
#![cfg_attr(not(any(feature = "cuda", test)), allow(dead_code, unused_variables))]

pub(super) mod adamw;
pub(crate) mod attention;
mod card;
pub(super) mod elementwise;
pub(super) mod embedding;
#[cfg(test)]
pub(crate) mod emulated;
pub(super) mod linear;
pub(super) mod log_prob;
pub(super) mod low_rank;
mod matrix;
#[cfg(feature = "cuda")]
pub(crate) mod nvidia;
pub(super) mod rms_norm;
pub(super) mod scalar_head;

use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Tensor};

pub(crate) use card::{Card, Recording};
pub(crate) use matrix::Matrix;

use super::product::Precision;
use crate::Result;

/// How many threads a kernel gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) blocks: [usize; 2],
    pub(crate) threads: usize,
    /// Bytes of memory that the threads of a block share, beyond what the kernel declares itself.
    pub(crate) shared_bytes: usize,
}

impl Grid {
    pub(crate) fn new(blocks: [usize; 2], threads: usize) -> Grid {
        Grid { blocks, threads, shared_bytes: 0 }
    }

    /// For kernels whose threads go through `count` elements together.
    pub(crate) fn over(count: usize) -> Grid {
        Grid::new([count.div_ceil(256).min(8192), 1], 256)
    }

    /// A thread for each eight elements of a row of a matrix.
    pub(crate) fn rows(rows: usize, columns: usize) -> Grid {
        Grid::new([rows, columns.div_ceil(8 * 128)], 128)
    }

    /// A warp for each of `count` things, `warps` to a block.
    pub(crate) fn warps(count: usize, warps: usize) -> Grid {
        Grid::new([count.div_ceil(warps), 1], 32 * warps)
    }
}

/// An argument of a kernel, of the type that it declares: a pointer, `size_t`, `int` or `float`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    Address(u64),
    Count(u64),
    Int(i32),
    Float(f32),
}

/// Where a tensor begins in the memory of its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) u64);

impl From<Address> for Argument {
    fn from(address: Address) -> Argument {
        Argument::Address(address.0)
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Argument {
        Argument::Float(value)
    }
}

/// An `int`: sizes of one dimension, all far below its limit.
impl From<usize> for Argument {
    fn from(size: usize) -> Argument {
        Argument::Int(size as i32)
    }
}

/// A `size_t`: counts of elements.
pub(crate) fn count(elements: usize) -> Argument {
    Argument::Count(elements as u64)
}

/// The tensor in this type; itself if it has it already.
pub(crate) fn as_type(tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    Ok(if tensor.dtype() == dtype { tensor.clone() } else { tensor.to_dtype(dtype)? })
}

impl Precision {
    /// The type of activations on a card, and of the operands of its products.
    pub(crate) fn real(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
        }
    }
}

/// Where a contiguous tensor begins. It stays there as long as the tensor lives; kernels that were launched before it
/// goes still find it, because a card frees memory in the order of its launches.
pub(crate) fn address(tensor: &Tensor) -> Result<Address> {
    let place = Place(std::cell::Cell::new(0));
    tensor.inplace_op1(&place)?;
    Ok(Address(place.0.get()))
}

/// candle hands out storage for writing to operations only.
struct Place(std::cell::Cell<u64>);

impl Place {
    fn found(&self, start: u64, dtype: DType, layout: &Layout) -> candle_core::Result<()> {
        let Some((offset, _)) = layout.contiguous_offsets() else {
            return Err(candle_core::Error::RequiresContiguous { op: "card kernel" });
        };
        self.0.set(start + (offset * dtype.size_in_bytes()) as u64);
        Ok(())
    }
}

impl InplaceOp1 for Place {
    fn name(&self) -> &'static str {
        "address"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (start, dtype) = match storage {
            CpuStorage::F32(values) => (values.as_mut_ptr() as u64, DType::F32),
            CpuStorage::F64(values) => (values.as_mut_ptr() as u64, DType::F64),
            CpuStorage::BF16(values) => (values.as_mut_ptr() as u64, DType::BF16),
            CpuStorage::U32(values) => (values.as_mut_ptr() as u64, DType::U32),
            _ => candle_core::bail!("no card kernel takes this type"),
        };
        self.found(start, dtype, layout)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        let (start, dtype) = nvidia::start(storage)?;
        self.found(start, dtype, layout)
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda_fwd(&self, _: &mut CudaStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("this program was built without the feature cuda")
    }
}
