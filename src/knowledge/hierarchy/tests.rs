use super::*;
use crate::knowledge::Set;
use crate::knowledge::curriculum::TrainingSequence;
use crate::knowledge::curriculum::lesson::THINK;
use crate::knowledge::leak::Leaks;
use crate::knowledge::world::tests::{deep, full, full_with, versed};
use proptest::prelude::*;

/// Whether all of `kind` are `is` in every world in which the statements hold.
fn follows(statements: &[Claim], kind: &str, is: &str) -> bool {
    let pairs: Vec<(&str, &str)> = statements
        .iter()
        .map(|claim| match claim {
            Claim::Categorical { subject, mood: Mood::All, predicate } => (subject.as_str(), predicate.as_str()),
            _ => panic!("{claim:?}"),
        })
        .collect();
    let mut names: Vec<&str> = pairs.iter().flat_map(|(a, b)| [*a, *b]).chain([kind, is]).collect();
    names.sort_unstable();
    names.dedup();
    let number = |name: &str| names.iter().position(|other| *other == name).unwrap();
    let all = |a: &str, b: &str| Statement::new(number(a), Mood::All, number(b));
    let premises: Vec<Statement> = pairs.iter().map(|(a, b)| all(a, b)).collect();
    verdict(names.len(), &premises, all(kind, is), Import::Existential) == Some(Verdict::Yes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn an_answer_follows_from_what_it_needs_from_nothing_less_and_no_other_choice_does(seed in 0u64..1000) {
        for known in [versed(), deep()] {
            let world = full_with(&known, seed);
            for question in world.questions(Set::B).iter().filter(|q| q.task == HIERARCHY) {
                let pair = |choice: &str| {
                    let (cue, choice) = (question.named().to_string(), choice.to_string());
                    if question.form == REVERSED { (choice, cue) } else { (cue, choice) }
                };
                let says = |claims: &[Claim], choice: &str| {
                    let (kind, is) = pair(choice);
                    follows(claims, &kind, &is)
                };
                prop_assert!(says(&question.needed, &question.answer));
                for left_out in 0..question.needed.len() {
                    let mut less = question.needed.clone();
                    less.remove(left_out);
                    prop_assert!(!says(&less, &question.answer));
                }
                prop_assert_eq!(question.choices.len(), SHOWN);
                let all: Vec<Link> = world.data::<Families>(Set::B).links.clone();
                for wrong in question.choices.iter().filter(|choice| **choice != question.answer) {
                    // In the whole set, by the closure alone: too many terms for the enumeration.
                    let (kind, is) = pair(wrong);
                    let word = |text: &str| world.grammar.lexicon.word(text).unwrap();
                    let mut reached = vec![word(&kind)];
                    let mut at = 0;
                    while at < reached.len() {
                        let kind = reached[at];
                        reached.extend(all.iter().filter(|l| l.kind == kind).map(|l| l.is));
                        at += 1;
                    }
                    prop_assert!(!reached.contains(&word(&is)), "{:?}", question);
                }
                let links = question.needed.len();
                prop_assert_eq!(links > 1, [INHERITED, HOLDOUT].contains(&question.form));
                let known = question.context.iter().filter_map(|s| world.grammar.read(s.strip_suffix(" .")?));
                let known: Vec<Claim> = known.collect();
                prop_assert!(question.needed.iter().all(|needed| known.contains(needed)));
                // Every candidate stands in the context, so that occurring there gives nothing away.
                let text = question.context.join(" ");
                prop_assert!(question.choices.iter().all(|choice| text.contains(choice.as_str())));
            }
        }
    }
}

#[test]
fn no_document_holds_two_statements_of_which_one_continues_the_other() {
    let world = full_with(&deep(), 1);
    for document in world.documents() {
        let links: Vec<Link> =
            document.statements.iter().filter(|(s, _)| s.task == HIERARCHY).map(|(s, _)| Link::from(s.words)).collect();
        assert!(links.iter().all(|a| links.iter().all(|b| a.is != b.kind)), "{links:?}");
    }
}

#[test]
fn of_a_holdout_nothing_is_said_but_its_parent_and_there_are_questions_of_every_form() {
    for seed in 0..5 {
        let world = full(seed);
        for set in [Set::A, Set::B, Set::C] {
            let hierarchy: &Families = world.data(set);
            for form in FORMS {
                assert!(hierarchy.items(form).len() >= 4, "{set} {form}");
            }
            for item in hierarchy.items(HOLDOUT) {
                assert_eq!(hierarchy.of(item.asked.kind).count(), 1);
            }
        }
    }
}

#[test]
fn impossible_families_are_refused() {
    let config = HierarchyConfig::default();
    assert!(config.check(3).unwrap_err().to_string().contains("a set of 3 families"));
    let refused = HierarchyConfig { holdouts: 4, ..config.clone() }.check(4).unwrap_err().to_string();
    assert!(refused.contains("holdouts = 4"), "{refused}");
    assert!(HierarchyConfig { traits: 0, ..config }.check(4).is_err());
}

impl Families {
    /// Asks of one family only.
    pub fn ask_of_family(&mut self, family: usize) {
        let places = &self.places;
        self.items.values_mut().for_each(|items| items.retain(|item| places[&item.asked.kind].0 == family));
    }
}

#[test]
fn what_is_thought_behind_a_question_with_few_candidates_is_not_taken_for_one_of_them() {
    let world = full_with(&versed(), 0);
    let leaks = Leaks::new(&world, Set::B);
    let (hierarchy, lexicon) = (world.data::<Families>(Set::B), &world.grammar.lexicon);
    let asked =
        hierarchy.items(REPHRASED).iter().map(|item| item.asked).find(|asked| !lexicon.is_a("traits", asked.is));
    let Link { kind, is: parent } = asked.unwrap();
    let question = [lexicon.grammar("what"), lexicon.grammar("inherit"), parent, lexicon.grammar("?")];
    let lesson = |between: &[Word]| {
        let mut lesson = TrainingSequence::begin();
        lesson.read(question.into_iter().chain(lexicon.names("traits").last().copied()).chain(between.iter().copied()));
        lesson.sentence(&world.grammar.sentence(Link { kind, is: parent }.into(), 0), |_| 1.0);
        lesson
    };
    leaks.check(&lesson(&[THINK])).unwrap();
    assert!(leaks.check(&lesson(&[])).is_err());
}
