//! The card on which a tensor lives, and what can be asked of it.

use candle_core::{DType, Device, Shape, Tensor, WithDType};

#[cfg(test)]
use super::emulated;
#[cfg(feature = "cuda")]
use super::nvidia;
use super::{Argument, Grid, Matrix, address, matrix};
use crate::kernels::product::Write;
use crate::{Error, Result};

/// A card. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Card(Kind);

/// None at all in a program built without the feature `cuda`: then no tensor is ever found on a card.
#[derive(Clone)]
enum Kind {
    #[cfg(feature = "cuda")]
    Nvidia(candle_core::CudaDevice),
    /// The processor playing one: its tensors are candle's for the CPU.
    #[cfg(test)]
    Emulated(emulated::Emulator),
}

/// Launches that were recorded, to be repeated at the cost of one. The tensors that they use have to live as long.
pub(crate) struct Recording {
    #[cfg(feature = "cuda")]
    pub(super) graph: nvidia::Graph,
}

impl Recording {
    pub(crate) fn repeat(&self) -> Result<()> {
        #[cfg(feature = "cuda")]
        self.graph.launch()?;
        Ok(())
    }
}

impl Card {
    /// The card that a tensor lives on; none for tensors of the CPU.
    pub(crate) fn of(tensor: &Tensor) -> Option<Card> {
        Card::at(tensor.device())
    }

    /// The card that is this device.
    pub(crate) fn at(device: &Device) -> Option<Card> {
        match device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Some(Card(Kind::Nvidia(device.clone()))),
            #[cfg(test)]
            Device::Cpu => emulated::active().map(|emulator| Card(Kind::Emulated(emulator))),
            _ => None,
        }
    }

    /// The card as candle knows it.
    pub(crate) fn device(&self) -> Device {
        match self.0 {
            #[cfg(feature = "cuda")]
            Kind::Nvidia(ref device) => Device::Cuda(device.clone()),
            #[cfg(test)]
            Kind::Emulated(_) => Device::Cpu,
        }
    }

    /// Runs a kernel of the module for `real`, the type of its activations, after everything before it.
    pub(crate) fn launch(&self, real: DType, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        if grid.blocks.contains(&0) {
            return Ok(());
        }
        match self.0 {
            #[cfg(feature = "cuda")]
            Kind::Nvidia(ref device) => nvidia::launch(device, real, kernel, grid, arguments),
            #[cfg(test)]
            Kind::Emulated(ref emulator) => emulator.launch(real, kernel, grid, arguments),
        }
    }

    /// `out = scale a b` or `out += scale a b`. Operands of one type, and an output of theirs or in f32; sums are f32.
    pub(crate) fn multiply(&self, out: &Matrix, a: &Matrix, b: &Matrix, scale: f32, write: Write) -> Result<()> {
        matrix::check(out, a, b)?;
        if out.rows == 0 || out.columns == 0 {
            return Ok(());
        }
        match self.0 {
            #[cfg(feature = "cuda")]
            Kind::Nvidia(ref device) => nvidia::multiply(device, out, a, b, scale, write),
            #[cfg(test)]
            Kind::Emulated(_) => emulated::multiply(out, a, b, scale, write),
        }
    }

    /// A tensor whose values a kernel is about to write, every one.
    pub(crate) fn empty(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        match self.0 {
            #[cfg(feature = "cuda")]
            Kind::Nvidia(ref device) => nvidia::empty(device, shape.into(), dtype),
            #[cfg(test)]
            Kind::Emulated(_) => emulated::empty(shape.into(), dtype),
        }
    }

    /// Zeros.
    pub(crate) fn zeros(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        Ok(Tensor::zeros(shape, dtype, &self.device())?)
    }

    /// Writes numbers of the host over the first of a tensor.
    pub(crate) fn overwrite(&self, tensor: &Tensor, values: &[u32]) -> Result<()> {
        let place = address(tensor)?;
        if tensor.dtype() != DType::U32 || values.len() > tensor.elem_count() {
            let found = format!("{} numbers for {:?} of {:?}", values.len(), tensor.dims(), tensor.dtype());
            return Err(Error::invalid("copy to the card", found, "this is a bug: report it"));
        }
        match self.0 {
            #[cfg(feature = "cuda")]
            Kind::Nvidia(ref device) => nvidia::write(device, place, values),
            #[cfg(test)]
            Kind::Emulated(_) => emulated::write(place, values),
        }
    }

    /// The same card with a queue of its own: what is done through one does not wait for the other, so a tensor may
    /// go from one to the other only after [`Card::finish`].
    pub(crate) fn sibling(&self) -> Result<Card> {
        match self.0 {
            #[cfg(feature = "cuda")]
            Kind::Nvidia(ref device) => Ok(Card(Kind::Nvidia(nvidia::sibling(device)?))),
            #[cfg(test)]
            Kind::Emulated(_) => Ok(self.clone()),
        }
    }

    /// Records the launches that `work` makes, without running them. None where that cannot be done. `work` must
    /// allocate nothing, and have run before.
    pub(crate) fn record(&self, work: impl FnOnce() -> Result<()>) -> Result<Option<Recording>> {
        match self.0 {
            #[cfg(feature = "cuda")]
            Kind::Nvidia(ref device) => nvidia::record(device, work),
            #[cfg(test)]
            Kind::Emulated(_) => {
                drop(work);
                Ok(None)
            }
        }
    }

    /// A copy of numbers of the host.
    pub(crate) fn upload<T: WithDType>(&self, values: &[T]) -> Result<Tensor> {
        Ok(Tensor::from_slice(values, values.len(), &self.device())?)
    }

    /// Bytes that could be allocated.
    pub(crate) fn free_memory(&self) -> Result<usize> {
        match self.0 {
            #[cfg(feature = "cuda")]
            Kind::Nvidia(ref device) => Ok(nvidia::memory(device)?.free),
            #[cfg(test)]
            Kind::Emulated(_) => Ok(usize::MAX),
        }
    }

    /// Waits until everything that was asked of the card is done.
    pub(crate) fn finish(&self) -> Result<()> {
        Ok(self.device().synchronize()?)
    }
}
