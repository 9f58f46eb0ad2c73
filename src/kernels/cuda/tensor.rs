//! Tensors as kernels see them: an address and a type.

use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Tensor};

use crate::Result;

/// Where a tensor begins in the memory of its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub u64);

/// The tensor in this type; itself if it has it already.
pub fn as_type(tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    Ok(if tensor.dtype() == dtype { tensor.clone() } else { tensor.to_dtype(dtype)? })
}

/// Where a contiguous tensor begins. It stays there as long as the tensor lives; kernels that were launched before it
/// goes still find it, because a card frees memory in the order of its launches.
pub fn address(tensor: &Tensor) -> Result<Address> {
    let place = FindAddress(std::cell::Cell::new(0));
    tensor.inplace_op1(&place)?;
    Ok(Address(place.0.get()))
}

/// candle hands out storage for writing to operations only.
struct FindAddress(std::cell::Cell<u64>);

impl FindAddress {
    fn found(&self, start: u64, dtype: DType, layout: &Layout) -> candle_core::Result<()> {
        let Some((offset, _)) = layout.contiguous_offsets() else {
            return Err(candle_core::Error::RequiresContiguous { op: "card kernel" });
        };
        self.0.set(start + (offset * dtype.size_in_bytes()) as u64);
        Ok(())
    }
}

impl InplaceOp1 for FindAddress {
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
        let (start, dtype) = start(storage)?;
        self.found(start, dtype, layout)
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda_fwd(&self, _: &mut CudaStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("this program was built without the feature cuda")
    }
}

/// Where a storage begins.
#[cfg(feature = "cuda")]
fn start(storage: &mut CudaStorage) -> candle_core::Result<(u64, DType)> {
    use candle_core::backend::BackendStorage;
    use candle_core::cuda_backend::CudaStorageSlice;
    use candle_core::cuda_backend::cudarc::driver::DevicePtrMut;

    let (stream, dtype) = (storage.device().cuda_stream(), storage.dtype());
    let start = match &mut storage.slice {
        CudaStorageSlice::F32(values) => values.device_ptr_mut(&stream).0,
        CudaStorageSlice::F64(values) => values.device_ptr_mut(&stream).0,
        CudaStorageSlice::BF16(values) => values.device_ptr_mut(&stream).0,
        CudaStorageSlice::U32(values) => values.device_ptr_mut(&stream).0,
        _ => candle_core::bail!("no card kernel takes this type"),
    };
    Ok((start, dtype))
}
