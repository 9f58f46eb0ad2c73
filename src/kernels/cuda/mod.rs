//! What operations share that are computed on an NVIDIA card. Every operation of [`kernels`](super) looks where its input
//! lives: its file `cuda.rs` has what it does for a tensor on a card; what a caller sees is the same.
//!
//! `source/` holds the kernels in CUDA C++, one module for f32 activations and one for bf16; `build.rs` compiles them
//! with the feature `cuda`. Matrix products go to cuBLAS. Without a card the tests compile the same kernels with a C++
//! compiler and run all of this on the processor, with the same launches (`emulated`). Without the feature no tensor is
//! ever found on a card.
//!
//! Types: the residual stream, weights, their gradients and whatever is one number for a row are f32; activations
//! inside a block are f32 or bf16, as [`Precision`](super::Precision) says. The gradient of a tensor has its type.

mod device;
mod driver;
pub(super) mod elementwise;
#[cfg(test)]
pub(crate) mod emulated;
mod matrix;
#[cfg(feature = "cuda")]
pub(crate) mod nvidia;
pub(super) mod rows;
mod tensor;

pub use device::CudaDevice;
pub use driver::{Argument, Driver, Grid, Recording, count};
pub use matrix::CudaMatrix;
pub use tensor::{Address, address, as_type};
