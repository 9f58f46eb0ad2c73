//! How the rows of a batch divide into sequences.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Sequences of rows without padding, one after the other. One that many others begin with, as a prompt does with its
/// completions, stands there once: it is their prefix, and they are its continuations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    sequences: Vec<Sequence>,
    /// Rows of the newest sequence that is no continuation.
    prefix: Range<usize>,
}

/// Rows that follow each other; the first of them follows the last of the prefix, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// The rows of its own.
    pub rows: Range<usize>,
    /// The rows that come before them. No sequence with a prefix is one itself.
    pub prefix: Range<usize>,
}

impl Sequence {
    /// How many positions it reaches, the prefix's included.
    pub fn positions(&self) -> usize {
        self.prefix.len() + self.rows.len()
    }
}

impl Layout {
    /// Appends a sequence that begins with its first row.
    pub fn push(&mut self, length: usize) {
        self.prefix = self.append(length, 0..0);
    }

    /// Appends one that goes on from the end of the newest that was pushed.
    pub fn continuation(&mut self, length: usize) {
        self.append(length, self.prefix.clone());
    }

    fn append(&mut self, length: usize, prefix: Range<usize>) -> Range<usize> {
        let rows = self.rows()..self.rows() + length;
        self.sequences.push(Sequence { rows: rows.clone(), prefix });
        rows
    }

    /// Rows of all sequences, each prefix counted once.
    pub fn rows(&self) -> usize {
        self.sequences.last().map_or(0, |sequence| sequence.rows.end)
    }

    /// The most positions that one sequence reaches.
    pub fn longest(&self) -> usize {
        self.sequences.iter().map(Sequence::positions).max().unwrap_or(0)
    }

    /// All sequences in the order of their rows.
    pub fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }

    /// Every sequence that is no continuation, together with its continuations.
    pub fn prefix_groups(&self) -> impl Iterator<Item = &[Sequence]> {
        self.sequences.chunk_by(|_, next| !next.prefix.is_empty())
    }
}

impl FromIterator<usize> for Layout {
    /// Sequences of these lengths that share nothing.
    fn from_iter<I: IntoIterator<Item = usize>>(lengths: I) -> Layout {
        let mut layout = Layout::default();
        lengths.into_iter().for_each(|length| layout.push(length));
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_follow_the_newest_sequence_that_is_none() {
        let mut layout: Layout = [3, 2].into_iter().collect();
        layout.continuation(4);
        layout.continuation(1);
        layout.push(0);
        layout.continuation(2);
        let found: Vec<_> = layout.sequences().iter().map(|s| (s.rows.clone(), s.prefix.clone())).collect();
        assert_eq!(found, [(0..3, 0..0), (3..5, 0..0), (5..9, 3..5), (9..10, 3..5), (10..10, 0..0), (10..12, 10..10)]);
        assert_eq!((layout.rows(), layout.longest()), (12, 6));
        assert_eq!(layout.prefix_groups().map(<[_]>::len).collect::<Vec<_>>(), [1, 3, 1, 1]);
        assert_eq!((Layout::default().rows(), Layout::default().longest()), (0, 0));
    }
}
