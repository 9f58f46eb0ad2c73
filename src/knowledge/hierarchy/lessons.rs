//! Lessons about kinds.

use super::{Families, HOLDOUT, INHERITED, REPHRASED, REVERSED, task};
use crate::knowledge::prelude::*;

/// A question about a kind of these families, and statements that answer it.
pub fn question(
    kinds: &Families,
    lexicon: &Lexicon,
    cot_style: &CotStyle,
    random: &mut Stream,
) -> (LessonQuestion, Vec<Stated>) {
    let forms = [(REPHRASED, 0.2), (REVERSED, 0.3), (INHERITED, 0.3), (HOLDOUT, 0.2)];
    let there = forms.map(|(form, weight)| if kinds.items(form).is_empty() { (form, 0.0) } else { (form, weight) });
    let form = there.choose_weighted(random, |(_, weight)| *weight).map_or(REPHRASED, |(form, _)| *form);
    let items = kinds.items(form);
    let item = &items[random.random_range(0..items.len())];
    let candidates = kinds.candidates(lexicon, item.asked, form, random);
    let (_, answer) = item.asked.cue_and_answer(form);
    let near: Vec<Stated> = if form == REVERSED {
        candidates.iter().flat_map(|kind| kinds.of(*kind)).map(Stated::from).collect()
    } else {
        kinds.above(item.asked.kind).into_iter().map(Stated::from).collect()
    };
    let size = random.random_range(2..=10);
    let told = kinds.context(lexicon, item, form, &candidates, size, random);
    let asked = LessonQuestion {
        words: task::which(lexicon, item.asked, form, &candidates),
        answers: vec![(task::restated(lexicon, item.asked, form), answer)],
        needed: item.needed.iter().map(|link| Stated::from(*link)).collect(),
        thought: Thought::AnyOf(near, cot_style.group),
        shows_subjects: true,
        can_be_guessed: true,
    };
    (asked, told.into_iter().map(Stated::from).collect())
}
