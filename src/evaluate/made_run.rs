//! A run as it lies there: its config and what it has written down, which is all that is needed to ask its policies
//! something. It is found wherever it was moved to, and nothing is written to it.

use std::path::{Path, PathBuf};

use crate::base::{Base, Place};
use crate::config::Config;
use crate::experiment::Experiment;
use crate::experiment::finetune::FINETUNE;
use crate::experiment::start::{BASE_AND_WORLD, Start};
use crate::gguf;
use crate::kernels::DeviceChoice;
use crate::language::{Day, PromptConfig, Tokenizer};
use crate::policy::{Policy, no_checkpoint};
use crate::rl::train::TRAIN;
use crate::store::manifest::{self, BASE, Manifest};
use crate::store::open_run::LOCK;
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

    /// The run that a directory lies in. A file of this name may be anybody's; a run has been held, or has made something.
    pub fn around(dir: &Path) -> Result<Option<MadeRun>> {
        let dir = dir.canonicalize().map_err(Error::io(dir, "read"))?;
        let is_run = |around: &&Path| {
            let has = |name: &str| around.join(name).is_file();
            has(run_dir::CONFIG) && (has(LOCK) || has(manifest::FILE))
        };
        let root = dir.ancestors().skip(1).find(is_run);
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
        self.dir()?.demand_one(&self.config)?;
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
        let text = format!("{}@{step}", self.root.display());
        let named = checkpoint::named(&text, &text);
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

/// Finds what a text names: a directory in the Hugging Face layout or a GGUF file; a run, for the policy that it trained; or
/// `RUN@STEP`, for a checkpoint on the way, of which `RUN@0` is the fine-tuned policy before the first step. Gives the directory,
/// and the run where that is named.
///
/// # Errors
/// A name that is none, and files that are not what they were.
pub(crate) fn find_checkpoint(text: &str) -> Result<(PathBuf, Option<MadeRun>)> {
    let path = Path::new(text);
    let (dir, run) = if let Some(run) = MadeRun::at(path)? {
        (run.policy()?, Some(run))
    } else if gguf::is_file(path) || ["config.json", "adapter_config.json"].iter().any(|name| path.join(name).is_file())
    {
        (path.to_path_buf(), None)
    } else if let Some((run, step)) = run_and_step(text)? {
        (run.policy_at(step)?, Some(run))
    } else {
        if let Some((found, remedy)) = no_checkpoint(path) {
            return Err(Error::invalid(text, found, remedy));
        }
        let found = if path.is_dir() { "no config.json and no run in it" } else { "no such directory" };
        let remedy =
            "name a checkpoint in the Hugging Face layout, a GGUF file, a run, or RUN@STEP (RUN@0 is fine-tuned only)";
        return Err(Error::invalid(text, found, remedy));
    };
    seal::verify(&dir)?;
    Ok((dir, run))
}

/// A policy by the name that people give it: as [`find_checkpoint`] takes it, or a base that ships.
pub(crate) struct NamedPolicy {
    /// `None` for one that ships.
    dir: Option<PathBuf>,
    /// The run that it belongs to.
    pub run: Option<MadeRun>,
}

impl NamedPolicy {
    /// Finds it.
    ///
    /// # Errors
    /// As those of [`find_checkpoint`].
    pub fn find(named: &str) -> Result<NamedPolicy> {
        if matches!(Place::from_name(named), Place::Shipped(_)) {
            return Ok(NamedPolicy { dir: None, run: None });
        }
        let (dir, run) = find_checkpoint(named)?;
        let run = run.map_or_else(|| MadeRun::around(&dir), |run| Ok(Some(run)))?;
        Ok(NamedPolicy { dir: Some(dir), run })
    }

    /// Where its files are, by the name that it was found by.
    pub fn place<'a>(&'a self, named: &'a str) -> Place<'a> {
        self.dir.as_deref().map_or(Place::from_name(named), Place::Dir)
    }
}

/// A policy that was opened by its name, to be asked.
pub struct OpenPolicy {
    pub policy: Policy,
    /// Putting questions as its run says.
    pub tokenizer: Tokenizer,
    /// The config of its run, where it belongs to one; relative paths lead where they led.
    pub(crate) config: Option<Config>,
}

impl OpenPolicy {
    /// Opens what is named: a run (its last policy), `RUN@STEP`, a checkpoint, or a base that ships.
    ///
    /// # Errors
    /// A name that is none, files that are not what they were, a checkpoint that cannot be read.
    pub fn open(named: &str, device: DeviceChoice) -> Result<OpenPolicy> {
        let found = NamedPolicy::find(named)?;
        let config = found.run.as_ref().map(MadeRun::settled_config);
        let prompts = config.as_ref().map(|config| config.prompt.clone()).unwrap_or_default();
        let prompts = PromptConfig { date: prompts.date.or(Some(Day::today())), ..prompts };
        let Base { policy, tokenizer, .. } = Base::load(found.place(named))?.asked(&prompts)?;
        let precision = config.as_ref().map(|config| config.run.precision).unwrap_or_default();
        let policy = policy.with_precision(precision).on(&device.open()?)?;
        Ok(OpenPolicy { policy, tokenizer, config })
    }
}

/// Takes `RUN@STEP` apart, where RUN is a run.
pub(crate) fn run_and_step(text: &str) -> Result<Option<(MadeRun, u64)>> {
    let Some((run, step)) = text.rsplit_once('@') else { return Ok(None) };
    let Some(run) = MadeRun::at(Path::new(run))? else { return Ok(None) };
    let step = step.parse().map_err(|_| {
        let found = format!("\"{step}\" is no step");
        Error::invalid(text, found, "name a run and a step, such as runs/quickstart@200 (@0 is fine-tuned only)")
    })?;
    Ok(Some((run, step)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_lies_in_a_run_and_not_in_whatever_has_a_config() {
        let home = tempfile::tempdir().unwrap();
        let (site, model) = (home.path().join("config.toml"), home.path().join("models/m"));
        fs::create_dir_all(&model).unwrap();
        fs::write(&site, "[site]\ntitle = 'notes'\n").unwrap();
        assert!(MadeRun::around(&model).unwrap().is_none());
        fs::write(&site, Config::default().to_toml().unwrap()).unwrap();
        assert!(MadeRun::around(&model).unwrap().is_none(), "it has made nothing");
        fs::write(home.path().join(LOCK), "1").unwrap();
        let found = MadeRun::around(&model).unwrap().unwrap();
        assert_eq!(found.root, home.path().canonicalize().unwrap());
    }
}
