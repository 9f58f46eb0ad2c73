//! Facts, the documents that state them, and the questions that ask for them, split into the sets A, B and C.

pub mod answers;
pub mod audit;
pub mod codebook;
pub mod curriculum;
pub mod grammar;
pub mod held_out;
pub mod hierarchy;
pub mod jsonl;
pub mod leak;
pub mod lexicon;
pub mod library;
pub mod logic;
pub mod number;
pub mod question;
pub mod reversal;
pub mod source;
pub mod syllogism;
pub mod world;

pub use answers::{Key, Match};
pub use held_out::Division;
pub use jsonl::Jsonl;
pub use library::Library;
pub use question::{Claim, Form, Mood, Question, Set, Task};
pub use source::Knowledge;
pub use world::{KnownConfig, SetSize, World, WorldConfig};
