//! The card on which a tensor lives, and what can be asked of it.

use std::ops::Deref;
use std::sync::Arc;

use candle_core::{DType, Device, Shape, Tensor, WithDType};

use super::driver::{Argument, Driver, Grid};
#[cfg(test)]
use super::emulated;
use super::matrix::{CudaMatrix, check};
#[cfg(feature = "cuda")]
use super::nvidia::Nvidia;
use super::tensor::address;
use crate::kernels::matrix::Write;
use crate::{Error, Result};

/// A card. Cheap to clone.
///
/// # Errors
///
/// Of every method: the card fails or has too little memory, or what it is asked for does not fit together.
#[derive(Clone)]
pub struct CudaDevice(Arc<dyn Driver>);

impl Deref for CudaDevice {
    type Target = dyn Driver;

    fn deref(&self) -> &(dyn Driver + 'static) {
        &*self.0
    }
}

impl CudaDevice {
    /// The card that a tensor lives on; none for tensors of the CPU.
    pub fn holding(tensor: &Tensor) -> Option<CudaDevice> {
        CudaDevice::at(tensor.device())
    }

    /// The card that is this device.
    pub fn at(device: &Device) -> Option<CudaDevice> {
        match device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Some(CudaDevice(Arc::new(Nvidia(device.clone())))),
            #[cfg(test)]
            Device::Cpu => emulated::active().map(|emulator| CudaDevice(Arc::new(emulator))),
            _ => None,
        }
    }

    /// Runs a kernel of the module for `real`, the type of its activations, after everything before it.
    pub fn launch(&self, real: DType, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        if grid.blocks.contains(&0) { Ok(()) } else { self.0.launch(real, kernel, grid, arguments) }
    }

    /// `out = scale a b` or `out += scale a b`. Operands of one type, and an output of theirs or in f32; sums are f32.
    pub fn multiply(&self, out: &CudaMatrix, a: &CudaMatrix, b: &CudaMatrix, scale: f32, write: Write) -> Result<()> {
        check(out, a, b)?;
        if out.rows == 0 || out.columns == 0 { Ok(()) } else { self.0.multiply(out, a, b, scale, write) }
    }

    /// A tensor whose values a kernel is about to write, every one.
    pub fn empty(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        self.0.empty(shape.into(), dtype)
    }

    /// Zeros.
    pub fn zeros(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        Ok(Tensor::zeros(shape, dtype, &self.device())?)
    }

    /// A copy of numbers of the host.
    pub fn upload<T: WithDType>(&self, values: &[T]) -> Result<Tensor> {
        Ok(Tensor::from_slice(values, values.len(), &self.device())?)
    }

    /// Writes numbers of the host over the first of a tensor.
    pub fn overwrite(&self, tensor: &Tensor, values: &[u32]) -> Result<()> {
        if tensor.dtype() != DType::U32 || values.len() > tensor.elem_count() {
            let found = format!("{} numbers for {:?} of {:?}", values.len(), tensor.dims(), tensor.dtype());
            return Err(Error::invalid("copy to the card", found, "this is a bug: report it"));
        }
        self.0.write(address(tensor)?, values)
    }

    /// The same card with a queue of its own: what is done through one does not wait for the other, so a tensor may
    /// go from one to the other only after [`CudaDevice::finish`].
    pub fn sibling(&self) -> Result<CudaDevice> {
        self.0.sibling().map(CudaDevice)
    }

    /// Waits until everything that was asked of the card is done.
    pub fn finish(&self) -> Result<()> {
        Ok(self.device().synchronize()?)
    }
}
