//! The terms that have parameters.

pub mod correct;
pub mod model;
pub mod pattern;
pub mod recited;
pub mod wording;

pub use correct::{Correct, Credit};
pub use model::ModelTerm;
pub use pattern::{MatchedPart, RegexTerm, SearchPattern};
pub use recited::{Claims, Counted, Groundedness, Relevance, Truth};
pub use wording::{Length, LengthShape, Repetition};

/// A part of a whole, from 0 to 1; 0 where there is no whole.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}
