//! What a thought is given to begin with.

use rand::Rng;

use crate::Result;
use crate::config::HintConfig;
use crate::knowledge::facts::reference_thought;
use crate::knowledge::{Facts, Question};
use crate::language::{Opening, Tokenizer};
use crate::random::Stream;

/// The words of a reference that a question is given at a step; none where there is no reference.
pub(super) fn draw(
    hint: HintConfig,
    step: usize,
    facts: &dyn Facts,
    question: &Question,
    random: &mut Stream,
) -> String {
    let share = random.random_range(0.0..=hint.most(step));
    let Some(thought) = reference_thought(facts, question) else { return String::new() };
    let words: Vec<&str> = thought.split_whitespace().collect();
    let given = (share * words.len() as f64).round() as usize;
    words[..given.min(words.len())].join(" ")
}

/// The tokens of these words behind the prompt of a question, where its thought begins.
pub(super) fn tokens(tokenizer: &Tokenizer, question: &str, given: &str) -> Result<Vec<u32>> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let opened = tokenizer.prompt(&[], question, Opening::Think)?;
    let whole = tokenizer.encode(&format!("{opened} {given}"))?;
    match whole.strip_prefix(tokenizer.encode(&opened)?.as_slice()) {
        Some(tokens) => Ok(tokens.to_vec()),
        // A token has letters of both.
        None => tokenizer.encode(&format!(" {given}")),
    }
}
