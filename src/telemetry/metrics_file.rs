//! `metrics.jsonl`: one JSON object for each step, safe to stop and to continue.
//!
//! `{"step":12,"grad_norm":0.8,"reward":0.41,"time":{"step_time":0.9,"tokens_per_second":5210.0}}`
//!
//! Everything beside `time` depends on config and seeds alone, so two equal runs can be compared byte for byte
//! once that one key is taken out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
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
    /// The line as it stands in the file, without its end.
    ///
    /// # Errors
    ///
    /// What cannot be written as JSON; numbers can.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::invalid("metrics", error.to_string(), "metrics must be numbers"))
    }

    /// The lines of a text; `path` stands for it in errors.
    ///
    /// # Errors
    ///
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

/// A metrics file that is open for the next step.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens or makes the file for a run whose next step is `next_step`. Lines at or after that step, which a
    /// killed run wrote after its last checkpoint, are dropped, and so is a last line that was cut short.
    pub fn open(path: &Path, next_step: u64) -> Result<MetricsFile> {
        if path.exists() {
            let text = files::read_text(path)?;
            let kept = lines_before(path, &text, next_step)?;
            if kept.len() < text.len() {
                files::write_atomic(path, kept.as_bytes())?;
            }
        } else if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path, "open"))?;
        Ok(MetricsFile { path: path.into(), file })
    }

    /// Appends one line. It is with the operating system when this returns.
    pub fn append(&mut self, line: &MetricsLine) -> Result<()> {
        let mut text = line.to_json()?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(Error::io(&self.path, "write"))
    }
}

/// Reads a metrics file that somebody else is writing.
#[derive(Debug)]
pub struct MetricsTail {
    path: PathBuf,
    /// Bytes that have been read.
    read: u64,
}

impl MetricsTail {
    /// From its beginning; there may be no such file yet.
    pub fn new(path: &Path) -> MetricsTail {
        MetricsTail { path: path.into(), read: 0 }
    }

    /// Appends the lines that have come since. A run that is taken up again cuts its file back to its checkpoint: then
    /// all of it is read anew. Whether there was anything new.
    pub fn read(&mut self, lines: &mut Vec<MetricsLine>) -> Result<bool> {
        let mut file = match files::open(&self.path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let length = file.metadata().map_err(Error::io(&self.path, "read"))?.len();
        if length < self.read {
            self.read = 0;
            lines.clear();
        }
        let mut text = String::new();
        file.seek(SeekFrom::Start(self.read)).map_err(Error::io(&self.path, "read"))?;
        file.read_to_string(&mut text).map_err(Error::io(&self.path, "read"))?;
        // What follows the last line feed is still being written.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        for line in whole.lines() {
            lines.push(parse(&self.path, lines.len(), line)?);
        }
        self.read += whole.len() as u64;
        Ok(!whole.is_empty())
    }
}

/// The lines of a metrics file, in the order of the file.
pub fn read_metrics(path: &Path) -> Result<Vec<MetricsLine>> {
    MetricsLine::parse_all(path, &files::read_text(path)?)
}

/// The beginning of the text with the lines of earlier steps, which are copied as they are.
fn lines_before<'a>(path: &Path, text: &'a str, next_step: u64) -> Result<&'a str> {
    let mut end = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if !line.ends_with('\n') || parse(path, index, line)?.step >= next_step {
            break;
        }
        end += line.len();
    }
    Ok(&text[..end])
}

fn parse(path: &Path, index: usize, line: &str) -> Result<MetricsLine> {
    serde_json::from_str(line).map_err(|e| {
        let place = format!("{}, line {}", path.display(), index + 1);
        Error::invalid(place, format!("not a line of metrics ({e})"), "restore the file or start a new run")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> MetricsLine {
        let values = BTreeMap::from([("reward".into(), Some(0.5)), ("kl".into(), Some(step as f64))]);
        let time = BTreeMap::from([("step_time".into(), Some(1.25))]);
        MetricsLine { step, values, time }
    }

    fn write(path: &Path, next_step: u64, steps: std::ops::Range<u64>) {
        let mut file = MetricsFile::open(path, next_step).unwrap();
        for step in steps {
            file.append(&line(step)).unwrap();
        }
    }

    #[test]
    fn a_line_begins_with_the_step_and_ends_with_the_times() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/metrics.jsonl");
        write(&path, 0, 7..8);
        let text = files::read_text(&path).unwrap();
        assert_eq!(text, "{\"step\":7,\"kl\":7.0,\"reward\":0.5,\"time\":{\"step_time\":1.25}}\n");
        assert_eq!(read_metrics(&path).unwrap(), [line(7)]);
    }

    #[test]
    fn resuming_leaves_the_file_of_a_run_that_was_never_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, stopped) = (folder.path().join("whole.jsonl"), folder.path().join("stopped.jsonl"));
        write(&whole, 0, 0..9);
        write(&stopped, 0, 0..6);
        let torn = files::read_text(&stopped).unwrap() + "{\"step\":6,\"kl\":6.";
        fs::write(&stopped, &torn).unwrap();
        write(&stopped, 4, 4..6);
        fs::write(&stopped, files::read_text(&stopped).unwrap() + "{\"st").unwrap();
        write(&stopped, 6, 6..9);
        assert_eq!(files::read_text(&stopped).unwrap(), files::read_text(&whole).unwrap());
        write(&stopped, 0, 0..1);
        assert_eq!(read_metrics(&stopped).unwrap(), [line(0)], "a new run starts a new file");
    }

    #[test]
    fn a_foreign_file_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "{\"step\":0}\nbuy milk\n").unwrap();
        let error = MetricsFile::open(&path, 5).unwrap_err().to_string();
        assert!(error.contains("notes.txt, line 2"), "{error}");
        assert_eq!(error.lines().count(), 1);
        assert_eq!(files::read_text(&path).unwrap(), "{\"step\":0}\nbuy milk\n");
    }

    #[test]
    fn a_file_that_is_being_written_is_read_as_it_grows_and_anew_when_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let (mut tail, mut lines) = (MetricsTail::new(&path), Vec::new());
        assert!(!tail.read(&mut lines).unwrap());
        write(&path, 0, 0..3);
        assert!(tail.read(&mut lines).unwrap() && !tail.read(&mut lines).unwrap());
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\":3,").unwrap();
        assert!(!tail.read(&mut lines).unwrap());
        assert_eq!(lines, [line(0), line(1), line(2)]);
        write(&path, 1, 1..2);
        assert!(tail.read(&mut lines).unwrap());
        assert_eq!(lines, [line(0), line(1)]);
        fs::write(&path, "").unwrap();
        assert!(!tail.read(&mut lines).unwrap() && lines.is_empty());
    }
}
