//! Reads files with one JSON object a line.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::knowledge::Set;
use crate::language::tokenizer::SPECIAL;
use crate::strict_toml::{one_line, suggest};
use crate::{Error, Result, files};

const KEYS: [&str; 6] = ["prompt", "completion", "id", "set", "choices", "context"];

/// A longer line is no row but a file of another kind.
const LONGEST_LINE: u64 = 16 << 20;

/// As much of a bad value as a message shows.
const SHOWN: usize = 160;

/// One row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub prompt: String,
    pub completion: String,
    pub id: Option<u64>,
    set: Option<String>,
    #[serde(default)]
    pub choices: Vec<String>,
    pub context: Option<Vec<String>>,
    /// File and line, for messages.
    #[serde(skip)]
    pub place: String,
}

impl Row {
    /// The prompt followed by the completion.
    pub fn text(&self) -> String {
        let joined = self.prompt.ends_with(char::is_whitespace) || self.completion.starts_with(char::is_whitespace);
        let space = if joined || self.prompt.is_empty() { "" } else { " " };
        [&self.prompt, space, &self.completion].concat().trim().into()
    }

    /// The set that the row asks for.
    pub fn set(&self) -> Option<Set> {
        self.set.as_deref().map(|set| if set == "A" { Set::A } else { Set::B })
    }

    /// Refuses a row that is no question.
    pub fn check_question(&self) -> Result<()> {
        let refuse = |key: &str, found: String, remedy: &str| {
            Err(Error::invalid(format!("{}: {key}", self.place), shown(&found), remedy))
        };
        if self.prompt.trim().is_empty() {
            return refuse("prompt", "found nothing".into(), "a question has a text");
        }
        if bare(&self.completion).is_empty() {
            return refuse("completion", "found nothing to answer".into(), "give the right answer");
        }
        let choices: Vec<String> = self.choices.iter().map(|choice| bare(choice)).collect();
        if let Some(twice) = (1..choices.len()).find(|at| choices[..*at].contains(&choices[*at])) {
            return refuse("choices", format!("\"{}\" stands there twice", self.choices[twice]), "name each once");
        }
        match choices.len() {
            0 => Ok(()),
            1 => refuse("choices", "found 1".into(), "give two or more, or none"),
            _ if choices.contains(&bare(&self.completion)) => Ok(()),
            _ => refuse("choices", "the completion is not among them".into(), "add it"),
        }
    }

    fn check(&self) -> Result<()> {
        if let Some(set) = self.set.as_ref().filter(|set| !matches!(set.as_str(), "A" | "B")) {
            let found = shown(&format!("found \"{set}\""));
            return Err(Error::invalid(format!("{}: set", self.place), found, "allowed are \"A\" and \"B\""));
        }
        let parts = [&self.prompt, &self.completion].into_iter();
        let parts = parts.chain(&self.choices).chain(self.context.iter().flatten());
        for part in parts {
            if let Some(marker) = SPECIAL.iter().find(|marker| part.contains(**marker)) {
                let found = format!("the marker {marker} stands in its text");
                return Err(Error::invalid(
                    &self.place,
                    found,
                    "it is kept for the format of prompts: write it otherwise",
                ));
            }
        }
        if self.text().is_empty() {
            return Err(Error::invalid(&self.place, "prompt and completion are both empty", "remove the row"));
        }
        Ok(())
    }
}

/// The words by which answers are compared: small letters, without what surrounds each.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let inner = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    text.split_whitespace().map(inner).filter(|word| !word.is_empty())
}

/// An answer as the verifier compares it: spacing and a final full stop do not matter.
fn bare(answer: &str) -> String {
    let answer = answer.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    answer.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All rows of all files, in order.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for path in paths {
        rows.extend(read(path)?);
    }
    Ok(rows)
}

fn read(path: &Path) -> Result<Vec<Row>> {
    let mut reader = BufReader::new(files::open(path)?);
    let (mut rows, mut line, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        let length = reader.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut line);
        if length.map_err(Error::io(path, "read"))? == 0 {
            break;
        }
        number += 1;
        let place = format!("{}: line {number}", path.display());
        if line.len() as u64 > LONGEST_LINE {
            let found = format!("more than {} MiB", LONGEST_LINE >> 20);
            return Err(Error::invalid(place, found, "write one JSON object a line"));
        }
        let text = std::str::from_utf8(&line)
            .map_err(|_| Error::invalid(&place, "bytes that are no UTF-8 text", "save the file as UTF-8"))?;
        // Editors put a byte-order mark in front of a file, and files are joined.
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            rows.push(parse(text, place)?);
        }
    }
    if rows.is_empty() {
        return Err(Error::invalid(path.display().to_string(), "no rows", "write one JSON object a line"));
    }
    Ok(rows)
}

fn parse(line: &str, place: String) -> Result<Row> {
    let mut row: Row = serde_json::from_str(line).map_err(|error| explain(line, &place, &error))?;
    row.place = place;
    row.check()?;
    Ok(row)
}

fn explain(line: &str, place: &str, error: &serde_json::Error) -> Error {
    let object: Map<String, Value> = serde_json::from_str(line).unwrap_or_default();
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Error::invalid(format!("{place}: {}", shown(key)), "unknown key", suggest(key, &KEYS, ""));
    }
    // serde_json counts lines within the row.
    let text = error.to_string();
    let found = text.rsplit_once(" at line ").map_or(&*text, |(found, _)| found);
    let found = format!("{} (column {})", shown(found), error.column());
    Error::invalid(place, found, "a row is one JSON object with the texts prompt and completion")
}

/// The beginning of a text, on one line.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => one_line(&text[..end]) + " …",
        None => one_line(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<Vec<Row>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    }

    fn refused(bytes: &[u8]) -> String {
        let message = read_bytes(bytes).unwrap_err().to_string();
        assert!(!message.contains('\n') && message.len() < 500, "{message}");
        message.split_once("x.jsonl: ").unwrap().1.to_string()
    }

    #[test]
    fn marks_line_ends_and_empty_lines_do_not_matter() {
        let row = br#"{"completion": " b", "prompt": "a", "id": null}"#;
        for (between, count) in [(&b"\n"[..], 2), (b"\r\n", 2), (b"\n\n \t\r\n", 2), (b"\n\xEF\xBB\xBF", 2)] {
            let file = [b"\xEF\xBB\xBF", &row[..], between, row].concat();
            let rows = read_bytes(&file).unwrap();
            assert_eq!(rows.len(), count);
            assert!(rows.iter().all(|row| row.text() == "a b"));
            let lines = between.iter().filter(|byte| **byte == b'\n').count();
            assert!(rows[1].place.ends_with(&format!("line {}", 1 + lines)), "{}", rows[1].place);
        }
    }

    #[test]
    fn a_long_line_is_read_and_an_endless_one_refused() {
        let row = |length: usize| format!(r#"{{"prompt": "{}", "completion": "b"}}"#, "a".repeat(length)).into_bytes();
        assert_eq!(read_bytes(&row(4 << 20)).unwrap()[0].prompt.len(), 4 << 20);
        assert!(refused(&row(17 << 20)).starts_with("line 1: more than 16 MiB"));
    }

    #[test]
    fn texts_are_joined_by_one_space_at_least() {
        for (prompt, completion, text) in
            [("a", " b", "a b"), ("a ", "b", "a b"), ("a?", "b", "a? b"), ("", " b ", "b")]
        {
            let row = format!(r#"{{"prompt": "{prompt}", "completion": "{completion}"}}"#);
            assert_eq!(read_bytes(row.as_bytes()).unwrap()[0].text(), text);
        }
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let good = "{\"prompt\": \"a\", \"completion\": \"b\"}\n\n";
        for (row, expected) in [
            (r#"{"promt": "a", "completion": "b"}"#, "line 3: promt: unknown key; did you mean prompt?"),
            (r#"{"prompt": "a", "completion": "b", "zz": 1}"#, "line 3: zz: unknown key; allowed are prompt, "),
            (r#"{"prompt": "a"}"#, "line 3: missing field `completion` (column 15); a row is one JSON object"),
            (r#"{"prompt": 3, "completion": "b"}"#, "line 3: invalid type: integer `3`, expected a string (column 12)"),
            (r#"{"prompt": "a", "prompt": "a"}"#, "line 3: duplicate field `prompt` (column 24)"),
            (r#"{"prompt": "a", "completion": "b""#, "line 3: EOF while parsing an object (column 33)"),
            (r#"[{"prompt": "a", "completion": "b"}]"#, "line 3: invalid type: map, expected a string"),
            ("prompt,completion", "line 3: expected value (column 1)"),
            (r#"{"prompt": "a", "completion": "b"} {}"#, "line 3: trailing characters (column 36)"),
            (r#"{"prompt": "a", "completion": "b", "id": -1}"#, "line 3: invalid value: integer `-1`"),
            (r#"{"prompt": "a", "completion": "b", "set": "D"}"#, "line 3: set: found \"D\"; allowed are \"A\" and"),
            (r#"{"prompt": "a <think>", "completion": "b"}"#, "line 3: the marker <think> stands in its text"),
            (r#"{"prompt": " ", "completion": ""}"#, "line 3: prompt and completion are both empty"),
        ] {
            let message = refused(format!("{good}{row}\n").as_bytes());
            assert!(message.starts_with(expected), "{message}");
        }
        assert!(refused(b"\xFF\xFE{\0\"\0").starts_with("line 1: bytes that are no UTF-8 text"));
        assert!(refused(b" \n\r\n").starts_with("no rows; ") || refused(b"").contains("no rows"));
        let deep = "[".repeat(100_000);
        assert!(refused(deep.as_bytes()).starts_with("line 1: "));
        assert!(
            refused(format!(r#"{{"prompt": ["{}"], "completion": "b"}}"#, "x\u{85}".repeat(9999)).as_bytes()).len()
                < 400
        );
        assert!(read(Path::new("no/such.jsonl")).unwrap_err().to_string().starts_with("no/such.jsonl: cannot read: "));
    }
}
