//! What may fill a slot of a wording: names that documents have, other names, pronouns, and several of them.

use super::ClaimIndex;
use super::names::NameEnd;
use super::prose_token::{ProseToken, Sign};
use super::talk::{SaidName, pronoun};
use super::word_lists::{HONORIFICS, NO_NAMES, NOBODY, WITHIN_NAMES};
use super::wordings::GROUP;

/// Names in one list.
const LONGEST_LIST: usize = 16;
/// Words in a name that nobody knows, by whether it has capitals.
const LONGEST_NAME: usize = 6;
const LONGEST_NOUN: usize = 3;
/// Words between an article and the name behind it: "the famous old architect Mara Venn".
const LONGEST_DESCRIPTION: usize = 3;

/// A sentence as it is read.
pub struct Prose<'s> {
    pub text: &'s str,
    pub tokens: Vec<ProseToken>,
    /// The numbers of its words.
    pub ids: Vec<u32>,
}

/// What stands in a slot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filler {
    /// Each name with the place behind it.
    pub members: Vec<(usize, SaidName)>,
    /// "neither … nor".
    pub neither: bool,
    /// "his".
    pub possessive: bool,
}

impl Filler {
    pub fn names(&self) -> Vec<SaidName> {
        self.members.iter().map(|(_, name)| name.clone()).collect()
    }
}

impl ClaimIndex {
    /// The names that begin at a place, each with the place behind it. With `lax`, also those that no document has.
    pub fn single(&self, prose: &Prose, at: usize, slot: usize, lax: bool, first: usize) -> Vec<(usize, SaidName)> {
        let tokens = &prose.tokens;
        let Some(token) = tokens.get(at).filter(|token| token.sign == Sign::Word) else { return Vec::new() };
        let mut found = self.known(prose, at, slot);
        let article = token.is_any(&["the", "a", "an"]);
        if found.is_empty() && (article || token.is_any(HONORIFICS)) {
            found = self.known(prose, at + 1, slot);
        }
        if found.is_empty() && article && slot != GROUP {
            found = self.described(prose, at, slot);
        }
        if found.is_empty() && slot != GROUP {
            found.extend(pronoun(tokens, at).map(|(end, kind, _)| (end, SaidName::Pronoun(kind))));
        }
        if lax {
            found.extend(self.unknown(prose, at, slot, first));
        }
        found
    }

    fn known(&self, prose: &Prose, at: usize, slot: usize) -> Vec<(usize, SaidName)> {
        let names = self.names.at(&prose.tokens, &prose.ids, at).into_iter();
        let called = |(end, name): (usize, &NameEnd)| {
            let number = if slot == GROUP { name.group } else { name.entity }?;
            Some((end, SaidName::Known(number)))
        };
        names.filter_map(called).collect()
    }

    /// A name behind words that only describe: "the architect Mara Venn", "an architect named Mara Venn".
    fn described(&self, prose: &Prose, at: usize, slot: usize) -> Vec<(usize, SaidName)> {
        let definite = prose.tokens[at].is("the");
        for next in at + 1..=at + LONGEST_DESCRIPTION {
            let describes = |token: &&ProseToken| {
                token.sign == Sign::Word && !token.capital && !NO_NAMES.contains(&token.word.as_str())
            };
            let plain = prose.tokens.get(next).filter(describes);
            let capital = prose.tokens.get(next + 1).is_some_and(|token| token.capital);
            if plain.is_none() || (capital && prose.tokens[next].is_any(WITHIN_NAMES)) {
                break;
            }
            if capital && (definite || prose.tokens[next].is_any(&["named", "called"])) {
                return self.known(prose, next + 1, slot);
            }
        }
        Vec::new()
    }

    /// Words in the place of a name that are none of those that documents have.
    fn unknown(&self, prose: &Prose, at: usize, slot: usize, first: usize) -> Vec<(usize, SaidName)> {
        let tokens = &prose.tokens;
        let nobody = tokens[at].is_any(NOBODY) && slot != GROUP;
        if nobody || (tokens[at].is("no") && tokens.get(at + 1).is_some_and(|next| next.is("one"))) {
            let end = if nobody { at + 1 } else { at + 2 };
            return vec![(end, SaidName::Other(written(prose, at, end)))];
        }
        let start = at + usize::from(tokens[at].is_any(&["the", "a", "an"]));
        let mut found = Vec::new();
        let is_name = |token: &ProseToken| {
            token.sign == Sign::Word && (token.capital || token.is_number()) && !NO_NAMES.contains(&token.word.as_str())
        };
        for end in start + 1..=start + LONGEST_NAME {
            let Some(token) = tokens.get(end - 1).filter(|token| token.sign == Sign::Word) else { break };
            let begins = end == start + 1;
            if is_name(token) {
                found.push(end);
            } else if begins || !token.is_any(WITHIN_NAMES) {
                break;
            }
        }
        // The capital of a first word says nothing: "Yesterday Mara Venn".
        let known_behind = self.known(prose, start + 1, slot);
        if start == first {
            found.retain(|end| known_behind.iter().all(|(known, _)| known != end || *known == start + 2));
        }
        if found.is_empty() && self.small[slot] {
            let plain = |token: &&ProseToken| token.sign == Sign::Word && !NO_NAMES.contains(&token.word.as_str());
            let length = tokens[start.min(tokens.len())..].iter().take(LONGEST_NOUN).take_while(plain).count();
            found.extend(start + 1..=start + length);
        }
        found.reverse();
        found.into_iter().map(|end| (end, SaidName::Other(written(prose, start, end)))).collect()
    }

    /// Everything that may fill a slot from a place on, the longest first.
    pub fn fillers(&self, prose: &Prose, at: usize, slot: usize, lax: bool, first: usize) -> Vec<(usize, Filler)> {
        let tokens = &prose.tokens;
        let Some(token) = tokens.get(at) else { return Vec::new() };
        let neither = token.is("neither");
        let from = at + usize::from(neither || (token.is("both") && slot != GROUP));
        let mut found = Vec::new();
        for (end, name) in self.single(prose, from, slot, lax, first) {
            let possessive =
                pronoun(tokens, from).is_some_and(|(_, _, possessive)| possessive) || tokens[from].is("her");
            let mut list = Filler { members: vec![(end, name)], neither, possessive };
            let mut longer = vec![(end, list.clone())];
            if slot != GROUP && !possessive {
                let mut last = end;
                while list.members.len() < LONGEST_LIST {
                    let Some((next, joined)) = joint(tokens, last, neither) else { break };
                    let Some((end, name)) = self.single(prose, next, slot, lax, first).into_iter().next() else {
                        break;
                    };
                    list.members.push((end, name));
                    last = end;
                    if joined {
                        // The whole list, or all but the last, which may begin something else, or the first alone.
                        if longer.len() > 2 {
                            longer.remove(1);
                        }
                        longer.push((end, list.clone()));
                    }
                }
            }
            longer.retain(|(_, list)| !neither || list.members.len() > 1);
            longer.reverse();
            found.extend(longer);
        }
        found
    }

    /// What is called by the longest name that begins at a place, with the place behind it.
    pub fn name_at(&self, prose: &Prose, at: usize) -> Option<(usize, &NameEnd)> {
        self.names.at(&prose.tokens, &prose.ids, at).into_iter().next()
    }
}

/// The place behind what joins two names of a list, and whether a list can end with the second.
fn joint(tokens: &[ProseToken], at: usize, neither: bool) -> Option<(usize, bool)> {
    let comma = usize::from(tokens.get(at)?.sign == Sign::Comma);
    let token = tokens.get(at + comma)?;
    if neither {
        return token.is("nor").then_some((at + comma + 1, true));
    }
    let behind =
        |offset: usize, words: &[&str]| tokens.get(at + comma + offset).is_some_and(|token| token.is_any(words));
    if token.is_any(&["and", "&", "plus"]) {
        return Some((at + comma + 1 + usize::from(behind(1, &["also"])), true));
    }
    if token.is("as") && behind(1, &["well"]) && behind(2, &["as"]) {
        return Some((at + comma + 3, true));
    }
    if token.is("together") && behind(1, &["with"]) {
        return Some((at + comma + 2, true));
    }
    (comma == 1).then_some((at + 1, false))
}

/// Words of a sentence as they are written.
fn written(prose: &Prose, from: usize, to: usize) -> String {
    let (start, end) = (prose.tokens[from].start, prose.tokens[to - 1].end);
    prose.text.get(start..end).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}
