//! When two answers are the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::number::Number;
use crate::text::{bare, composed};

/// How an answer is compared with the right ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// The same characters; only how letters are composed (NFC) and how much white space there is does not matter.
    Exact,
    /// The same words: case, articles, punctuation, white space, closing tags and markup around the whole do not matter.
    Normalised,
    /// The same number, whether it is written 1000, 1,000 or $1000.00.
    Number,
    /// As `normalised`, with any of several answers that a row lists.
    AnyOf,
}

/// An answer as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Text(String),
    Number { negative: bool, digits: String, exponent: i64 },
}

impl Match {
    pub const ALL: [Match; 4] = [Match::Exact, Match::Normalised, Match::Number, Match::AnyOf];

    pub fn is_exact(&self) -> bool {
        *self == Match::Exact
    }

    /// That of generated worlds, whose words have one spelling.
    pub(crate) fn exact() -> Match {
        Match::Exact
    }

    /// Equal for answers that are the same.
    pub fn key(self, answer: &str) -> Key {
        let number = if self == Match::Number { Number::read(answer) } else { None };
        match (self, number) {
            (Match::Exact, _) => Key::Text(composed(answer)),
            (_, Some(number)) => {
                let (negative, digits, exponent) = number.value();
                Key::Number { negative, digits: digits.into(), exponent }
            }
            (_, None) => Key::Text(bare(answer)),
        }
    }

    /// The words of an answer in their order, each as it is compared. Commas, semicolons and full stops around them part
    /// the items of a list and are no part of a word, also where every character counts.
    pub fn words(self, answer: &str) -> Vec<Key> {
        let text = |word: &str| Key::Text(word.into());
        let of = |text: String, trimmed: &[char], key: &dyn Fn(&str) -> Key| {
            let words = text.split(' ').map(|word| word.trim_matches(trimmed));
            words.filter(|word| !word.is_empty()).map(key).collect()
        };
        match self {
            Match::Exact => of(composed(answer), &[',', '.', ';'], &text),
            Match::Number => of(bare(answer), &[], &|word| self.key(word)),
            Match::Normalised | Match::AnyOf => of(bare(answer), &[], &text),
        }
    }

    /// Whether an answer is the right one or not, and nothing in between: each of them is a number. `None` where one is
    /// none.
    pub fn is_number(self, right: &str, said: &str) -> Option<bool> {
        let number = |text| (self == Match::Number).then(|| Number::read(text)).flatten();
        Some(number(right)?.is_said_by(&number(said)?))
    }

    /// Whether there is anything that an answer could be compared with.
    pub fn can_compare(self, right: &str) -> bool {
        match self {
            Match::Exact => !bare(right).is_empty(),
            _ => self.key(right) != Key::Text(String::new()),
        }
    }

    /// Whether an answer is of the kind that is compared: any text, or a number.
    pub fn reads(self, answer: &str) -> bool {
        self != Match::Number || Number::read(answer).is_some()
    }

    /// Whether an answer is one of the right ones. Linear in all of them.
    pub fn any(self, right: impl Iterator<Item = impl AsRef<str>>, said: &str) -> bool {
        let mut right = right.filter(|right| self.can_compare(right.as_ref()));
        if self == Match::Number
            && let Some(said) = Number::read(said)
        {
            return right.any(|right| Number::read(right.as_ref()).is_some_and(|right| right.is_said_by(&said)));
        }
        let said = self.key(said);
        right.any(|right| self.key(right.as_ref()) == said)
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(matching: Match, right: &str, said: &str) -> bool {
        matching.any([right].iter(), said)
    }

    #[test]
    fn prefixes_and_more_words_are_wrong_in_every_way() {
        for matching in Match::ALL {
            for said in [
                "Par",
                "Paris is nice",
                "Paris Rome",
                "Paris or Rome",
                "Paris, Rome",
                "not Paris",
                "",
                ".",
                "paris paris",
            ] {
                assert!(!same(matching, "Paris", said), "{matching} {said}");
            }
            for nothing in ["", ".", " . ", "..."] {
                assert!(!same(matching, nothing, nothing), "{matching}: nothing was asked for");
            }
        }
    }

    #[test]
    fn a_number_that_is_none_is_compared_by_its_words() {
        assert!(same(Match::Number, "one half", "One half."));
        assert!(!same(Match::Number, "42", "forty-two") && !same(Match::Number, "forty-two", "42"));
        assert!(!same(Match::Normalised, "42", "42.0") && same(Match::Number, "42", "42.0"));
    }

    #[test]
    fn keys_are_equal_where_answers_are_the_same() {
        assert_eq!(Match::Normalised.key("The José"), Match::Normalised.key("jose\u{301}."));
        assert_eq!(Match::Number.key("$1,000"), Match::Number.key("1000.0"));
        assert_ne!(Match::Exact.key("Paris"), Match::Exact.key("paris"));
        assert_eq!(Match::Exact.key("Jose\u{301}  T"), Match::Exact.key("Jos\u{e9} T"));
    }
}
