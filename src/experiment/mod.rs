//! A run from its config to its report: the stages in order, the directory that it lives in, and what is kept
//! so that nothing is done twice.

pub mod alarm;
pub mod arithmetic;
pub mod base;
pub mod config;
pub mod course;
pub mod footprint;
pub mod health;
pub mod interrupt;
pub mod lessons;
pub mod live_reward;
pub mod manifest;
pub mod resources;
pub mod rollouts;
pub mod run_dir;
mod seal;
pub mod stage;
pub mod stages;
pub mod sweep;
pub mod watched;

pub use config::Config;
pub use interrupt::Interrupt;
pub use run_dir::RunDir;
pub use stage::{Stage, StageCache};
pub use sweep::Sweep;

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;

use crate::exchange::{Actors, Threads, WorkerPool};
use crate::learner::Algorithm;
use crate::policy::Policy;
use crate::reward::{Normalise, Reward, Scorer};
use crate::telemetry::Progress;
use crate::{Error, Result, files};

/// What every stage works with: the config, what it names, and the run directory, held for this process.
pub struct Experiment {
    pub config: Config,
    pub reward: Reward,
    pub run: RunDir,
    /// Where policies live.
    pub device: Device,
    pub cache: StageCache,
    pub interrupt: Interrupt,
    /// Who wants to know how far it is.
    pub progress: Arc<dyn Progress>,
    /// Who samples.
    pub actors: Arc<dyn Actors>,
}

impl Experiment {
    /// Checks what the config names and takes its run directory.
    pub fn open(config: Config, interrupt: Interrupt, progress: Box<dyn Progress>) -> Result<Experiment> {
        let reward = preflight(&config)?;
        let device = config.run.device.open()?;
        let run = RunDir::open(&config.run.dir, &config)?;
        let root = config.run.cache.clone().unwrap_or_else(|| run.stages());
        let cache = StageCache::new(root, &interrupt).on(&device);
        let actors = Arc::new(Threads);
        Ok(Experiment { config, reward, run, device, cache, interrupt, progress: progress.into(), actors })
    }

    /// Those who sample, for a policy.
    pub fn pool(&self, policy: &Policy) -> Result<WorkerPool> {
        self.actors.pool(self.config.run.workers, policy)
    }

    /// An experiment that belongs to this one: of another config, in a directory inside of this run's, with the same cache.
    pub fn child(&self, dir: &Path, config: Config) -> Result<Experiment> {
        let mut config = config;
        config.run.dir = dir.to_path_buf();
        config.run.cache = Some(self.cache.root().to_path_buf());
        let child = Experiment::open(config, self.interrupt.clone(), Box::new(Arc::clone(&self.progress)))?;
        Ok(Experiment { actors: self.actors.clone(), ..child })
    }
}

/// Looks at every file that the config names, and whether the algorithm makes sense, before any time is spent. A line
/// each for what is missing or wrong.
pub fn preflight(config: &Config) -> Result<Reward> {
    let mut errors = Vec::new();
    let mut demand = |key: &str, path: &Path, there: bool, what: &str| {
        if !there {
            let found = format!("no such {what}");
            errors.push(Error::invalid(path.display().to_string(), found, format!("{key} names it")));
        } else if what == "file" {
            // There is something of that name; whether it is a file that may be read is another question.
            errors.extend(files::open(path).err().map(|error| {
                let found = match error {
                    Error::Io { source, .. } => format!("cannot read: {source}"),
                    Error::Invalid { found, .. } => found,
                    other => other.to_string(),
                };
                Error::invalid(path.display().to_string(), found, format!("{key} names it"))
            }));
        }
    };
    let jsonl = &config.world.jsonl;
    for path in &jsonl.documents {
        demand("world.jsonl.documents", path, path.exists(), "file");
    }
    for path in &jsonl.questions {
        demand("world.jsonl.questions", path, path.exists(), "file");
    }
    if let Some(base) = config.base.dir() {
        demand("base.path", base, base.is_dir(), "directory");
        let checkpoint = ["config.json", "adapter_config.json"].iter().any(|name| base.join(name).exists());
        demand("base.path", base, checkpoint || !base.is_dir(), "checkpoint (it has no config.json)");
    }
    let file = &config.train.reward;
    demand("train.reward", file, file.exists(), "file");
    let algorithm = match config.train.algorithm.resolve() {
        Ok(algorithm) => Some(algorithm),
        Err(Error::Several(several)) => {
            errors.extend(several);
            None
        }
        Err(error) => {
            errors.push(error);
            None
        }
    };
    Error::all(errors)?;
    let reward = Reward::load(file)?;
    algorithm.iter().try_for_each(|algorithm| suits(algorithm, &reward, &file.display().to_string()))?;
    // Its commands can be started.
    Scorer::open(&reward)?;
    Ok(reward)
}

/// Refuses a reward, of this file, that an algorithm cannot learn from.
fn suits(algorithm: &Algorithm, reward: &Reward, file: &str) -> Result<()> {
    if algorithm.gae().is_some() && reward.normalise == Normalise::Terms {
        let found = "normalise = \"terms\" with train.algorithm.advantage = \"gae\"";
        let remedy = "a value head foretells one number, and terms are compared within a group: set normalise = \"sum\", or \
                      another advantage";
        return Err(Error::invalid(file, found, remedy));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_file_and_all_that_is_wrong_with_the_algorithm_is_a_line_of_its_own() {
        let text = "[base]\npath = 'no/base'\n[world.jsonl]\ndocuments = ['no.jsonl']\nquestions = ['no.jsonl']\n[finetune]\nreplay = 0\n\
                    [train]\nforms = ['completion']\nreplay_tokens = 0\nreward = 'no.toml'";
        let config = Config::parse(text, "x.toml", "x", &[]).unwrap();
        let algorithm = "preset = 'gspo'\naggregation = 'token'\ninner_epochs = 0";
        let config = Config {
            train: config::TrainConfig {
                algorithm: config::Algorithm::Custom(algorithm.parse().unwrap()),
                ..config.train
            },
            ..config
        };
        let error = preflight(&config).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[4].starts_with("train.algorithm: inner_epochs: found 0;"), "{error}");
        assert!(lines[5].starts_with("train.algorithm: aggregation: found \"token\" with ratio"), "{error}");
        assert_eq!(
            lines[..4],
            [
                "no.jsonl: no such file; world.jsonl.documents names it",
                "no.jsonl: no such file; world.jsonl.questions names it",
                "no/base: no such directory; base.path names it",
                "no.toml: no such file; train.reward names it",
            ]
        );
    }
}
