//! Knowledge in fluent English: facts with the sentences that word them, and worlds that are made of them.

pub mod fact_book;
pub mod world;

pub use fact_book::{FactBook, Relation, WrittenFact};
