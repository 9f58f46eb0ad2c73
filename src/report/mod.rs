//! What came of a run, for people: a table for the terminal, one self-contained page for the browser, and Markdown.
//! All are made from a [`Summary`](crate::evaluation::Summary) alone; the page also holds the recorded answers.

#[cfg(feature = "cli")]
mod arms_table;
mod bars;
mod by_task;
mod curves;
mod findings;
#[cfg(test)]
pub(crate) mod fixture;
mod html;
mod markdown;
mod numbers;
mod plot;
mod reader;
mod sweep;
#[cfg(feature = "cli")]
mod table;
mod words;

#[cfg(feature = "cli")]
pub use arms_table::same_way_table;
pub use findings::{Findings, equal_questions};
pub use html::page;
pub use markdown::markdown;
pub use sweep::sweep_page;
#[cfg(feature = "cli")]
pub use sweep::sweep_table;
#[cfg(feature = "cli")]
pub use table::table;
