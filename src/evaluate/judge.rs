//! A policy as the judge of completions: how probable it finds a word that speaks for them.

use super::made_run::OpenPolicy;
use crate::exchange::on_cores;
use crate::kernels::DeviceChoice;
use crate::language::Tokenizer;
use crate::learner::policy_gradient::{self, Sampled};
use crate::policy::Policy;
use crate::{Error, Result};

/// A policy with the two words that it chooses from.
pub struct JudgingPolicy {
    policy: Policy,
    tokenizer: Tokenizer,
    words: [String; 2],
    workers: usize,
}

/// A question with its two continuations.
struct WordChoice {
    prompt: Vec<u32>,
    words: [Vec<u32>; 2],
    unsampled: Vec<f32>,
}

impl JudgingPolicy {
    /// Opens the policy of that name (as [`OpenPolicy::open`] takes it).
    ///
    /// # Errors
    /// A name that is none, a checkpoint that cannot be read.
    pub fn open(named: &str, yes: &str, no: &str) -> Result<JudgingPolicy> {
        let OpenPolicy { policy, tokenizer, .. } = OpenPolicy::open(named, DeviceChoice::Cpu)?;
        Ok(JudgingPolicy { policy, tokenizer, words: [yes, no].map(str::to_owned), workers: on_cores(None) })
    }

    /// For each question the probability of the first word, where one of the two follows: in the model's chat template, or
    /// after the text as it is.
    ///
    /// # Errors
    /// Words that the vocabulary lacks; a question that the model has no room for.
    pub fn judge(&self, questions: &[String]) -> Result<Vec<f64>> {
        let continued = questions.iter().map(|question| self.continued(question)).collect::<Result<Vec<_>>>()?;
        let each = continued.iter().flat_map(|one| one.words.iter().map(move |word| (one, word)));
        let sampled: Vec<Sampled> = each
            .map(|(one, tokens)| Sampled {
                prompt: &one.prompt,
                tokens,
                sampler_logprobs: &one.unsampled[..tokens.len()],
                sampling_mask: &[],
                old_logprobs: None,
                advantage: 0.0,
                gae: None,
                kept: true,
            })
            .collect();
        let scores = policy_gradient::score(&self.policy, &sampled, self.workers)?;
        let sum = |scores: &Vec<f32>| scores.iter().map(|score| f64::from(*score)).sum::<f64>();
        Ok(scores.chunks_exact(2).map(|pair| 1.0 / (1.0 + (sum(&pair[1]) - sum(&pair[0])).exp())).collect())
    }

    fn continued(&self, question: &str) -> Result<WordChoice> {
        let text = match self.tokenizer.chat() {
            Some(chat) => chat.conversation(&[("user".to_owned(), question.to_owned())], false)?,
            None => question.to_owned(),
        };
        // A word that follows a text without a turn of its own has a space before it.
        let apart = if self.tokenizer.chat().is_some() || text.ends_with(char::is_whitespace) { "" } else { " " };
        let prompt = self.tokenizer.encode_as_is(&text, self.tokenizer.chat().is_none())?;
        let word = |word: &String| -> Result<Vec<u32>> {
            let whole =
                self.tokenizer.encode_as_is(&format!("{text}{apart}{word}"), self.tokenizer.chat().is_none())?;
            // Where the word melts into what is before it, it is written by itself.
            match whole.strip_prefix(prompt.as_slice()) {
                Some(tokens) if !tokens.is_empty() => Ok(tokens.to_vec()),
                _ => self.tokenizer.encode_as_is(&format!("{apart}{word}"), false),
            }
        };
        let words = [word(&self.words[0])?, word(&self.words[1])?];
        let longest = words.iter().map(Vec::len).max().unwrap_or(0);
        let (there, room) = (prompt.len() + longest, self.policy.config.longest_sequence());
        if there > room || prompt.is_empty() || longest == 0 {
            let found = format!("a question of {there} tokens for {room} positions");
            return Err(Error::invalid("judge", found, "ask shorter, or take a model with more positions"));
        }
        Ok(WordChoice { prompt, words, unsampled: vec![0.0; longest] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probability_is_that_of_one_word_among_the_two() {
        let judge = |yes: &str, no: &str| {
            let judge = JudgingPolicy::open("embedded", yes, no).unwrap();
            let asked = ["who in neven guards fukol ?", "who guards fukol ?"].map(str::to_owned);
            judge.judge(&asked).unwrap()
        };
        let (one, other) = (judge("neven", "fukol"), judge("fukol", "neven"));
        assert!(one.iter().zip(&other).all(|(a, b)| (a + b - 1.0).abs() < 1e-5 && *a > 0.0 && *a < 1.0), "{one:?}");
        let long = JudgingPolicy::open("embedded", "neven", "fukol").unwrap();
        assert!(long.judge(&["who guards fukol ? ".repeat(5000)]).unwrap_err().to_string().contains("ask shorter"));
    }
}
