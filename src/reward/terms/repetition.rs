//! Does the completion say the same thing again and again?

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::share;
use crate::strict_toml::Problem;

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

    #[test]
    fn hand_computed_values() {
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

        #[test]
        fn any_text_has_a_value(text in any::<String>(), words in 0..100usize) {
            let value = Repetition { words }.value(&text);
            prop_assert!((0.0..=1.0).contains(&value));
        }
    }
}
