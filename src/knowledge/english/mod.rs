//! Knowledge in fluent English: facts with the sentences that word them, and worlds that are made of them.

pub mod claim_reader;
pub mod fact_book;
mod needed;
mod propose;
mod rules_of_thumb;
pub mod world;

pub use claim_reader::ClaimReader;
pub use fact_book::{FactBook, Relation, WrittenFact};
pub use propose::{Proposal, propose};
pub use rules_of_thumb::shortcuts;
