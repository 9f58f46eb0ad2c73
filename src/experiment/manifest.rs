//! What a run consists of: written when it was evaluated, read by the report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stage::Stage;
use crate::evaluation::Arm;
use crate::{Error, Result, files};

const FILE: &str = "manifest.json";

/// The stages of a run in their order, and what is known of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub stages: Vec<StageRecord>,
    /// Digests of what the stages were made from, by what it is.
    pub digests: BTreeMap<String, String>,
    pub model_parameters: u64,
    /// Peak resident memory in bytes of the process that evaluated.
    pub peak_memory: Option<u64>,
    pub hardware: String,
    /// The arms that were asked for.
    pub arms: Vec<Arm>,
    /// Names of the stages that hold their answers.
    pub answers: Vec<String>,
    /// Names of the stages that hold which choices are the likeliest.
    pub choices: Vec<String>,
    /// Wall-clock seconds that the questions of an arm took.
    pub seconds: BTreeMap<Arm, f64>,
    /// Floating-point operations that went into the policy of an arm, where that is known.
    pub training_flops: BTreeMap<Arm, f64>,
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    pub name: String,
    pub dir: PathBuf,
    /// Wall-clock seconds that it took when it was made.
    pub seconds: f64,
}

impl Manifest {
    /// Adds a finished stage.
    pub fn add(&mut self, name: &str, stage: &Stage) {
        let record = StageRecord { name: name.into(), dir: stage.dir.clone(), seconds: stage.seconds };
        self.stages.push(record);
        self.digests.insert(name.into(), stage.content.clone());
    }

    /// The same unless it is there under another name.
    pub fn add_new(&mut self, name: &str, stage: &Stage) {
        if self.stages.iter().all(|record| record.dir != stage.dir) {
            self.add(name, stage);
        }
    }

    /// The directory of a stage.
    pub fn dir(&self, name: &str) -> Result<&Path> {
        let found = self.stages.iter().find(|stage| stage.name == name);
        found.map(|stage| stage.dir.as_path()).ok_or_else(|| {
            Error::invalid(FILE, format!("the run has no {name}"), "finish it with `recollect run` and its config")
        })
    }

    /// Writes it into a run directory.
    pub fn write(&self, run: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::invalid(FILE, error.to_string(), "it cannot be written as JSON"))?;
        files::write_atomic(&run.join(FILE), &text)
    }

    /// Reads it from a run directory.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join(FILE);
        let place = path.display().to_string();
        if !path.exists() {
            let remedy = "finish the run with `recollect run` and its config";
            return Err(Error::invalid(place, "the run was not evaluated yet", remedy));
        }
        serde_json::from_str(&files::read_text(&path)?)
            .map_err(|error| Error::invalid(place, error.to_string(), "evaluate the run again"))
    }
}
