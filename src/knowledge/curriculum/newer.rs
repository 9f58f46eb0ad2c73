//! Lessons about codes and kinds, for bases that are to know them.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::Curriculum;
use super::asked::Asked;
use crate::knowledge::codebook::{CodePools, CodebookConfig, Codebooks};
use crate::knowledge::grammar::Stated;
use crate::knowledge::hierarchy::{Hierarchy, HierarchyConfig, KindPools};
use crate::knowledge::{Form, Task};
use crate::random::Stream;

/// Families of a lesson: enough for candidates of which no world may ask.
const FAMILIES: usize = 7;

impl Curriculum<'_> {
    /// The task of a lesson, where it is one of these. Nothing is drawn for a base that knows none of them, so its
    /// lessons are what they would be without.
    pub(super) fn newer(&self, random: &mut Stream) -> Option<Task> {
        let known = &self.world.known;
        let codes = if known.codebook.codes > 0 { self.habits.codes } else { 0.0 };
        let kinds = if known.hierarchy.families > 0 { self.habits.kinds } else { 0.0 };
        if codes + kinds <= 0.0 {
            return None;
        }
        match random.random::<f64>() {
            drawn if drawn < codes => Some(Task::Codebook),
            drawn if drawn < codes + kinds => Some(Task::Hierarchy),
            _ => None,
        }
    }

    /// A question about made-up codes or kinds, and what is to be read before it. `None` where neither is to be known, or
    /// it is another task's turn.
    pub(super) fn newer_to_read(&self, random: &mut Stream) -> Option<(Asked, Vec<Stated>)> {
        match self.newer(random)? {
            Task::Codebook => self.made_up_codes(random).map(|codes| self.about_codes(&codes, random)),
            _ => self.made_up_kinds(random).map(|kinds| self.about_kinds(&kinds, random)),
        }
    }

    /// A message in one of these codes, and entries that read it.
    pub(super) fn about_codes(&self, codes: &Codebooks, random: &mut Stream) -> (Asked, Vec<Stated>) {
        let grammar = &self.world.grammar;
        let form = if random.random_bool(0.5) { Form::Encode } else { Form::Decode };
        let message = codes.message(random.random_range(0..codes.questions()), random);
        let book = codes.of(message[0].code);
        let mut others = book.clone();
        others.retain(|entry| !message.contains(entry));
        others.shuffle(random);
        others.truncate(random.random_range(0..=others.len()));
        let stated = |entries: &[_]| entries.iter().map(|entry| Stated::Entry(*entry)).collect::<Vec<_>>();
        let asked = Asked {
            form,
            words: grammar.message(&message, form),
            answers: message.iter().map(|entry| (vec![entry.given(form)], entry.wanted(form))).collect(),
            needed: stated(&message),
            near: stated(if form == Form::Encode { &message } else { &book }),
        };
        let told = [&asked.needed[..], &stated(&others)].concat();
        (asked, told)
    }

    /// A question about a kind of these families, and statements that answer it.
    pub(super) fn about_kinds(&self, kinds: &Hierarchy, random: &mut Stream) -> (Asked, Vec<Stated>) {
        let grammar = &self.world.grammar;
        let forms = [(Form::Rephrased, 0.2), (Form::Reversed, 0.3), (Form::Inherited, 0.3), (Form::Holdout, 0.2)];
        let there = forms.map(|(form, weight)| if kinds.items(form).is_empty() { (form, 0.0) } else { (form, weight) });
        let form = there.choose_weighted(random, |(_, weight)| *weight).map_or(Form::Rephrased, |(form, _)| *form);
        let items = kinds.items(form);
        let item = &items[random.random_range(0..items.len())];
        let candidates = kinds.candidates(&grammar.lexicon, item.asked, form, random);
        let (_, answer) = item.asked.cue_and_answer(form);
        let near = match form {
            Form::Reversed => candidates.iter().flat_map(|kind| kinds.of(*kind)).map(Stated::Link).collect(),
            _ => kinds.above(item.asked.kind).into_iter().map(Stated::Link).collect(),
        };
        let size = random.random_range(2..=10);
        let told = kinds.context(&grammar.lexicon, item, form, &candidates, size, random);
        let asked = Asked {
            form,
            words: grammar.which(item.asked, form, &candidates),
            answers: vec![(grammar.restated(item.asked, form), answer)],
            needed: item.needed.iter().map(|link| Stated::Link(*link)).collect(),
            near,
        };
        (asked, told.into_iter().map(Stated::Link).collect())
    }

    /// One code of names that no world pairs; `None` if a small lexicon has none left.
    pub(super) fn made_up_codes(&self, random: &mut Stream) -> Option<Codebooks> {
        let known = &self.world.known.codebook;
        // Of a code that is made up nothing is in any message.
        let config = CodebookConfig { held_out: known.entries, ..known.clone() };
        let mut pools = CodePools::new(&self.world.grammar.lexicon, random);
        Codebooks::new(1, &config, false, &mut pools).ok()
    }

    /// Small families of names that no world pairs; `None` if a small lexicon has not enough of them.
    pub(super) fn made_up_kinds(&self, random: &mut Stream) -> Option<Hierarchy> {
        let known = &self.world.known.hierarchy;
        let branching: Vec<usize> = known.branching.iter().map(|children| (*children).min(2)).collect();
        let holdouts = known.holdouts.min(branching.last().map_or(0, |last| last - 1));
        let config = HierarchyConfig { branching, holdouts, ..known.clone() };
        let mut pools = KindPools::new(&self.world.grammar.lexicon, random);
        Hierarchy::new(FAMILIES, &config, false, &mut pools, random).ok()
    }
}
