//! Whether a world can be answered without knowing it.
//!
//! Each shortcut is a cheap rule, fitted on set A where it has something to fit and tested on set B. A rule that
//! does better there than chance allows shows a flaw of the world, and the world is refused. That a subject and an
//! object occur together is the fact itself, so the co-occurrence shortcut goes by the other words of a question.

use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;

use super::syllogism::spell;
use super::{Form, Question, Set, World};
use crate::statistics::Interval;
use crate::{Error, Result};

/// Standard deviations around chance within which a shortcut passes: one world in about 2,000 fails by bad luck.
const TOLERANCE: f64 = 3.29;

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
    /// The rule does no better than chance, as far as can be told.
    pub fn passes(&self) -> bool {
        self.low <= self.chance
    }
}

/// All shortcuts on set B.
pub fn audit(world: &World) -> Vec<Shortcut> {
    let (fit, test) = (world.questions(Set::A), world.questions(Set::B));
    let words = Words::count(world);
    let mut shortcuts = Vec::new();
    for form in super::world::FORMS {
        let of = |questions: &[Question]| -> Vec<Question> {
            questions.iter().filter(|q| q.form == form).cloned().collect()
        };
        let (fit, test) = (of(&fit), of(&test));
        let Some(first) = test.first().map(|q| q.chance) else { continue };
        // As a difference from the first, the mean of equal numbers is that number to the last bit.
        let chance = first + test.iter().map(|q| q.chance - first).sum::<f64>() / test.len() as f64;
        let mut add = |rule, answers: Vec<Option<String>>| {
            let correct = answers.iter().zip(&test).filter(|(a, q)| a.as_ref() == Some(&q.answer)).count();
            let Interval { low, high } = Interval::wilson_at(correct as f64 / test.len() as f64, test.len(), TOLERANCE);
            shortcuts.push(Shortcut { rule, form, correct, n: test.len(), chance, low, high });
        };
        if form == Form::Entailment {
            for (rule, which) in [("majority answer", Seen::Nothing), ("conclusion alone", Seen::Question)] {
                add(rule, learned(world, which, &fit, &test));
            }
            add("first premise alone", learned(world, Seen::Premise(0), &fit, &test));
            add("last premise alone", learned(world, Seen::LastPremise, &fit, &test));
            add("end terms in one document", learned(world, Seen::Together(&words), &fit, &test));
        } else {
            let position = |q: &Question| q.choices.iter().position(|c| *c == q.answer);
            let best = most_common(fit.iter().filter_map(position));
            add("position among the choices", test.iter().map(|q| q.choices.get(best?).cloned()).collect());
            let by = |score: &dyn Fn(&Question, &str) -> i64| -> Vec<Option<String>> {
                test.iter().map(|q| q.choices.iter().max_by_key(|c| score(q, c)).cloned()).collect()
            };
            let sum = |choice: &str, of: &dyn Fn(&str) -> i64| names(choice).map(of).sum::<i64>();
            add("most frequent name", by(&|_, c| sum(c, &|name| words.of(name))));
            add("rarest name", by(&|_, c| -sum(c, &|name| words.of(name))));
            add("name met most with the group and the verb", by(&|q, c| sum(c, &|name| words.with(q, name))));
            add("name met first in the documents", by(&|_, c| -sum(c, &|name| words.first(name))));
        }
    }
    shortcuts
}

/// The names that a choice says: all of it, or where it restates the question word by word what stands behind the colons.
fn names(choice: &str) -> impl Iterator<Item = &str> {
    let restated = choice.contains(':');
    choice.split(' ').enumerate().filter(move |(at, _)| !restated || at % 3 == 2).map(|(_, name)| name)
}

/// Refuses a world in which a shortcut works.
pub fn check(world: &World) -> Result<Vec<Shortcut>> {
    let shortcuts = audit(world);
    match shortcuts.iter().find(|s| !s.passes()) {
        None => Ok(shortcuts),
        Some(s) => Err(Error::Refused(format!(
            "{} questions of set B can be answered by \"{}\": {} of {} right where chance is {:.0} %; take another world.seed",
            s.form,
            s.rule,
            s.correct,
            s.n,
            100.0 * s.chance
        ))),
    }
}

/// What a rule about syllogisms looks at.
enum Seen<'a> {
    Nothing,
    Question,
    Premise(usize),
    LastPremise,
    Together(&'a Words),
}

/// The answer that was most common on A among questions that look the same to the rule.
fn learned(world: &World, seen: Seen, fit: &[Question], test: &[Question]) -> Vec<Option<String>> {
    let key = |set: Set, index: usize| -> (usize, Option<(usize, super::Mood, bool)>) {
        let (chain, contradictory) = (&world.syllogisms[&set].chains[index / 2], index % 2 == 1);
        let mood = chain.asked(contradictory).mood as usize;
        let look = |at: usize| {
            let premise = chain.premises[at];
            Some((at.min(1), premise.mood, premise.subject < premise.predicate))
        };
        match &seen {
            Seen::Nothing => (0, None),
            Seen::Question => (mood, None),
            Seen::Premise(at) => (mood, look(*at)),
            Seen::LastPremise => (mood, look(chain.premises.len() - 1)),
            Seen::Together(words) => {
                let spell = |term: u32| world.grammar.lexicon.spell(term);
                let together = words.together(spell(chain.terms[0]), spell(chain.terms[chain.terms.len() - 1]));
                (together as usize, None)
            }
        }
    };
    let verdict = |set: Set, index: usize| spell(world.syllogisms[&set].chains[index / 2].verdict(index % 2 == 1));
    let mut counts: HashMap<_, Vec<&str>> = HashMap::new();
    for index in 0..fit.len() {
        counts.entry(key(Set::A, index)).or_default().push(verdict(Set::A, index));
    }
    let fallback = most_common(fit.iter().map(|q| q.answer.as_str())).map(String::from);
    (0..test.len())
        .map(|index| match counts.get(&key(Set::B, index)) {
            Some(seen) => most_common(seen.iter().copied()).map(String::from),
            None => fallback.clone(),
        })
        .collect()
}

/// The value that occurs most; of several, the smallest.
fn most_common<T: Eq + Hash + Ord + Clone>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: HashMap<T, usize> = HashMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts.into_iter().max_by(|(a, m), (b, n)| m.cmp(n).then(b.cmp(a))).map(|(value, _)| value)
}

/// Where each word stands in the documents.
struct Words {
    documents: HashMap<String, Vec<usize>>,
    count: HashMap<String, i64>,
}

impl Words {
    fn count(world: &World) -> Self {
        let (mut documents, mut count) = (HashMap::<String, Vec<usize>>::new(), HashMap::<String, i64>::new());
        for (index, document) in world.documents().iter().enumerate() {
            for (stated, _) in &document.statements {
                for word in stated.names() {
                    let spelling = world.grammar.lexicon.spell(word).to_string();
                    *count.entry(spelling.clone()).or_default() += 1;
                    let seen = documents.entry(spelling).or_default();
                    if seen.last() != Some(&index) {
                        seen.push(index);
                    }
                }
            }
        }
        Self { documents, count }
    }

    fn of(&self, word: &str) -> i64 {
        self.count.get(word).copied().unwrap_or(0)
    }

    fn first(&self, word: &str) -> i64 {
        self.documents.get(word).and_then(|d| d.first()).map_or(i64::from(u32::MAX), |d| *d as i64)
    }

    /// Documents in which a name stands together with the words of a question, its object left out.
    fn with(&self, question: &Question, name: &str) -> i64 {
        let words = question.text.split(' ').filter(|word| {
            *word != question.named() && !question.choices.iter().any(|c| c.split(' ').any(|w| w == *word))
        });
        words.map(|word| self.shared(word, name)).sum()
    }

    fn together(&self, a: &str, b: &str) -> bool {
        self.shared(a, b) > 0
    }

    fn shared(&self, a: &str, b: &str) -> i64 {
        let (Some(a), Some(b)) = (self.documents.get(a), self.documents.get(b)) else { return 0 };
        a.iter().filter(|document| b.binary_search(document).is_ok()).count() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::WorldConfig;
    use crate::knowledge::grammar::Stated;
    use crate::knowledge::world::Document;
    use crate::knowledge::world::tests::{full, known};

    #[test]
    fn generated_worlds_have_no_shortcuts() {
        for seed in 0..20 {
            let world = World::new(&known(), &WorldConfig { seed, ..Default::default() }).unwrap();
            let shortcuts = check(&world).unwrap();
            assert_eq!(shortcuts.len(), 3 * 5 + 5);
        }
    }

    #[test]
    fn worlds_of_every_task_have_no_shortcuts_either() {
        for seed in 0..20 {
            let shortcuts = check(&full(seed)).unwrap();
            assert_eq!(shortcuts.len(), (3 + 6) * 5 + 5);
        }
    }

    #[test]
    fn a_world_that_tells_more_of_what_it_asks_is_refused() {
        let mut world = full(0);
        for set in [Set::A, Set::B] {
            // Only traits of one family are ever right, and documents are full of them.
            let hierarchy = world.hierarchies.get_mut(&set).unwrap();
            hierarchy.ask_of_family(0);
            let items = hierarchy.items(Form::Inherited);
            let told: Vec<_> = items.iter().map(|item| (Stated::Link(*item.needed.last().unwrap()), 0)).collect();
            (0..30).for_each(|_| world.plant(Document { set, statements: told.clone() }));
        }
        let works = |s: &Shortcut| (s.form, s.rule) == (Form::Inherited, "most frequent name") && !s.passes();
        assert!(audit(&world).iter().any(works) && check(&world).is_err());
    }

    #[test]
    fn a_world_in_which_one_premise_tells_the_answer_is_refused() {
        let mut world = World::new(&known(), &WorldConfig::default()).unwrap();
        for set in [Set::A, Set::B] {
            // Only the chains of which something follows: "unknown" is never right, so a negative premise tells all.
            let chains = &mut world.syllogisms.get_mut(&set).unwrap().chains;
            chains.retain(|c| spell(c.verdict(false)) != "unknown");
        }
        let message = check(&world).unwrap_err().to_string();
        assert!(message.contains("alone") || message.contains("majority"), "{message}");
    }
}
