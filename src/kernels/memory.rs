//! Between tensors, which the model passes around, and slices, on which the CPU kernels work.

use std::mem::MaybeUninit;
use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Device, Shape, Storage, StorageRef, Tensor};

use crate::Result;

/// The values of a contiguous f32 tensor on the CPU, row-major. Readers do not wait for one another.
pub(crate) struct Values<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

/// Opens a tensor for reading.
pub(crate) fn read(tensor: &Tensor) -> Result<Values<'_>> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        return Err(candle_core::Error::RequiresContiguous { op: "kernel" }.into());
    };
    match &*storage {
        Storage::Cpu(CpuStorage::F32(_)) => Ok(Values { storage, range: start..end }),
        _ => Err(candle_core::Error::Msg(format!(
            "kernels work on f32 tensors of the CPU, not on {:?} of {:?}",
            tensor.dtype(),
            tensor.device().location()
        ))
        .into()),
    }
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => unreachable!("checked when it was opened"),
        }
    }
}

/// A tensor from its row-major values, without a copy.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape.into(), &Device::Cpu)?)
}

/// `length` values of which `fill` writes every one. Large outputs are written once instead of twice: nothing is
/// zeroed first.
pub(crate) fn filled(length: usize, fill: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    let spare: &mut [MaybeUninit<f32>] = &mut values.spare_capacity_mut()[..length];
    if cfg!(any(test, debug_assertions)) {
        // A value that `fill` forgets shows in the tests.
        spare.fill(MaybeUninit::new(f32::NAN));
    }
    // SAFETY: MaybeUninit<f32> has the layout of f32, `fill` writes every value before anything reads it (each
    // caller's contract), and the length is set after that.
    unsafe {
        fill(&mut *(std::ptr::from_mut(spare) as *mut [f32]));
        values.set_len(length);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    #[test]
    fn reads_views_with_an_offset_and_refuses_what_is_not_row_major_f32() {
        let whole = tensor((0..12).map(|i| i as f32).collect(), (4, 3)).unwrap();
        let rows = whole.narrow(0, 1, 2).unwrap();
        assert_eq!(&*read(&rows).unwrap(), &[3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert!(read(&whole.t().unwrap()).is_err());
        assert!(read(&whole.to_dtype(DType::F64).unwrap()).is_err());
    }
}
