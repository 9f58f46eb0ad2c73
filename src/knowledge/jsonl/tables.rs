//! Rows of tables as the JSON objects that they stand for: CSV (`.csv`, `.tsv`) and Parquet (`.parquet`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Map, Value};

use crate::text::excerpt;
use crate::{Error, Result, files};

/// Columns that hold lists.
const LISTS: [&str; 7] = ["answers", "aliases", "choices", "context", "wordings", "subject_aliases", "object_aliases"];
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
