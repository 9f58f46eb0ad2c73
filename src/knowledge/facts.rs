//! What the verifier needs to know of a world, and what is looked up in claims.

use std::collections::BTreeSet;

use super::Claim;
use super::logic::Import;

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

    /// The sentence that documents state a claim by, cut before what it says of its subject. `None` where they do not.
    fn cloze(&self, _claim: &Claim) -> Option<Cloze> {
        None
    }

    /// Whether terms are taken to have members, which decides what follows from statements about them.
    fn import(&self) -> Import {
        Import::Existential
    }
}

/// A sentence of the documents, to be completed in the order in which they have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloze {
    pub beginning: String,
    pub rest: String,
}

/// What the claims say in the place of what is asked for: the subject of the needed claim, or its object. Another group
/// counts only where the question names none. `None` where they say nothing or more than one thing.
pub fn looked_up<'a>(needed: &Claim, claims: &BTreeSet<&'a Claim>, subject: bool, named: bool) -> Option<&'a str> {
    let Claim::Relation { group, subject: who, relation, object: what } = needed else { return None };
    let mut said = claims.iter().filter_map(|claim| match claim {
        Claim::Relation { group: g, subject: s, relation: r, object: o } if r == relation && (!named || g == group) => {
            if subject {
                (o == what).then_some(s.as_str())
            } else {
                (s == who).then_some(o.as_str())
            }
        }
        _ => None,
    });
    let first = said.next()?;
    said.all(|other| other == first).then_some(first)
}
