//! Measuring a policy: the ways of answering (arms), one record per answered question, and what many records
//! say together, with intervals and paired tests. Nothing here samples, reads files or prints.

pub mod arm;
pub mod arm_result;
pub mod at_k;
pub mod beside;
pub mod by_task;
#[cfg(test)]
pub(crate) mod fixture;
pub mod merge_runs;
pub mod pairs;
pub mod perplexity;
pub mod record;
pub mod requirement;
pub mod run_info;
pub mod scaling;
pub mod summary;
pub mod sweep;
pub mod verification;

pub use arm::{Arm, ExtraPassages, PromptMode, Training};
pub use arm_result::{ArmResult, InRun, mean_over_forms, tally};
pub use at_k::{AtK, EqualTokens, Selection, at_equal_tokens, at_k};
pub use beside::{ArmBeside, BesideFirst, beside};
pub use by_task::{Pooled, TaskResult};
pub use merge_runs::{RunResult, merge_runs};
pub use pairs::{AgainstBaseline, MatchedArms, Pairs, matched_arms};
pub use perplexity::{PolicyPerplexity, TextScore};
pub use record::Answered;
pub use requirement::Requirement;
pub use run_info::{ArmCost, Curves, LearningPoint, RunInfo, StageBudget, StageTime, Touched, TrainingPoint};
pub use scaling::{Measure, Scaling, scaling};
pub use summary::Summary;
pub use sweep::{Cost, MeasuredCell, Setting, SweepSummary, described};
pub use verification::Verification;
