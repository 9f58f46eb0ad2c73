//! What every stage works with, and what is looked at before any of them begins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;

use super::budget::Budget;
use crate::config::{Config, TrainConfig};
use crate::exchange::{Actors, Threads, WorkerPool};
use crate::gguf;
use crate::interrupt::Interrupt;
use crate::knowledge::Form;
use crate::knowledge::jsonl::task::COMPLETION;
use crate::knowledge::registry::generated_forms;
use crate::learner::CreditAssignment;
use crate::policy::{Policy, no_checkpoint};
use crate::reward::{Normalise, Reward};
use crate::store::open_run::cache_of;
use crate::store::{RunDir, StageCache};
use crate::telemetry::Progress;
use crate::{Error, Result, files, shipped, strict_toml};

/// What every stage works with: the config, what it names, and the run directory, held for this process.
pub struct Experiment {
    pub config: Config,
    /// Absent where policies are only measured.
    pub(crate) reward: Option<Reward>,
    pub run: RunDir,
    /// Where policies live.
    pub device: Device,
    pub cache: StageCache,
    pub interrupt: Interrupt,
    /// Who wants to know how far it is.
    pub progress: Arc<dyn Progress>,
    /// Who samples.
    pub actors: Arc<dyn Actors>,
    /// What a whole run is thought to take.
    pub budget: Budget,
}

impl Experiment {
    /// Checks what the config names and takes its run directory.
    ///
    /// # Errors
    /// A line for each file that is missing; a run directory that is in use or belongs to another config.
    pub fn open(config: Config, interrupt: Interrupt, progress: Box<dyn Progress>) -> Result<Experiment> {
        let root = config.run.dir.clone();
        Experiment::at(&root, &config.clone(), config, Purpose::Train, interrupt, progress.into())
    }

    /// The same for an experiment that puts questions to policies and trains none by reinforcement learning: what only
    /// that needs is not asked for.
    ///
    /// # Errors
    /// As those of [`Experiment::open`].
    pub fn to_measure(config: Config, interrupt: Interrupt, progress: Box<dyn Progress>) -> Result<Experiment> {
        let root = config.run.dir.clone();
        Experiment::at(&root, &config.clone(), config, Purpose::Measure, interrupt, progress.into())
    }

    /// An experiment in the directory `root`, in which the config is written down as `written`.
    pub(crate) fn at(
        root: &Path,
        written: &Config,
        config: Config,
        purpose: Purpose,
        interrupt: Interrupt,
        progress: Arc<dyn Progress>,
    ) -> Result<Experiment> {
        let mut config = config.dated();
        config.run.cache = config.run.cache.or_else(|| cache_of(root));
        let mut written = written.clone();
        written.prompt.date = config.prompt.date;
        written.run.cache = written.run.cache.or_else(|| cache_of(root));
        let reward = match purpose {
            Purpose::Train => Some(preflight(&config)?),
            Purpose::Measure => preflight_to_measure(&config).map(|()| None)?,
        };
        let device = config.run.device.open()?;
        let run = RunDir::go_on(root, &written)?;
        let root = config.run.cache.clone().unwrap_or_else(|| run.stages());
        let cache = StageCache::new(root, &interrupt).on(&device);
        let (actors, budget) = (Arc::new(Threads), Budget::default());
        Ok(Experiment { config, reward, run, device, cache, interrupt, progress, actors, budget })
    }

    /// The same with what comes before reinforcement learning taken over from other runs of this machine, and given to them,
    /// unless the config names a cache of its own.
    pub fn sharing(self, shared: Option<PathBuf>) -> Experiment {
        let shared = shared.filter(|_| self.config.run.cache.is_none());
        Experiment { cache: self.cache.clone().sharing(shared), ..self }
    }

    /// What a completion is worth.
    ///
    /// # Errors
    /// The experiment was opened to measure.
    pub fn reward(&self) -> Result<&Reward> {
        self.reward.as_ref().ok_or_else(|| {
            let place = self.config.train.reward.display().to_string();
            Error::invalid(place, "not read, because nothing was to be trained", "train first: `recollect train`")
        })
    }

    /// The key that says how long the longest completion is that will be sampled, in tokens, and how long.
    pub fn longest_completion(&self) -> (&'static str, usize) {
        self.config.longest_completion(self.reward.is_some())
    }

    /// Those who sample, for a policy.
    ///
    /// # Errors
    /// Workers that cannot be started.
    pub fn pool(&self, policy: &Policy) -> Result<WorkerPool> {
        self.actors.pool(self.config.run.workers, policy)
    }

    /// An experiment that belongs to this one: of another config, in a directory of its own, with the same cache.
    ///
    /// # Errors
    /// As those of [`Experiment::open`].
    pub fn child(&self, dir: &Path, config: Config, purpose: Purpose) -> Result<Experiment> {
        let mut config = config;
        config.run.dir = dir.to_path_buf();
        config.run.cache = Some(self.cache.root().to_path_buf());
        let (interrupt, progress) = (self.interrupt.clone(), Arc::clone(&self.progress));
        let child = Experiment::at(dir, &config.clone(), config, purpose, interrupt, progress)?;
        let cache = child.cache.clone().sharing(self.cache.shared().map(Path::to_path_buf));
        Ok(Experiment { actors: self.actors.clone(), cache, ..child })
    }
}

/// What an experiment is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Everything, reinforcement learning among it.
    Train,
    /// Asking policies. What only reinforcement learning needs, its reward for instance, may be missing.
    Measure,
}

/// Looks at every file that the config names, and whether the algorithm makes sense, before any time is spent. A line
/// each for what is missing or wrong. Nothing is executed.
///
/// # Errors
/// A line for each file that is missing and for what is wrong with the algorithm.
pub fn preflight(config: &Config) -> Result<Reward> {
    let mut errors = missing(config);
    let file = &config.train.reward;
    errors.extend(unreadable_reward(file));
    errors.extend(unresolved(config));
    Error::all(errors)?;
    let reward = Reward::load(file)?;
    can_pay(config, &reward, &file.display().to_string())?;
    Ok(reward)
}

/// The same with a reward that is in no file yet; `place` stands for its file in errors.
pub(super) fn preflight_with(config: &Config, reward: &Reward, place: &str) -> Result<()> {
    Error::all(missing(config).into_iter().chain(unresolved(config)).collect())?;
    can_pay(config, reward, place)
}

/// What is wrong with the algorithm, a line each.
fn unresolved(config: &Config) -> Vec<Error> {
    match config.train.algorithm.resolve() {
        Ok(_) => Vec::new(),
        Err(Error::Several(several)) => several,
        Err(error) => vec![error],
    }
}

/// Refuses a reward, of this file, that the algorithm cannot learn from, or whose commands are not there. They are
/// started when there is something to judge.
fn can_pay(config: &Config, reward: &Reward, file: &str) -> Result<()> {
    suits(&config.train, reward, file)?;
    reward.externals().try_for_each(|(term, external)| external.find(&term.name).map(drop))
}

/// The same for an experiment that only measures.
///
/// # Errors
/// A line for each file that is missing.
pub fn preflight_to_measure(config: &Config) -> Result<()> {
    Error::all(missing(config))
}

/// A line for each file of the knowledge and for the base, where it is missing.
fn missing(config: &Config) -> Vec<Error> {
    let files = config.world.jsonl.keyed();
    let mut errors: Vec<Error> =
        files.filter_map(|(key, path)| unreadable(&format!("world.jsonl.{key}"), path)).collect();
    errors.extend(config.evaluation.held_back.iter().filter_map(|path| unreadable("evaluation.held_back", path)));
    if let Some(base) = config.base.dir() {
        let whole = ["config.json", "adapter_config.json"].iter().any(|name| base.join(name).exists());
        let error = || {
            let found = if base.is_dir() { "no such checkpoint (it has no config.json)" } else { "no such directory" };
            match no_checkpoint(base) {
                Some((found, remedy)) => {
                    Error::invalid(base.display().to_string(), found, format!("base.path names it; {remedy}"))
                }
                None => absent("base.path", base, found),
            }
        };
        errors.extend((!whole && !gguf::is_file(base)).then(error));
    }
    errors
}

fn absent(key: &str, path: &Path, found: &str) -> Error {
    Error::invalid(path.display().to_string(), found, format!("{key} names it"))
}

/// Why a file that a key names cannot be read.
pub(crate) fn unreadable(key: &str, path: &Path) -> Option<Error> {
    if !path.exists() {
        return Some(absent(key, path, "no such file"));
    }
    // There is something of that name; whether it is a file that may be read is another question.
    files::open(path).err().map(|error| match error {
        Error::Io { source, .. } => absent(key, path, &format!("cannot read: {source}")),
        Error::Invalid { found, .. } => absent(key, path, &found),
        other => absent(key, path, &other.to_string()),
    })
}

/// Why a reward cannot be read that is in no file and does not ship either.
pub(crate) fn unreadable_reward(path: &Path) -> Option<Error> {
    const KEY: &str = "train.reward";
    match shipped::reward(path) {
        Some(_) => None,
        None if path.exists() => unreadable(KEY, path),
        None => {
            let shipping = shipped::rewards().collect::<Vec<_>>().join(", ");
            let remedy = format!("{KEY} names it; those that ship are {shipping}");
            Some(Error::invalid(path.display().to_string(), "no such file", remedy))
        }
    }
}

/// Refuses a reward, of this file, that training cannot learn from.
pub(crate) fn suits(config: &TrainConfig, reward: &Reward, file: &str) -> Result<()> {
    let algorithm = config.algorithm.resolve()?;
    // What forms the questions of files have is seen when these are read.
    let there: Vec<Form> = generated_forms().chain(config.forms.iter().copied()).collect();
    let named = reward.terms.iter().flat_map(|term| term.forms.iter().map(move |form| (term, form)));
    if let Some((term, form)) = named.filter(|_| !there.contains(&COMPLETION)).find(|(_, form)| !there.contains(form)) {
        let names: Vec<&str> = there.iter().map(|form| form.name).collect();
        let found = format!("term {}: forms: no question has the form {form}", term.name);
        return Err(Error::invalid(file, found, strict_toml::suggest(form.name, &names, "")));
    }
    if algorithm.gae().is_some() && reward.normalise == Normalise::Terms {
        let found = "normalise = \"terms\" with train.algorithm.advantage = \"gae\"";
        let remedy = "a value head foretells one number, and terms are compared within a group: set normalise = \"sum\", or \
                      another advantage";
        return Err(Error::invalid(file, found, remedy));
    }
    let of_completions = algorithm.credit == CreditAssignment::Completion;
    if let Some(term) = reward.paying_sentences().filter(|_| of_completions) {
        let found = format!("term {} pays sentences, with train.algorithm.credit = \"completion\"", term.name);
        let remedy = "completions alone are compared there: set credit = \"sentence\", or let the term pay completions";
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
                    [train]\nforms = ['completion']\nreplay_tokens = 0\nreward = 'no.toml'\n\
                    algorithm = { preset = 'gspo', aggregation = 'token', inner_epochs = 0 }";
        let config = Config::parse(text, "x.toml", "x", &[]).unwrap();
        let error = preflight(&config).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[4].starts_with("train.algorithm: inner_epochs: found 0;"), "{error}");
        assert!(lines[5].starts_with("train.algorithm: aggregation: found \"token\" with ratio"), "{error}");
        assert_eq!(
            lines[..4],
            [
                "no.jsonl: no such file; world.jsonl.documents names it",
                "no.jsonl: no such file; world.jsonl.questions names it",
                "no/base: no such directory; base.path names it; nothing is fetched from the Hugging Face hub; if it is a \
                 model there: `hf download no/base --local-dir no/base`",
                "no.toml: no such file; train.reward names it; those that ship are recall, enumerate, needed, correct, \
                 faithful, concise, exploratory, english, hackable",
            ]
        );
    }
}
