//! Questions about kinds, what stands before them in context, and what documents say.

use std::collections::HashSet;

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::{Hierarchy, Item, Link};
use crate::knowledge::grammar::{Grammar, Stated};
use crate::knowledge::lexicon::{Lexicon, Word, half_reserved};
use crate::knowledge::reversal::{CANDIDATES, question_id};
use crate::knowledge::{Form, Match, Question, Set, Task};
use crate::random::Stream;

/// Statements that stand before a question in context, at least.
const CONTEXT: usize = 10;

impl Hierarchy {
    /// The number of the family that question `index` is about.
    pub fn topic(&self, form: Form, index: usize) -> usize {
        self.places[&self.items(form)[index].asked.kind].0
    }

    /// The right answer to an item and others that stand in the same relation, in random order: what names are asked for
    /// ("what have mavids ?") or whose ("who have bikors ?").
    pub fn candidates(&self, lexicon: &Lexicon, asked: Link, form: Form, random: &mut Stream) -> Vec<Word> {
        let (cue, right) = asked.cue_and_answer(form);
        let level = |word: &Word| self.places.get(word).map(|(_, level)| *level);
        let others: HashSet<Word> = match form {
            // Kinds that have traits, if it is about a trait: those that have none could not be the answer.
            Form::Reversed => {
                let there = self.kinds().filter(|kind| !lexicon.is_trait(asked.is) || !self.holdouts.contains(kind));
                there.filter(|kind| !self.own_and_inherited(*kind).contains(&asked.is)).collect()
            }
            _ => {
                let his = self.own_and_inherited(asked.kind);
                let targets =
                    self.links.iter().map(|link| link.is).filter(|is| lexicon.is_trait(*is) == lexicon.is_trait(right));
                targets.filter(|is| *is != asked.kind && !his.contains(is)).collect()
            }
        };
        // Where no names are kept, nobody is to be asked what a world may ask.
        let fits = |word: &Word| level(word) == level(&right) && (self.kept || !half_reserved(cue, *word));
        let mut others: Vec<Word> = others.into_iter().filter(fits).collect();
        // A set has no order of its own.
        others.sort_unstable();
        let mut shown: Vec<Word> = others.choose_multiple(random, CANDIDATES - 1).copied().collect();
        shown.push(right);
        shown.shuffle(random);
        shown
    }

    /// Question number `index` of a form.
    pub fn question(&self, grammar: &Grammar, set: Set, index: usize, form: Form, random: &mut Stream) -> Question {
        let item = &self.items(form)[index];
        let Item { asked, needed } = item;
        let candidates = self.candidates(&grammar.lexicon, *asked, form, random);
        let spell = |word: Word| grammar.lexicon.spell(word).to_string();
        let context = self.context(&grammar.lexicon, item, form, &candidates, CONTEXT, random);
        let (_, answer) = asked.cue_and_answer(form);
        let choices: Vec<String> = candidates.iter().map(|word| spell(*word)).collect();
        Question {
            id: question_id(set, Task::Hierarchy, index, form),
            task: Task::Hierarchy,
            form,
            set,
            text: grammar.lexicon.text(&grammar.which(*asked, form, &candidates)),
            cue: grammar.lexicon.text(&grammar.restated(*asked, form)),
            answer: spell(answer),
            aliases: Vec::new(),
            matching: Match::Exact,
            chance: 1.0 / choices.len() as f64,
            choices,
            needed: needed.iter().map(|link| grammar.claim((*link).into())).collect(),
            context: context
                .iter()
                .map(|link| grammar.text((*link).into(), random.random_range(0..Grammar::WORDINGS)))
                .collect(),
        }
    }

    /// What an item needs, in random order among one statement about each of the other candidates, which says of it what
    /// the item says of the right one, and as many about the family as make `size` together: none that would answer the
    /// question without its candidates.
    pub fn context(
        &self,
        lexicon: &Lexicon,
        item: &Item,
        form: Form,
        candidates: &[Word],
        size: usize,
        random: &mut Stream,
    ) -> Vec<Link> {
        let asked = item.asked;
        let mut links = self.links.clone();
        links.shuffle(random);
        let (_, right) = asked.cue_and_answer(form);
        let mut told = item.needed.clone();
        for other in candidates.iter().filter(|other| **other != right) {
            let alike = |link: &&Link| lexicon.is_trait(link.is) == lexicon.is_trait(asked.is);
            let about = |link: &&Link| if form == Form::Reversed { link.kind == *other } else { link.is == *other };
            told.extend(links.iter().filter(about).find(alike));
        }
        for link in links {
            let answers = form == Form::Reversed && link.is == asked.is;
            if told.len() < size && self.related(link.kind, asked.kind) && !answers && !told.contains(&link) {
                told.push(link);
            }
        }
        told.shuffle(random);
        told
    }

    /// Sentences of a document, none of which continues another.
    pub fn tell(&self, sentences: usize, random: &mut Stream) -> Vec<Stated> {
        let mut links = self.links.clone();
        links.shuffle(random);
        let mut told: Vec<Link> = Vec::with_capacity(sentences);
        for link in links {
            let apart = told.iter().all(|other| other.kind != link.is && other.is != link.kind);
            if apart && told.len() < sentences {
                told.push(link);
            }
        }
        told.into_iter().map(Stated::Link).collect()
    }
}
