//! What codes are like.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Words in the longest message that a question may have. The choices are all messages that it may mean, so their
/// number grows with this power.
pub const LONGEST: usize = 3;

/// The most entries of a code that are held out: what a message may mean grows with a power of it.
const MOST_HELD_OUT: usize = 16;

/// What a base knows of codes, and what the codes of all sets are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodebookConfig {
    /// Codes in set C; a base of 0 does not know what a code is.
    pub codes: usize,
    /// Entries of a code.
    pub entries: usize,
    /// How many of them never occur in a message of a document.
    pub held_out: usize,
    /// Words of the messages that are asked for.
    pub lengths: Vec<usize>,
}

impl Default for CodebookConfig {
    fn default() -> Self {
        Self { codes: 0, entries: 6, held_out: 3, lengths: vec![1, 2] }
    }
}

impl CodebookConfig {
    pub(super) fn check(&self, codes: usize) -> Result<()> {
        let refuse = |found: String, allowed: String| Err(Error::invalid("known.codebook", found, allowed));
        if codes > 0 && !(1..=self.entries.min(MOST_HELD_OUT)).contains(&self.held_out) {
            let found = format!("held_out = {} of entries = {}", self.held_out, self.entries);
            return refuse(
                found,
                "questions are about what is held out: 1 or more, at most all entries, and 16".into(),
            );
        }
        let longest = LONGEST.min(self.held_out);
        if codes > 0 && (self.lengths.is_empty() || self.lengths.iter().any(|n| !(1..=longest).contains(n))) {
            return refuse(format!("lengths = {:?}", self.lengths), format!("a list of lengths from 1 to {longest}"));
        }
        Ok(())
    }
}
