//! `metrics.jsonl`: one JSON object for each step, safe to stop and to continue.
//!
//! `{"step":12,"grad_norm":0.8,"reward":0.41,"time":{"step_time":0.9,"tokens_per_second":5210.0}}`
//!
//! Everything beside `time` depends on config and seeds alone, so two equal runs can be compared byte for byte
//! once that one key is taken out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, files};

/// The metrics of one step. Numbers that are not finite are `None`, which is `null` in the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    pub step: u64,
    /// By name, sorted: what the same config and seed give again.
    #[serde(flatten)]
    pub values: BTreeMap<String, Option<f64>>,
    /// By name, sorted: times, rates and memory, which differ from run to run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub time: BTreeMap<String, Option<f64>>,
}

impl MetricsLine {
    /// The line as it stands in the file, with its end.
    ///
    /// # Errors
    /// What cannot be written as JSON; numbers can.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(self).map_err(files::unwritable("metrics"))? + "\n")
    }

    /// The lines of a text; `path` stands for it in errors.
    ///
    /// # Errors
    /// A line that is none of metrics, with its number.
    pub fn parse_all(path: &Path, text: &str) -> Result<Vec<MetricsLine>> {
        text.lines().enumerate().map(|(index, line)| parse(path, index, line)).collect()
    }

    /// Every number that is one, by name; times among them under `time/`.
    pub fn finite(&self) -> impl Iterator<Item = (Cow<'_, str>, f64)> {
        let values = self.values.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), *value));
        let times = self.time.iter().map(|(name, value)| (Cow::Owned(format!("time/{name}")), *value));
        values.chain(times).filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Reads a metrics file that somebody else is writing.
#[derive(Debug)]
pub struct MetricsTail {
    path: PathBuf,
    /// Bytes that have been read.
    read: u64,
    /// The last line of them, with its end.
    last: String,
}

impl MetricsTail {
    /// From its beginning; there may be no such file yet.
    pub fn new(path: &Path) -> MetricsTail {
        MetricsTail { path: path.into(), read: 0, last: String::new() }
    }

    /// Appends the lines that have come since. A run that is taken up again cuts its file back to its checkpoint, and may have
    /// written more again by now: then all of it is read anew. Whether there was anything new.
    pub fn read(&mut self, lines: &mut Vec<MetricsLine>) -> Result<bool> {
        let mut file = match files::open(&self.path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let length = file.metadata().map_err(Error::io(&self.path, "read"))?.len();
        let mut text = Vec::new();
        if length >= self.read {
            self.read_from(&mut file, self.read - self.last.len() as u64, &mut text)?;
        }
        if !text.starts_with(self.last.as_bytes()) {
            (self.read, self.last) = (0, String::new());
            lines.clear();
            self.read_from(&mut file, 0, &mut text)?;
        }
        let new = &text[self.last.len()..];
        // What follows the last line feed is still being written.
        let whole = &new[..new.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)];
        self.read += whole.len() as u64;
        for line in String::from_utf8_lossy(whole).lines() {
            lines.push(parse(&self.path, lines.len(), line)?);
            self.last = format!("{line}\n");
        }
        Ok(!whole.is_empty())
    }

    fn read_from(&self, file: &mut File, at: u64, text: &mut Vec<u8>) -> Result<()> {
        text.clear();
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_to_end(text));
        read.map(drop).map_err(Error::io(&self.path, "read"))
    }
}

/// The lines of a metrics file, in the order of the file.
pub fn read_metrics(path: &Path) -> Result<Vec<MetricsLine>> {
    MetricsLine::parse_all(path, &files::read_text(path)?)
}

fn parse(path: &Path, index: usize, line: &str) -> Result<MetricsLine> {
    files::row(path, index, line.as_bytes(), "a line of metrics", "restore the file or start a new run")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(step: u64) -> MetricsLine {
        let values = BTreeMap::from([("reward".into(), Some(0.5)), ("kl".into(), Some(step as f64))]);
        let time = BTreeMap::from([("step_time".into(), Some(1.25))]);
        MetricsLine { step, values, time }
    }

    fn text(steps: std::ops::Range<u64>) -> String {
        steps.map(|step| line(step).to_json().unwrap()).collect()
    }

    #[test]
    fn a_line_begins_with_the_step_and_ends_with_the_times_and_another_one_is_named() {
        assert_eq!(text(7..8), "{\"step\":7,\"kl\":7.0,\"reward\":0.5,\"time\":{\"step_time\":1.25}}\n");
        let path = Path::new("notes.txt");
        assert_eq!(MetricsLine::parse_all(path, &text(7..8)).unwrap(), [line(7)]);
        let error = MetricsLine::parse_all(path, "{\"step\":0}\nbuy milk\n").unwrap_err().to_string();
        assert!(error.starts_with("notes.txt, line 2: not a line of metrics (") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_file_that_is_being_written_is_read_as_it_grows_and_anew_when_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let (mut tail, mut lines) = (MetricsTail::new(&path), Vec::new());
        let mut reads = |text: String, expected: std::ops::Range<u64>| {
            fs::write(&path, text).unwrap();
            let new = tail.read(&mut lines).unwrap();
            assert_eq!(lines, expected.map(line).collect::<Vec<_>>());
            new
        };
        assert!(!MetricsTail::new(&folder.path().join("none")).read(&mut Vec::new()).unwrap());
        assert!(reads(text(0..3), 0..3) && !reads(text(0..3), 0..3));
        assert!(!reads(text(0..3) + "{\"step\":3,", 0..3));
        assert!(reads(text(0..2), 0..2));
        // Cut back and longer again than it was.
        assert!(reads(text(5..9), 5..9) && reads(text(5..12), 5..12));
        assert!(!reads(String::new(), 0..0));
    }
}
