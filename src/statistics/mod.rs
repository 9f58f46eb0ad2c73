//! Intervals and tests: how far a number can be trusted. `tests/statistics.rs` holds them to scipy and statsmodels.

pub mod bootstrap;
pub mod exact;
pub mod interval;
pub mod seeds;

pub use exact::{holm, mcnemar, pass_at_k};
pub use interval::{Interval, difference};
