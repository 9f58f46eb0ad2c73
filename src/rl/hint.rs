//! What a thought is given to begin with.

use rand::Rng;

use crate::config::HintConfig;
use crate::knowledge::facts::reference_thought;
use crate::knowledge::{Facts, Question};
use crate::language::{Opening, Tokenizer};
use crate::{Result, random};

/// The first number of the streams that shares are drawn from. They have one of their own, so that whoever is given more or less is
/// asked the same.
const STREAM: u64 = 3;

/// The tokens that the thoughts about a question begin with at a step, `most` of them at the most; none where there is no reference.
pub(super) fn draw(
    hint: HintConfig,
    (seed, step): (u64, usize),
    facts: &dyn Facts,
    question: &Question,
    tokenizer: &Tokenizer,
    most: usize,
) -> Result<Vec<u32>> {
    let mut random = random::stream(seed, &[STREAM, step as u64, question.id]);
    let share = random.random_range(0.0..=hint.most(step));
    let thought = reference_thought(facts, question).unwrap_or_default();
    let words: Vec<&str> = thought.split_whitespace().collect();
    for given in (1..=(share * words.len() as f64).round() as usize).rev() {
        let words = words[..given.min(words.len())].join(" ");
        let tokens = tokens(tokenizer, question, &words)?;
        // A completion that begins with what ends one would never be anything else.
        if tokens.len() <= most && tokenizer.stopped(&tokens)?.is_none() {
            return Ok(tokens);
        }
    }
    Ok(Vec::new())
}

/// The tokens of words behind the prompt of a question, where its thought begins.
fn tokens(tokenizer: &Tokenizer, question: &Question, words: &str) -> Result<Vec<u32>> {
    let opened = tokenizer.prompt(&[], &question.text, Opening::Think)?;
    let whole = tokenizer.encode(&format!("{opened} {words}"))?;
    match whole.strip_prefix(tokenizer.encode(&opened)?.as_slice()) {
        Some(tokens) => Ok(tokens.to_vec()),
        // A token has letters of both.
        None => tokenizer.encode(&format!(" {words}")),
    }
}
