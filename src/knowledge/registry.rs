//! All tasks, and what is asked of all of them.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::codebook::Codebook;
use super::config::SetSize;
use super::english::world::asking::FORWARD;
use super::form::{Form, FormInfo, TaskInfo};
use super::hierarchy::Hierarchy;
use super::jsonl::task::{FromFiles, named};
use super::lexicon::{Lexicon, LexiconConfig, Vocabulary};
use super::reversal::Reversal;
use super::syllogism::Syllogism;
use super::task::{GeneratedTask, Task};

/// The tasks of generated worlds, in the order in which their questions are asked and their words stand in a lexicon. A
/// further one stands behind the others, so that worlds, words and lessons that are there stay as they are.
static GENERATED: &[&dyn GeneratedTask] = &[&Reversal, &Syllogism, &Codebook, &Hierarchy];

/// Every task, by number.
static TASKS: LazyLock<Vec<&dyn Task>> = LazyLock::new(|| {
    let generated = GENERATED.iter().map(|task| *task as &dyn Task);
    let mut tasks: Vec<&dyn Task> = generated.chain([&FromFiles as &dyn Task]).collect();
    tasks.sort_unstable_by_key(|task| task.id());
    tasks
});

/// All tasks, in the order of their numbers.
pub fn tasks() -> impl Iterator<Item = &'static dyn Task> {
    TASKS.iter().copied()
}

/// The tasks of generated worlds.
pub fn generated() -> &'static [&'static dyn GeneratedTask] {
    GENERATED
}

/// The forms of questions that generated worlds have.
pub fn generated_forms() -> impl Iterator<Item = Form> {
    GENERATED.iter().flat_map(|task| task.forms()).copied()
}

/// Refuses names that stand where a config names further tasks, and are none.
///
/// # Errors
///
/// The first of them.
pub fn check_further<'a>(key: &str, names: impl IntoIterator<Item = &'a String>) -> crate::Result<()> {
    let further = || GENERATED.iter().map(|task| task.size(&SetSize::default()).0);
    let unknown = |name: &&String| !further().any(|known| known == format!("tasks.{name}"));
    match names.into_iter().find(unknown) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<String> = further().filter_map(|key| Some(key.strip_prefix("tasks.")?.to_owned())).collect();
            let remedy = if known.is_empty() {
                "every task that there is has a key of its own".to_owned()
            } else {
                format!("further tasks are {}", known.join(", "))
            };
            Err(crate::Error::invalid(format!("{key}.{name}"), "unknown task", remedy))
        }
    }
}

impl TaskInfo {
    /// The task itself.
    pub fn get(&self) -> &'static dyn Task {
        TASKS.iter().find(|task| task.id() == self).map_or(&FromFiles as &dyn Task, |task| *task)
    }

    /// The task itself, where worlds are generated with it.
    ///
    /// # Panics
    ///
    /// If it is none of those: then it was not registered above.
    pub fn generated(&self) -> &'static dyn GeneratedTask {
        let found = GENERATED.iter().find(|task| task.id() == self);
        *found.unwrap_or_else(|| panic!("the task {self} is not registered"))
    }
}

/// A task or a form is read from its name.
macro_rules! read_by_name {
    ($info:ident, $all:expr, $otherwise:expr) => {
        impl<'de> Deserialize<'de> for &'static $info {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                static ALL: LazyLock<Vec<&$info>> = LazyLock::new(|| $all.collect());
                static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| ALL.iter().map(|info| info.name).collect());
                let name = Cow::<str>::deserialize(deserializer)?;
                let otherwise: fn(&str) -> Option<&'static $info> = $otherwise;
                let found = ALL.iter().copied().find(|info| info.name == name);
                found.or_else(|| otherwise(&name)).ok_or_else(|| D::Error::unknown_variant(&name, &NAMES))
            }
        }
    };
}

read_by_name!(TaskInfo, TASKS.iter().map(|task| task.id()), |_| None);
// What is none of these is the name that rows of a file gave a form.
read_by_name!(FormInfo, TASKS.iter().flat_map(|task| task.forms()).copied().chain([FORWARD]), |name| named(name, "")
    .ok());

impl Lexicon {
    /// A lexicon with the words of every task that the config has names for.
    ///
    /// # Errors
    ///
    /// More names of a kind than there may be.
    pub fn new(config: &LexiconConfig) -> crate::Result<Self> {
        let vocabularies: Vec<Vocabulary> = GENERATED.iter().map(|task| task.vocabulary()).collect();
        Self::with(config, &vocabularies)
    }
}

impl LexiconConfig {
    /// How many names of each kind there are to be, and how many there may be.
    pub fn counts(&self) -> Vec<(String, usize, usize)> {
        let kinds = GENERATED.iter().flat_map(|task| task.vocabulary().names);
        kinds.map(|names| (self.key(names.kind), self.count(names.kind), names.most)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::TaskId;
    use crate::knowledge::jsonl::task::JSONL;
    use std::collections::HashSet;

    #[test]
    fn names_and_numbers_of_tasks_and_forms_are_their_own_and_read_back() {
        let (mut tasks, mut names, mut numbers) = (HashSet::new(), HashSet::new(), HashSet::new());
        for task in TASKS.iter() {
            assert!(tasks.insert(task.id().number) && task.id().number < 16, "{}", task.id());
            let text = serde_json::to_string(&task.id()).unwrap();
            assert_eq!(serde_json::from_str::<TaskId>(&text).unwrap(), task.id());
            assert!(!task.forms().is_empty() && task.forms().iter().all(|form| form.task == task.id()));
            // Worlds in English ask one more.
            let further: &[Form] = if task.id() == FORWARD.task { &[FORWARD] } else { &[] };
            for form in task.forms().iter().chain(further) {
                assert!(names.insert(form.name) && numbers.insert(form.number), "{form}");
                let text = serde_json::to_string(form).unwrap();
                assert_eq!(serde_json::from_str::<Form>(&text).unwrap(), *form);
            }
        }
        assert_eq!(serde_json::from_str::<Form>("\"capital-cities\"").unwrap().task, JSONL, "rows of a file named it");
        let error = serde_json::from_str::<Form>("\"Opne\"").unwrap_err().to_string();
        assert!(
            error.starts_with("unknown variant `Opne`, expected one of `candidates`, `open`, `open-any`"),
            "{error}"
        );
    }
}
