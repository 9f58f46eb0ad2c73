//! The names of tasks and of the forms of their questions, as plain values: what records and files hold.

use std::fmt;

use serde::{Serialize, Serializer};

/// What is said of a task where nothing of it is at hand.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskInfo {
    /// Its place in tables, and a part of the numbers of its questions: below 16, and no other task's.
    pub number: u64,
    /// As files have it.
    pub name: &'static str,
    /// Several of what it is about, as messages have it.
    pub plural: &'static str,
    /// Its questions are free text, in which no sentence can be checked.
    pub free_text: bool,
}

/// What kind of inference a question asks for.
pub type TaskId = &'static TaskInfo;

/// What is said of a form of questions.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormInfo {
    pub task: TaskId,
    /// Its place in tables, and a part of the numbers of its questions: no other form of any task has it, and those of a
    /// task follow one another.
    pub number: u64,
    /// As files have it. No other form of any task has the same.
    pub name: &'static str,
    /// As reports have it.
    pub title: &'static str,
    /// It asks for the subject of what documents state, and so against the direction in which they state it.
    pub asks_subject: bool,
}

/// How a question is put. Each task has its own.
pub type Form = &'static FormInfo;

/// The names of forms, as messages list them.
pub fn form_names(forms: &[Form]) -> String {
    forms.iter().map(|form| form.name).collect::<Vec<_>>().join(", ")
}

/// Both are written by name.
macro_rules! write_by_name {
    ($($info:ident)+) => {$(
        impl fmt::Debug for $info {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(self.name)
            }
        }

        impl fmt::Display for $info {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(self.name)
            }
        }

        impl Serialize for $info {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name)
            }
        }
    )+};
}

write_by_name!(TaskInfo FormInfo);
