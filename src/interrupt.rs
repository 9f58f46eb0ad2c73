//! Ctrl-C, SIGTERM and SIGHUP: a flag that long loops look at between steps.

#[cfg(feature = "cli")]
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
    ///
    /// # Errors
    /// A handler that is there already.
    #[cfg(feature = "cli")]
    pub fn install(again: fn()) -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let handle = interrupt.clone();
        let handler = move || {
            if handle.requested.swap(true, Ordering::SeqCst) {
                again();
            }
        };
        listen(handler)
            .map_err(|error| Error::invalid("signals", error.to_string(), "install one handler in a process"))?;
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
    ///
    /// # Errors
    /// A stop was asked for.
    pub fn check(&self, saved: &str) -> Result<()> {
        if self.requested() { Err(Error::Interrupted(saved.to_string())) } else { Ok(()) }
    }
}

/// Calls the handler, on a thread of its own, for every signal that asks to stop and is not ignored.
#[cfg(feature = "cli")]
fn listen(handler: impl FnMut() + Send + 'static) -> io::Result<()> {
    #[cfg(unix)]
    let ignored = Ignored::now();
    let outcome = ctrlc::set_handler(handler).map_err(io::Error::other);
    #[cfg(unix)]
    ignored.restore();
    outcome
}

/// The signals that this process ignores. They are held back as long as this is there.
#[cfg(all(unix, feature = "cli"))]
struct Ignored {
    signals: Vec<i32>,
    before: libc::sigset_t,
}

#[cfg(all(unix, feature = "cli"))]
impl Ignored {
    fn now() -> Ignored {
        // SAFETY: what a signal does now is written to a structure on the stack and not changed, and a set of signals on
        // the stack is added to what this thread blocks.
        unsafe {
            let is_ignored = |signal: &i32| {
                let mut now: libc::sigaction = std::mem::zeroed();
                libc::sigaction(*signal, std::ptr::null(), &raw mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
            };
            let signals: Vec<i32> =
                [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].into_iter().filter(is_ignored).collect();
            let (mut set, mut before): (libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in &signals {
                libc::sigaddset(&raw mut set, *signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
            Ignored { signals, before }
        }
    }

    /// Ignores them again, those among them that have come in the meantime.
    fn restore(self) {
        // SAFETY: no handler is involved, and this thread gets back the set that it had.
        unsafe {
            for signal in self.signals {
                libc::signal(signal, libc::SIG_IGN);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut());
        }
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
