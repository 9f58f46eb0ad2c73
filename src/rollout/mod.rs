//! Sampling: token ids in, token ids out.

pub mod request;

pub use request::{Completion, Finish, Request};
