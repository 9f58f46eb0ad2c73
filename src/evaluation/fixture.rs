//! Invented answers for tests.

use super::{Answered, Arm};
use crate::knowledge::Set;
use crate::knowledge::reversal::{CANDIDATES, OPEN, REVERSAL};
use crate::verifier::Judgement;

/// Questions with even numbers are of one form, those with odd ones of another.
pub fn answer(arm: Arm, set: Set, question: u64, correct: bool) -> Answered {
    Answered {
        arm,
        step: 0,
        question,
        task: REVERSAL,
        form: if question.is_multiple_of(2) { OPEN } else { CANDIDATES },
        set,
        run: 0,
        sample: 0,
        chance: 0.2,
        asked: String::new(),
        prompt: String::new(),
        completion: String::new(),
        judgement: Judgement {
            answer: None,
            correct,
            well_formed: true,
            recitations: Vec::new(),
            needed_found: 0,
            needed: 1,
            grounding: None,
        },
        expected: String::new(),
        tokens: 9,
        prompt_tokens: 9,
        likeliest: None,
    }
}

/// So many questions of both forms, of which the first `right` are answered right.
pub fn right(arm: Arm, set: Set, questions: u64, right: u64) -> Vec<Answered> {
    (0..questions).map(|id| answer(arm, set, id, id < right)).collect()
}
