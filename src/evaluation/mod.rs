//! Measuring a policy: the ways of answering (arms), one record per answered question, and what many records
//! say together, with intervals and paired tests. Nothing here samples, reads files or prints.

pub mod record;
pub mod requirement;
pub mod run_info;
pub mod summary;
pub mod sweep;

pub use record::{Answered, Arm};
pub use requirement::Requirement;
pub use run_info::{Curves, RunInfo, StageTime, TrainingPoint};
pub use summary::{AgainstBaseline, ArmResult, Pooled, Summary, tally};
pub use sweep::{Cost, Measured, Setting, SweepSummary};
