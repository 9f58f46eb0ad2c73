//! Reads an answer and a trace, and decides what is right in them.

pub mod grounding;
pub mod judge;
pub mod judgement;

pub use crate::knowledge::Facts;
pub use judge::judge;
pub use judgement::{Grounding, Judgement, Recitation};
