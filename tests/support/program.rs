//! The program, which shares nothing with other runs of the machine: what a test asks for is made.

use std::process::Command;

/// A command that runs it.
pub fn recollect() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recollect"));
    command.env("RECOLLECT_CACHE", "off");
    command
}
