//! Ctrl-C and SIGTERM: a flag that long loops look at between steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// Whether the user asked to stop. Clones share one flag; a fresh one never fires by itself.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// A flag that Ctrl-C, SIGTERM and SIGHUP raise. `again` is called if they come a second time, for a user who
    /// does not want to wait; it should end the process. To be called once in a process.
    pub fn install(again: fn()) -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let handle = interrupt.clone();
        let handler = move || {
            if handle.requested.swap(true, Ordering::SeqCst) {
                again();
            }
        };
        ctrlc::set_handler(handler)
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
    pub fn check(&self, saved: &str) -> Result<()> {
        if self.requested() { Err(Error::Interrupted(saved.to_string())) } else { Ok(()) }
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
