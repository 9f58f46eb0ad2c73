//! How large a world in English is, and what it is about.

use serde::{Deserialize, Serialize};

use crate::knowledge::Set;
use crate::knowledge::config::multiple;
use crate::knowledge::logic::Import;
use crate::knowledge::question::CANDIDATES;
use crate::knowledge::syllogism::SQUARE;
use crate::{Error, Result};

/// How often a fact is asked about in one form, at most.
pub const WORDINGS: usize = 8;

/// How much there can be of anything: names are made up, and have to differ.
const MOST: usize = 2000;

/// Lessons of a kind: each is written out when a world is made.
const MOST_LESSONS: usize = 100_000;

/// What documents and questions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnglishTask {
    /// Who did what: documents name the person first, questions ask for the person.
    Reversal,
    /// What two premises say of a third statement.
    Syllogism,
    /// Which kinds are larger, faster, safer than which; asked with the opposite word.
    Comparison,
    /// Two premises in one article, and which of six statements follows.
    Conclusion,
    /// Names of people with descriptions of them: some articles say the name first and some the description.
    Description,
    /// Families of kinds with traits of their own and inherited ones.
    Hierarchy,
    /// Words that stand for others.
    Codebook,
}

/// What a world in English is made from, beside a seed. The defaults suit a model of 135 million parameters on two cores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnglishConfig {
    /// What documents and questions are about.
    pub tasks: Vec<EnglishTask>,
    /// What reinforcement learning asks about.
    pub a: EnglishSize,
    /// What only the evaluation asks about.
    pub b: EnglishSize,
    /// What lessons are about. It has no questions.
    pub c: EnglishSize,
    /// Questions about each fact in each form.
    pub questions: QuestionCounts,
    /// Members of a group, all of one profession.
    pub group_size: usize,
    /// Articles that state a fact, or a premise.
    pub articles: usize,
    /// Whether "all" says that there is one.
    pub import: Import,
    /// Lessons in how to think.
    pub lessons: LessonCounts,
}

/// How much a set holds, of the tasks that there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnglishSize {
    /// Facts about people, a multiple of the group size.
    pub facts: usize,
    /// Pairs of premises, a multiple of 4.
    pub syllogisms: usize,
    /// Pairs of kinds of which one is larger, faster or safer; none or two at least.
    pub comparisons: usize,
    /// Pairs of premises that stand in one article.
    pub conclusions: usize,
    /// People with descriptions, half of them named first; none or four at least: choices are of one half.
    pub descriptions: usize,
    /// Families of eleven kinds, none or two at least: candidates are of several.
    pub families: usize,
    /// Codes of eight words.
    pub codes: usize,
}

/// Questions about each fact in each form, worded differently and with other candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuestionCounts {
    /// About set A.
    pub a: usize,
    /// About set B.
    pub b: usize,
}

/// How many lessons there are of each kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LessonCounts {
    /// With a thought that recites.
    pub thinking: usize,
    /// With passages to read, about people and kinds of which no document says anything; half of them with a thought.
    pub reading: usize,
    /// With the answer alone.
    pub direct: usize,
}

impl Default for EnglishConfig {
    fn default() -> Self {
        Self {
            tasks: vec![EnglishTask::Reversal, EnglishTask::Syllogism],
            a: EnglishSize::default(),
            b: EnglishSize::default(),
            c: EnglishSize { facts: 80, syllogisms: 24, ..EnglishSize::default() },
            questions: QuestionCounts::default(),
            group_size: 5,
            articles: 6,
            import: Import::Existential,
            lessons: LessonCounts::default(),
        }
    }
}

impl Default for EnglishSize {
    fn default() -> Self {
        Self { facts: 40, syllogisms: 16, comparisons: 50, conclusions: 23, descriptions: 30, families: 4, codes: 8 }
    }
}

impl Default for QuestionCounts {
    fn default() -> Self {
        Self { a: 4, b: 2 }
    }
}

impl Default for LessonCounts {
    fn default() -> Self {
        Self { thinking: 160, reading: 480, direct: 20 }
    }
}

impl EnglishConfig {
    /// The sets with their names in a config.
    pub fn sets(&self) -> [(Set, &'static str, &EnglishSize); 3] {
        [(Set::A, "a", &self.a), (Set::B, "b", &self.b), (Set::C, "c", &self.c)]
    }

    pub fn has(&self, task: EnglishTask) -> bool {
        self.tasks.contains(&task)
    }

    /// Refuses sizes that no world has.
    ///
    /// # Errors
    ///
    /// Names the key, what was found, and what is allowed.
    pub fn check(&self) -> Result<()> {
        let refuse = |key: &str, found: usize, remedy: String| {
            Err(Error::invalid(format!("english.{key}"), format!("found {found}"), remedy))
        };
        if self.tasks.is_empty() {
            return refuse("tasks", 0, "name one at least".into());
        }
        if self.group_size <= CANDIDATES || self.group_size > 12 {
            return refuse("group_size", self.group_size, format!("{} to 12 are possible", CANDIDATES + 1));
        }
        if !(1..=100).contains(&self.articles) {
            return refuse("articles", self.articles, "1 to 100 are possible".into());
        }
        for (_, key, size) in self.sets() {
            multiple(&format!("english.{key}.facts"), size.facts, self.group_size)?;
            multiple(&format!("english.{key}.syllogisms"), size.syllogisms, SQUARE)?;
            let largest = self.tasks.iter().map(|task| size.of(*task)).max().unwrap_or(0);
            if largest > MOST {
                return refuse(key, largest, format!("at most {MOST} of a task are possible"));
            }
            // Of fewer the right choice would stand alone.
            for (task, name, least, reason) in [
                (EnglishTask::Hierarchy, "families", 2, "candidates are of several"),
                (EnglishTask::Comparison, "comparisons", 2, "one is asked for among two"),
                (
                    EnglishTask::Description,
                    "descriptions",
                    4,
                    "half of them are named first, and choices are of one half",
                ),
            ] {
                let found = size.of(task);
                if self.has(task) && (1..least).contains(&found) {
                    return refuse(&format!("{key}.{name}"), found, format!("0, or {least} or more: {reason}"));
                }
            }
        }
        for (key, count) in [("questions.a", self.questions.a), ("questions.b", self.questions.b)] {
            if count > WORDINGS {
                return refuse(key, count, format!("there are {WORDINGS} wordings of a form"));
            }
        }
        let LessonCounts { thinking, reading, direct } = self.lessons;
        for (key, count) in [("thinking", thinking), ("reading", reading), ("direct", direct)] {
            if count > MOST_LESSONS {
                return refuse(&format!("lessons.{key}"), count, format!("at most {MOST_LESSONS} are possible"));
            }
        }
        if thinking + reading + direct > 0 && !self.tasks.iter().any(|task| self.c.of(*task) > 0) {
            return refuse("c", 0, "lessons are about set C: it has to hold something".into());
        }
        Ok(())
    }

    /// Questions about each fact of a set in each form. Set C has none but for lessons.
    pub fn questions_of(&self, set: Set) -> usize {
        match set {
            Set::A => self.questions.a,
            Set::B => self.questions.b,
            Set::C => 0,
        }
    }
}

impl EnglishSize {
    /// How much there is of a task.
    pub fn of(&self, task: EnglishTask) -> usize {
        match task {
            EnglishTask::Reversal => self.facts,
            EnglishTask::Syllogism => self.syllogisms,
            EnglishTask::Comparison => self.comparisons,
            EnglishTask::Conclusion => self.conclusions,
            EnglishTask::Description => self.descriptions,
            EnglishTask::Hierarchy => self.families,
            EnglishTask::Codebook => self.codes,
        }
    }
}

#[cfg(test)]
mod tests {
    use toml::{Table, Value};

    use super::*;

    fn all_tasks() -> EnglishConfig {
        let tasks = [
            EnglishTask::Reversal,
            EnglishTask::Syllogism,
            EnglishTask::Comparison,
            EnglishTask::Conclusion,
            EnglishTask::Description,
            EnglishTask::Hierarchy,
            EnglishTask::Codebook,
        ];
        EnglishConfig { tasks: tasks.into(), ..EnglishConfig::default() }
    }

    #[test]
    fn no_number_is_too_large_to_be_refused() {
        fn enlarge(table: &Table, key: &str, refused: &mut usize, check: &dyn Fn(Table) -> Result<()>) {
            for (name, value) in table {
                let key = format!("{key}.{name}");
                let changed = |value: Value| Table::from_iter(table.clone().into_iter().chain([(name.clone(), value)]));
                match value {
                    Value::Table(inner) => enlarge(inner, &key, refused, &|inner| check(changed(inner.into()))),
                    Value::Integer(_) => {
                        let message = check(changed(i64::MAX.into())).unwrap_err().to_string();
                        let set = key.rsplit_once('.').unwrap().0;
                        assert!(
                            message.starts_with(&key) || message.starts_with(&format!("{set}:")),
                            "{key}: {message}"
                        );
                        *refused += 1;
                    }
                    _ => {}
                }
            }
        }
        let config = all_tasks();
        config.check().unwrap();
        let mut refused = 0;
        let check = |table: Table| table.try_into::<EnglishConfig>().unwrap().check();
        enlarge(&Table::try_from(&config).unwrap(), "english", &mut refused, &check);
        assert_eq!(refused, 3 * 7 + 2 + 2 + 3);
    }

    #[test]
    fn no_question_has_a_single_choice() {
        for (changed, key) in [
            (EnglishSize { families: 1, ..EnglishSize::default() }, "families"),
            (EnglishSize { comparisons: 1, ..EnglishSize::default() }, "comparisons"),
            (EnglishSize { descriptions: 3, ..EnglishSize::default() }, "descriptions"),
        ] {
            let message = EnglishConfig { b: changed, ..all_tasks() }.check().unwrap_err().to_string();
            assert!(message.starts_with(&format!("english.b.{key}: found ")), "{message}");
        }
        let none = EnglishSize { families: 0, comparisons: 0, descriptions: 0, ..EnglishSize::default() };
        EnglishConfig { b: none, ..all_tasks() }.check().unwrap();
    }
}
