//! Texts from files, models and commands: as they are compared, and as they may be shown; and how numbers are written.

mod numbers;
mod shown;
mod words;
mod wrap;

pub use numbers::grouped;
#[cfg(test)]
pub(crate) use shown::tests;
pub use shown::{excerpt, is_hidden, one_line, printable, short_line};
pub use words::{TextWord, bare, capital, compatible, composed, unwrapped, words};
pub use wrap::wrapped;
