//! The terms that have parameters, a file each.

pub mod correct;
pub mod groundedness;
pub mod length;
pub mod relevance;
pub mod repetition;

pub use correct::{Correct, Credit};
pub use groundedness::{Claims, Groundedness};
pub use length::{Length, LengthShape};
pub use relevance::{Counted, Relevance};
pub use repetition::Repetition;

/// A part of a whole, from 0 to 1; 0 where there is no whole.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}
