//! What came of a run, for people: a table for the terminal, one self-contained page for the browser, and Markdown.
//! All are made from a [`Summary`](crate::evaluation::Summary) alone; the page also holds the recorded answers.

mod arms_table;
mod bars;
mod by_task;
mod curves;
#[cfg(test)]
pub(crate) mod fixture;
mod html;
mod markdown;
mod numbers;
mod plot;
mod reader;
mod story;
mod sweep;
mod table;
mod words;

pub use arms_table::same_way_table;
pub use html::page;
pub use markdown::markdown;
pub use story::{Story, equal_questions};
pub use sweep::{sweep_page, sweep_table};
pub use table::table;
