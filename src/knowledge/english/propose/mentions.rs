//! What sentences are about, as far as spelling tells: names with capitals, titles in quotes, numbers and dates.

use std::collections::HashSet;

use crate::knowledge::english::claim_reader::prose_token::{ProseToken, Sign};
use crate::knowledge::english::claim_reader::word_lists::{ADVERBS, HONORIFICS, NO_NAMES};

/// Words of the longest title in quotes.
const LONGEST_TITLE: usize = 6;
/// Small words within names.
const CONNECTING: [&str; 10] = ["of", "de", "da", "van", "von", "der", "la", "le", "du", "del"];
/// Small words within titles.
const WITHIN_TITLES: [&str; 10] = ["of", "the", "and", "in", "on", "a", "an", "to", "for", "at"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Ends of words that name no one thing where they stand first in a sentence and nowhere else with a capital.
const COMMON_ENDS: [&str; 5] = ["ing", "ion", "ment", "ness", "ity"];

/// A name in a sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    /// Its words among those of the sentence, with the article and the quotes around it.
    pub from: usize,
    pub to: usize,
    /// As it is written, with a small "the".
    pub name: String,
    /// A number or a date.
    pub amount: bool,
}

/// How words are written throughout the documents.
#[derive(Debug, Default)]
pub struct CapitalUse {
    /// Words that are met in small letters.
    small: HashSet<String>,
    /// Words that are met with a capital within a sentence.
    inside: HashSet<String>,
    /// Words with capitals beside each other, as they are met in a row.
    runs: HashSet<String>,
}

fn first_word(tokens: &[ProseToken]) -> Option<usize> {
    tokens.iter().position(|token| token.sign == Sign::Word)
}

fn is_capital(token: &ProseToken) -> bool {
    token.sign == Sign::Word && token.capital
}

/// The words with capitals from a place on.
fn run(tokens: &[ProseToken], at: usize) -> Vec<&str> {
    tokens[at..].iter().take_while(|token| is_capital(token)).map(|token| token.word.as_str()).collect()
}

impl CapitalUse {
    /// Takes note of a sentence.
    pub fn note(&mut self, tokens: &[ProseToken]) {
        let first = first_word(tokens);
        for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.sign == Sign::Word) {
            if !token.capital {
                self.small.insert(token.word.clone());
                continue;
            }
            if Some(at) != first {
                self.inside.insert(token.word.clone());
            }
            if at == 0 || !is_capital(&tokens[at - 1]) {
                self.runs.insert(run(tokens, at).join(" "));
            }
        }
    }

    /// Everything that a sentence names, in its order.
    pub fn mentions(&self, text: &str, tokens: &[ProseToken]) -> Vec<Mention> {
        let first = first_word(tokens);
        let (mut found, mut at) = (Vec::new(), 0);
        while at < tokens.len() {
            let mention = match tokens[at].sign {
                Sign::Quote => {
                    let close = tokens[at + 1..].iter().position(|token| token.sign == Sign::Quote);
                    let Some(close) = close.map(|next| at + 1 + next) else { break };
                    let title = title(text, tokens, at, close);
                    // Other quotes are somebody's words.
                    at = if title.is_some() { at } else { close };
                    title
                }
                Sign::Word if tokens[at].is_number() => Some(amount(text, tokens, at)),
                Sign::Word => self.name(text, tokens, at, first),
                _ => None,
            };
            at = mention.as_ref().map_or(at + 1, |mention| mention.to);
            found.extend(mention);
        }
        found
    }

    /// A name without quotes that begins at a place.
    fn name(&self, text: &str, tokens: &[ProseToken], at: usize, first: Option<usize>) -> Option<Mention> {
        let named = |at: usize| self.is_name_word(tokens, at, first);
        let article = tokens[at].is("the");
        let title = tokens[at].is_any(HONORIFICS) && tokens[at].capital;
        let start = at + usize::from((article || title) && named(at + 1));
        if !named(start) {
            return None;
        }
        let mut to = start + 1;
        loop {
            if named(to) || tokens.get(to).is_some_and(|token| token.is_number() && is_capital(&tokens[to - 1])) {
                to += 1;
                continue;
            }
            let Some(small) = tokens.get(to).filter(|token| token.is_any(&CONNECTING)) else { break };
            let of_the = small.is("of") && tokens.get(to + 1).is_some_and(|token| token.is("the"));
            let next = to + 1 + usize::from(of_the);
            if !named(next) {
                break;
            }
            to = next + 1;
        }
        let name = written(text, tokens, start, to);
        let name = if article { format!("the {name}") } else { name };
        Some(Mention { from: at, to, name, amount: false })
    }

    fn is_name_word(&self, tokens: &[ProseToken], at: usize, first: Option<usize>) -> bool {
        let Some(token) = tokens.get(at).filter(|token| is_capital(token)) else { return false };
        let word = token.word.as_str();
        if NO_NAMES.contains(&word) || word == "the" {
            return false;
        }
        Some(at) != first || self.inside.contains(word) || self.first_is_name(tokens, at)
    }

    /// Whether the first word of a sentence, which always has a capital, is one of a name.
    fn first_is_name(&self, tokens: &[ProseToken], at: usize) -> bool {
        let word = tokens[at].word.as_str();
        if ADVERBS.contains(&word) || (word.len() > 4 && word.ends_with("ly")) {
            return false;
        }
        let run = run(tokens, at);
        let small = self.small.contains(word);
        match run.len() {
            1 => !small && !COMMON_ENDS.iter().any(|end| word.ends_with(end)),
            // "Yesterday Mara Venn", "Architect Mara Venn": what stands behind it is a name without it.
            length => !((small || length > 2) && self.runs.contains(&run[1..].join(" "))),
        }
    }
}

/// Words as they are written, with single spaces.
fn written(text: &str, tokens: &[ProseToken], from: usize, to: usize) -> String {
    let text = text.get(tokens[from].start..tokens[to - 1].end).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A name in quotes that open and close at these places.
fn title(text: &str, tokens: &[ProseToken], open: usize, close: usize) -> Option<Mention> {
    let inner = &tokens[open + 1..close];
    let bare = inner.len() - inner.iter().rev().take_while(|t| matches!(t.sign, Sign::Comma | Sign::Stop)).count();
    let spelt = |token: &ProseToken| is_capital(token) || token.is_number() || token.is_any(&WITHIN_TITLES);
    let fits = (1..=LONGEST_TITLE).contains(&bare) && inner[..bare].iter().all(spelt) && is_capital(&inner[0]);
    let named = fits && inner[..bare].iter().any(|token| !NO_NAMES.contains(&token.word.as_str()));
    let name = || written(text, tokens, open + 1, open + 1 + bare);
    named.then(|| Mention { from: open, to: close + 1, name: name(), amount: false })
}

/// A number with what it counts, or a date.
fn amount(text: &str, tokens: &[ProseToken], at: usize) -> Mention {
    let is_word = |at: usize| tokens.get(at).is_some_and(|token| token.sign == Sign::Word);
    let month = tokens.get(at + 1).is_some_and(|token| token.capital && token.is_any(&MONTHS));
    let to = if month {
        at + 2 + usize::from(tokens.get(at + 2).is_some_and(ProseToken::is_number))
    } else {
        let counted = |token: &&ProseToken| {
            token.sign == Sign::Word
                && !token.capital
                && !NO_NAMES.contains(&token.word.as_str())
                && !ADVERBS.contains(&token.word.as_str())
        };
        at + 1 + usize::from(tokens.get(at + 1).filter(counted).is_some() && !is_word(at + 2))
    };
    Mention { from: at, to, name: written(text, tokens, at, to), amount: true }
}
