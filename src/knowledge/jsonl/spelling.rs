//! Texts that are looked for in others, whatever white space and hyphens stand in them.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::text::{TextWord, words};
use crate::{Error, Result};

/// Words that an answer may have or not.
const ARTICLES: [&str; 3] = ["the", "a", "an"];

/// Different texts with a number each.
#[derive(Default)]
pub struct NumberedTexts {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
}

impl NumberedTexts {
    /// The number of a text, by its spelling; `None` where it has no words.
    pub fn number(&mut self, text: &str) -> Option<usize> {
        let letters = Unspaced::new(text).letters.text;
        if letters.is_empty() {
            return None;
        }
        let next = self.texts.len();
        Some(*self.numbers.entry(letters).or_insert_with_key(|letters| {
            self.texts.push(letters.clone());
            next
        }))
    }

    pub fn spellings(self) -> Result<Spellings> {
        // The automaton that is complete takes the square of a text that repeats itself to build.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let search = AhoCorasick::builder().kind(kind).build(&self.texts).map_err(|error| {
            Error::invalid("world.jsonl.questions", error.to_string(), "ask fewer questions about B")
        })?;
        Ok(Spellings { search })
    }
}

/// Texts that are looked for.
#[derive(Debug)]
pub struct Spellings {
    search: AhoCorasick,
}

/// One of them in a text, from one word to before another.
pub struct Hit {
    pub number: usize,
    pub from: usize,
    pub to: usize,
}

impl Spellings {
    /// All that stand in a text as whole words, by where they end.
    pub fn in_text(&self, read: &Unspaced) -> Vec<Hit> {
        self.in_letters(&read.letters)
    }

    /// Those that would stand in it if it had no articles; nothing where it has none.
    pub fn without_articles(&self, read: &Unspaced) -> Vec<Hit> {
        let letters = JoinedLetters::of(&read.words, |word| !ARTICLES.contains(&word));
        if letters.places.len() == read.words.len() { Vec::new() } else { self.in_letters(&letters) }
    }

    fn in_letters(&self, letters: &JoinedLetters) -> Vec<Hit> {
        let whole = self.search.find_overlapping_iter(&letters.text).filter_map(|found| {
            let (from, to) = (letters.starts.binary_search(&found.start()).ok()?, letters.word_before(found.end())?);
            let last = to.checked_sub(1)?;
            Some(Hit { number: found.pattern().as_usize(), from: letters.places[from], to: letters.places[last] + 1 })
        });
        whole.collect()
    }
}

/// A text in which others are looked for.
pub struct Unspaced {
    pub words: Vec<TextWord>,
    letters: JoinedLetters,
}

impl Unspaced {
    pub fn new(text: &str) -> Unspaced {
        let words = words(text);
        let letters = JoinedLetters::of(&words, |_| true);
        Unspaced { words, letters }
    }

    /// Some of its words.
    pub fn text(&self, from: usize, to: usize) -> String {
        self.words[from..to].iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// The letters of a text, or of some of its words, without what stands between them.
#[derive(Default)]
struct JoinedLetters {
    text: String,
    /// Where in it each word begins.
    starts: Vec<usize>,
    /// The number of each of these words among all.
    places: Vec<usize>,
}

impl JoinedLetters {
    fn of(words: &[TextWord], kept: impl Fn(&str) -> bool) -> JoinedLetters {
        let mut letters = JoinedLetters::default();
        for (place, word) in words.iter().enumerate().filter(|(_, word)| kept(&word.text)) {
            letters.starts.push(letters.text.len());
            letters.places.push(place);
            letters.text += &word.text;
        }
        letters
    }

    /// How many words end at or before a place in the letters; `None` if it is within one.
    fn word_before(&self, end: usize) -> Option<usize> {
        if end == self.text.len() { Some(self.starts.len()) } else { self.starts.binary_search(&end).ok() }
    }
}
