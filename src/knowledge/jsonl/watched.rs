//! What of set B must not stand in anything that trains.
//!
//! Documents from files state the facts of B; that is how they are learned. What must not be there is a question of B with
//! its answer right behind it, or, where it is put as a question, the question itself. Text has no grammar, so a fact that
//! is stated in the other order cannot be told from one that is not.

use std::collections::HashMap;

use super::Jsonl;
use super::rows::words;
use crate::knowledge::Set;
use crate::knowledge::leak::{Leak, LeakKind};

/// Questions and answers of B, ready to be looked for.
pub struct Watched {
    /// By their first word.
    phrases: HashMap<String, Vec<Phrase>>,
}

struct Phrase {
    kind: LeakKind,
    words: Vec<String>,
    text: String,
}

impl Watched {
    pub fn of(jsonl: &Jsonl) -> Watched {
        let mut phrases: HashMap<String, Vec<Phrase>> = HashMap::new();
        let mut watch = |kind: LeakKind, text: String| {
            let words: Vec<String> = words(&text).collect();
            if let Some(first) = words.first() {
                phrases.entry(first.clone()).or_default().push(Phrase { kind, words, text });
            }
        };
        for question in jsonl.questions(Set::B) {
            watch(LeakKind::Answer, format!("{} {}", question.text, question.answer));
            if question.text.ends_with('?') {
                watch(LeakKind::Question, question.text.clone());
            }
        }
        Watched { phrases }
    }

    /// The first of them in a text.
    pub fn find(&self, text: &str) -> Option<Leak> {
        let words: Vec<String> = words(text).collect();
        (0..words.len()).find_map(|at| {
            let mut begun = self.phrases.get(&words[at])?.iter();
            let phrase = begun.find(|phrase| words[at..].starts_with(&phrase.words))?;
            Some(Leak { kind: phrase.kind, text: phrase.text.clone() })
        })
    }
}
