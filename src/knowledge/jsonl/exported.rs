//! Questions as `recollect world --export` writes them: with everything that is known of them.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::knowledge::Question;
use crate::{Error, Result, files};

/// Reads a file of such questions; `None` if its first row is none.
///
/// Errors: a later row that is none, or whose id another one has, by its line.
pub fn read(path: &Path) -> Result<Option<Vec<Question>>> {
    let text = files::read_text(path)?;
    let mut rows = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    let first = rows.peek().and_then(|(_, line)| serde_json::from_str::<Map<String, Value>>(line).ok());
    if !first.is_some_and(|row| row.contains_key("text") && row.contains_key("answer")) {
        return Ok(None);
    }
    let (mut questions, mut ids) = (Vec::new(), HashSet::new());
    for (number, line) in rows {
        let place = format!("{}: line {}", path.display(), number + 1);
        let question: Question = serde_json::from_str(line).map_err(|error| {
            Error::invalid(&place, error.to_string(), "a row is a question as `recollect world --export` writes it")
        })?;
        if !ids.insert(question.id) {
            return Err(Error::invalid(place, format!("id {} once more", question.id), "give each question its own"));
        }
        questions.push(question);
    }
    Ok(Some(questions))
}
