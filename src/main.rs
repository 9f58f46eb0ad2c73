//! The command line of recollect.

mod cli;

use std::process::ExitCode;

use recollect::interrupt::files_too_large_are_errors;
use recollect::kernels::{Allocator, keep_freed_memory};
use recollect::reward::external::keeper;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    if let Some(code) = keeper::begin() {
        return code;
    }
    keep_freed_memory();
    files_too_large_are_errors();
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::output::fail(&error),
    }
}
