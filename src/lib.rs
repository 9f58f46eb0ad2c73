//! recollect: reinforcement learning that teaches a language model to recall what it already knows.
//!
//! Data flows one way: `config` says what is wanted, `knowledge` makes documents and questions, `experiment` puts the
//! stages in their order and fine-tunes `policy` on the documents, `rl` has chains of thought sampled by `rollout`, judged by
//! `verifier` and `reward`, and learned from by `learner`, while `monitor` watches; `evaluate` puts the questions to what
//! came of it, `evaluation` and `report` say what that means, and `sweep` does all of it for many configs. `store` keeps what
//! each of them leaves on disk. What passes between rooms is a plain value; nothing downstream calls upstream.

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
