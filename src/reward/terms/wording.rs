//! How long is the completion, and does it say the same thing again and again?

use std::collections::HashSet;
use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::share;
use crate::strict_toml::Problem;

/// 0 up to `free` tokens, 1 from `limit` tokens on, rising in between; the end token counts. A negative weight makes
/// long completions cost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// Up to here length costs nothing.
    #[serde(default)]
    pub free: usize,
    /// In the place of `free`: only the last so many tokens before `limit` cost something (the overlong buffer of
    /// DAPO, arXiv 2503.14476).
    #[serde(default)]
    pub buffer: Option<usize>,
    /// From here on it costs all. More than `free`.
    pub limit: usize,
    #[serde(default)]
    pub shape: LengthShape,
}

/// How the value rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LengthShape {
    /// In a straight line.
    #[default]
    Linear,
    /// In half a wave, flat at both ends (Yeo et al. 2025, arXiv 2502.03373). Their reward is two terms of this shape:
    /// one below 0 with `only_if = "correct"`, one above 0 with `unless = "correct"`.
    Cosine,
}

impl Length {
    /// The value of a completion of so many tokens: never falls as they are added.
    pub fn value(self, tokens: usize) -> f64 {
        let free = self.buffer.map_or(self.free, |buffer| self.limit.saturating_sub(buffer));
        let way = share(tokens.saturating_sub(free), self.limit.saturating_sub(free));
        match self.shape {
            LengthShape::Linear => way,
            LengthShape::Cosine => (1.0 - (PI * way).cos()) / 2.0,
        }
    }

    /// Values that do not go together.
    pub(in crate::reward) fn problems(self) -> Vec<Problem> {
        let problem = |key: &str, found: usize, allowed: String| Problem::new(key, format!("found {found}"), allowed);
        match self.buffer {
            Some(_) if self.free > 0 => vec![problem("free", self.free, "leave it out, or leave buffer out".into())],
            Some(buffer) if buffer == 0 || buffer > self.limit => {
                vec![problem("buffer", buffer, format!("allowed is 1 to limit, which is {}", self.limit))]
            }
            None if self.limit <= self.free => {
                let allowed = format!("allowed is more than free, which is {}", self.free);
                vec![problem("limit", self.limit, allowed)]
            }
            _ => Vec::new(),
        }
    }
}

/// Share of the runs of `words` words that stood in the completion before; 0 for a text that is shorter than one run.
/// A negative weight punishes it (Yeo et al. 2025, arXiv 2502.03373, punish repeated runs in the same way).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repetition {
    /// Words in a run, 1 to 64.
    pub words: usize,
}

impl Default for Repetition {
    /// The words of the shortest statement, its full stop included.
    fn default() -> Self {
        Repetition { words: 6 }
    }
}

impl Repetition {
    /// The value of a text. Linear in its length.
    pub fn value(self, text: &str) -> f64 {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut seen = HashSet::new();
        // `windows` cannot be asked for runs of no words.
        let runs = words.windows(self.words.max(1));
        let again = runs.clone().filter(|run| !seen.insert(*run)).count();
        share(again, runs.len())
    }

    pub(in crate::reward) fn problems(self) -> Vec<Problem> {
        match self.words {
            1..=64 => Vec::new(),
            words => vec![Problem::new("words", format!("found {words}"), "allowed is 1 to 64")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINEAR: Length = Length { free: 10, buffer: None, limit: 30, shape: LengthShape::Linear };

    #[test]
    fn hand_computed_lengths() {
        let linear = |tokens| LINEAR.value(tokens);
        assert_eq!([0, 10, 15, 30, 99].map(linear), [0.0, 0.0, 0.25, 1.0, 1.0]);
        let cosine = |tokens| Length { shape: LengthShape::Cosine, ..LINEAR }.value(tokens);
        for (tokens, expected) in
            [(0, 0.0), (10, 0.0), (15, 0.5 - 0.5f64.sqrt() / 2.0), (20, 0.5), (30, 1.0), (99, 1.0)]
        {
            assert!((cosine(tokens) - expected).abs() < 1e-12, "{tokens}");
        }
        let buffered = |tokens| Length { free: 0, buffer: Some(8), ..LINEAR }.value(tokens);
        assert_eq!([0, 22, 26, 30, 31].map(buffered), [0.0, 0.0, 0.5, 1.0, 1.0]);
    }

    proptest! {
        #[test]
        fn never_falls_as_tokens_are_added(
            free in 0..500usize, more in 1..500usize, cosine in any::<bool>(), buffered in any::<bool>(),
            tokens in 0..2000usize
        ) {
            let shape = if cosine { LengthShape::Cosine } else { LengthShape::Linear };
            let (free, buffer) = if buffered { (0, Some(more)) } else { (free, None) };
            let length = Length { free, buffer, limit: free + more, shape };
            prop_assert!(length.problems().is_empty());
            prop_assert!(length.value(tokens) <= length.value(tokens + 1));
        }
    }

    #[test]
    fn hand_computed_repetitions() {
        let of = |words, text| Repetition { words }.value(text);
        assert_eq!(of(1, "a b a b"), 0.5);
        assert_eq!(of(2, "a b a b"), 1.0 / 3.0);
        assert_eq!(of(3, "a b a b"), 0.0);
        assert_eq!(of(2, "a a a a a"), 0.75);
        assert_eq!(of(9, "a b"), 0.0);
        assert_eq!(of(1, " \n "), 0.0);
    }

    proptest! {
        #[test]
        fn every_further_copy_of_a_sentence_raises_it(
            sentence in prop::collection::vec("[a-c]", 6..12), copies in 2..9usize, words in 1..6usize
        ) {
            let of = |copies| Repetition { words }.value(&vec![sentence.join(" "); copies].join(" "));
            prop_assert!(0.0 < of(copies) && of(copies) < of(copies + 1) && of(copies + 1) < 1.0);
        }
    }
}
