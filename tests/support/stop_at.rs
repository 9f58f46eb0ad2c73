//! A run that stops itself.

use recollect::interrupt::Interrupt;
use recollect::telemetry::{Meter, Progress};

/// Asks to stop as soon as a piece of work has got so far.
pub struct StopAt {
    pub interrupt: Interrupt,
    pub work: &'static str,
    pub done: u64,
}

struct Watch(Option<(Interrupt, u64)>);

impl Progress for StopAt {
    fn begin(&self, name: &str, _: &str, _: u64, _: u64) -> Box<dyn Meter> {
        Box::new(Watch((name == self.work).then(|| (self.interrupt.clone(), self.done))))
    }

    fn tell(&self, _: &str) {}
}

impl Meter for Watch {
    fn set(&mut self, done: u64) {
        if let Some((interrupt, _)) = self.0.as_ref().filter(|(_, stop)| done == *stop) {
            interrupt.request();
        }
    }

    fn note(&mut self, _: &str) {}
}
