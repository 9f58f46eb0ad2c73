//! The stages in order. Each takes what it needs from the experiment, makes its part once and leaves it in the
//! run directory.

use std::path::{Path, PathBuf};

use super::{Config, Experiment};
use crate::{Error, Result};

/// A part of a world that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorldPart {
    Documents,
    Questions,
    Answers,
    Audit,
}

/// Everything from the base to the report; stages that are there already are skipped.
pub fn run(experiment: &Experiment) -> Result<()> {
    missing("run", experiment)
}

/// Makes a base model from scratch.
pub fn pretrain(experiment: &Experiment) -> Result<()> {
    missing("pretrain", experiment)
}

/// Teaches the base the documents of A and B.
pub fn finetune(experiment: &Experiment) -> Result<()> {
    missing("finetune", experiment)
}

/// Reinforcement learning on the questions of A.
pub fn train(experiment: &Experiment) -> Result<()> {
    missing("train", experiment)
}

/// Measures every arm; the last checkpoint of the run, or another one, stands for the policy after training.
pub fn eval(experiment: &Experiment, _checkpoint: Option<&Path>) -> Result<()> {
    missing("eval", experiment)
}

/// Writes the report of a run again from what the run left behind. Returns what was written.
pub fn report(_run: &Path) -> Result<Vec<PathBuf>> {
    Err(Error::Refused("this build has no stage report".into()))
}

/// Parts of the world as text, at most `limit` entries of each.
pub fn world(_config: &Config, _parts: &[WorldPart], _limit: usize) -> Result<String> {
    Err(Error::Refused("this build has no stage world".into()))
}

/// Writes the whole world into a directory. Returns what was written.
pub fn export_world(_config: &Config, _dir: &Path) -> Result<Vec<PathBuf>> {
    Err(Error::Refused("this build has no stage world".into()))
}

fn missing(stage: &str, _experiment: &Experiment) -> Result<()> {
    Err(Error::Refused(format!("this build has no stage {stage}")))
}
