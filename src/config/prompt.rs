//! `[prompt]`: what a question is put in, in a model's chat template.

use super::Ranges;
use crate::language::PromptConfig;

/// Longer texts than this leave no room for a question.
const LONGEST: usize = 20_000;

pub(super) fn check(prompt: &PromptConfig, ranges: &mut Ranges) {
    for (key, text) in
        [("prompt.system", &prompt.system), ("prompt.think", &prompt.think), ("prompt.answer", &prompt.answer)]
    {
        let found = format!("{} characters", text.chars().count());
        ranges.demand(text.len() <= LONGEST, key, found, format!("a text of at most {LONGEST}"));
    }
}
