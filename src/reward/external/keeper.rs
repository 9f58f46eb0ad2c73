//! Processes that do not outlive this one, however it ends.
//!
//! On Linux a second process of this program stands between a command and the run: its keeper. Whatever the command
//! starts is a descendant of the keeper, also what makes itself a daemon, because orphans are given to the keeper
//! (`PR_SET_CHILD_SUBREAPER`). When the run ends, by `kill -9` too, the system sends the keeper a signal
//! (`PR_SET_PDEATHSIG`), and the keeper kills all of its descendants. When the command ends, it kills what is left of
//! them. The command speaks with the run directly: the pipes are passed on.
//!
//! A program has keepers when its `main` begins with [`begin`]; without it, and elsewhere than on Linux, a command runs in
//! a process group that is killed as a whole, and on Linux it dies with the run.

use std::io;
use std::process::{Child, Command, ExitCode};

#[cfg(target_os = "linux")]
mod linux;

/// To be called first in `main`. Where this process was started as a keeper, it is one until its command has ended, and
/// the exit code is what `main` should return. Otherwise commands have keepers from now on.
pub fn begin() -> Option<ExitCode> {
    #[cfg(target_os = "linux")]
    return linux::begin();
    #[cfg(not(target_os = "linux"))]
    None
}

/// Starts a program. `prepare` sets what else the command needs.
pub(super) fn spawn(program: &str, arguments: &[String], prepare: impl FnOnce(&mut Command)) -> io::Result<Child> {
    #[cfg(target_os = "linux")]
    return linux::spawn(program, arguments, prepare);
    #[cfg(not(target_os = "linux"))]
    {
        let mut command = Command::new(program);
        command.args(arguments);
        prepare(&mut command);
        // A group of its own is killed as a whole, and Ctrl-C at the terminal does not reach it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn()
    }
}

/// Kills a child and everything that it started, as far as the system lets that be found.
pub(super) fn end(child: &mut Child) {
    #[cfg(target_os = "linux")]
    if linux::has_ended(child) {
        return;
    }
    #[cfg(unix)]
    // SAFETY: sends a signal and touches no memory. The child has not been waited for, so its number is still its own,
    // and so is that of the group.
    unsafe {
        libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL);
    }
    // Where there are no groups, and harmless where there are. Nothing can be done about a child that lives on.
    drop(child.kill());
    drop(child.wait());
}
