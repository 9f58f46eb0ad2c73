//! Between text and token ids: the tokenizer, and the one format in which questions, traces and answers stand.
//!
//! A tokenizer of recollect's own has a token for every marker of the format. One from elsewhere spells the markers in
//! pieces, ends a completion as its model was taught to, and may come with a chat template, which then frames a prompt.

pub mod chat;
pub mod format;
mod gguf;
pub mod keys;
mod loading;
mod merges;
mod prompts;
pub mod prose;
pub mod reading;
mod saving;
pub mod tokenizer;
mod tokenizer_config;

pub use chat::Chat;
pub use format::{Opening, prompt};
pub use prompts::{Day, PromptConfig};
pub use reading::Reading;
pub use tokenizer::Tokenizer;
