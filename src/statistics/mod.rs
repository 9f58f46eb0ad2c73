//! Intervals and tests: how far a number can be trusted.

pub mod bootstrap;
pub mod holm;
pub mod interval;
pub mod mcnemar;
pub mod paired;
pub mod pass_at_k;
pub mod seeds;
mod student;

pub use interval::Interval;
