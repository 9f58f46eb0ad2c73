//! Questions from files as a task, with whatever forms their rows name.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::knowledge::form::{FormInfo, TaskInfo};
use crate::knowledge::registry::generated_forms;
use crate::knowledge::task::Task;
use crate::knowledge::{Form, Question, TaskId};
use crate::text::excerpt;
use crate::{Error, Result};

/// Questions read from a file.
pub const JSONL: TaskId = &TaskInfo { number: 2, name: "jsonl", plural: "questions from a file", free_text: true };

/// A prompt to be completed: the form of rows that name none.
pub const COMPLETION: Form =
    &FormInfo { task: JSONL, number: 4, name: "completion", title: "prompt to complete", asks_subject: false };

/// Whether a form that questions are asked for in has this one: that of rows that name none stands for all.
pub fn is_of(question: &Question, form: Form) -> bool {
    form == COMPLETION || question.form == form
}

/// The forms that rows have named so far. A process reads few files, so what they name stays.
static NAMED: Mutex<BTreeMap<String, Form>> = Mutex::new(BTreeMap::new());

/// The most different names of forms in one process, and the longest.
const MOST_NAMES: usize = 256;
const LONGEST_NAME: usize = 40;

/// The form of this name.
///
/// # Errors
/// What is no name, and names that generated worlds have.
pub fn named(name: &str, place: &str) -> Result<Form> {
    let refuse = |found: String, remedy: &str| Err(Error::invalid(format!("{place}: form"), found, remedy));
    if name == COMPLETION.name {
        return Ok(COMPLETION);
    }
    if generated_forms().any(|form| form.name == name) {
        return refuse(format!("\"{name}\" is a form of generated worlds"), "name it otherwise");
    }
    let spelt = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(spelt) {
        let remedy = "a form is a name of small letters, digits and hyphens, such as \"capital-cities\"";
        return refuse(format!("found \"{}\"", excerpt(name)), remedy);
    }
    let mut forms = NAMED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(form) = forms.get(name) {
        return Ok(form);
    }
    if forms.len() >= MOST_NAMES {
        return refuse(format!("\"{name}\" after {MOST_NAMES} others"), "name fewer kinds of questions");
    }
    let text: &'static str = String::leak(name.to_owned());
    let form: Form = Box::leak(Box::new(FormInfo { name: text, title: text, ..*COMPLETION }));
    forms.insert(name.to_owned(), form);
    Ok(form)
}

/// The task. What follows from a thought is known where the question's fact is.
pub struct FromFiles;

impl Task for FromFiles {
    fn id(&self) -> TaskId {
        JSONL
    }

    fn forms(&self) -> &'static [Form] {
        &[COMPLETION]
    }
}
