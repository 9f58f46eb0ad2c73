//! Lessons from files: how a question is thought about and answered.
//!
//! ```text
//! {"prompt": "Who dived first in Lake Zud?", "thought": "Rik Dop climbed Mount Var. Mavon Tal dived first in Lake Zud.", "answer": "Mavon Tal"}
//! {"prompt": "Who dived first in Lake Zud?", "context": ["Mavon Tal dived first in Lake Zud."], "answer": "Mavon Tal"}
//! ```
//! A row without a thought is answered at once. What is learned is what the policy is to write: the thought and the answer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::lines::read_rows;
use super::raw_row::null_is_nothing;
use crate::knowledge::curriculum::TrainingSequence;
use crate::language::tokenizer::{ANSWER, END_THINK, EOS, SPECIAL};
use crate::language::{Opening, Tokenizer};
use crate::text::excerpt;
use crate::{Error, Result};

/// A row of a lessons file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LessonRow {
    #[serde(alias = "question", alias = "text")]
    pub prompt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thought: Option<String>,
    #[serde(alias = "completion")]
    pub answer: String,
    /// Passages that stand before the question.
    #[serde(default, deserialize_with = "null_is_nothing", skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<String>,
}

/// A lesson and where it stands.
#[derive(Clone, Debug)]
pub struct Lesson {
    pub row: LessonRow,
    /// File and line, for messages.
    pub place: String,
}

/// The lessons of all files, in order.
///
/// # Errors
/// A file that cannot be read or has no rows; a row that is none, by file and line.
pub fn lessons(paths: &[PathBuf]) -> Result<Vec<Lesson>> {
    let shape = "a lesson is one JSON object with the texts prompt and answer, and maybe thought and context";
    let rows: Vec<(LessonRow, String)> = read_rows(paths, shape)?;
    rows.into_iter().map(|(row, place)| Lesson { row, place }.checked()).collect()
}

impl Lesson {
    fn checked(self) -> Result<Lesson> {
        let LessonRow { prompt, thought, answer, context } = &self.row;
        for (key, text) in [("prompt", prompt), ("answer", answer)] {
            if text.trim().is_empty() {
                return Err(Error::invalid(
                    format!("{}: {key}", self.place),
                    "found nothing",
                    "a lesson has both texts",
                ));
            }
        }
        let texts = [prompt, answer].into_iter().chain(thought).chain(context);
        for text in texts {
            if let Some(marker) = SPECIAL.iter().find(|marker| text.contains(**marker)) {
                let found = format!("the marker {marker} stands in \"{}\"", excerpt(text));
                return Err(Error::invalid(&self.place, found, "it is written by itself: leave it out"));
            }
        }
        Ok(self)
    }

    /// What stands in it that must say nothing of set B, apart from its question.
    pub fn text(&self) -> String {
        let thought = self.row.thought.as_deref().unwrap_or_default();
        format!("{} {thought}", self.row.context.join(" "))
    }

    /// Its tokens: the prompt as a policy is asked, which is read, and what the policy is to write, which is learned.
    ///
    /// # Errors
    /// A text that the tokenizer cannot spell, and a lesson of more than `longest` tokens.
    pub fn sequence(&self, tokenizer: &Tokenizer, longest: usize) -> Result<TrainingSequence> {
        let LessonRow { prompt, thought, answer, context } = &self.row;
        let (opening, completion) = match thought {
            Some(thought) => (Opening::Think, format!(" {thought} {END_THINK} {ANSWER} {answer} {EOS}")),
            None => (Opening::Answer, format!(" {answer} {EOS}")),
        };
        let mut sequence = TrainingSequence { tokens: Vec::new(), weights: Vec::new() };
        sequence.read(tokenizer.encode(&tokenizer.prompt(context, prompt, opening)?)?);
        sequence.learn(tokenizer.encode(&completion)?, 1.0);
        if sequence.tokens.len() > longest {
            let found = format!("{} tokens, and the model reads {longest}", sequence.tokens.len());
            return Err(Error::invalid(&self.place, found, "shorten the lesson, or take a model that reads more"));
        }
        Ok(sequence)
    }
}
