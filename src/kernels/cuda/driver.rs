//! What a card does: the seam between the operations and the driver of a real card, or what plays one in tests.

use std::sync::Arc;

use candle_core::{DType, Device, Shape, Tensor};

use super::matrix::CudaMatrix;
use super::tensor::Address;
use crate::Result;
use crate::kernels::matrix::Write;

/// A card with a queue of launches: what is asked of it happens in the order of the calls.
///
/// # Errors
///
/// Of every method: the card fails, or has too little memory.
pub trait Driver: Send + Sync {
    /// The card as candle knows it.
    fn device(&self) -> Device;

    /// Runs a kernel of the module for `real`, the type of its activations.
    fn launch(&self, real: DType, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()>;

    /// `out = scale a b` or `out += scale a b`, of matrices that fit together.
    fn multiply(&self, out: &CudaMatrix, a: &CudaMatrix, b: &CudaMatrix, scale: f32, write: Write) -> Result<()>;

    /// A tensor whose values a kernel is about to write, every one.
    fn empty(&self, shape: Shape, dtype: DType) -> Result<Tensor>;

    /// Copies numbers of the host to a place that has room for them.
    fn write(&self, place: Address, values: &[u32]) -> Result<()>;

    /// The same card with a queue of its own.
    fn sibling(&self) -> Result<Arc<dyn Driver>>;

    /// Records the launches that `work` makes, without running them. None where that cannot be done. `work` must
    /// allocate nothing, and have run before.
    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Recording>>>;

    /// Bytes that could be allocated.
    fn free_memory(&self) -> Result<usize>;
}

/// Launches that were recorded, to be repeated at the cost of one. The tensors that they use have to live as long.
pub trait Recording: Send {
    /// Runs all of them once more.
    ///
    /// # Errors
    ///
    /// The card fails.
    fn repeat(&self) -> Result<()>;
}

/// How many threads a kernel gets.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    pub blocks: [usize; 2],
    pub threads: usize,
    /// Bytes of memory that the threads of a block share, beyond what the kernel declares itself.
    pub shared_bytes: usize,
}

impl Grid {
    pub fn new(blocks: [usize; 2], threads: usize) -> Grid {
        Grid { blocks, threads, shared_bytes: 0 }
    }

    /// For kernels whose threads go through `count` elements together.
    pub fn over(count: usize) -> Grid {
        Grid::new([count.div_ceil(256).min(8192), 1], 256)
    }

    /// A thread for each eight elements of a row of a matrix.
    pub fn rows(rows: usize, columns: usize) -> Grid {
        Grid::new([rows, columns.div_ceil(8 * 128)], 128)
    }

    /// A warp for each of `count` things, `warps` to a block.
    pub fn warps(count: usize, warps: usize) -> Grid {
        Grid::new([count.div_ceil(warps), 1], 32 * warps)
    }
}

/// An argument of a kernel, of the type that it declares: a pointer, `size_t`, `int` or `float`.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    Address(u64),
    Count(u64),
    Int(i32),
    Float(f32),
}

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
pub fn count(elements: usize) -> Argument {
    Argument::Count(elements as u64)
}
