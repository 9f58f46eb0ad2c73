//! Lessons about codes.

use super::{CodeEntry, Codebooks, DECODE, ENCODE, task};
use crate::knowledge::prelude::*;

/// A message in one of the codes, and entries that read it.
pub fn question(
    codes: &Codebooks,
    lexicon: &Lexicon,
    cot_style: &CotStyle,
    random: &mut Stream,
) -> (LessonQuestion, Vec<Stated>) {
    let form = if random.random_bool(0.5) { ENCODE } else { DECODE };
    let message = codes.message(random.random_range(0..codes.questions_of(form)), random);
    let book = codes.entries_of(message[0].code);
    let mut others = book.clone();
    others.retain(|entry| !message.contains(entry));
    others.shuffle(random);
    others.truncate(random.random_range(0..=others.len()));
    let stated = |entries: &[CodeEntry]| entries.iter().map(|entry| Stated::from(*entry)).collect::<Vec<_>>();
    let asked = LessonQuestion {
        words: task::message(lexicon, &message, form),
        answers: message.iter().map(|entry| (vec![entry.given(form)], entry.wanted(form))).collect(),
        needed: stated(&message),
        thought: Thought::AnyOf(stated(if form == ENCODE { &message } else { &book }), cot_style.group),
        shows_subjects: form == ENCODE,
        // The words of a message cannot be guessed from the question.
        can_be_guessed: false,
    };
    let told = [&asked.needed[..], &stated(&others)].concat();
    (asked, told)
}
