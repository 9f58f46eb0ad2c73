//! What a completion is worth: terms from a file under `rewards/`, each a number from 0 to 1, added up by weight; and
//! what another reward would have paid for completions that were recorded.

pub mod config;
mod edit;
pub mod examples;
pub mod external;
pub mod record;
pub mod rescore;
pub mod score;
pub mod scorer;
pub mod term;
pub mod terms;

pub use edit::changed;
pub use external::{External, Failure};
pub use record::{Record, SampledBy};
pub use score::{Normalise, Reward, Score, TermScore, Weighted};
pub use scorer::Scorer;
pub use term::{Term, TermInput};
