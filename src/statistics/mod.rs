//! Intervals and tests: how far a number can be trusted.

pub mod interval;
pub mod mcnemar;
pub mod paired;

pub use interval::Interval;
