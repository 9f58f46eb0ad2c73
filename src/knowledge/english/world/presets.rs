//! Worlds of the sizes of data sets that papers describe, made anew from their descriptions.

use super::config::{EnglishConfig, EnglishSize, EnglishTask, LessonCounts};

impl EnglishConfig {
    /// Names of all presets.
    pub const PRESETS: [&str; 6] =
        ["default", "simple-reversals", "syllogisms-69", "fictional-people", "hierarchy-110", "codebooks"];

    /// A preset by its name; `None` if there is none of that name.
    pub fn preset(name: &str) -> Option<EnglishConfig> {
        let lessons = LessonCounts { thinking: 100, reading: 60, direct: 20 };
        let only = |task, size: EnglishSize, articles| {
            let (a, b, c) = (size.clone(), size.clone(), size);
            EnglishConfig { tasks: vec![task], a, b, c, articles, lessons: lessons.clone(), ..EnglishConfig::default() }
        };
        match name {
            "default" => Some(EnglishConfig::default()),
            // 100 facts over 28 words are measured, half of them on B.
            "simple-reversals" => {
                let size = EnglishSize { comparisons: 50, ..EnglishSize::default() };
                Some(only(EnglishTask::Comparison, size, 10))
            }
            // 69 articles: one for each pair of premises, in three sets.
            "syllogisms-69" => {
                let size = EnglishSize { conclusions: 23, ..EnglishSize::default() };
                Some(only(EnglishTask::Conclusion, size, 1))
            }
            // 90 people, 30 articles about each of them.
            "fictional-people" => {
                let size = EnglishSize { descriptions: 30, ..EnglishSize::default() };
                Some(only(EnglishTask::Description, size, 30))
            }
            // Ten families of eleven kinds.
            "hierarchy-110" => {
                let of = |families| EnglishSize { families, ..EnglishSize::default() };
                let all = only(EnglishTask::Hierarchy, of(3), 10);
                Some(EnglishConfig { a: of(4), ..all })
            }
            "codebooks" => {
                let size = EnglishSize { codes: 8, ..EnglishSize::default() };
                Some(only(EnglishTask::Codebook, size, 6))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::EnglishWorld;
    use super::*;
    use crate::knowledge::english::FactBook;
    use crate::knowledge::english::fact_book::FactRow;
    use crate::knowledge::jsonl::task::COMPLETION;
    use crate::knowledge::logic::{Import, Verdict, decided};
    use crate::knowledge::{Claim, Mood, Set};

    fn worlds() -> Vec<(&'static str, EnglishWorld)> {
        let made = |name| (name, EnglishWorld::new(&EnglishConfig::preset(name).unwrap(), 5).unwrap());
        EnglishConfig::PRESETS.into_iter().filter(|name| *name != "default").map(made).collect()
    }

    #[test]
    fn their_questions_need_what_is_stated_and_are_read_with_passages_of_their_set() {
        for (name, world) in worlds() {
            let book: FactBook = world.facts.iter().cloned().collect();
            let text = |set| -> String {
                world.documents.iter().filter(|d| d.set == set).map(|d| d.text.clone() + "\n").collect()
            };
            let texts = [text(Set::A), text(Set::B), text(Set::C)];
            let mut ids = BTreeSet::new();
            assert!(world.questions.len() > 100 && world.lessons.len() == 180, "{name}");
            for question in world.questions.iter().chain(&world.forward) {
                assert!(ids.insert(question.id), "{name}: {question:?}");
                assert!(question.choices.contains(&question.answer), "{name}: {question:?}");
                assert!(question.needed.iter().all(|claim| book.claims.contains(claim)), "{name}: {question:?}");
                assert!(question.context.len() >= question.needed.len(), "{name}: {question:?}");
                let told = |passage: &String| texts[question.set as usize].contains(passage.as_str());
                assert!(question.context.iter().all(told), "{name}: {question:?}");
                assert!(!question.text.contains(['{', '}']), "{name}: {}", question.text);
            }
            for lesson in &world.lessons {
                let said = [&lesson.context[..], lesson.thought.as_slice()].concat().join(" ");
                assert!(!said.contains(['{', '}']), "{name}: {said}");
                // What no document says has to be read.
                let told = |passage: &String| texts.iter().any(|text| text.contains(passage.as_str()));
                assert!(!lesson.context.iter().any(told), "{name}: {said}");
            }
            let again = EnglishWorld::new(&EnglishConfig::preset(name).unwrap(), 5).unwrap();
            assert_eq!(world, again, "{name}");
        }
    }

    /// Whether a text has a name, and not as a part of another.
    fn has(text: &str, name: &str) -> bool {
        let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
        let whole = |(at, _): (usize, &str)| {
            !letter(text[..at].chars().next_back()) && !letter(text[at + name.len()..].chars().next())
        };
        text.match_indices(name).any(whole)
    }

    #[test]
    fn their_sets_share_no_names() {
        for (name, world) in worlds() {
            let names = |set| -> BTreeSet<&String> {
                let of = world.questions.iter().filter(|q| q.set == set).flat_map(|q| &q.needed);
                of.flat_map(|claim| match claim {
                    // Codes are about the same words.
                    Claim::Relation { group, .. } if !group.is_empty() => vec![group],
                    Claim::Relation { subject, object, .. } => vec![subject, object],
                    Claim::Categorical { subject, predicate, .. } => vec![subject, predicate],
                })
                .collect()
            };
            let (a, b) = (names(Set::A), names(Set::B));
            assert!(!a.is_empty() && !b.is_empty() && a.is_disjoint(&b), "{name}");
            let lessons = serde_json::to_string(&world.lessons).unwrap().to_lowercase();
            let told = a.union(&b).find(|one| has(&lessons, &one.to_lowercase()));
            assert!(told.is_none(), "{name}: {told:?}");
        }
    }

    #[test]
    fn comparisons_are_stated_in_one_direction() {
        let world = EnglishWorld::new(&EnglishConfig::preset("simple-reversals").unwrap(), 6).unwrap();
        let facts = world.facts.iter().filter_map(|row| match row {
            FactRow::Fact(fact) => Some((fact.subject.clone(), fact.object.clone())),
            _ => None,
        });
        let mut stated = 0;
        for (subject, object) in facts {
            for text in world.documents.iter().map(|document| document.text.to_lowercase()) {
                let Some(at) = text.find(&format!(" {object}")) else { continue };
                assert!(text[..at].contains(&subject), "{text}");
                stated += 1;
            }
        }
        assert_eq!(stated, 1500);
        let words: BTreeSet<&String> = world
            .facts
            .iter()
            .filter_map(|row| if let FactRow::Relation(relation) = row { Some(&relation.name) } else { None })
            .collect();
        assert_eq!(words.len(), 28);
    }

    #[test]
    fn of_six_statements_the_strongest_is_right() {
        let world = EnglishWorld::new(&EnglishConfig::preset("syllogisms-69").unwrap(), 7).unwrap();
        assert_eq!(world.documents.len(), 69);
        for question in &world.questions {
            assert_eq!((question.form, question.choices.len()), (COMPLETION, 6));
            let claims: BTreeSet<&Claim> = question.needed.iter().collect();
            let follows = |statement: &str| {
                let (mood, rest) = [("all ", Mood::All), ("no ", Mood::No), ("some ", Mood::Some)]
                    .into_iter()
                    .find_map(|(word, mood)| Some((mood, statement.strip_prefix(word)?)))
                    .unwrap();
                let (subject, predicate) = rest.split_once(" are ").unwrap();
                decided((subject, mood, predicate), &claims, Import::Existential) == Some(Verdict::Yes)
            };
            assert!(question.right_answers().all(follows), "{question:?}");
            let all = question.choices.iter().filter(|choice| choice.starts_with("all") && follows(choice)).count();
            assert!(all == 0 || question.answer.starts_with("all"), "{question:?}");
        }
    }

    #[test]
    fn a_part_of_a_config_is_enough() {
        let text = r#"{"tasks": ["codebook"], "a": {"codes": 3}, "questions": {"a": 1}}"#;
        let config: EnglishConfig = serde_json::from_str(text).unwrap();
        assert_eq!((config.a.codes, config.b.codes, config.questions.b), (3, 8, 2));
        assert!(serde_json::from_str::<EnglishConfig>(r#"{"facts": 3}"#).is_err());
        for name in EnglishConfig::PRESETS {
            let config = EnglishConfig::preset(name).unwrap();
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<EnglishConfig>(&text).unwrap(), config);
        }
        assert!(EnglishConfig::preset("other").is_none());
    }
}
