//! Texts from files, models and commands: as they are compared, and as they may be shown.

mod shown;
mod words;

#[cfg(test)]
pub(crate) use shown::tests;
pub use shown::{excerpt, is_hidden, one_line, printable, short_line};
pub use words::{TextWord, bare, compatible, composed, unwrapped, words};
