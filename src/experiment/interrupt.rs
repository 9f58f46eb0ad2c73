//! Ctrl-C, SIGTERM and SIGHUP: a flag that long loops look at between steps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// Whether the user asked to stop. Clones share one flag; a fresh one never fires by itself.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// A flag that Ctrl-C, SIGTERM and SIGHUP raise, but for those of them that this process was started to ignore, as
    /// `nohup` does. `again` is called if they come a second time, for a user who does not want to wait; it should end
    /// the process. To be called once in a process.
    pub fn install(again: fn()) -> Result<Interrupt> {
        static INSTALLED: AtomicBool = AtomicBool::new(false);
        let interrupt = Interrupt::default();
        let handle = interrupt.clone();
        let handler = move || {
            if handle.requested.swap(true, Ordering::SeqCst) {
                again();
            }
        };
        let outcome = match INSTALLED.swap(true, Ordering::SeqCst) {
            true => Err(io::Error::other("they have a handler already")),
            false => listen(handler),
        };
        outcome.map_err(|error| Error::invalid("signals", error.to_string(), "install one handler in a process"))?;
        Ok(interrupt)
    }

    /// Asks to stop, as a signal would.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }

    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// An error once a stop was asked for; `saved` says what is safe and how to go on.
    pub fn check(&self, saved: &str) -> Result<()> {
        if self.requested() { Err(Error::Interrupted(saved.to_string())) } else { Ok(()) }
    }
}

/// Calls the handler, on a thread of its own, for every signal that asks to stop.
#[cfg(unix)]
fn listen(handler: impl Fn() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let heeded: Vec<i32> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)).collect();
    let mut signals = Signals::new(heeded)?;
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || signals.forever().for_each(|_| handler())).map(drop)
}

/// Calls the handler for Ctrl-C.
#[cfg(not(unix))]
fn listen(handler: impl FnMut() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(handler).map_err(io::Error::other)
}

/// Whether a signal does nothing to this process.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: what is set is not changed, and what it is now is written to a structure on the stack.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
    }
}

/// Has a write beyond the size that files may have (`ulimit -f`) fail, with an error that says so, where the system would
/// end the process.
pub fn files_too_large_are_errors() {
    #[cfg(unix)]
    // SAFETY: from here on the signal is ignored; no handler is involved.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_flag() {
        let interrupt = Interrupt::default();
        let clone = interrupt.clone();
        assert!(interrupt.check("nothing").is_ok());
        clone.request();
        assert!(interrupt.requested());
        assert_eq!(interrupt.check("step 3 is saved").unwrap_err().to_string(), "interrupted; step 3 is saved");
    }
}
