// The map is for readers of the documentation: a build does not wait for it.
#![cfg_attr(doc, doc = include_str!("README.md"))]
// No panic on any input, and nothing printed but by `cli/`.
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used))]

pub mod base;
pub mod config;
pub mod doctor;
pub mod error;
pub mod evaluate;
pub mod evaluation;
pub mod exchange;
pub mod experiment;
pub mod files;
pub mod gguf;
pub mod interrupt;
pub mod kernels;
pub mod knowledge;
pub mod language;
pub mod learner;
pub mod monitor;
pub mod policy;
pub mod random;
pub mod report;
pub mod reward;
pub mod rl;
pub mod rollout;
#[cfg(feature = "serve")]
pub mod serve;
pub mod shipped;
pub mod statistics;
pub mod store;
pub mod strict_toml;
pub mod sweep;
pub mod telemetry;
pub mod text;
pub mod verifier;

pub use error::{Error, Result};
