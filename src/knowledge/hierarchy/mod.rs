//! Hierarchy: categories ("kinds") in families, each with a parent and traits of its own, stated as
//! "all mavids are bokoids ." and "all bokoids have bikors ."; what holds of a kind holds of all below it
//! (the semantic structure of arXiv 2505.00661).
//!
//! Documents state parents and own traits alone, and never two statements of which one continues the other. Questions
//! show four candidates that stand in the same relation to something, of which one is right, and ask for what was said
//! (rephrased), for whom it was said of (reversed), for what holds because it is said of a kind above (inherited),
//! and the last of kinds of which nothing is said but their parent (holdout).

use std::collections::{HashMap, HashSet};

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::Form;
use super::grammar::Grammar;
use super::leak::LeakKind;
use super::lexicon::{Lexicon, Word, half_reserved};
use super::reversal::{CANDIDATES, take};
use crate::language::tokenizer::SPECIAL;
use crate::random::Stream;
use crate::{Error, Result};

mod config;
mod language;
mod questions;
#[cfg(test)]
mod tests;

pub use config::HierarchyConfig;

/// The forms of its questions.
pub const FORMS: [Form; 4] = [Form::Rephrased, Form::Reversed, Form::Inherited, Form::Holdout];

/// All of `kind` are `is`, if that is a kind, or have it, if it is a trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Link {
    pub kind: Word,
    pub is: Word,
}

/// Something that can be asked, and the statements that it follows from, in the order of recall.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub asked: Link,
    pub needed: Vec<Link>,
}

/// The families of one set.
#[derive(Clone, Debug, Default)]
pub struct Hierarchy {
    /// Everything that documents state, family by family.
    pub links: Vec<Link>,
    /// Family and level of each name; a trait is on the level of the kind that has it.
    places: HashMap<Word, (usize, usize)>,
    holdouts: HashSet<Word>,
    items: HashMap<Form, Vec<Item>>,
    /// Everything that a question can ask.
    asked: HashSet<Link>,
    /// Whether it pairs [`half_reserved`] names.
    kept: bool,
}

/// Names that are still free, each list in random order.
pub struct KindPools {
    pub kinds: Vec<Word>,
    pub traits: Vec<Word>,
}

impl KindPools {
    pub fn new(lexicon: &Lexicon, random: &mut Stream) -> Self {
        let mut pools = Self { kinds: lexicon.kinds.clone(), traits: lexicon.traits.clone() };
        pools.shuffle(random);
        pools
    }

    pub fn shuffle(&mut self, random: &mut Stream) {
        self.kinds.shuffle(random);
        self.traits.shuffle(random);
    }
}

impl Hierarchy {
    /// Takes names out of the pools and makes `families` families. What is asked pairs [`half_reserved`] names or not, as
    /// `kept` says.
    pub fn new(
        families: usize,
        config: &HierarchyConfig,
        kept: bool,
        pools: &mut KindPools,
        random: &mut Stream,
    ) -> Result<Self> {
        config.check(families)?;
        let mut hierarchy = Self { kept, ..Self::default() };
        for family in 0..families {
            hierarchy.add(family, config, kept, pools, random)?;
        }
        for link in &hierarchy.links {
            let item = Item { asked: *link, needed: vec![*link] };
            hierarchy.items.entry(Form::Rephrased).or_default().push(item.clone());
            hierarchy.items.entry(Form::Reversed).or_default().push(item);
        }
        let kinds: Vec<Word> = hierarchy.kinds().collect();
        for kind in kinds {
            let form = if hierarchy.holdouts.contains(&kind) { Form::Holdout } else { Form::Inherited };
            let mut items = hierarchy.inherited(kind);
            items.retain(|item| half_reserved(item.asked.kind, item.asked.is) == kept);
            hierarchy.items.entry(form).or_default().extend(items);
        }
        hierarchy.asked = hierarchy.items.values().flatten().map(|item| item.asked).collect();
        Ok(hierarchy)
    }

    /// Makes one family, level by level.
    fn add(
        &mut self,
        family: usize,
        config: &HierarchyConfig,
        kept: bool,
        pools: &mut KindPools,
        random: &mut Stream,
    ) -> Result<()> {
        let mut parents: Vec<Option<Word>> = vec![None];
        for level in 0..=config.branching.len() {
            let last = level == config.branching.len();
            let mut made = Vec::new();
            for (parent, child) in parents.iter().flat_map(|parent| {
                let children = if level == 0 { 1 } else { config.branching[level - 1] };
                (0..children).map(move |child| (*parent, child))
            }) {
                let above: Vec<Word> = parent.map_or(Vec::new(), |parent| self.own_and_inherited(parent));
                // All that it inherits may be asked, if there is such a name.
                let fits = |above: &Word, kind: Word| half_reserved(kind, *above) == kept;
                let asked = |kind: Word| above.iter().filter(|is| fits(is, kind)).count();
                let free = pools.kinds.iter().copied().enumerate();
                let free = free.filter(|(_, kind)| parent.is_none_or(|parent| fits(&parent, *kind)));
                let best = free.max_by_key(|(at, kind)| (asked(*kind), *at)).map(|(at, kind)| (at, asked(kind)));
                let (at, _) = best.filter(|(_, n)| above.is_empty() || *n > 0).ok_or_else(|| too_small("kinds"))?;
                let kind = pools.kinds.remove(at);
                self.places.insert(kind, (family, level));
                self.links.extend(parent.map(|parent| Link { kind, is: parent }));
                let traits = match last {
                    true if child < config.holdouts => 0,
                    true => random.random_range(1..=config.traits),
                    false => config.traits,
                };
                if traits == 0 {
                    self.holdouts.insert(kind);
                }
                for _ in 0..traits {
                    let is = take(&mut pools.traits, |t| half_reserved(kind, t) == kept)
                        .ok_or_else(|| too_small("traits"))?;
                    self.places.insert(is, (family, level));
                    self.links.push(Link { kind, is });
                }
                made.push(Some(kind));
            }
            parents = made;
        }
        Ok(())
    }

    fn kinds(&self) -> impl Iterator<Item = Word> {
        let mut seen = HashSet::new();
        self.links.iter().map(|link| link.kind).filter(move |kind| seen.insert(*kind))
    }

    /// What is said of a kind.
    pub fn of(&self, kind: Word) -> impl Iterator<Item = Link> {
        self.links.iter().filter(move |link| link.kind == kind).copied()
    }

    /// All that a kind is, with the statements that say so.
    fn all_of(&self, kind: Word) -> Vec<Item> {
        let mut found: Vec<Item> = Vec::new();
        let mut open = vec![(kind, Vec::new())];
        while let Some((at, needed)) = open.pop() {
            for link in self.of(at) {
                let needed = [&needed[..], &[link]].concat();
                found.push(Item { asked: Link { kind, is: link.is }, needed: needed.clone() });
                open.push((link.is, needed));
            }
        }
        found
    }

    fn inherited(&self, kind: Word) -> Vec<Item> {
        self.all_of(kind).into_iter().filter(|item| item.needed.len() > 1).collect()
    }

    /// The traits of a kind and of those above it.
    fn own_and_inherited(&self, kind: Word) -> Vec<Word> {
        self.all_of(kind).into_iter().map(|item| item.asked.is).collect()
    }

    /// What is said of a kind and of those above it.
    pub fn above(&self, kind: Word) -> Vec<Link> {
        self.all_of(kind).into_iter().filter_map(|item| item.needed.last().copied()).collect()
    }

    /// Whether two names belong to one family.
    pub fn related(&self, a: Word, b: Word) -> bool {
        let family = |word| self.places.get(&word).map(|(family, _)| family);
        family(a).is_some() && family(a) == family(b)
    }

    /// Everything that can be asked in a form.
    pub fn items(&self, form: Form) -> &[Item] {
        self.items.get(&form).map_or(&[], Vec::as_slice)
    }

    /// What the word at `at` tells of the questions of this set. Its sentence begins at `sentence`; `learned` says that
    /// the word is one that training predicts.
    pub fn given_away(
        &self,
        grammar: &Grammar,
        tokens: &[Word],
        sentence: usize,
        at: usize,
        learned: bool,
    ) -> Option<LeakKind> {
        if self.asked.is_empty() {
            return None;
        }
        let word = |spelling| grammar.lexicon.grammar(spelling);
        let asked = |a: Word, b: Word| {
            self.asked.contains(&Link { kind: a, is: b }) || self.asked.contains(&Link { kind: b, is: a })
        };
        let before = |distance: usize| at.checked_sub(distance).map(|i| tokens[i]);
        if tokens[at] == word("?") {
            // "what have KIND ? CANDIDATES" and "who have TRAIT ? CANDIDATES"
            let verb = before(2).filter(|verb| [word("are"), word("have"), word("inherit")].contains(verb));
            let cue = before(1).filter(|_| verb.is_some())?;
            // Made-up families may lend fewer, and then what is thought begins sooner.
            let shown = tokens[at + 1..].iter().take(CANDIDATES).take_while(|word| **word as usize >= SPECIAL.len());
            return shown.copied().any(|shown| asked(cue, shown)).then_some(LeakKind::Question);
        }
        if tokens[at] == word(":") {
            let said = before(1).zip(tokens.get(at + 1).copied());
            return said.filter(|(cue, answer)| asked(*cue, *answer)).map(|_| LeakKind::Answer);
        }
        if !learned || !self.places.contains_key(&tokens[at]) {
            return None;
        }
        let here = tokens[at];
        tokens[sentence.min(at)..at].iter().find_map(|earlier| {
            let told = Link { kind: *earlier, is: here };
            match asked(*earlier, here) {
                true if !self.asked.contains(&told) => Some(LeakKind::ReversedFact),
                true if !self.links.contains(&told) => Some(LeakKind::Inference),
                _ => None,
            }
        })
    }
}

fn too_small(kind: &str) -> Error {
    Error::invalid(
        "world",
        format!("the lexicon has too few {kind}"),
        "ask for fewer families, or make a base with a larger lexicon",
    )
}
