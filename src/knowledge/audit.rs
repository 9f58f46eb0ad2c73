//! Whether a world can be answered without knowing it.
//!
//! Each shortcut is a cheap rule, fitted on set A where it has something to fit and tested on set B. A rule that
//! does better there than chance allows shows a flaw of the world, and the world is refused. That a subject and an
//! object occur together is the fact itself, so the co-occurrence shortcut goes by the other words of a question.

use super::shortcut::{DocumentWords, Shortcut, Tried};
use super::{Knowledge, Question, Set, World, english};
use crate::{Error, Result};

/// All shortcuts on set B, of a world that was generated, here or where files were exported. `None` of other text from files:
/// what would be a shortcut there is not known.
///
/// # Errors
/// More names than can be looked for at once.
pub fn shortcuts(knowledge: &Knowledge) -> Result<Option<Vec<Shortcut>>> {
    match knowledge {
        Knowledge::Generated(world) => Ok(Some(audit(world))),
        Knowledge::Files(jsonl) => match jsonl.world() {
            Some(world) => Ok(Some(audit(world))),
            None if jsonl.is_english() => {
                let [fit, test] = [Set::A, Set::B].map(|set| jsonl.questions(set));
                english::shortcuts(fit, test, jsonl.documents()).map(Some)
            }
            None => Ok(None),
        },
    }
}

/// All shortcuts on set B of a world with a grammar.
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
        if test.is_empty() {
            continue;
        }
        let Some([a, b]) = world.of(Set::A, form.task).zip(world.of(Set::B, form.task)).map(<[_; 2]>::from) else {
            continue;
        };
        let measured = |(rule, answers)| Shortcut::measured(rule, &answers, test);
        shortcuts.extend(b.shortcuts(a, &tried).into_iter().filter_map(measured));
    }
    shortcuts
}

/// Refuses knowledge in which a shortcut works. Of text of which none is known, there is none.
///
/// # Errors
/// The first shortcut that works.
pub fn check(knowledge: &Knowledge) -> Result<()> {
    shortcuts(knowledge)?.map_or(Ok(()), |shortcuts| demand_none(&shortcuts))
}

/// Refuses a table in which a shortcut works.
///
/// # Errors
/// The first that does.
pub fn demand_none(shortcuts: &[Shortcut]) -> Result<()> {
    match shortcuts.iter().find(|s| !s.passes()) {
        None => Ok(()),
        Some(s) => Err(Error::Refused(format!(
            "{} questions of set B can be answered by \"{}\": {} of {} right where chance is {:.0} %; take another world.seed, here or where the files were exported",
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
    use crate::knowledge::english::world::EnglishWorld;
    use crate::knowledge::english::world::config::EnglishConfig;
    use crate::knowledge::hierarchy::{Families, INHERITED};
    use crate::knowledge::syllogism::Syllogisms;
    use crate::knowledge::world::Document;
    use crate::knowledge::world::tests::{full, known};
    use crate::knowledge::{Jsonl, WorldConfig};

    fn checked(world: &World) -> Result<Vec<Shortcut>> {
        let shortcuts = audit(world);
        demand_none(&shortcuts).map(|()| shortcuts)
    }

    #[test]
    fn generated_worlds_have_no_shortcuts() {
        for seed in 0..20 {
            let world = World::new(&known(), &WorldConfig { seed, ..Default::default() }).unwrap();
            let shortcuts = checked(&world).unwrap();
            assert_eq!(shortcuts.len(), 3 * 5 + 5);
        }
    }

    #[test]
    fn worlds_of_every_task_have_no_shortcuts_either() {
        for seed in 0..20 {
            let shortcuts = checked(&full(seed)).unwrap();
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
        assert!(audit(&world).iter().any(works) && checked(&world).is_err());
    }

    #[test]
    fn a_world_in_which_one_premise_tells_the_answer_is_refused() {
        let mut world = World::new(&known(), &WorldConfig::default()).unwrap();
        for set in [Set::A, Set::B] {
            // Only the chains of which something follows: "unknown" is never right, so a negative premise tells all.
            let decided = |data: &mut Syllogisms| data.chains.retain(|c| c.verdict(false).word() != "unknown");
            world.change(set, decided);
        }
        let message = checked(&world).unwrap_err().to_string();
        assert!(message.contains("alone") || message.contains("majority"), "{message}");
    }

    fn in_english(seed: u64, change: impl Fn(&mut Question)) -> Knowledge {
        let config = EnglishConfig::default();
        let mut world = EnglishWorld::new(&config, seed).unwrap();
        world.questions.iter_mut().for_each(change);
        Knowledge::Files(Box::new(Jsonl::from_english(world, config.import, seed).unwrap()))
    }

    #[test]
    fn a_world_in_english_is_audited_and_refused_where_a_shortcut_works() {
        let found = shortcuts(&in_english(0, |_| ())).unwrap().unwrap();
        for (form, rule) in
            [("candidates", "choice 1"), ("open", "longest choice"), ("entailment", "last premise alone")]
        {
            let row = found.iter().find(|s| (s.form.name, s.rule) == (form, rule)).unwrap();
            assert!(row.passes() && row.n > 30 && row.low < row.high, "{row:?}");
        }
        // The right one is shown first.
        let sorted = in_english(0, |question| {
            let right = question.answer.clone();
            question.choices.sort_by_key(|choice| *choice != right);
        });
        let message = check(&sorted).unwrap_err().to_string();
        assert!(message.contains("choice 1") || message.contains("position among the choices"), "{message}");
        assert!(message.contains("take another world.seed"), "{message}");
        // Four of five conclusions are answered with no.
        let told = in_english(0, |question| {
            if question.conclusion.is_some() {
                question.answer = if question.id % 5 == 0 { "yes" } else { "no" }.into();
            }
        });
        assert!(check(&told).unwrap_err().to_string().contains("\"majority answer\""));
    }
}
