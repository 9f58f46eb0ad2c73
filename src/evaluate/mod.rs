//! Puts questions to policies, arm by arm, and keeps what they answer.

mod comparison;
mod cost;
mod evaluation;
pub mod examiner;
mod forgetting;
mod leaks;
mod likelihood;
mod made_run;
mod measuring;
#[cfg(test)]
mod oracle;
pub(crate) mod prompts;
mod report;
mod trainings;

pub use comparison::{Comparison, compare};
pub use evaluation::{eval, evaluate};
pub use measuring::Measuring;
pub use report::{Reported, report, report_together};
