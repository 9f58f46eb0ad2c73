//! recollect: reinforcement learning that teaches a language model to recall what it already knows.
//!
//! Data flows one way: `experiment` reads a config, `knowledge` makes documents and questions, `policy` is
//! fine-tuned on the documents, `rollout` samples chains of thought, `verifier` and `reward` judge them,
//! `learner` updates the policy, `evaluation` and `report` say what came of it. What passes between rooms is
//! a plain value; nothing downstream calls upstream.

pub mod base;
pub mod config;
pub mod doctor;
pub mod error;
pub mod evaluate;
pub mod evaluation;
pub mod exchange;
pub mod experiment;
pub mod files;
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
pub mod statistics;
pub mod store;
pub mod strict_toml;
pub mod sweep;
pub mod telemetry;
pub mod text;
pub mod verifier;

pub use error::{Error, Result};
