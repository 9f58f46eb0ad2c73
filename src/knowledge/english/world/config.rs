//! How large a world in English is, and what it is about.

use serde::{Deserialize, Serialize};

use crate::knowledge::Set;
use crate::knowledge::config::multiple;
use crate::knowledge::logic::Import;
use crate::knowledge::question::CANDIDATES;
use crate::knowledge::syllogism::SQUARE;
use crate::{Error, Result};

/// What documents and questions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnglishTask {
    /// Who did what: documents name the person first, questions ask for the person.
    Reversal,
    /// What two premises say of a third statement.
    Syllogism,
}

/// What a world in English is made from, beside a seed. The defaults suit a model of 135 million parameters on two cores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnglishConfig {
    pub tasks: Vec<EnglishTask>,
    pub a: EnglishSize,
    pub b: EnglishSize,
    /// What lessons are about. It has no questions.
    pub c: EnglishSize,
    /// Members of a group, all of one profession.
    pub group_size: usize,
    /// Articles that state a fact, or a premise.
    pub articles: usize,
    /// Whether "all" says that there is one.
    pub import: Import,
    pub lessons: LessonCounts,
}

/// How much a set holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnglishSize {
    /// Facts about people, a multiple of the group size.
    pub facts: usize,
    /// Pairs of premises, a multiple of 4.
    pub syllogisms: usize,
    /// Questions about each fact in each form, worded differently and with other candidates.
    pub questions: usize,
}

/// How many lessons there are of each kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LessonCounts {
    /// With a thought that recites.
    pub thinking: usize,
    /// With passages to read; half of them with a thought.
    pub reading: usize,
    /// With the answer alone.
    pub direct: usize,
}

impl Default for EnglishConfig {
    fn default() -> Self {
        Self {
            tasks: vec![EnglishTask::Reversal, EnglishTask::Syllogism],
            a: EnglishSize { facts: 40, syllogisms: 16, questions: 4 },
            b: EnglishSize { facts: 40, syllogisms: 16, questions: 2 },
            c: EnglishSize { facts: 80, syllogisms: 24, questions: 0 },
            group_size: 5,
            articles: 6,
            import: Import::Existential,
            lessons: LessonCounts::default(),
        }
    }
}

impl Default for LessonCounts {
    fn default() -> Self {
        Self { thinking: 200, reading: 120, direct: 20 }
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
        if !(2..=100).contains(&self.articles) {
            return refuse("articles", self.articles, "2 to 100 are possible".into());
        }
        for (set, key, size) in self.sets() {
            multiple(&format!("english.{key}.facts"), size.facts, self.group_size)?;
            multiple(&format!("english.{key}.syllogisms"), size.syllogisms, SQUARE)?;
            if set == Set::C && size.questions > 0 {
                return refuse("c.questions", size.questions, "lessons are about set C: it has no questions".into());
            }
            if size.questions > 8 {
                return refuse(&format!("{key}.questions"), size.questions, "there are 8 wordings of a form".into());
            }
        }
        let LessonCounts { thinking, reading, direct } = self.lessons;
        let something = (self.has(EnglishTask::Reversal) && self.c.facts > 0)
            || (self.has(EnglishTask::Syllogism) && self.c.syllogisms > 0);
        if thinking + reading + direct > 0 && !something {
            return refuse("c", 0, "lessons need facts or syllogisms in set C".into());
        }
        Ok(())
    }
}
