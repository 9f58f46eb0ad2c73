//! Event files that TensorBoard reads: records of protocol buffers, each with its checksums.
//!
//! Of the format only what scalars need is written.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::{Error, Result, files};

/// One record of a file.
#[derive(Clone, PartialEq, Message)]
struct TensorBoardEvent {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    /// In the first event of a file.
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<ScalarValues>,
    /// Where a process begins.
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct ScalarValues {
    #[prost(message, repeated, tag = "1")]
    values: Vec<ScalarValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScalarValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// A folder of event files, open for the scalars of one process. `tensorboard --logdir` takes the folder, or the one
/// that holds several runs.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// Begins a new file in `folder` for a run whose next step is `next_step`. Whatever earlier files say of that step
    /// and later ones, TensorBoard forgets: a killed run wrote them after its last checkpoint.
    pub fn open(folder: &Path, next_step: u64) -> Result<TensorBoard> {
        files::create_dir(folder)?;
        let now = now();
        // Files are read in the order of their names; a process that starts within the same second comes later.
        let name = |number: u32| format!("events.out.tfevents.{:010}.{number:03}.recollect", now as u64);
        let paths = (0..1000).map(|number| folder.join(name(number)));
        let path = paths.into_iter().find(|path| !path.exists()).unwrap_or_else(|| folder.join(name(999)));
        let file = File::create(&path).map_err(Error::io(&path, "write"))?;
        let mut board = TensorBoard { path, file };
        board.append(&version(now))?;
        board.append(&start(now, next_step))?;
        Ok(board)
    }

    /// Appends the scalars of one step. They are with the operating system when this returns.
    pub fn write<T: AsRef<str>>(&mut self, step: u64, scalars: impl IntoIterator<Item = (T, f64)>) -> Result<()> {
        self.append(&summary(now(), step, scalars))
    }

    fn append(&mut self, event: &TensorBoardEvent) -> Result<()> {
        self.file.write_all(&record(&event.encode_to_vec())).map_err(Error::io(&self.path, "write"))
    }
}

/// Seconds since 1970. A clock before that says 0, which TensorBoard shows as it is.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// The first event of a file.
fn version(wall_time: f64) -> TensorBoardEvent {
    TensorBoardEvent { wall_time, file_version: Some("brain.Event:2".into()), ..Default::default() }
}

/// A process begins at this step.
fn start(wall_time: f64, step: u64) -> TensorBoardEvent {
    const STATUS_START: i32 = 1;
    let session_log = Some(SessionLog { status: STATUS_START });
    TensorBoardEvent { wall_time, step: step as i64, session_log, ..Default::default() }
}

fn summary<T: AsRef<str>>(wall_time: f64, step: u64, scalars: impl IntoIterator<Item = (T, f64)>) -> TensorBoardEvent {
    let scalar = |(tag, value): (T, f64)| ScalarValue { tag: tag.as_ref().into(), simple_value: Some(value as f32) };
    let summary = Some(ScalarValues { values: scalars.into_iter().map(scalar).collect() });
    TensorBoardEvent { wall_time, step: step as i64, summary, ..Default::default() }
}

/// Length, checksum of the length, content, checksum of the content.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(content.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(content);
    record.extend(masked(content).to_le_bytes());
    record
}

/// CRC-32C, turned and shifted: the checksum of data that holds checksums itself would be weak.
fn masked(content: &[u8]) -> u32 {
    crc32c::crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by tests/make_tensorboard_golden.py.
    const GOLDEN: &str = include_str!("../../tests/tensorboard.hex");

    #[test]
    fn the_bytes_are_those_of_tensorboards_own_writer() {
        let scalars = [("reward", 0.5), ("eval/B/open", -3.25)];
        let events = [version(1.5), start(1.5, 300), summary(2.5, 300, scalars)];
        let hex = |event: &TensorBoardEvent| {
            record(&event.encode_to_vec()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(events.iter().map(hex).collect::<Vec<_>>(), GOLDEN.lines().collect::<Vec<_>>());
    }

    #[test]
    fn every_process_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for next_step in [0, 7] {
            let mut board = TensorBoard::open(&folder.path().join("deep"), next_step).unwrap();
            board.write(next_step, [("reward", 1.0)]).unwrap();
        }
        let files: Vec<_> = std::fs::read_dir(folder.path().join("deep")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 2);
        assert!(files.iter().all(|path| std::fs::metadata(path).unwrap().len() > 80));
        let blocked = folder.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        assert!(TensorBoard::open(&blocked, 0).is_err());
    }
}
