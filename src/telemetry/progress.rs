//! How long-running work tells that it goes on. The library only speaks to these traits; who listens prints.

use std::sync::Arc;

/// Someone who wants to know how far the work is.
pub trait Progress: Send + Sync {
    /// A piece of work begins: its name ("fine-tuning"), how many units of what it has ("steps") and how many of
    /// them a former run has already done. It ends when the meter is dropped.
    fn begin(&self, name: &str, unit: &str, done: u64, total: u64) -> Box<dyn Meter>;

    /// Something that is worth a line of its own ("base evaluation: 0.16 on B").
    fn tell(&self, text: &str);
}

/// One piece of work in progress.
pub trait Meter: Send {
    /// So many units are done, those of former runs included.
    fn set(&mut self, done: u64);

    /// A few words about how it goes ("reward 0.41"), shown beside the rest.
    fn note(&mut self, text: &str);
}

/// Several may speak to one listener.
impl<P: Progress + ?Sized> Progress for Arc<P> {
    fn begin(&self, name: &str, unit: &str, done: u64, total: u64) -> Box<dyn Meter> {
        (**self).begin(name, unit, done, total)
    }

    fn tell(&self, text: &str) {
        (**self).tell(text);
    }
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: &str, _: u64, _: u64) -> Box<dyn Meter> {
        Box::new(Silent)
    }

    fn tell(&self, _: &str) {}
}

impl Meter for Silent {
    fn set(&mut self, _: u64) {}

    fn note(&mut self, _: &str) {}
}
