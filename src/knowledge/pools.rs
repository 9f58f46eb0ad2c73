//! Names that are still free: what one set takes, no other has.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;

use super::lexicon::{Lexicon, Word};
use crate::Error;
use crate::random::Stream;

/// Free names by kind, each list in random order.
#[derive(Clone, Debug, Default)]
pub struct Pools(BTreeMap<&'static str, Vec<Word>>);

impl Pools {
    /// All names of these kinds, in random order.
    pub fn new(lexicon: &Lexicon, kinds: &[&'static str], random: &mut Stream) -> Self {
        let mut pools = Self::default();
        pools.add(lexicon, kinds);
        pools.shuffle(kinds, random);
        pools
    }

    /// All names of these kinds, in the order of the lexicon.
    pub fn add(&mut self, lexicon: &Lexicon, kinds: &[&'static str]) {
        self.0.extend(kinds.iter().map(|kind| (*kind, lexicon.names(kind).to_vec())));
    }

    pub fn shuffle(&mut self, kinds: &[&'static str], random: &mut Stream) {
        for kind in kinds {
            self.of(kind).shuffle(random);
        }
    }

    /// What is left of a kind.
    pub fn of(&mut self, kind: &'static str) -> &mut Vec<Word> {
        self.0.entry(kind).or_default()
    }

    /// Takes the last name of a kind that fits.
    pub fn take(&mut self, kind: &'static str, fits: impl Fn(Word) -> bool) -> Option<Word> {
        let pool = self.of(kind);
        pool.iter().rposition(|word| fits(*word)).map(|at| pool.remove(at))
    }
}

/// Why something could not be made: what there is too little of, and what should be fewer.
pub fn too_few(found: impl Into<String>, wanted: &str) -> Error {
    let remedy = format!("ask for fewer {wanted}, or make a base with a larger lexicon");
    Error::invalid("world", found.into(), remedy)
}
