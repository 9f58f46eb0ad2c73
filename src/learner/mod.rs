//! From rewards and lessons to new weights. An algorithm is a value; the loss is a pure function of per-token numbers
//! and a normaliser that is handed in, and knows nothing of where rollouts come from.
//!
#![doc = include_str!("algorithms.md")]

pub mod advantage;
pub mod aggregation;
pub mod algorithm;
pub mod critic;
pub mod divergence;
pub mod filter;
pub mod gae;
pub mod loss;
pub mod objective;
pub mod optimizer;
pub mod parallel;
pub mod policy_gradient;
pub mod preflight;
pub mod ratio;
pub mod schedule;
pub mod supervised;
mod token_batch;

pub use advantage::{Advantage, Advantages};
pub use aggregation::{Aggregation, GradientOn, TokenWeights};
pub use algorithm::Algorithm;
pub use critic::{Critic, HeadLoss};
pub use divergence::{Estimator, Penalty};
pub use filter::{Filter, Keep};
pub use gae::{Gae, GaeOutput};
pub use loss::{Loss, Statistics, Tokens, ValueTargets, policy_loss, value_loss};
pub use objective::{GradWorker, Objective, Parallelism, RemoteRanks};
pub use optimizer::{Optimizer, OptimizerConfig, Scales};
pub use ratio::{Clip, ClipRange, Ratio};
pub use schedule::Schedule;
pub use token_batch::TokenBatch;
