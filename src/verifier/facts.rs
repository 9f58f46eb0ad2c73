//! What the verifier needs to know of a world.

use crate::knowledge::logic::Import;
use crate::knowledge::{Claim, Knowledge, World};

/// A world that sentences can be held against. Neither method may panic or take more than linear time, because
/// what they are handed is whatever a policy wrote.
pub trait Facts {
    /// Whether there is a grammar to read sentences in. Where there is none, as in free text from files, nothing
    /// counts as recited: a sentence that nobody can check is neither true nor false.
    fn has_grammar(&self) -> bool {
        true
    }

    /// What a sentence claims, its full stop included; `None` where it is not a statement of the world's grammar.
    fn read(&self, sentence: &str) -> Option<Claim>;

    /// Whether the claim is one that the documents state. What merely follows from them does not hold: a recitation
    /// is a fact that was read, not a conclusion.
    fn holds(&self, claim: &Claim) -> bool;

    /// Whether terms are taken to have members, which decides what follows from statements about them.
    fn import(&self) -> Import {
        Import::Existential
    }
}

impl Facts for World {
    fn read(&self, sentence: &str) -> Option<Claim> {
        self.grammar.read(sentence.trim_end().strip_suffix(" .")?)
    }

    fn holds(&self, claim: &Claim) -> bool {
        World::holds(self, claim)
    }

    fn import(&self) -> Import {
        self.known.import
    }
}

impl Facts for Knowledge {
    fn has_grammar(&self) -> bool {
        world(self).is_some()
    }

    fn read(&self, sentence: &str) -> Option<Claim> {
        world(self)?.read(sentence)
    }

    fn holds(&self, claim: &Claim) -> bool {
        world(self).is_some_and(|world| world.holds(claim))
    }

    fn import(&self) -> Import {
        world(self).map_or(Import::Existential, Facts::import)
    }
}

/// The world with a grammar, generated here or where files were exported.
fn world(knowledge: &Knowledge) -> Option<&World> {
    match knowledge {
        Knowledge::Generated(world) => Some(world),
        Knowledge::Files(jsonl) => jsonl.world(),
    }
}
