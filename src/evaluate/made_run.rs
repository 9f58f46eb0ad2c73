//! A run as it lies there: its config and what it has written down, which is all that is needed to ask its policies
//! something. It is found wherever it was moved to, and nothing is written to it.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::experiment::Experiment;
use crate::experiment::finetune::FINETUNE;
use crate::experiment::start::{BASE_AND_WORLD, Start};
use crate::rl::train::TRAIN;
use crate::store::manifest::{BASE, Manifest};
use crate::store::stage::Stage;
use crate::store::{RunDir, checkpoint, paths, run_dir, seal};
use crate::{Error, Result};

/// What a run has made so far.
#[derive(Clone, Debug)]
pub(crate) struct MadeRun {
    pub root: PathBuf,
    /// As it stands in the directory: [`MadeRun::settled_config`] says where its relative paths lead.
    pub config: Config,
    pub manifest: Manifest,
}

impl MadeRun {
    /// The run in a directory; `None` where there is none.
    pub fn at(root: &Path) -> Result<Option<MadeRun>> {
        if !root.join(run_dir::CONFIG).is_file() {
            return Ok(None);
        }
        let (_, config) = RunDir::read(root)?;
        let manifest = Manifest::at(root)?.unwrap_or_default();
        Ok(Some(MadeRun { root: root.to_path_buf(), config, manifest }))
    }

    /// The run that a directory lies in.
    pub fn around(dir: &Path) -> Result<Option<MadeRun>> {
        let dir = dir.canonicalize().map_err(Error::io(dir, "read"))?;
        let root = dir.ancestors().skip(1).find(|around| around.join(run_dir::CONFIG).is_file());
        root.map_or(Ok(None), MadeRun::at)
    }

    /// Its directory, to read in.
    pub fn dir(&self) -> Result<RunDir> {
        RunDir::read(&self.root).map(|(dir, _)| dir)
    }

    /// Its config, whose relative paths lead where they led.
    pub fn settled_config(&self) -> Config {
        let mut config = self.config.clone();
        paths::settle(&mut config, &self.root, |_| false);
        config
    }

    /// Where its stages are.
    pub fn cache(&self) -> PathBuf {
        let named = self.settled_config().run.cache;
        let there = named.filter(|cache| cache.is_dir()).unwrap_or_else(|| self.root.join("stages"));
        // It is nowhere else, wherever relative paths begin.
        there.canonicalize().unwrap_or(there)
    }

    /// A stage that it has finished, with every file of it as it was written.
    pub fn find(&self, stage: &str) -> Result<Option<Stage>> {
        self.manifest.find(stage)
    }

    /// The directory of the last policy that it has trained.
    pub fn policy(&self) -> Result<PathBuf> {
        let last = [TRAIN, FINETUNE].into_iter().find_map(|name| self.find(name).transpose());
        let none = || {
            let found = "it has trained no policy yet";
            Error::invalid(
                self.root.display().to_string(),
                found,
                "train it first: `recollect train` and its directory",
            )
        };
        last.unwrap_or_else(|| Err(none())).map(|stage| stage.dir)
    }

    /// The directory of the policy after so many steps of reinforcement learning; 0 is the fine-tuned policy.
    pub fn policy_at(&self, step: u64) -> Result<PathBuf> {
        if step == 0 {
            return self.manifest.stage(FINETUNE).map(|stage| stage.dir);
        }
        let named = checkpoint::named(&format!("{}@{step}", self.root.display()));
        let dir = match named {
            Err(_) if step == self.config.train.steps as u64 && self.find(TRAIN)?.is_some() => {
                self.manifest.stage(TRAIN)?.dir
            }
            named => named?,
        };
        seal::verify(&dir)?;
        Ok(dir)
    }

    /// What its stages started from. Refused: a base or files that are not those of the run any more.
    pub fn start(&self, experiment: &Experiment) -> Result<Start> {
        Start::on(experiment, self.find(BASE)?, &self.dir()?)
    }

    /// Whether it was made from this base and this world.
    pub fn is_of(&self, start: &Start) -> bool {
        self.manifest.digests.get(BASE_AND_WORLD) == Some(&start.digest)
    }
}

/// Takes `RUN@STEP` apart, where RUN is a run.
pub(crate) fn run_and_step(text: &str) -> Result<Option<(MadeRun, u64)>> {
    let Some((run, step)) = text.rsplit_once('@') else { return Ok(None) };
    let Some(run) = MadeRun::at(Path::new(run))? else { return Ok(None) };
    let step = step.parse().map_err(|_| {
        let found = format!("\"{step}\" is no step");
        Error::invalid(text, found, "name a run and a step, such as runs/quickstart@100 (@0 is fine-tuned only)")
    })?;
    Ok(Some((run, step)))
}
