//! The names that documents have, as words in a tree: what stands at a place of a sentence is found in the time that its
//! longest name takes.

use std::collections::HashMap;

use super::prose_token::{ProseToken, Sign, tokens};
use super::word_lists::{ADVERBS, NO_NAMES};

/// A word that stands in no name and no wording.
const NO_WORD: u32 = u32::MAX;

/// Numbers of words. Forms of one auxiliary have one.
#[derive(Clone, Debug, Default)]
pub struct WordNumbers(HashMap<String, u32>);

impl WordNumbers {
    fn plain(word: &str) -> &str {
        match word {
            "were" => "was",
            "are" => "is",
            "have" => "has",
            "an" => "a",
            "&" => "and",
            word => word,
        }
    }

    pub fn add(&mut self, word: &str) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(Self::plain(word).to_owned()).or_insert(next)
    }

    pub fn get(&self, word: &str) -> u32 {
        self.0.get(Self::plain(word)).copied().unwrap_or(NO_WORD)
    }
}

/// What is called by the words that lead to a place of the tree.
#[derive(Clone, Debug, Default)]
pub struct NameEnd {
    /// Something that facts are about, by its number.
    pub entity: Option<u32>,
    pub group: Option<u32>,
    /// A term of categorical statements.
    pub term: Option<u32>,
    /// One word with a capital: where it has none, it is another word.
    pub capital: bool,
}

/// All names.
#[derive(Clone, Debug)]
pub struct NameTree {
    next: HashMap<(u32, u32), u32>,
    ends: Vec<NameEnd>,
    /// Canonical names by number.
    pub canonical: Vec<String>,
    numbers: HashMap<String, u32>,
}

/// What a name calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    Entity,
    Group,
    Term,
}

impl Default for NameTree {
    fn default() -> Self {
        Self { next: HashMap::new(), ends: vec![NameEnd::default()], canonical: Vec::new(), numbers: HashMap::new() }
    }
}

impl NameTree {
    pub fn number(&mut self, canonical: &str) -> u32 {
        let next = self.canonical.len() as u32;
        let number = *self.numbers.entry(canonical.to_owned()).or_insert(next);
        if number == next {
            self.canonical.push(canonical.to_owned());
        }
        number
    }

    /// Adds a name; terms also in the other number.
    pub fn add(&mut self, words: &mut WordNumbers, name: &str, canonical: &str, called: Called) {
        let said: Vec<ProseToken> = tokens(name).into_iter().filter(|token| token.sign == Sign::Word).collect();
        let number = self.number(canonical);
        let bare = usize::from(said.len() > 1 && said[0].is_any(&["the", "a", "an"]));
        let Some((last, before)) = said[bare..].split_last() else { return };
        let capital = before.is_empty() && last.capital;
        let variants = if called == Called::Term { numbers_of(&last.word) } else { vec![last.word.clone()] };
        for (nth, variant) in variants.iter().enumerate() {
            let ids =
                before.iter().map(|token| token.word.as_str()).chain([variant.as_str()]).map(|word| words.add(word));
            let end = self.path(ids.collect());
            let place = match called {
                Called::Entity => &mut end.entity,
                Called::Group => &mut end.group,
                Called::Term => &mut end.term,
            };
            // A form that was made up gives way to one that is written.
            if nth == 0 || place.is_none() {
                *place = Some(number);
            }
            end.capital |= capital;
        }
    }

    fn path(&mut self, ids: Vec<u32>) -> &mut NameEnd {
        let mut at = 0;
        for id in ids {
            let new = self.ends.len() as u32;
            at = *self.next.entry((at, id)).or_insert(new);
            if at == new {
                self.ends.push(NameEnd::default());
            }
        }
        &mut self.ends[at as usize]
    }

    /// The names that begin at a place, the longest first, each with the place behind it.
    pub fn at(&self, tokens: &[ProseToken], ids: &[u32], from: usize) -> Vec<(usize, &NameEnd)> {
        let (mut found, mut node, mut at) = (Vec::new(), 0, from);
        while let Some(next) = ids.get(at).and_then(|id| self.next.get(&(node, *id))) {
            (node, at) = (*next, at + 1);
            let end = &self.ends[node as usize];
            let called = end.entity.is_some() || end.group.is_some() || end.term.is_some();
            if called && !(end.capital && !tokens[from].capital && is_common(&tokens[from].word)) {
                found.push((at, end));
            }
        }
        found.reverse();
        found
    }
}

/// A word of everyday English that may be a name as well.
fn is_common(word: &str) -> bool {
    NO_NAMES.contains(&word) || ADVERBS.contains(&word)
}

/// A word with the forms in which it may stand for one or for several.
fn numbers_of(word: &str) -> Vec<String> {
    let mut forms = vec![word.to_owned()];
    let mut form =
        |stem: Option<&str>, end: &str| forms.extend(stem.filter(|s| s.len() > 1).map(|s| format!("{s}{end}")));
    form(word.strip_suffix('s').filter(|stem| !stem.ends_with('s')), "");
    form(word.strip_suffix("es"), "");
    form(word.strip_suffix("ies"), "y");
    form(word.strip_suffix('y'), "ies");
    form(Some(word), "s");
    form(Some(word), "es");
    forms
}
