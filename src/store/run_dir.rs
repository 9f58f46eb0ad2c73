//! The directory of a run: what lies where.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::{Error, Result};

/// The resolved config of a run, in its directory.
pub const CONFIG: &str = "config.toml";
const ROLLOUTS: &str = "rollouts";

/// Everything that one run leaves behind:
///
/// ```text
/// config.toml                 the resolved config; the mark of a run directory
/// inputs.json                 digests of the files that it was made from
/// budget.json                 what its stages were estimated to take, and took
/// world/                      documents, questions, answers and the audit, to be read by people
/// stages/<name>-<key>/        finished stages
/// checkpoints/<stage>-<key>/  step-000123/ and so on: where training goes on from, or branches off
/// metrics.jsonl               one object for each step of reinforcement learning
/// learning/<stage>.jsonl      the same of pretraining, fine-tuning and the warm-up
/// evaluations.json            what was right on the way
/// tensorboard/                the same for TensorBoard, and the learning curves
/// rollouts/step-000123.jsonl  every completion of a step (.jsonl.zst where they are compressed)
/// arms/<name>/                a run of its own, for an arm that is trained in another way
/// evaluations/<name>/         what was asked of it later, with a report of its own
/// seed-<N>/                   a run of its own for each of several seeds
/// report.{html,md,json}       what came of it
/// run.lock                    held by the process that is writing
/// ```
#[derive(Debug)]
pub struct RunDir {
    pub(super) root: PathBuf,
    /// The system gives the lock back when the process ends, however it ends. `None` where the run is only read.
    pub(super) _lock: Option<File>,
}

impl RunDir {
    /// A run that is only looked at, with its config. It may be going on elsewhere.
    ///
    /// # Errors
    /// A directory that is no run; a config that is wrong.
    pub fn read(root: &Path) -> Result<(RunDir, Config)> {
        if root.is_dir() && !root.join(CONFIG).exists() {
            let remedy = "name the directory of a run (runs/quickstart, for example)";
            return Err(Error::invalid(root.display().to_string(), format!("no {CONFIG} in it"), remedy));
        }
        let config = Config::read(&root.join(CONFIG), &[])?;
        Ok((RunDir { root: root.to_path_buf(), _lock: None }, config))
    }

    /// A directory of which nothing is known but where it is.
    pub(crate) fn at(root: &Path) -> RunDir {
        RunDir { root: root.to_path_buf(), _lock: None }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved config of the run.
    pub fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// Documents, questions, answers and the audit.
    pub fn world(&self) -> PathBuf {
        self.root.join("world")
    }

    /// Finished stages, unless the config names a cache that several runs share.
    pub fn stages(&self) -> PathBuf {
        self.root.join("stages")
    }

    /// Where training goes on from, a directory for each stage.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// One object for each step of a stage that learns from texts.
    pub fn learning(&self, stage: &str) -> PathBuf {
        self.root.join("learning").join(format!("{stage}.jsonl"))
    }

    /// The evaluations on the way.
    pub fn evaluations(&self) -> PathBuf {
        self.root.join("evaluations.json")
    }

    /// Event files for TensorBoard.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// The completions of one step.
    pub fn rollouts(&self, step: usize) -> PathBuf {
        let compressed = self.rollouts_as(step, true);
        if compressed.exists() { compressed } else { self.rollouts_as(step, false) }
    }

    /// Where they are written.
    pub fn rollouts_as(&self, step: usize, compressed: bool) -> PathBuf {
        let ending = if compressed { "jsonl.zst" } else { "jsonl" };
        self.rollouts_dir().join(format!("step-{step:06}.{ending}"))
    }

    /// The directory of all of them.
    pub fn rollouts_dir(&self) -> PathBuf {
        self.root.join(ROLLOUTS)
    }

    /// The files with completions that there are, by step.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn recorded_rollouts(&self) -> Result<Vec<PathBuf>> {
        let folder = self.rollouts_dir();
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io(&folder, "read"))?.path();
            if [".jsonl", ".jsonl.zst"].iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// The run of one of several seeds.
    pub fn of_seed(&self, seed: u64) -> PathBuf {
        self.root.join(format!("seed-{seed}"))
    }

    /// Refuses a config with several seeds, where one run is asked for.
    ///
    /// # Errors
    /// A config with several seeds.
    pub fn demand_one(&self, config: &Config) -> Result<()> {
        let runs: Vec<PathBuf> = config.run.seeds.iter().map(|seed| self.of_seed(*seed)).collect();
        // The one that is going on, if any is.
        let Some(run) = runs.iter().rfind(|run| run.exists()).or(runs.first()) else { return Ok(()) };
        let found = "several seeds where one run is asked for";
        let remedy =
            format!("`recollect run` makes all of them; name one, such as {}, or --set run.seeds=[]", run.display());
        Err(Error::invalid("run.seeds", found, remedy))
    }

    pub fn report_json(&self) -> PathBuf {
        self.root.join("report.json")
    }
}
