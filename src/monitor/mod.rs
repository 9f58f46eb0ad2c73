//! Watches a run that goes on, and says what goes wrong with it.

pub mod alarm;
pub mod health;
pub mod resources;
