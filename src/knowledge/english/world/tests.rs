//! What every world in English has to hold.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{EnglishConfig, EnglishTask, LessonCounts};
use super::*;
use crate::knowledge::english::{ClaimReader, FactBook, WrittenFact, shortcuts};
use crate::knowledge::facts::reference_thought;
use crate::knowledge::syllogism::ENTAILMENT;
use crate::knowledge::{Claim, Facts, Form};
use crate::text::capital;

fn world(seed: u64) -> EnglishWorld {
    EnglishWorld::new(&EnglishConfig::default(), seed).unwrap()
}

fn lines<T: serde::Serialize>(rows: &[T]) -> String {
    rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect()
}

/// All names of somebody.
fn names(fact: &WrittenFact) -> Vec<String> {
    std::iter::once(&fact.subject).chain(&fact.subject_aliases).cloned().collect()
}

/// Who did what, with all names of the person, and the set of the documents that say so.
fn deeds(world: &EnglishWorld) -> Vec<(Vec<String>, String)> {
    let facts = world.facts.iter().filter_map(|row| match row {
        FactRow::Fact(fact) if fact.object.starts_with("the ") && fact.relation != "belongs to" => Some(fact),
        _ => None,
    });
    facts.map(|fact| (names(fact), fact.object.clone())).collect()
}

#[test]
fn a_seed_gives_one_world() {
    let (one, again, other) = (world(1), world(1), world(2));
    assert_eq!(one, again);
    assert_ne!(one.documents, other.documents);
    let bytes =
        [lines(&one.documents), lines(&one.questions), lines(&one.forward), lines(&one.facts), lines(&one.lessons)];
    let digest = bytes.concat().bytes().fold(0, |digest, byte| random::mix(digest ^ u64::from(byte)));
    assert_eq!(format!("{digest:016x}"), "56d90d0784cd1b74", "the words of worlds have changed");
}

#[test]
fn no_article_leads_from_a_thing_to_a_person() {
    let world = world(3);
    let facts = deeds(&world);
    assert_eq!(facts.len(), 160);
    let mut stated: BTreeMap<&str, usize> = BTreeMap::new();
    for EnglishDocument { text, .. } in &world.documents {
        for (names, object) in &facts {
            let Some(at) = text.find(object.as_str()).or_else(|| text.find(&object.replacen("the", "The", 1))) else {
                continue;
            };
            *stated.entry(object).or_default() += 1;
            let (before, after) = text.split_at(at);
            assert!(names.iter().any(|name| before.contains(name.as_str())), "{object}: {text}");
            assert!(names.iter().all(|name| !after.contains(name.as_str())), "{object}: {text}");
        }
        let sentences = text.matches(['.', '?']).count();
        assert!((3..=10).contains(&sentences), "{sentences}: {text}");
    }
    assert!(facts.iter().all(|(_, object)| stated[object.as_str()] == EnglishConfig::default().articles));
}

/// Whether a text words a claim, with its canonical names.
fn words(book: &FactBook, claim: &Claim, text: &str) -> bool {
    let Claim::Relation { subject, relation, object, .. } = claim else { return true };
    let text = text.to_lowercase();
    book.wordings_of(relation).iter().any(|wording| {
        let said = wording.replace("{subject}", subject).replace("{object}", object);
        text.contains(&said.to_lowercase())
    })
}

#[test]
fn what_a_question_needs_is_stated_and_stands_in_its_context() {
    let world = world(4);
    let book: FactBook = world.facts.iter().cloned().collect();
    let mut ids = BTreeSet::new();
    for question in world.questions.iter().chain(&world.forward) {
        assert!(ids.insert(question.id) && !question.needed.is_empty() && !question.context.is_empty());
        assert!(question.choices.contains(&question.answer), "{question:?}");
        assert!(question.context.iter().collect::<BTreeSet<_>>().len() > 2, "{question:?}");
        for claim in &question.needed {
            assert!(book.claims.contains(claim), "{claim:?}");
            assert!(question.context.iter().any(|passage| words(&book, claim, passage)), "{question:?}");
        }
        let told = |passage: &String| {
            world.documents.iter().any(|document| document.set == question.set && document.text.contains(passage))
        };
        assert!(question.context.iter().all(told), "{question:?}");
        assert!(!question.text.contains('{') && question.text.ends_with(['?', '.']), "{}", question.text);
    }
    for claim in &book.claims {
        let Claim::Relation { relation, .. } = claim else { continue };
        let stated = world.documents.iter().any(|document| words(&book, claim, &document.text));
        assert!(stated || ["belongs to", "is a"].contains(&relation.as_str()), "{claim:?}");
    }
    let texts =
        |set| -> BTreeSet<&str> { world.questions.iter().filter(|q| q.set == set).map(|q| q.text.as_str()).collect() };
    assert!(texts(Set::A).is_disjoint(&texts(Set::B)));
}

#[test]
fn premises_of_a_pair_stand_in_separate_articles() {
    let world = world(5);
    let book: FactBook = world.facts.iter().cloned().collect();
    let mut checked = 0;
    for question in world.questions.iter().filter(|question| question.form == ENTAILMENT) {
        let ends = |claim: &Claim| match claim {
            Claim::Categorical { subject, predicate, .. } => [subject.clone(), predicate.clone()],
            Claim::Relation { .. } => panic!("{claim:?}"),
        };
        let [one, other]: [BTreeSet<String>; 2] =
            [&question.needed[0], &question.needed[1]].map(|claim| ends(claim).into_iter().collect());
        assert_eq!(one.intersection(&other).count(), 1);
        assert!(question.needed.iter().all(|claim| book.claims.contains(claim)));
        let singular = |term: &String| term.strip_suffix('s').unwrap_or(term).to_owned();
        let all: BTreeSet<String> = one.union(&other).map(singular).collect();
        for document in &world.documents {
            let met = all.iter().filter(|term| document.text.to_lowercase().contains(term.as_str())).count();
            assert!(met < 3, "{}", document.text);
            checked += usize::from(met == 2);
        }
    }
    assert!(checked > 0);
}

#[test]
fn lessons_are_about_set_c_or_what_no_document_says_and_differ() {
    let world = world(6);
    let counts = LessonCounts::default();
    assert_eq!(world.lessons.len(), counts.thinking + counts.reading + counts.direct);
    let of_c: BTreeSet<usize> = (80..160).collect();
    let facts = deeds(&world);
    for lesson in &world.lessons {
        let text = serde_json::to_string(lesson).unwrap();
        for (index, (names, object)) in facts.iter().enumerate() {
            let there = text.contains(object.as_str()) || text.contains(names[0].as_str());
            assert!(!there || of_c.contains(&index), "{text}");
        }
        let stated = |text: &String| world.documents.iter().any(|document| document.text.contains(text.as_str()));
        // What no document says has to be read, and what there is nothing to read about has to be known.
        let said = |text: &String| stated(text) || ["yes", "no", "unknown"].contains(&text.as_str());
        assert!(!lesson.context.iter().any(stated), "{text}");
        assert!(!lesson.context.is_empty() || said(&lesson.answer), "{text}");
        assert!(!text.contains('{') || text.matches('{').count() == 1, "{text}");
        assert!(lesson.thought.as_ref().is_none_or(|thought| (10..900).contains(&thought.len())), "{text}");
    }
    let thoughts: BTreeSet<&String> = world.lessons.iter().filter_map(|lesson| lesson.thought.as_ref()).collect();
    assert!(thoughts.len() > 200, "{}", thoughts.len());
}

#[test]
fn no_shortcut_answers_questions_of_any_preset() {
    let mut wrong = Vec::new();
    for name in EnglishConfig::PRESETS {
        for seed in [0, 5] {
            let world = EnglishWorld::new(&EnglishConfig::preset(name).unwrap(), seed).unwrap();
            let (fit, test): (Vec<Question>, Vec<Question>) =
                world.questions.into_iter().partition(|question| question.set == Set::A);
            let documents: Vec<String> = world.documents.into_iter().map(|document| document.text).collect();
            let found = shortcuts(&fit, &test, &documents).unwrap();
            let forms: BTreeSet<Form> = test.iter().map(|question| question.form).collect();
            for form in forms {
                assert!(found.iter().filter(|shortcut| shortcut.form == form).count() >= 5, "{name} {form}");
            }
            let works = found.into_iter().filter(|shortcut| !shortcut.passes());
            wrong.extend(works.map(|shortcut| format!("{name} {seed}: {shortcut:?}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_a_question_needs_is_read_in_its_reference_thought_whatever_the_preset() {
    for name in EnglishConfig::PRESETS {
        let world = EnglishWorld::new(&EnglishConfig::preset(name).unwrap(), 2).unwrap();
        let reader = ClaimReader::new(world.facts.iter().cloned().collect());
        for question in &world.questions {
            let thought = reference_thought(&reader, question).unwrap();
            let read: Vec<Claim> = reader.clauses(&[&thought]).into_iter().filter_map(|(_, claim)| claim).collect();
            assert_eq!(read, question.needed, "{name}: {thought}");
        }
    }
}

#[test]
fn either_premise_alone_leaves_a_conclusion_open_half_the_time() {
    let world = world(9);
    for set in [Set::A, Set::B] {
        let of = |q: &&Question| q.set == set && q.form == ENTAILMENT;
        let questions: Vec<&Question> = world.questions.iter().filter(of).collect();
        let count = |answer: &str| questions.iter().filter(|q| q.answer == answer).count();
        assert_eq!(count("unknown") * 2, questions.len());
        assert_eq!(count("yes"), count("no"));
    }
}

#[test]
fn what_cannot_be_made_is_refused_by_its_key() {
    let refused = |change: &dyn Fn(&mut EnglishConfig)| {
        let mut config = EnglishConfig::default();
        change(&mut config);
        EnglishWorld::new(&config, 0).unwrap_err().to_string()
    };
    assert!(refused(&|config| config.a.facts = 42).contains("english.a.facts"));
    assert!(refused(&|config| config.b.syllogisms = 6).contains("english.b.syllogisms"));
    assert!(refused(&|config| config.group_size = 4).contains("english.group_size"));
    assert!(refused(&|config| config.questions.a = 9).contains("english.questions.a"));
    assert!(refused(&|config| config.a.facts = 2000).contains("too few"));
    assert!(refused(&|config| config.a.facts = 5000).contains("english.a"));
    let mut config = EnglishConfig { tasks: vec![EnglishTask::Syllogism], ..EnglishConfig::default() };
    let world = EnglishWorld::new(&config, 0).unwrap();
    let forms: BTreeSet<Form> = world.questions.iter().map(|question| question.form).collect();
    assert!(forms.into_iter().eq([ENTAILMENT]) && world.forward.is_empty());
    let large = EnglishConfig { group_size: 8, ..EnglishConfig::default() };
    assert!(EnglishWorld::new(&large, 0).is_ok(), "there are fewer kinds of things than members");
    config.c.syllogisms = 0;
    assert!(EnglishWorld::new(&config, 0).unwrap_err().to_string().contains("english.c"));
}

#[test]
fn whom_a_thought_lists_as_members_of_a_group_is_read_as_so_many_facts() {
    let world = world(7);
    let reader = ClaimReader::new(world.facts.iter().cloned().collect());
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in &world.facts {
        if let FactRow::Fact(fact) = row
            && fact.relation == "belongs to"
        {
            groups.entry(&fact.object).or_default().push(&fact.subject);
        }
    }
    let all: Vec<(&str, Vec<&str>)> = groups.into_iter().collect();
    for pair in all.windows(2) {
        let ((group, members), stranger) = (&pair[0], pair[1].1[0]);
        for said in [
            "{group} consists of {list}.",
            "The members of {group} are {list}.",
            "{group} has {list}.",
            "{list} make up {group}.",
        ] {
            let text = |members: &[&str]| {
                capital(&said.replace("{group}", group).replace("{list}", &names::listed(members, "and")))
            };
            let held = |text: &str| -> Vec<bool> {
                reader.clauses(&[text]).iter().filter_map(|(_, claim)| Some(reader.holds(claim.as_ref()?))).collect()
            };
            let right = text(members);
            assert_eq!(held(&right), vec![true; members.len()], "{right}");
            let wrong = text(&[members[0], stranger]);
            assert_eq!(held(&wrong), [true, false], "{wrong}");
        }
    }
}
