//! The transformer that is trained.

pub mod config;
pub mod snapshot;

pub use config::{Family, ModelConfig};
pub use snapshot::{Snapshot, Weight};
