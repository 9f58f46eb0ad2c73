//! What a stage measures that learns from texts (pretraining, fine-tuning, the warm-up): a line for each step, to be watched
//! while it goes on, and kept with what it has made.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::RunDir;
use crate::telemetry::{MetricsLine, TensorBoard};
use crate::{Error, Result, files};

/// The lines of a stage that goes on.
pub struct LearningLog {
    path: PathBuf,
    file: File,
    board: TensorBoard,
    notes: LearningNotes,
}

/// What a checkpoint of such a stage remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearningNotes {
    /// The lines so far, as they stand in the file.
    #[serde(default)]
    metrics: String,
}

impl LearningLog {
    /// Begins the lines of a stage (`finetune`, for example) in a run, after those that its checkpoint remembers; the next step
    /// has this number.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn open(run: &RunDir, stage: &str, next_step: u64, notes: LearningNotes) -> Result<LearningLog> {
        let path = run.learning(stage);
        files::write_atomic(&path, notes.metrics.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path, "write"))?;
        // A folder of its own: the steps of each stage begin with 1.
        let board = TensorBoard::open(&run.tensorboard().join(stage), next_step)?;
        Ok(LearningLog { path, file, board, notes })
    }

    /// Writes what a step has measured.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn add(&mut self, line: &MetricsLine) -> Result<()> {
        let text = line.to_json()?;
        self.file.write_all(text.as_bytes()).map_err(Error::io(&self.path, "write"))?;
        self.notes.metrics += &text;
        self.board.write(line.step, line.finite())
    }

    /// For a checkpoint.
    pub fn notes(&self) -> &LearningNotes {
        &self.notes
    }

    /// Leaves in a directory what the same config gives again: all but the times.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, dir: &Path, stage: &str) -> Result<()> {
        let lines = MetricsLine::parse_all(&self.path, &self.notes.metrics)?;
        let timeless = lines.into_iter().map(|line| MetricsLine { time: Default::default(), ..line }.to_json());
        files::write_atomic(&kept(dir, stage), timeless.collect::<Result<String>>()?.as_bytes())
    }
}

/// Where a finished stage keeps the lines of itself, or of one before it.
fn kept(dir: &Path, stage: &str) -> PathBuf {
    dir.join(format!("learning-{stage}.jsonl"))
}

/// Has a finished stage keep the lines of the one that it went on from.
///
/// # Errors
/// A file that cannot be read or written.
pub fn hand_on(from: &Path, to: &Path, stage: &str) -> Result<()> {
    let (from, to) = (kept(from, stage), kept(to, stage));
    if from.exists() { fs::copy(&from, &to).map(drop).map_err(Error::io(&to, "write")) } else { Ok(()) }
}

/// The lines that a finished stage keeps; none where it was made before there were any.
///
/// # Errors
/// A file that cannot be read.
pub fn read(dir: &Path, stage: &str) -> Result<Vec<MetricsLine>> {
    let path = kept(dir, stage);
    if path.exists() { crate::telemetry::read_metrics(&path) } else { Ok(Vec::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> MetricsLine {
        let values = [("loss".to_owned(), Some(3.0 / step as f64))].into();
        MetricsLine { step, values, time: [("step_time".to_owned(), Some(0.1 * step as f64))].into() }
    }

    #[test]
    fn a_stage_that_is_taken_up_again_goes_on_with_the_lines_of_its_checkpoint_and_keeps_all_but_times() {
        let home = tempfile::tempdir().unwrap();
        let run = RunDir::at(home.path());
        let mut log = LearningLog::open(&run, "finetune", 1, LearningNotes::default()).unwrap();
        (1..=2).for_each(|step| log.add(&line(step)).unwrap());
        let checkpoint = serde_json::to_string(log.notes()).unwrap();
        (3..=5).for_each(|step| log.add(&line(step)).unwrap());
        drop(log);
        // Steps that no checkpoint knows are done again.
        let notes = serde_json::from_str(&checkpoint).unwrap();
        let mut log = LearningLog::open(&run, "finetune", 3, notes).unwrap();
        log.add(&line(3)).unwrap();
        let there = crate::telemetry::read_metrics(&run.learning("finetune")).unwrap();
        assert_eq!(there, [line(1), line(2), line(3)]);
        let (stage, next) = (home.path().join("stage"), home.path().join("next"));
        [&stage, &next].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
        log.save(&stage, "finetune").unwrap();
        hand_on(&stage, &next, "finetune").unwrap();
        hand_on(&stage, &next, "warmup").unwrap();
        let kept = read(&next, "finetune").unwrap();
        assert_eq!(kept.iter().map(|line| line.step).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(kept.iter().all(|line| line.time.is_empty() && line.values.len() == 1));
        assert_eq!(read(&next, "warmup").unwrap(), []);
    }
}
