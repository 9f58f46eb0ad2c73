//! Cheap rules that might answer questions without knowing anything, how well they do, and where words stand in the documents.

use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;

use super::{Form, Question};
use crate::statistics::Interval;

/// Standard deviations around chance within which a shortcut passes: one world in about 2,000 fails by bad luck.
const TOLERANCE: f64 = 3.29;

/// What a rule answers to each question that it is tried on.
pub type Guesses = Vec<Option<String>>;

/// How well one rule does on set B.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shortcut {
    pub rule: &'static str,
    pub form: Form,
    pub correct: usize,
    pub n: usize,
    /// Best accuracy that the rule may have without the knowledge.
    pub chance: f64,
    /// Interval around the rule's accuracy.
    pub low: f64,
    pub high: f64,
}

impl Shortcut {
    /// How well a rule does that made these guesses; `None` where there is nothing to guess.
    pub fn measured(rule: &'static str, guesses: &Guesses, test: &[Question]) -> Option<Shortcut> {
        let Question { form, chance: first, .. } = test.first()?;
        // As a difference from the first, the mean of equal numbers is that number to the last bit.
        let chance = first + test.iter().map(|q| q.chance - first).sum::<f64>() / test.len() as f64;
        let right =
            |(guess, q): &(&Option<String>, &Question)| guess.as_ref().is_some_and(|said| q.is_answered_by(said));
        let correct = guesses.iter().zip(test).filter(right).count();
        let Interval { low, high } = Interval::wilson_at(correct as f64 / test.len() as f64, test.len(), TOLERANCE);
        Some(Shortcut { rule, form, correct, n: test.len(), chance, low, high })
    }

    /// The rule does no better than chance, as far as can be told.
    pub fn passes(&self) -> bool {
        self.low <= self.chance
    }
}

/// Questions of one form.
pub struct Tried<'a> {
    /// Those of set A, to fit rules on.
    pub fit: Vec<Question>,
    /// Those of set B.
    pub test: Vec<Question>,
    pub words: &'a DocumentWords,
}

impl Tried<'_> {
    /// Rules that look at the choices of a question: where they stand, and where documents name them.
    pub fn by_choices(&self) -> Vec<(&'static str, Guesses)> {
        let (test, words) = (&self.test, self.words);
        let position = |q: &Question| q.choices.iter().position(|c| *c == q.answer);
        let best = most_common(self.fit.iter().filter_map(position));
        let by = |score: &dyn Fn(&Question, &str) -> i64| -> Guesses {
            test.iter().map(|q| q.choices.iter().max_by_key(|c| score(q, c)).cloned()).collect()
        };
        let sum = |choice: &str, of: &dyn Fn(&str) -> i64| names(choice).map(of).sum::<i64>();
        vec![
            ("position among the choices", test.iter().map(|q| q.choices.get(best?).cloned()).collect()),
            ("most frequent name", by(&|_, c| sum(c, &|name| words.of(name)))),
            ("rarest name", by(&|_, c| -sum(c, &|name| words.of(name)))),
            ("name met most with the group and the verb", by(&|q, c| sum(c, &|name| words.with(q, name)))),
            ("name met first in the documents", by(&|_, c| -sum(c, &|name| words.first(name)))),
        ]
    }
}

/// The names that a choice says: all of it, or where it restates the question word by word what stands behind the colons.
fn names(choice: &str) -> impl Iterator<Item = &str> {
    let restated = choice.contains(':');
    choice.split(' ').enumerate().filter(move |(at, _)| !restated || at % 3 == 2).map(|(_, name)| name)
}

/// The value that occurs most; of several, the smallest.
pub fn most_common<T: Eq + Hash + Ord + Clone>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: HashMap<T, usize> = HashMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts.into_iter().max_by(|(a, m), (b, n)| m.cmp(n).then(b.cmp(a))).map(|(value, _)| value)
}

/// Where each name stands in the documents.
#[derive(Default)]
pub struct DocumentWords {
    documents: HashMap<String, Vec<usize>>,
    count: HashMap<String, i64>,
}

impl DocumentWords {
    /// Counts a name in a document; documents come in their order.
    pub fn count(&mut self, name: &str, document: usize) {
        *self.count.entry(name.to_owned()).or_default() += 1;
        let seen = self.documents.entry(name.to_owned()).or_default();
        if seen.last() != Some(&document) {
            seen.push(document);
        }
    }

    /// How often a name is met.
    pub fn of(&self, word: &str) -> i64 {
        self.count.get(word).copied().unwrap_or(0)
    }

    /// The number of the first document in which it stands.
    pub fn first(&self, word: &str) -> i64 {
        self.documents.get(word).and_then(|d| d.first()).map_or(i64::from(u32::MAX), |d| *d as i64)
    }

    /// Documents in which a name stands together with the words of a question, its object left out.
    fn with(&self, question: &Question, name: &str) -> i64 {
        let words = question.text.split(' ').filter(|word| {
            *word != question.named() && !question.choices.iter().any(|c| c.split(' ').any(|w| w == *word))
        });
        words.map(|word| self.shared(word, name)).sum()
    }

    /// Documents in which both stand.
    pub fn shared(&self, a: &str, b: &str) -> i64 {
        let (Some(a), Some(b)) = (self.documents.get(a), self.documents.get(b)) else { return 0 };
        a.iter().filter(|document| b.binary_search(document).is_ok()).count() as i64
    }
}
