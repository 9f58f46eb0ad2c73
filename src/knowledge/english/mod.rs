//! Knowledge in fluent English: facts with the sentences that word them, and worlds that are made of them.

pub mod claim_reader;
pub mod fact_book;

pub use claim_reader::ClaimReader;
pub use fact_book::{FactBook, Relation, WrittenFact};
