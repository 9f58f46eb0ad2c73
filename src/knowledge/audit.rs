//! Whether a world can be answered without knowing it.
//!
//! Each shortcut is a cheap rule, fitted on set A where it has something to fit and tested on set B. A rule that
//! does better there than chance allows shows a flaw of the world, and the world is refused. That a subject and an
//! object occur together is the fact itself, so the co-occurrence shortcut goes by the other words of a question.

use serde::Serialize;

use super::shortcut::{DocumentWords, Tried};
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
    let mut words = DocumentWords::default();
    for (number, document) in world.documents().iter().enumerate() {
        let names = document.statements.iter().flat_map(|(stated, _)| world.grammar.names(*stated));
        names.for_each(|name| words.count(world.grammar.lexicon.spell(name), number));
    }
    let mut shortcuts = Vec::new();
    for form in super::registry::generated_forms() {
        let of = |questions: &[Question]| -> Vec<Question> {
            questions.iter().filter(|q| q.form == form).cloned().collect()
        };
        let tried = Tried { fit: of(&fit), test: of(&test), words: &words };
        let test = &tried.test;
        let Some(first) = test.first().map(|q| q.chance) else { continue };
        // As a difference from the first, the mean of equal numbers is that number to the last bit.
        let chance = first + test.iter().map(|q| q.chance - first).sum::<f64>() / test.len() as f64;
        let Some([a, b]) = world.of(Set::A, form.task).zip(world.of(Set::B, form.task)).map(<[_; 2]>::from) else {
            continue;
        };
        for (rule, answers) in b.shortcuts(a, &tried) {
            let correct = answers.iter().zip(test).filter(|(a, q)| a.as_ref() == Some(&q.answer)).count();
            let Interval { low, high } = Interval::wilson_at(correct as f64 / test.len() as f64, test.len(), TOLERANCE);
            shortcuts.push(Shortcut { rule, form, correct, n: test.len(), chance, low, high });
        }
    }
    shortcuts
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::WorldConfig;
    use crate::knowledge::hierarchy::{Families, INHERITED};
    use crate::knowledge::syllogism::Syllogisms;
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
            world.change(set, |families: &mut Families| families.ask_of_family(0));
            let items = world.data::<Families>(set).items(INHERITED);
            let told: Vec<_> = items.iter().map(|item| ((*item.needed.last().unwrap()).into(), 0)).collect();
            (0..30).for_each(|_| world.plant(Document { set, statements: told.clone() }));
        }
        let works = |s: &Shortcut| (s.form, s.rule) == (INHERITED, "most frequent name") && !s.passes();
        assert!(audit(&world).iter().any(works) && check(&world).is_err());
    }

    #[test]
    fn a_world_in_which_one_premise_tells_the_answer_is_refused() {
        let mut world = World::new(&known(), &WorldConfig::default()).unwrap();
        for set in [Set::A, Set::B] {
            // Only the chains of which something follows: "unknown" is never right, so a negative premise tells all.
            let decided = |data: &mut Syllogisms| data.chains.retain(|c| c.verdict(false).word() != "unknown");
            world.change(set, decided);
        }
        let message = check(&world).unwrap_err().to_string();
        assert!(message.contains("alone") || message.contains("majority"), "{message}");
    }
}
