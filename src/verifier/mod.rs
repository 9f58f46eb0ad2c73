//! Reads an answer and a trace, and decides what is right in them.

pub mod argument;
pub mod facts;
pub mod grounding;
pub mod judge;
pub mod judgement;

pub use facts::Facts;
pub use grounding::Grounding;
pub use judge::judge;
pub use judgement::{Judgement, Recitation};
