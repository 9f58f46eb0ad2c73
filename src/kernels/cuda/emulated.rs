//! A card for tests where there is none: the kernels, compiled by the C++ compiler of the machine, run on the
//! processor with the launches and through the code that a card gets.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Shape, Tensor};
use half::bf16;
use libloading::Library;

use super::driver::{Argument, Driver, Grid, Recording};
use super::matrix::CudaMatrix;
use super::tensor::Address;
use crate::kernels::matrix::{self, Matrix, Write};
use crate::{Error, Result};

/// The compiled kernels for each type of activations.
#[derive(Clone)]
pub(crate) struct Emulator(Arc<[Library; 2]>);

/// As emulated.hpp declares it.
#[repr(C)]
struct Launch {
    blocks: [u32; 3],
    threads: u32,
    shared_bytes: u32,
}

type Emulate = unsafe extern "C" fn(*const Launch, *mut *mut c_void) -> *const c_char;

thread_local! {
    static ACTIVE: RefCell<Option<Emulator>> = const { RefCell::new(None) };
}

/// What plays the card on this thread.
pub(super) fn active() -> Option<Emulator> {
    ACTIVE.with_borrow(Clone::clone)
}

/// Lets tensors of the CPU count as tensors of a card while `test` runs on this thread. Where there is no C++ compiler
/// it says so and gives nothing.
pub(crate) fn on_card<R>(test: impl FnOnce() -> R) -> Option<R> {
    struct Ends;
    impl Drop for Ends {
        fn drop(&mut self) {
            ACTIVE.set(None);
        }
    }
    static EMULATOR: OnceLock<Option<Emulator>> = OnceLock::new();
    let emulator = EMULATOR.get_or_init(compile).clone()?;
    ACTIVE.set(Some(emulator));
    let _ends = Ends;
    Some(test())
}

/// Builds the libraries, once for each state of the sources.
fn compile() -> Option<Emulator> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels/cuda/source");
    let mut all = String::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&sources).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().for_each(|file| all += &std::fs::read_to_string(file).unwrap());
    let digest = crate::files::digest(all.as_bytes());
    let compiler = std::env::var("CXX").unwrap_or("c++".into());
    let build = |name: &str, define: &[&str]| -> Option<Library> {
        let library = std::env::current_exe().unwrap().with_file_name(format!("kernels-{name}-{}.so", &digest[..16]));
        if !library.exists() {
            let partial = library.with_extension(std::process::id().to_string());
            let built = Command::new(&compiler)
                .args(["-std=c++17", "-O2", "-U_FORTIFY_SOURCE", "-shared", "-fPIC", "-o"])
                .arg(&partial)
                .args(define)
                .arg(sources.join("emulated.cpp"))
                .output();
            let Ok(output) = built else {
                eprintln!("skipped: kernels for the card cannot be tested without a C++ compiler ({compiler})");
                return None;
            };
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            std::fs::rename(partial, &library).unwrap();
        }
        // SAFETY: our own code, without initialisers.
        Some(unsafe { Library::new(library) }.unwrap())
    };
    Some(Emulator(Arc::new([build("f32", &[])?, build("bf16", &["-DBF16"])?])))
}

impl Driver for Emulator {
    fn device(&self) -> Device {
        Device::Cpu
    }

    fn launch(&self, real: DType, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        let library = &self.0[usize::from(real == DType::BF16)];
        let launch = Launch {
            blocks: [grid.blocks[0] as u32, grid.blocks[1] as u32, 1],
            threads: grid.threads as u32,
            shared_bytes: grid.shared_bytes as u32,
        };
        let pointer = |argument: &Argument| match argument {
            Argument::Address(value) | Argument::Count(value) => std::ptr::from_ref(value).cast::<c_void>().cast_mut(),
            Argument::Int(value) => std::ptr::from_ref(value).cast::<c_void>().cast_mut(),
            Argument::Float(value) => std::ptr::from_ref(value).cast::<c_void>().cast_mut(),
        };
        let mut pointers: Vec<*mut c_void> = arguments.iter().map(pointer).collect();
        // SAFETY: as for a card.
        unsafe {
            let emulate = library.get::<Emulate>(format!("emulate_{kernel}").as_bytes()).unwrap();
            let error = emulate(&launch, pointers.as_mut_ptr());
            if error.is_null() {
                Ok(())
            } else {
                Err(Error::invalid(kernel, CStr::from_ptr(error).to_string_lossy(), "mend the kernel"))
            }
        }
    }

    fn write(&self, place: Address, values: &[u32]) -> Result<()> {
        // SAFETY: `CudaDevice::overwrite` has compared the sizes.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), place.0 as *mut u32, values.len()) };
        Ok(())
    }

    /// Values that show when a kernel forgets to write them.
    fn empty(&self, shape: Shape, dtype: DType) -> Result<Tensor> {
        Ok(match dtype {
            DType::U32 => Tensor::full(u32::MAX, shape, &Device::Cpu)?,
            _ => Tensor::full(f32::NAN, shape, &Device::Cpu)?.to_dtype(dtype)?,
        })
    }

    fn multiply(&self, out: &CudaMatrix, a: &CudaMatrix, b: &CudaMatrix, scale: f32, write: Write) -> Result<()> {
        let (left, right) = (values(a), values(b));
        let of = |matrix: &CudaMatrix, values| {
            if matrix.transposed {
                Matrix::new(values, matrix.columns, matrix.rows).transposed()
            } else {
                Matrix::new(values, matrix.rows, matrix.columns)
            }
        };
        let mut result = vec![0.0; out.rows * out.columns];
        matrix::multiply(&mut result, out.columns, of(a, &left), of(b, &right), Write::Replace);
        for (i, value) in result.into_iter().enumerate() {
            let at = i / out.columns * out.step + i % out.columns;
            // SAFETY: inside of the view.
            unsafe {
                match out.dtype {
                    DType::F32 => {
                        let place = (out.start.0 as *mut f32).add(at);
                        *place = scale * value + if write == Write::Add { *place } else { 0.0 };
                    }
                    _ => {
                        let place = (out.start.0 as *mut bf16).add(at);
                        let before = if write == Write::Add { (*place).to_f32() } else { 0.0 };
                        *place = bf16::from_f32(scale * value + before);
                    }
                }
            }
        }
        Ok(())
    }

    fn sibling(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(self.clone()))
    }

    fn record(&self, _: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Recording>>> {
        Ok(None)
    }

    fn free_memory(&self) -> Result<usize> {
        Ok(usize::MAX)
    }
}

/// The values of a matrix as they lie, without what is between its rows.
fn values(matrix: &CudaMatrix) -> Vec<f32> {
    let (rows, columns) = if matrix.transposed { (matrix.columns, matrix.rows) } else { (matrix.rows, matrix.columns) };
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| row * matrix.step + column));
    // SAFETY: inside of the view.
    let read = |at: usize| unsafe {
        match matrix.dtype {
            DType::F32 => *(matrix.start.0 as *const f32).add(at),
            _ => (*(matrix.start.0 as *const bf16).add(at)).to_f32(),
        }
    };
    places.map(read).collect()
}
