//! Between text and token ids: the tokenizer, and the one format in which questions, traces and answers stand.

pub mod format;
pub mod tokenizer;

pub use format::{Ask, Format};
pub use tokenizer::Tokenizer;
