//! From rewards and lessons to new weights. An algorithm is a value; the loss is a pure function of per-token numbers
//! and a normaliser that is handed in, and knows nothing of where rollouts come from.
//!
#![doc = include_str!("algorithms.md")]

pub mod advantage;
pub mod algorithm;
pub mod gae;
pub mod loss;
pub mod objective;
pub mod optimizer;
pub mod parallel;
pub mod policy_gradient;
pub mod preflight;
pub mod ratio;
pub mod supervised;
mod token_batch;
pub mod weights;

pub use advantage::{Advantage, Advantages};
pub use algorithm::Algorithm;
pub use gae::{Critic, Gae, HeadLoss, TokenAdvantages};
pub use loss::{Loss, Statistics, Tokens, ValueTargets, policy_loss, value_loss};
pub use objective::{Objective, Parallelism, RemoteRanks, RemoteShare};
pub use optimizer::{Optimizer, OptimizerConfig, Scales, Schedule};
pub use ratio::{Clip, ClipRange, Estimator, Penalty, Ratio};
pub use token_batch::TokenBatch;
pub use weights::{Aggregation, CreditAssignment, Filter, GradientOn, Keep, TokenWeights, TraceLength};
