//! What a completion is worth: terms from a file under `rewards/`, each a number from 0 to 1, added up by weight.

pub mod config;
pub mod score;
pub mod term;

pub use score::{Reward, Score, TermScore, Weighted};
pub use term::{Evidence, Term};
