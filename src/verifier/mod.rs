//! Reads an answer and a trace, and decides what is right in them.

pub mod judgement;

pub use judgement::{Judgement, Recitation};
