//! A real card, through candle's device and cuBLAS.

use std::sync::Arc;

use candle_core::backend::BackendDevice;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::cublas::{result::gemm_ex, sys as blas};
use candle_core::cuda_backend::cudarc::driver::{self, CudaContext, CudaGraph, LaunchConfig, PushKernelArg, sys};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, DType, Device, Shape, Storage, Tensor};

use super::driver::{Argument, Driver, Grid, Recording};
use super::matrix::CudaMatrix;
use super::tensor::Address;
use crate::kernels::matrix::Write;
use crate::{Error, Result};

/// The kernels as build.rs compiled them, for each type of activations.
const F32: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels_f32.ptx"));
const BF16: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels_bf16.ptx"));

/// Shared memory that a kernel gets without asking.
const FREE_SHARED_BYTES: usize = 48 << 10;

/// Opens card number `ordinal` with a stream of its own: whatever is done on it happens in the order of the calls,
/// whichever thread makes them.
pub(crate) fn open(ordinal: usize) -> Result<CudaDevice> {
    let device = CudaDevice::new_with_stream(ordinal)?;
    let context = device.cuda_stream().context().clone();
    let (major, minor) = context.compute_capability().w()?;
    if major < 8 {
        let found = format!("a card of compute capability {major}.{minor}");
        let remedy = "8.0 (Ampere) or newer is needed; set run.device to \"cpu\" or to another card";
        return Err(Error::invalid(format!("cuda:{ordinal}"), found, remedy));
    }
    // SAFETY: every tensor of this device is used on its one stream, so there is nothing for events to order.
    unsafe { device.disable_event_tracking() };
    // Freed memory would go back to the driver at every synchronisation.
    set(&context, sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, u64::MAX)?;
    Ok(device)
}

/// How many cards there are; an error says why none can be used.
pub(crate) fn cards() -> Result<usize> {
    let count = driver::CudaContext::device_count().map_err(|error| {
        let remedy = "look at `nvidia-smi`, or set run.device to \"cpu\"";
        Error::invalid("CUDA", format!("no card can be used ({error})"), remedy)
    })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Memory of a card, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// What this process could still get: unused, or kept by its pool for the next tensors.
    pub(crate) free: usize,
    /// What its tensors have taken at most since the last reset.
    pub(crate) peak: usize,
}

/// How the memory of a card stands.
pub(crate) fn memory(device: &CudaDevice) -> Result<Memory> {
    use sys::CUmemPool_attribute as Attribute;
    let context = device.cuda_stream().context().clone();
    let (free, _) = context.mem_get_info().w()?;
    let ask = |attribute| -> Result<usize> {
        let mut bytes = 0u64;
        // SAFETY: these attributes are numbers of eight bytes.
        unsafe { sys::cuMemPoolGetAttribute(pool(&context)?, attribute, (&raw mut bytes).cast()) }.result().w()?;
        Ok(bytes as usize)
    };
    let (used, reserved) =
        (ask(Attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?, ask(Attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?);
    Ok(Memory { free: free + reserved.saturating_sub(used), peak: ask(Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)? })
}

/// Forgets the peak.
pub(crate) fn reset_peak(device: &CudaDevice) -> Result<()> {
    set(device.cuda_stream().context(), sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH, 0)
}

/// The pool that this process allocates from.
fn pool(context: &CudaContext) -> Result<sys::CUmemoryPool> {
    // SAFETY: the context holds the device.
    Ok(unsafe { driver::result::device::get_default_mem_pool(context.cu_device()) }.w()?)
}

fn set(context: &CudaContext, attribute: sys::CUmemPool_attribute, mut value: u64) -> Result<()> {
    // SAFETY: the attributes that this is called with are numbers of eight bytes.
    unsafe { sys::cuMemPoolSetAttribute(pool(context)?, attribute, (&raw mut value).cast()) }.result().w()?;
    Ok(())
}

/// A card through candle's device.
pub(super) struct Nvidia(pub(super) CudaDevice);

impl Driver for Nvidia {
    fn device(&self) -> Device {
        Device::Cuda(self.0.clone())
    }

    fn launch(&self, real: DType, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        let (module, source) = if real == DType::BF16 { ("recollect_bf16", BF16) } else { ("recollect_f32", F32) };
        let function = self.0.get_or_load_custom_func(kernel, module, source)?;
        if grid.shared_bytes > FREE_SHARED_BYTES {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function.set_attribute(attribute, grid.shared_bytes as i32).map_err(|error| {
                let found = format!("{} KiB of shared memory for {kernel} ({error})", grid.shared_bytes >> 10);
                Error::invalid("the card", found, "this model's heads are too large for it: set run.device to \"cpu\"")
            })?;
        }
        let mut builder = function.builder();
        for argument in arguments {
            match argument {
                Argument::Address(value) | Argument::Count(value) => builder.arg(value),
                Argument::Int(value) => builder.arg(value),
                Argument::Float(value) => builder.arg(value),
            };
        }
        let config = LaunchConfig {
            grid_dim: (grid.blocks[0] as u32, grid.blocks[1] as u32, 1),
            block_dim: (grid.threads as u32, 1, 1),
            shared_mem_bytes: grid.shared_bytes as u32,
        };
        // SAFETY: the arguments have the types that the kernel declares, and its pointers the sizes: the tests run these
        // same launches where every access outside of them shows.
        unsafe { builder.launch(config) }.w()?;
        Ok(())
    }

    fn multiply(&self, out: &CudaMatrix, a: &CudaMatrix, b: &CudaMatrix, scale: f32, write: Write) -> Result<()> {
        let operation = |matrix: &CudaMatrix| {
            if matrix.transposed { blas::cublasOperation_t::CUBLAS_OP_T } else { blas::cublasOperation_t::CUBLAS_OP_N }
        };
        let kind = |dtype: DType| match dtype {
            DType::BF16 => blas::cudaDataType::CUDA_R_16BF,
            _ => blas::cudaDataType::CUDA_R_32F,
        };
        let beta = f32::from(u8::from(write == Write::Add));
        // cuBLAS counts columns first: it sees the transpose of every matrix, and out^T = b^T a^T.
        // SAFETY: `check` has compared sizes and types; the views are inside of tensors that live.
        unsafe {
            gemm_ex(
                *self.0.cublas_handle().handle(),
                operation(b),
                operation(a),
                out.columns as i32,
                out.rows as i32,
                a.columns as i32,
                (&raw const scale).cast(),
                b.start.0 as *const _,
                kind(b.dtype),
                b.step as i32,
                a.start.0 as *const _,
                kind(a.dtype),
                a.step as i32,
                (&raw const beta).cast(),
                out.start.0 as *mut _,
                kind(out.dtype),
                out.step as i32,
                blas::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                blas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .w()?;
        Ok(())
    }

    fn empty(&self, shape: Shape, dtype: DType) -> Result<Tensor> {
        // SAFETY: `CudaDevice::empty` is for what a kernel is about to write whole.
        let storage = unsafe { self.0.alloc_uninit(&shape, dtype)? };
        Ok(Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false))
    }

    fn write(&self, place: Address, values: &[u32]) -> Result<()> {
        let stream = self.0.cuda_stream();
        stream.context().bind_to_thread().w()?;
        // SAFETY: `CudaDevice::overwrite` has compared the sizes; pageable memory is read before the call returns.
        unsafe { driver::result::memcpy_htod_async(place.0, values, stream.cu_stream()) }.w()?;
        Ok(())
    }

    fn sibling(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(Nvidia(open(self.0.cuda_stream().context().ordinal())?)))
    }

    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Recording>>> {
        let stream = self.0.cuda_stream();
        // Others may use the card meanwhile, on streams of their own.
        stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).w()?;
        let worked = work();
        // Ends the capture in any case.
        let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0));
        worked?;
        Ok(graph.w()?.map(|graph| Box::new(Graph(graph)) as Box<dyn Recording>))
    }

    fn free_memory(&self) -> Result<usize> {
        Ok(memory(&self.0)?.free)
    }
}

/// A recorded graph of launches.
struct Graph(CudaGraph);

// SAFETY: a graph may go from thread to thread, used by one at a time; it is never shared.
unsafe impl Send for Graph {}

impl Recording for Graph {
    fn repeat(&self) -> Result<()> {
        Ok(self.0.launch().w()?)
    }
}
