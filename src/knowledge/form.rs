//! The names of tasks and of the forms of their questions, as plain values: what records and files hold.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use serde::{Serialize, Serializer};

/// What is said of a task where nothing of it is at hand.
#[derive(Debug)]
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
#[derive(Clone, Copy)]
pub struct TaskId(&'static TaskInfo);

/// What is said of a form of questions.
#[derive(Debug)]
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
#[derive(Clone, Copy)]
pub struct Form(&'static FormInfo);

impl TaskId {
    pub const fn new(info: &'static TaskInfo) -> Self {
        Self(info)
    }
}

impl Form {
    pub const fn new(info: &'static FormInfo) -> Self {
        Self(info)
    }
}

/// A reference to what is said, compared by number, hashed and written by name.
macro_rules! value {
    ($name:ident, $info:ident, $key:expr) => {
        impl Deref for $name {
            type Target = $info;

            fn deref(&self) -> &$info {
                self.0
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other) == Ordering::Equal
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                let key: fn($name) -> (u64, u64) = $key;
                key(*self).cmp(&key(*other))
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.name.hash(state);
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(self.name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(self.name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name)
            }
        }
    };
}

value!(TaskId, TaskInfo, |task| (task.number, 0));
value!(Form, FormInfo, |form| (form.task.number, form.number));
