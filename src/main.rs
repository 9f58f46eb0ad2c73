//! The command line of recollect.

mod cli;

use std::process::ExitCode;

use recollect::kernels::keep_freed_memory;

fn main() -> ExitCode {
    keep_freed_memory();
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::output::fail(&error),
    }
}
