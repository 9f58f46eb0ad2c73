//! Rows of tables as the JSON objects that they stand for: CSV (`.csv`, `.tsv`) and Parquet (`.parquet`).

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Map, Value};

use crate::text::excerpt;
use crate::{Error, Result, files};

/// Columns that hold lists.
const LISTS: [&str; 8] =
    ["answers", "aliases", "choices", "context", "wordings", "subject_aliases", "object_aliases", "predicate_aliases"];
/// Columns that hold no text.
const NUMBERS: [&str; 1] = ["id"];
const FLAGS: [&str; 1] = ["show_choices"];

/// Hands over every row, with its place.
type EachRow<'a> = dyn FnMut(&str, String) -> Result<()> + 'a;

/// Reads a table, where the name of a file says that it is one; false for any other.
///
/// # Errors
/// A file that is none, and those of `row`.
pub(super) fn read(path: &Path, row: &mut EachRow) -> Result<bool> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "csv" => csv(path, b',', row),
        "tsv" => csv(path, b'\t', row),
        "parquet" => parquet(path, row),
        _ => return Ok(false),
    }?;
    Ok(true)
}

fn csv(path: &Path, delimiter: u8, row: &mut EachRow) -> Result<()> {
    let file = files::open(path)?;
    let mut reader = ReaderBuilder::new().delimiter(delimiter).trim(Trim::All).from_reader(file);
    let headers = reader.headers().map_err(|error| broken(path, error))?.clone();
    let names: Vec<String> = headers.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
        let place = format!("{}: line 1: {}", path.display(), excerpt(twice));
        return Err(Error::invalid(place, "two columns of this name", "call each by a name of its own"));
    }
    for record in reader.into_records() {
        let record = record.map_err(|error| broken(path, error))?;
        let place = format!("{}: line {}", path.display(), record.position().map_or(0, csv::Position::line));
        let object = object(&names, &record, &place)?;
        if !object.is_empty() {
            row(&Value::Object(object).to_string(), place)?;
        }
    }
    Ok(())
}

fn broken(path: &Path, error: csv::Error) -> Error {
    let line = error.position().map_or(String::new(), |position| format!(": line {}", position.line()));
    let place = format!("{}{line}", path.display());
    let remedy = "the first line names the columns, and every row has all of them; texts with commas stand in quotes";
    match error.into_kind() {
        ErrorKind::Io(source) => Error::io(path, "read")(source),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Error::invalid(place, format!("{len} fields for {expected_len} columns"), remedy)
        }
        ErrorKind::Utf8 { .. } => Error::invalid(place, "bytes that are no UTF-8 text", "save the file as UTF-8"),
        _ => Error::invalid(place, "no table", remedy),
    }
}

/// What a record says; a field without a text says nothing.
fn object(names: &[String], record: &StringRecord, place: &str) -> Result<Map<String, Value>> {
    let there = names.iter().zip(record).filter(|(_, field)| !field.is_empty());
    there.map(|(name, field)| Ok((name.clone(), value(name, field, place)?))).collect()
}

fn value(name: &str, field: &str, place: &str) -> Result<Value> {
    let refuse = |allowed: &str| {
        let found = format!("found \"{}\"", excerpt(field));
        Err(Error::invalid(format!("{place}: {}", excerpt(name)), found, allowed))
    };
    if NUMBERS.contains(&name) {
        return field.parse::<u64>().map(Value::from).or_else(|_| refuse("allowed is a whole number"));
    }
    if FLAGS.contains(&name) {
        return match field.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true.into()),
            "false" | "0" => Ok(false.into()),
            _ => refuse("allowed are true and false"),
        };
    }
    if LISTS.contains(&name) {
        if !field.starts_with('[') {
            return Ok(Value::from(vec![field]));
        }
        let list = serde_json::from_str::<Vec<String>>(field).map(Value::from);
        return list.or_else(|_| refuse("allowed is one text, or a list such as [\"one\", \"two\"]"));
    }
    Ok(field.into())
}

/// The reader of a damaged file may give up in any way; here that is an error.
fn parquet(path: &Path, row: &mut EachRow) -> Result<()> {
    let damaged = |words: String| {
        let remedy = "give a Parquet file that is whole, with texts, numbers and lists of them as columns";
        Error::invalid(path.display().to_string(), excerpt(&words).to_string(), remedy)
    };
    let file = files::open(path)?;
    let opened = catch_unwind(AssertUnwindSafe(|| SerializedFileReader::new(file)));
    let reader = opened.map_err(|_| damaged("no Parquet file".into()))?.map_err(|error| damaged(error.to_string()))?;
    let rows = catch_unwind(AssertUnwindSafe(|| reader.get_row_iter(None)));
    let mut rows = rows.map_err(|_| damaged("no rows".into()))?.map_err(|error| damaged(error.to_string()))?;
    for number in 1.. {
        let next = catch_unwind(AssertUnwindSafe(|| rows.next().map(|row| row.map(|row| row.to_json_value()))));
        let next = next.map_err(|_| damaged(format!("row {number} cannot be read")))?;
        let Some(found) = next else { break };
        let found = found.map_err(|error| damaged(format!("row {number}: {error}")))?;
        let Value::Object(columns) = found else { continue };
        let columns = columns.into_iter().filter_map(|(name, value)| Some((name.clone(), plain(&name, value)?)));
        let text = Value::Object(columns.collect()).to_string();
        row(&text, format!("{}: row {number}", path.display()))?;
    }
    Ok(())
}

/// A value as it would stand in a row of JSON: nothing for null, and text for numbers where a text is asked for.
fn plain(name: &str, value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Number(number) if !NUMBERS.contains(&name) => Some(number.to_string().into()),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::rows::{documents, questions};
    use crate::knowledge::{Match, Question};

    /// A table of this name and what is read from it.
    fn table<T>(name: &str, bytes: &[u8], read: impl FnOnce(&[PathBuf]) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(&[path])
    }

    #[test]
    fn tables_are_rows_whose_errors_name_the_line() {
        let text = "\u{feff}question,answers,choices,id,show_choices\n\
                    \"Who, then?\",\"[\"\"Ann\"\", \"\"Anna\"\"]\",\"[\"\"Ann\"\", \"\"Bo\"\"]\",7,true\n\
                    Where?,There,,,\n";
        let rows = table("x.CSV", text.as_bytes(), |paths| questions(paths, Match::Normalised, false)).unwrap();
        let Question { text, answer, aliases, choices, .. } = &rows[0].question;
        assert_eq!(
            (text.as_str(), answer.as_str(), rows[0].id),
            ("Who, then?\nChoose one of: Ann, Bo.", "Ann", Some(7))
        );
        assert_eq!((&aliases[..], choices.len()), (&["Anna".to_owned()][..], 2));
        assert!(rows[1].place.ends_with("line 3") && rows[1].id.is_none());
        let documents = table("x.tsv", b"text\nThe bridge, of stone.\n", |paths| documents(paths, false)).unwrap();
        assert_eq!(documents[0].text, "The bridge, of stone.");
        for (text, part) in [
            ("question,answer\nWho?\n", "x.csv: line 2: 1 fields for 2 columns"),
            ("question,answer\n,\nWho?,Ann,Bo\n", "line 3: 3 fields for 2 columns"),
            ("question,answr\nWho?,Ann\n", "line 2: answr: unknown key; did you mean answer"),
            ("question,answer,id\nWho?,Ann,first\n", "line 2: id: found \"first\"; allowed is a whole number"),
            ("question,answer,choices\nWho?,Ann,[Ann\n", "line 2: choices: found \"[Ann\""),
            ("question,answer,show_choices\nWho?,Ann,maybe\n", "allowed are true and false"),
            ("question,answer,answer\nWho?,Ann,Bo\n", "x.csv: line 1: answer: two columns of this name"),
            ("question,answer\n", "no rows"),
        ] {
            let read = table("x.csv", text.as_bytes(), |paths| questions(paths, Match::Normalised, false));
            let message = read.err().unwrap().to_string();
            assert!(message.contains(part), "{message}");
        }
        let message = table("x.csv", b"question,answer\nWho?,\xff\n", |paths| questions(paths, Match::Exact, false));
        assert!(message.err().unwrap().to_string().contains("no UTF-8"));
    }

    #[test]
    fn parquet_files_are_tables_and_damaged_ones_are_refused() {
        // Written by pyarrow: tests/make_table_golden.py.
        let bytes = include_bytes!("../../../tests/questions.parquet");
        let rows = table("x.parquet", bytes, |paths| questions(paths, Match::Normalised, true)).unwrap();
        let texts: Vec<(&str, &str)> =
            rows.iter().map(|row| (row.question.text.as_str(), row.question.answer.as_str())).collect();
        assert_eq!(texts, [("Who built the Old Mill?", "Nel Zud"), ("How many arches has it?", "7")]);
        assert_eq!((&rows[0].question.aliases[..], rows[0].id), (&["Zud".to_owned()][..], Some(11)));
        assert!(rows[1].place.ends_with("row 2"));
        let unknown = table("x.parquet", bytes, |paths| questions(paths, Match::Normalised, false));
        assert!(unknown.err().unwrap().to_string().contains("row 1: difficulty: unknown key"));
        for cut in (0..bytes.len()).step_by(7) {
            assert!(table("x.parquet", &bytes[..cut], |paths| questions(paths, Match::Exact, true)).is_err());
            // A byte that is another one is an error or another text, and never the end of the program.
            let mut changed = bytes.to_vec();
            changed[cut] ^= 0x55;
            drop(table("x.parquet", &changed, |paths| questions(paths, Match::Exact, true)));
        }
    }
}
