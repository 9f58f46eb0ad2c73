//! What the documentation says is so: its tables are what the program computes, the reference of keys is what the code
//! has, links lead somewhere, and every command runs. `RECOLLECT_WRITE=1 cargo test --release --test documented` writes
//! the reference of keys anew.

mod commands;
mod keys;
mod links;
mod markdown;
mod source;
mod tables;
