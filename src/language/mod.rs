//! Between text and token ids: the tokenizer, and the one format in which questions, traces and answers stand.

pub mod format;
pub mod reading;
pub mod tokenizer;

pub use format::{Opening, prompt};
pub use reading::Reading;
pub use tokenizer::Tokenizer;
