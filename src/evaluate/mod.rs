//! Puts questions to policies, arm by arm, and keeps what they answer.

mod asking;
mod comparison;
mod cost;
mod evaluation;
pub mod examiner;
mod export;
mod forgetting;
mod judge;
mod leaks;
mod likelihood;
mod made_run;
mod measuring;
#[cfg(test)]
mod oracle;
pub(crate) mod prompts;
mod report;
mod trainings;

pub use asking::{AskOptions, AskedPolicy, GivenAnswer, GivenAnswers};
pub use comparison::{Comparison, compare};
pub use evaluation::{eval, evaluate};
pub use export::{Exported, export, export_gguf};
pub use judge::JudgingPolicy;
pub use made_run::OpenPolicy;
pub use measuring::Measuring;
pub use report::{Reported, report, report_together, side_by_side};
