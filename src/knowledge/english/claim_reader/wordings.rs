//! The wordings of all relations in one tree of words and slots.

use std::collections::HashMap;

use super::names::WordNumbers;
use super::prose_token::{Sign, tokens};
use super::verbs::plain_forms;

/// What a wording leaves open.
pub const SUBJECT: usize = 0;
pub const OBJECT: usize = 1;
pub const GROUP: usize = 2;
const SLOTS: [&str; 3] = ["{subject}", "{object}", "{group}"];

/// A place within wordings: what may come next.
#[derive(Clone, Debug, Default)]
pub struct WordingNode {
    pub words: HashMap<u32, usize>,
    /// The same by the plain forms of verbs.
    pub plain: HashMap<String, Vec<usize>>,
    pub slots: [Option<usize>; 3],
    pub comma: Option<usize>,
    /// The relations whose wording ends here.
    pub relations: Vec<usize>,
}

/// All wordings. The first node is where they begin.
#[derive(Clone, Debug)]
pub struct WordingTree(pub Vec<WordingNode>);

enum Part {
    Word(String),
    Slot(usize),
    Comma,
}

/// The parts of a wording; `None` where it has no place for one of the two that a relation is between.
fn parts(wording: &str) -> Option<Vec<Part>> {
    let (mut parts, mut rest) = (Vec::new(), wording);
    let mut filled = [false; 3];
    loop {
        let places = SLOTS.iter().enumerate().filter_map(|(slot, name)| Some((rest.find(name)?, slot)));
        let next = places.min();
        let fixed = next.map_or(rest, |(at, _)| &rest[..at]);
        for token in tokens(fixed) {
            match token.sign {
                Sign::Word => parts.push(Part::Word(token.word)),
                Sign::Comma => parts.push(Part::Comma),
                _ => {}
            }
        }
        let Some((at, slot)) = next else { break };
        // A name brings its own article, or none.
        if matches!(parts.last(), Some(Part::Word(word)) if matches!(word.as_str(), "the" | "a" | "an")) {
            parts.pop();
        }
        if std::mem::replace(&mut filled[slot], true) {
            return None;
        }
        parts.push(Part::Slot(slot));
        rest = &rest[at + SLOTS[slot].len()..];
    }
    (filled[SUBJECT] && filled[OBJECT]).then_some(parts)
}

/// A wording without "in {group}" at its beginning or its end: where no group is named, it is said all the same.
fn without_group(parts: &[Part]) -> Option<&[Part]> {
    match parts {
        [Part::Word(_), Part::Slot(GROUP), Part::Comma, rest @ ..] => Some(rest),
        [Part::Word(_), Part::Slot(GROUP), rest @ ..] => Some(rest),
        [rest @ .., Part::Word(_), Part::Slot(GROUP)] => Some(rest),
        _ => None,
    }
}

impl WordingTree {
    pub fn new() -> Self {
        Self(vec![WordingNode::default()])
    }

    pub fn add(&mut self, words: &mut WordNumbers, wording: &str, relation: usize) {
        let Some(parts) = parts(wording) else { return };
        if let Some(less) = without_group(&parts) {
            self.follow(words, less, relation);
        }
        self.follow(words, &parts, relation);
    }

    fn follow(&mut self, words: &mut WordNumbers, parts: &[Part], relation: usize) {
        let mut at = 0;
        for part in parts {
            let new = self.0.len();
            let node = &mut self.0[at];
            at = match part {
                Part::Word(word) => {
                    let next = *node.words.entry(words.add(word)).or_insert(new);
                    if next == new {
                        plain_forms(word).into_iter().for_each(|plain| node.plain.entry(plain).or_default().push(new));
                    }
                    next
                }
                Part::Slot(slot) => *node.slots[*slot].get_or_insert(new),
                Part::Comma => *node.comma.get_or_insert(new),
            };
            if at == new {
                self.0.push(WordingNode::default());
            }
        }
        let relations = &mut self.0[at].relations;
        if !relations.contains(&relation) {
            relations.push(relation);
        }
    }
}
