//! Measuring a policy: the ways of answering (arms), one record per answered question, and what many records
//! say together, with intervals and paired tests. Nothing here samples, reads files or prints.

pub mod against;
pub mod arm;
pub mod pooled;
pub mod record;
pub mod requirement;
pub mod run_info;
pub mod same_way;
pub mod scaling;
pub mod summary;
pub mod sweep;
pub mod together;
pub mod verification;

pub use against::{AgainstBaseline, Pairs};
pub use arm::{Arm, ExtraPassages, Training, PromptMode};
pub use pooled::{Pooled, TaskResult};
pub use record::Answered;
pub use requirement::Requirement;
pub use run_info::{ArmCost, Curves, RunInfo, StageTime, Touched, TrainingPoint};
pub use same_way::{MatchedArms, same_way};
pub use scaling::{Measure, Scaling, scaling};
pub use summary::{ArmResult, InRun, Summary, tally};
pub use sweep::{Cost, MeasuredCell, Setting, SweepSummary};
pub use together::{RunResult, together};
pub use verification::Verification;
