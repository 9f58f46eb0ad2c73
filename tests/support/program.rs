//! The program, which shares nothing with other runs of the machine: what a test asks for is made.

use std::process::Command;

/// A command that runs it.
pub fn recollect() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recollect"));
    command.env("RECOLLECT_CACHE", "off");
    // Tests may have been started to ignore signals, as what a shell runs in the background is, and the program would do so, too.
    #[cfg(unix)]
    // SAFETY: allowed between fork and exec, and touches nothing of this process.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command
}
