//! What was spoken of last, so that "she" and "it" can be understood.

use std::collections::HashMap;

use super::prose_token::ProseToken;
use super::word_lists::{NEUTRAL, PERSONAL, PERSONS, PLURAL, POINTING, POSSESSIVE};

/// A name in a sentence.
#[derive(Clone, Debug, PartialEq)]
pub enum SaidName {
    /// One that documents have, by its number.
    Known(u32),
    /// Another one, as it is written.
    Other(String),
    /// A word that refers to what was named.
    Pronoun(Pronoun),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pronoun {
    Person,
    Thing,
    Several,
    Any,
}

/// The pronoun at a place, with the place behind it and whether it is a possessive.
pub fn pronoun(tokens: &[ProseToken], at: usize) -> Option<(usize, Pronoun, bool)> {
    let token = tokens.get(at)?;
    if token.is_any(POINTING) {
        let next = tokens.get(at + 1).filter(|next| next.is_any(PERSONS))?;
        if token.is("the") || next.is("one") && !token.is_any(&["this", "that"]) {
            return None;
        }
        return Some((at + 2, if next.is_any(&["people", "two"]) { Pronoun::Several } else { Pronoun::Person }, false));
    }
    let kind = if token.is_any(PERSONAL) {
        Pronoun::Person
    } else if token.is_any(NEUTRAL) {
        Pronoun::Thing
    } else if token.is_any(PLURAL) {
        Pronoun::Several
    } else if token.is_any(POSSESSIVE) {
        return Some((at + 1, Pronoun::Any, true));
    } else {
        return None;
    };
    Some((at + 1, kind, false))
}

/// What was spoken of last.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// The subject of the sentence, or several.
    pub first: Vec<SaidName>,
    pub others: Vec<SaidName>,
    /// The term whose members it was about.
    pub term: Option<u32>,
}

/// Which names can stand where: those that share a place of a relation are of a kind.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    /// The kind of each end of each relation.
    ends: Vec<usize>,
    of_names: HashMap<u32, usize>,
    /// Kinds most of whose names have an article.
    things: HashMap<usize, bool>,
}

impl Kinds {
    /// `stated` are the subject, the relation and the object of each fact; `articles` says of a name that it has one.
    pub fn new(relations: usize, stated: &[(u32, usize, u32)], articles: impl Fn(u32) -> bool) -> Self {
        let mut first: Vec<usize> = (0..2 * relations).collect();
        let mut of_names: HashMap<u32, usize> = HashMap::new();
        for (subject, relation, object) in stated {
            for (name, end) in [(subject, 2 * relation), (object, 2 * relation + 1)] {
                let other = *of_names.entry(*name).or_insert(end);
                let (one, other) = (root(&mut first, end), root(&mut first, other));
                first[one.max(other)] = one.min(other);
            }
        }
        let ends: Vec<usize> = (0..2 * relations).map(|end| root(&mut first, end)).collect();
        let mut counts: HashMap<usize, (usize, usize)> = HashMap::new();
        for (name, kind) in &mut of_names {
            *kind = ends[*kind];
            let count = counts.entry(*kind).or_default();
            count.0 += usize::from(articles(*name));
            count.1 += 1;
        }
        let things = counts.into_iter().map(|(kind, (with, all))| (kind, 2 * with > all)).collect();
        Self { ends, of_names, things }
    }

    /// Whether there is a relation that could hold between two of these names.
    pub fn could_hold(&self, names: &[u32]) -> bool {
        let of_kind = |kind| names.iter().filter(|name| self.of_names.get(name) == Some(&kind)).count();
        self.ends.chunks_exact(2).any(|ends| {
            let subjects = of_kind(ends[0]);
            if ends[0] == ends[1] { subjects > 1 } else { subjects > 0 && of_kind(ends[1]) > 0 }
        })
    }

    fn is_thing(&self, name: &SaidName) -> bool {
        let SaidName::Known(name) = name else { return false };
        self.of_names.get(name).and_then(|kind| self.things.get(kind)).copied().unwrap_or(false)
    }

    /// Whom a pronoun refers to that stands at one end of a relation (0: its subject, 1: its object).
    pub fn resolve(&self, pronoun: Pronoun, relation: usize, end: usize, talk: &Talk) -> Vec<SaidName> {
        if pronoun == Pronoun::Several && talk.first.len() > 1 {
            return talk.first.clone();
        }
        let all = || talk.first.iter().chain(&talk.others);
        let mut named: Vec<&SaidName> = all().collect();
        match pronoun {
            Pronoun::Person => named.retain(|name| !self.is_thing(name)),
            Pronoun::Thing if all().any(|name| self.is_thing(name)) => named.retain(|name| self.is_thing(name)),
            _ => {}
        }
        let kind = self.ends.get(2 * relation + end);
        let fits = |name: &&&SaidName| match name {
            SaidName::Known(number) => self.of_names.get(number) == kind,
            _ => talk.first.first() == Some(**name),
        };
        named.iter().find(fits).or(named.first()).map(|name| (*name).clone()).into_iter().collect()
    }
}

fn root(first: &mut [usize], mut at: usize) -> usize {
    while first[at] != at {
        first[at] = first[first[at]];
        at = first[at];
    }
    at
}
