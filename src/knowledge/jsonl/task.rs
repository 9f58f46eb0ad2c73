//! Questions from files as a task.

use crate::knowledge::form::{FormInfo, TaskInfo};
use crate::knowledge::task::Task;
use crate::knowledge::{Form, TaskId};

/// Questions read from a file.
pub const JSONL: TaskId = &TaskInfo { number: 2, name: "jsonl", plural: "questions from a file", free_text: true };

/// A prompt to be completed.
pub const COMPLETION: Form =
    &FormInfo { task: JSONL, number: 4, name: "completion", title: "prompt to complete", asks_subject: false };

/// The task. Nothing that is thought about its questions can be read, so nothing follows from it.
pub struct FromFiles;

impl Task for FromFiles {
    fn id(&self) -> TaskId {
        JSONL
    }

    fn forms(&self) -> &'static [Form] {
        &[COMPLETION]
    }
}
