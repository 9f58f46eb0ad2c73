//! What came of a run or a sweep, for people: tables and words for the terminal, one self-contained page for the browser, and
//! Markdown. All are made from a [`Summary`](crate::evaluation::Summary) or a
//! [`SweepSummary`](crate::evaluation::SweepSummary) alone; the page also holds the recorded answers.

mod bars;
mod card;
mod compare;
mod curves;
mod findings;
#[cfg(test)]
pub(crate) mod fixture;
mod forgetting;
mod html;
mod plot;
mod reader;
mod sweep;
mod table;
mod tables;
mod text;
mod words;

pub use card::{ModelCard, model_card};
#[cfg(feature = "cli")]
pub use compare::compare_table;
pub use compare::{RunBeside, compare_page};
pub use findings::{Findings, equal_questions};
pub use forgetting::forgetting;
pub use html::page;
pub use sweep::sweep_page;
#[cfg(feature = "cli")]
pub use sweep::sweep_table;
pub use table::{Column, ColumnOf, ShownTable, TableCell};
pub use text::markdown;
#[cfg(feature = "cli")]
pub use text::{matched_arms_table, table};
#[cfg(feature = "cli")]
pub use words::percent;
