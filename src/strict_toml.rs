//! TOML read strictly: whatever is wrong becomes one line that names the key, what was found and what is
//! allowed, and everything that is wrong is found at once.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, Expected, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_path_to_error::{Path, Segment};
use serde_value::ValueDeserializer;
use toml::de::{DeArray, DeTable, DeValue};
use toml::{Spanned, Table, Value};

pub use crate::text::one_line;
use crate::text::{is_hidden, printable};
use crate::{Error, Result};

/// As many as anybody mends at once.
pub const MOST_PROBLEMS: usize = 16;
/// The longest word that something near is looked for; what is longer is no slip of the finger.
const LONGEST_WORD: usize = 64;

/// One thing that is wrong in a TOML text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key, empty where the whole text is meant.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What is allowed, or the nearest thing that is.
    pub remedy: String,
}

impl Problem {
    pub fn new(key: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem { key: key.into(), found: found.into(), remedy: remedy.into() }
    }

    /// The problem as an error; `place` is the file (and the part of it) in which the key stands.
    pub fn at(self, place: &str) -> Error {
        let place = if self.key.is_empty() { place.to_string() } else { format!("{place}: {}", self.key) };
        Error::invalid(place, self.found, self.remedy)
    }
}

/// Parses TOML text into a table. A syntax error names the line and the column.
pub fn parse(text: &str, place: &str) -> Result<Table> {
    text.parse::<Table>().map_err(|error| {
        let place = format!("{place}: {}", line_and_column(text, error.span().map_or(0, |span| span.start)));
        Error::invalid(place, error.message(), "write it as TOML: key = value")
    })
}

/// Where things stand in a text, which is read once however often it is asked.
pub struct TomlSpans<'a> {
    text: &'a str,
    root: Option<Spanned<DeTable<'a>>>,
}

impl<'a> TomlSpans<'a> {
    pub fn parse(text: &'a str) -> TomlSpans<'a> {
        TomlSpans { text, root: DeTable::parse(text).ok() }
    }

    /// "line 3, column 1": where the last of these keys stands, or the last of them that is there. A number stands for an
    /// element of a list.
    pub fn find(&self, keys: &[&str]) -> Option<String> {
        let root = self.root.as_ref()?;
        let mut start = root.span().start;
        let mut tables = Some(root.get_ref());
        let mut list: Option<&DeArray> = None;
        for key in keys {
            let found: Option<(usize, &Spanned<DeValue>)> = match (tables, list) {
                (Some(table), _) => table.get_key_value(*key).map(|(name, value)| (name.span().start, value)),
                (None, Some(values)) => {
                    let value = key.parse().ok().and_then(|index: usize| values.get(index));
                    value.map(|value| (value.span().start, value))
                }
                (None, None) => None,
            };
            let Some((at, value)) = found else { break };
            start = at;
            (tables, list) = match value.get_ref() {
                DeValue::Table(inner) => (Some(inner), None),
                DeValue::Array(inner) => (None, Some(inner)),
                _ => (None, None),
            };
        }
        Some(line_and_column(self.text, start))
    }
}

/// Where a byte of a text stands.
fn line_and_column(text: &str, at: usize) -> String {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("line {line}, column {column}")
}

/// Turns a table into a value and collects everything that is wrong. A key with a problem is set aside, so that
/// its default stands in while the rest is looked at. The value is there if this was possible; it is to be used
/// only where there are no problems. Every problem takes another look at the whole table, so after [`MOST_PROBLEMS`] the
/// rest is left for the next time.
pub fn decode<T: DeserializeOwned>(table: &Table) -> (Option<T>, Vec<Problem>) {
    decode_beside(table, &[])
}

/// The same of a part of a table, whose `other` keys are read elsewhere: one of them may be what a misspelt key meant.
pub fn decode_beside<T: DeserializeOwned>(table: &Table, other: &[&'static str]) -> (Option<T>, Vec<Problem>) {
    let mut table = Value::Table(table.clone());
    let mut problems = Vec::new();
    while problems.len() < MOST_PROBLEMS {
        // A value of TOML is one of serde's, and these are read with any type of error.
        let value = serde_value::to_value(&table).unwrap_or(serde_value::Value::Unit);
        let error = match serde_path_to_error::deserialize(ValueDeserializer::<Fault>::new(value)) {
            Ok(value) => return (Some(value), problems),
            Err(error) => error,
        };
        let path = error.path().clone();
        problems.push(error.into_inner().at(&path, other));
        if !remove(&mut table, &path) {
            return (None, problems);
        }
    }
    problems.push(Problem::new("", "more is wrong", "it is told once what stands above is mended"));
    (None, problems)
}

/// What serde finds wrong with a value, in its parts: the toml crate tells it in words only.
#[derive(Debug)]
enum Fault {
    UnknownKey { name: String, known: &'static [&'static str] },
    UnknownWord { found: String, known: &'static [&'static str] },
    Missing(&'static str),
    Unsuitable { found: String, allowed: String },
    Other(String),
}

impl Fault {
    /// The same in our words, of what stands at this path.
    fn at(self, path: &Path, other: &[&'static str]) -> Problem {
        let mut keys: Vec<&str> = path.iter().filter_map(key_of).collect();
        match &self {
            Fault::UnknownKey { name, .. } if keys.last() != Some(&name.as_str()) => keys.push(name),
            Fault::Missing(name) => keys.push(name),
            _ => {}
        }
        let key = keys.join(".");
        match &self {
            Fault::UnknownKey { name, known } => {
                let section = &key[..key.len() - name.len()];
                Problem::new(key.clone(), "unknown key", suggest(name, &[known, other].concat(), section))
            }
            Fault::UnknownWord { found, known } => {
                let hint = nearest(found, known.iter().copied()).map(|near| format!(" (did you mean {near}?)"));
                let remedy = format!("allowed are {}{}", known.join(", "), hint.unwrap_or_default());
                Problem::new(key, format!("found \"{found}\""), remedy)
            }
            Fault::Missing(_) => Problem::new(key, "missing", "give it a value"),
            Fault::Unsuitable { found, allowed } => {
                let allowed = format!("allowed is {}", in_plain_words(allowed));
                Problem::new(key, format!("found {}", found.replace('`', "")), allowed)
            }
            Fault::Other(words) => Problem::new(key, words, "see the documentation of this key"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Fault::Other(words.to_string())
    }

    fn invalid_type(found: Unexpected, allowed: &dyn Expected) -> Self {
        Fault::Unsuitable { found: found.to_string(), allowed: allowed.to_string() }
    }

    fn invalid_value(found: Unexpected, allowed: &dyn Expected) -> Self {
        Fault::invalid_type(found, allowed)
    }

    fn invalid_length(length: usize, allowed: &dyn Expected) -> Self {
        Fault::Unsuitable { found: format!("a list of {length}"), allowed: allowed.to_string() }
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownWord { found: found.into(), known }
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownKey { name: name.into(), known }
    }

    fn missing_field(name: &'static str) -> Self {
        Fault::Missing(name)
    }
}

/// What some keys hold: a word, or a table.
pub enum WordOr<T> {
    Word(String),
    Table(T),
}

/// Reads a word or a table. By hand, because serde's message for an untagged enum names neither the key nor what was
/// found; `allowed` shows both.
pub fn word_or<'de, T, D>(deserializer: D, allowed: &'static str) -> std::result::Result<WordOr<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Either<T>(&'static str, PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
        type Value = WordOr<T>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E>(self, word: &str) -> std::result::Result<WordOr<T>, E> {
            Ok(WordOr::Word(word.to_string()))
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> std::result::Result<WordOr<T>, M::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(WordOr::Table)
        }
    }
    deserializer.deserialize_any(Either(allowed, PhantomData))
}

/// Reads "none" or a table.
pub fn none_or<'de, T, D>(deserializer: D, allowed: &'static str) -> std::result::Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    match word_or(deserializer, allowed)? {
        WordOr::Table(table) => Ok(Some(table)),
        WordOr::Word(word) if word == "none" => Ok(None),
        WordOr::Word(word) => Err(D::Error::invalid_value(Unexpected::Str(&word), &allowed)),
    }
}

/// The known word that a misspelt one most likely meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(word, candidate);
    known
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(score, candidate)| *score >= 0.4 || (word.len() > 2 && candidate.starts_with(word)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The remedy for a word that is none of the known ones: the nearest, and otherwise all of them.
pub fn suggest(word: &str, known: &[&str], prefix: &str) -> String {
    match nearest(word, known.iter().copied()) {
        Some(candidate) => format!("did you mean {prefix}{candidate}?"),
        None if known.is_empty() => "nothing is allowed here".into(),
        None => format!("allowed are {}", known.join(", ")),
    }
}

/// The key that a part of a path goes through. Elements of lists and words have none.
fn key_of(part: &Segment) -> Option<&str> {
    if let Segment::Map { key } = part { Some(key) } else { None }
}

fn in_plain_words(expected: &str) -> &str {
    match expected {
        "usize" | "u64" | "u32" => "a whole number, 0 or more",
        "i64" | "i32" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a string" => "text in quotes",
        "path string" => "a path in quotes",
        "a sequence" => "a list in brackets",
        "string or map" => "a word in quotes",
        _ if expected.starts_with("struct ") => "a section with keys of its own",
        _ => expected,
    }
}

/// A value as TOML text in which nothing hides: what does not show is spelled by its number, so that it can be looked at in
/// a terminal, and read again.
pub fn write(value: &impl Serialize) -> std::result::Result<String, toml::ser::Error> {
    let text = toml::to_string(value)?;
    if printable(&text) == text {
        return Ok(text);
    }
    // A control character is what no text in single quotes may hold, so that the writer takes quotes in which it, and what
    // it stands for here, is spelled.
    Ok(toml::to_string(&spelled(&Value::try_from(value)?))?.replace("\\u0001", "\\U"))
}

/// The same value with the numbers of what does not show, each behind a control character.
fn spelled(value: &Value) -> Value {
    let spell = |text: &str| -> String {
        let number = |c: char| {
            if is_hidden(c) && c != '\n' && c != '\t' { format!("\u{1}{:08X}", c as u32) } else { c.to_string() }
        };
        text.chars().map(number).collect()
    };
    match value {
        Value::String(text) => Value::String(spell(text)),
        Value::Array(list) => Value::Array(list.iter().map(spelled).collect()),
        Value::Table(table) => Value::Table(table.iter().map(|(key, value)| (spell(key), spelled(value))).collect()),
        other => other.clone(),
    }
}

/// Puts a value where a path of keys says, making the tables on the way. The problem: one of them is a value.
pub fn insert(table: &mut Table, path: &[String], value: Value) -> Result<(), Problem> {
    let Some((last, sections)) = path.split_last() else { return Ok(()) };
    let mut table = table;
    for (depth, section) in sections.iter().enumerate() {
        let inner = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let found = || format!("{} is a value", path[..=depth].join("."));
        table = inner.as_table_mut().ok_or_else(|| Problem::new("", found(), "it has no keys of its own"))?;
    }
    table.insert(last.clone(), value);
    Ok(())
}

/// Takes away what the last key of a path names.
fn remove(table: &mut Value, path: &Path) -> bool {
    let parts: Vec<&Segment> = path.iter().collect();
    let Some(last) = parts.iter().rposition(|part| key_of(part).is_some()) else { return false };
    let outer = parts[..last].iter().try_fold(table, |value, part| match part {
        Segment::Map { key } | Segment::Enum { variant: key } => value.get_mut(key),
        Segment::Seq { index } => value.get_mut(index),
        Segment::Unknown => None,
    });
    let table = outer.and_then(Value::as_table_mut);
    key_of(parts[last]).zip(table).is_some_and(|(key, table)| table.remove(key).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        inner: Inner,
        mode: Mode,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        steps: usize,
        rate: f64,
        names: Vec<String>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        #[default]
        Fast,
        Slow,
    }

    fn problems(text: &str) -> Vec<String> {
        let (_, problems) = decode::<Outer>(&parse(text, "x.toml").unwrap());
        problems.into_iter().map(|problem| problem.at("x.toml").to_string()).collect()
    }

    #[test]
    fn every_kind_of_problem_is_one_line_and_all_are_found_at_once() {
        let text = "mode = 'slwo'\ntypo = 1\n[inner]\nstep = 3\nsteps = -1\nrate = 'x'\nnames = [1]\n";
        let found = problems(text);
        for expected in [
            "x.toml: mode: found \"slwo\"; allowed are fast, slow (did you mean slow?)",
            "x.toml: typo: unknown key; allowed are inner, mode",
            "x.toml: inner.step: unknown key; did you mean inner.steps?",
            "x.toml: inner.steps: found integer -1; allowed is a whole number, 0 or more",
            "x.toml: inner.rate: found string \"x\"; allowed is a number",
            "x.toml: inner.names: found integer 1; allowed is text in quotes",
        ] {
            assert!(found.iter().any(|line| line == expected), "{expected}\nis missing in\n{}", found.join("\n"));
        }
        assert_eq!(found.len(), 6);
        assert!(found.iter().all(|line| !line.contains('\n')));
    }

    #[test]
    fn sections_and_values_are_not_taken_for_each_other() {
        assert_eq!(
            problems("inner = 3"),
            ["x.toml: inner: found integer 3; allowed is a section with keys of its own"]
        );
        assert_eq!(
            problems("[inner.steps]\nx = 1"),
            ["x.toml: inner.steps: found map; allowed is a whole number, 0 or more"]
        );
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let error = parse("a = 1\nb = = 2\n", "x.toml").unwrap_err().to_string();
        assert!(error.starts_with("x.toml: line 2, column"), "{error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn keys_are_found_in_tables_and_lists() {
        let text = "a = 1\n[[term]]\nx = 1\n\n[[term]]\n  y = { \"é\" = [7, 8] }\n";
        for (keys, place) in [
            (&["a"][..], "line 1, column 1"),
            (&["term", "0", "x"], "line 3, column 1"),
            (&["term", "1"], "line 5, column 1"),
            (&["term", "1", "y"], "line 6, column 3"),
            (&["term", "1", "y", "é"], "line 6, column 9"),
            (&["term", "1", "y", "é", "1"], "line 6, column 19"),
            (&["term", "1", "missing"], "line 5, column 1"),
            (&["nothing"], "line 1, column 1"),
        ] {
            assert_eq!(TomlSpans::parse(text).find(keys).as_deref(), Some(place), "{keys:?}");
        }
        assert_eq!(TomlSpans::parse("a = = 1").find(&["a"]), None);
    }

    #[test]
    fn what_is_written_shows_itself_and_is_read_again() {
        let plain: Table = "b = [1, 'x\\y']\na = 'é\\u0001'\n[t]\nc = \"\"\"\ntwo\nlines\"\"\"\n".parse().unwrap();
        assert_eq!(write(&plain).unwrap(), toml::to_string(&plain).unwrap());
        let text = "it's \"a\u{9b}31m\u{202e}\\ \u{1}b\u{1b}\n\u{2028}c";
        let inner = Value::Table(Table::from_iter([(text.to_string(), Value::Array(vec![text.into()]))]));
        let table = Table::from_iter([("inner".to_string(), inner), (text.to_string(), text.into())]);
        let written = write(&table).unwrap();
        assert!(!written.chars().any(|c| is_hidden(c) && c != '\n'), "{written:?}");
        assert_eq!(written.parse::<Table>().unwrap(), table, "{written}");
    }
}
