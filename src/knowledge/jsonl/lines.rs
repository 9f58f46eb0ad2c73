//! Files with one JSON object a line, read row by row.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::tables;
use crate::text::excerpt;
use crate::{Error, Result, files};

/// A longer line is no row but a file of another kind.
const LONGEST_LINE: u64 = 16 << 20;

/// How files begin that gzip, Zstandard, bzip2, xz and zip write.
const PACKED: [&[u8]; 5] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ", b"PK\x03\x04"];

/// The rows of all files in order, each with its place. `shape` says what a row is, for messages.
pub fn read_rows<T: DeserializeOwned>(paths: &[PathBuf], shape: &str) -> Result<Vec<(T, String)>> {
    each_row(paths, &mut |line, place| match serde_json::from_str(line) {
        Ok(row) => Ok((row, place)),
        Err(error) => Err(Error::invalid(&place, in_row(&error), shape)),
    })
}

/// What `make` makes of every line of all files, in order.
pub fn each_row<T>(paths: &[PathBuf], make: &mut impl FnMut(&str, String) -> Result<T>) -> Result<Vec<T>> {
    let mut rows = Vec::new();
    for path in paths {
        let before = rows.len();
        read(path, &mut |line, place| {
            rows.push(make(line, place)?);
            Ok(())
        })?;
        if rows.len() == before {
            return Err(Error::invalid(path.display().to_string(), "no rows", "write one JSON object a line"));
        }
    }
    Ok(rows)
}

/// Hands over every line of a file that is not empty, or every row of a table, with its place.
fn read(path: &Path, row: &mut impl FnMut(&str, String) -> Result<()>) -> Result<()> {
    if tables::read(path, row)? {
        return Ok(());
    }
    let mut reader = BufReader::new(files::open(path)?);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        let length = reader.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut line);
        if length.map_err(Error::io(path, "read"))? == 0 {
            return Ok(());
        }
        number += 1;
        let place = format!("{}: line {number}", path.display());
        if line.len() as u64 > LONGEST_LINE {
            let found = format!("more than {} MiB", LONGEST_LINE >> 20);
            return Err(Error::invalid(place, found, "write one JSON object a line"));
        }
        let text = std::str::from_utf8(&line).map_err(|_| {
            if number == 1 && PACKED.iter().any(|magic| line.starts_with(magic)) {
                return Error::invalid(path.display().to_string(), "a compressed file", "unpack it first");
            }
            Error::invalid(&place, "bytes that are no UTF-8 text", "save the file as UTF-8")
        })?;
        // Editors put a byte-order mark in front of a file, and files are joined.
        let text = text.trim_start_matches('\u{feff}').trim();
        // What serde would take for the fields of a row in their order.
        if text.starts_with('[') {
            return Err(Error::invalid(place, "found a list", "write one JSON object a line"));
        }
        if !text.is_empty() {
            row(text, place)?;
        }
    }
}

/// What is wrong within a row: serde_json counts lines, of which a row has one.
pub fn in_row(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let found = text.rsplit_once(" at line ").map_or(&*text, |(found, _)| found);
    format!("{} (column {})", excerpt(found), error.column())
}
