//! With the feature `cuda`, compiles the kernels for NVIDIA cards: a module of PTX for each type of activations, which
//! the driver turns into code for the card at hand. Without it there is nothing to do.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const SOURCES: &str = "src/kernels/cuda/source";
/// The oldest cards that the kernels run on: tensor cores with bf16.
const OLDEST: &str = "compute_80";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={SOURCES}");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    let (Some(_), Some(out)) = (env::var_os("CARGO_FEATURE_CUDA"), env::var_os("OUT_DIR")) else {
        return ExitCode::SUCCESS;
    };
    let nvcc = env::var_os("CUDA_HOME").map_or("nvcc".into(), |home| Path::new(&home).join("bin/nvcc"));
    for (module, define) in [("kernels_f32.ptx", "-DF32"), ("kernels_bf16.ptx", "-DBF16")] {
        if let Err(error) = compile(&nvcc, define, &Path::new(&out).join(module)) {
            println!("cargo::error={error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn compile(nvcc: &PathBuf, define: &str, module: &Path) -> Result<(), String> {
    let status = Command::new(nvcc)
        .args(["--ptx", "-std=c++17", "-O3", "-arch", OLDEST, define, "-o"])
        .arg(module)
        .arg(Path::new(SOURCES).join("kernels.cu"))
        .status()
        .map_err(|error| format!("{}: {error}; install the CUDA toolkit, or set CUDA_HOME to it", nvcc.display()))?;
    if status.success() { Ok(()) } else { Err(format!("{} could not compile {SOURCES}/kernels.cu", nvcc.display())) }
}
