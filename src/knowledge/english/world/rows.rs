//! The rows of the files that a world in English is written to, beside questions and facts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::knowledge::jsonl::LessonRow;
use crate::knowledge::question::question_id;
use crate::knowledge::{Form, Question, Set};

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnglishDocument {
    pub set: Set,
    pub text: String,
}

impl Default for EnglishDocument {
    fn default() -> Self {
        EnglishDocument { set: Set::C, text: String::new() }
    }
}

/// Numbers questions as they are made.
#[derive(Default)]
pub struct QuestionNumbers {
    asked: BTreeMap<(Set, u64), usize>,
}

impl QuestionNumbers {
    /// The question with a number that no other has.
    pub fn number(&mut self, set: Set, form: Form, question: Question) -> Question {
        let asked = self.asked.entry((set, form.number)).or_default();
        let id = question_id(set, form, *asked);
        *asked += 1;
        Question { id, set, ..question }
    }
}
