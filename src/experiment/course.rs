//! A stretch of training that can be stopped and continued: the loop that pretraining, fine-tuning and
//! reinforcement learning share, and what it keeps on disk.
//!
//! Every random stream is keyed by the step, so weights, optimizer moments and the step are all the state there is.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Experiment;
use crate::learner::{Optimizer, OptimizerConfig, Scales};
use crate::policy::Policy;
use crate::{Error, Result, files};

/// Where a stretch of training keeps its checkpoints, newest last.
pub struct Checkpoints {
    root: PathBuf,
}

/// What training goes on from.
pub struct Progressed<N> {
    /// Steps that are done.
    pub step: usize,
    pub policy: Policy,
    pub optimizer: Optimizer,
    /// Whatever the stage keeps beside weights and moments.
    pub notes: N,
}

const NOTES: &str = "notes.json";
const MOMENTS: &str = "optimizer.safetensors";
/// Checkpoints that are kept: the newest, and the one before it.
const KEPT: usize = 2;

impl Checkpoints {
    /// The checkpoints of the stage with this name and key.
    pub fn of(experiment: &Experiment, stage: &str, key: &str) -> Self {
        Self { root: experiment.run.checkpoints().join(format!("{stage}-{key}")) }
    }

    /// The newest checkpoint that is whole, or `fresh` policy at step 0.
    pub fn resume<N: DeserializeOwned + Default>(
        &self,
        optimizer: OptimizerConfig,
        scales: &Scales,
        fresh: impl FnOnce() -> Result<Policy>,
    ) -> Result<Progressed<N>> {
        let Some((step, dir)) = self.all()?.pop() else {
            let (policy, optimizer) = (fresh()?, Optimizer::new(optimizer).with_scales(scales));
            return Ok(Progressed { step: 0, policy, optimizer, notes: N::default() });
        };
        let path = dir.join(NOTES);
        let notes = serde_json::from_str(&files::read_text(&path)?).map_err(|error| {
            Error::invalid(path.display().to_string(), error.to_string(), "remove this checkpoint and run again")
        })?;
        let optimizer = Optimizer::load(&dir.join(MOMENTS), optimizer)?.with_scales(scales);
        Ok(Progressed { step, policy: Policy::load_on(&dir, fresh)?, optimizer, notes })
    }

    /// Saves the state after `step` steps; older checkpoints but one go.
    pub fn save<N: Serialize>(&self, step: usize, policy: &Policy, optimizer: &Optimizer, notes: &N) -> Result<()> {
        files::create_dir(&self.root)?;
        let beside = tempfile::tempdir_in(&self.root).map_err(Error::io(&self.root, "write"))?;
        policy.save(beside.path())?;
        optimizer.save(&beside.path().join(MOMENTS))?;
        let text = serde_json::to_string(notes)
            .map_err(|error| Error::invalid(NOTES, error.to_string(), "this state cannot be written as JSON"))?;
        files::write_atomic(&beside.path().join(NOTES), text.as_bytes())?;
        let dir = self.root.join(format!("step-{step:06}"));
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(Error::io(&dir, "replace"))?;
        }
        // The name appears only when everything under it is whole.
        fs::rename(beside.keep(), &dir).map_err(Error::io(&dir, "write"))?;
        let mut all = self.all()?;
        all.truncate(all.len().saturating_sub(KEPT));
        all.into_iter().try_for_each(|(_, dir)| fs::remove_dir_all(&dir).map_err(Error::io(&dir, "remove")))
    }

    /// Removes all of them: the stage is finished.
    pub fn remove(&self) -> Result<()> {
        if self.root.exists() {
            fs::remove_dir_all(&self.root).map_err(Error::io(&self.root, "remove"))?;
        }
        Ok(())
    }

    fn all(&self) -> Result<Vec<(usize, PathBuf)>> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Ok(Vec::new()) };
        let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok();
        let mut all: Vec<(usize, PathBuf)> =
            entries.flatten().filter_map(|entry| Some((step(&entry.path())?, entry.path()))).collect();
        all.sort();
        Ok(all)
    }
}
