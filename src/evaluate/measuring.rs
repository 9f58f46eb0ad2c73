//! What `recollect eval` is asked for: whose policies answer, in which arms, and where the results go.
//!
//! A run that is there is only read. What its own config asks for is its own evaluation, and stands in its directory; for
//! anything else (other arms, more samples, another checkpoint) there is a directory inside, with a report of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::made_run::{MadeRun, run_and_step};
use crate::base::{self, Place};
use crate::config::{Config, EvaluationConfig, Override};
use crate::evaluation::{Arm, Training};
use crate::experiment::finetune::FINETUNE;
use crate::experiment::{Experiment, Purpose, preflight, preflight_to_measure};
use crate::interrupt::Interrupt;
use crate::rl::train::TRAIN;
use crate::store::open_run::differences;
use crate::store::{paths, seal};
use crate::telemetry::Progress;
use crate::{Error, Result, files};

/// Directory in that of a run, for what is asked of it beside its own evaluation.
const EVALUATIONS: &str = "evaluations";
/// Longest name of an evaluation, but for its digest.
const NAME: usize = 48;

/// Keys whose values may differ from those that a run was made with: what is asked of it, and where files are, whose
/// content is looked at.
const FREE: [&str; 7] = [
    "evaluation.",
    "base.path",
    "world.jsonl.documents",
    "world.jsonl.questions",
    "world.jsonl.facts",
    "world.jsonl.lessons",
    "train.reward",
];

/// An evaluation that can be made.
#[derive(Clone, Debug)]
pub struct Measuring {
    /// As it is written down beside the results.
    written: Config,
    /// The same as it was asked for: where it runs may differ.
    config: Config,
    /// The run whose policies answer; `None` where the config begins one.
    pub(crate) run: Option<MadeRun>,
    /// Where the results go.
    place: PathBuf,
    pub(crate) substitute: Option<Substitute>,
    /// Stages that are to be trained first.
    missing: Vec<&'static str>,
}

/// A checkpoint in place of the policy that the run has trained.
#[derive(Clone, Debug)]
pub(crate) struct Substitute {
    pub dir: PathBuf,
    /// Steps of the run behind it, where it is one of the run's.
    pub step: Option<u64>,
}

impl Measuring {
    /// Finds what is named: a config file, the directory of a run, or `RUN@STEP`. `checkpoint` answers in place of the
    /// policy after reinforcement learning.
    ///
    /// # Errors
    /// A name that is none, changes that would make another run of it, a run of several seeds, and files of the run that
    /// are not what they were.
    pub fn find(named: &Path, changes: &[String], checkpoint: Option<&Path>) -> Result<Measuring> {
        let mut substitute = checkpoint.map(|dir| Substitute { dir: dir.to_path_buf(), step: None });
        let mut run = MadeRun::at(named)?;
        if run.is_none()
            && let Some((of_step, step)) = run_and_step(&named.display().to_string())?
        {
            if checkpoint.is_some() {
                let place = format!("--checkpoint with {}", named.display());
                return Err(Error::invalid(place, "two checkpoints", "name the run alone, or leave --checkpoint out"));
            }
            substitute = Some(Substitute { dir: of_step.policy_at(step)?, step: Some(step) });
            run = Some(of_step);
        }
        let sets_dir = changes.iter().any(|text| Override::parse(text).is_ok_and(|change| change.sets("run.dir")));
        let elsewhere = run.is_some() && sets_dir;
        let mut config = Config::load(run.as_ref().map_or(named, |run| &run.root), changes)?;
        if run.is_none() {
            run = MadeRun::at(&config.run.dir)?;
            let changed = |key: &str| changes.iter().any(|text| Override::parse(text).is_ok_and(|c| c.sets(key)));
            run.iter().for_each(|run| paths::settle(&mut config, &run.root, changed));
        }
        if let Some(Substitute { dir, .. }) = &substitute {
            seal::verify(dir)?;
        }
        let Some(run) = run else {
            let (place, missing) = (config.run.dir.clone(), missing(None, &config, substitute.as_ref())?);
            return Ok(Measuring { written: config.clone(), config, run: None, place, substitute, missing });
        };
        demand_same(&run, &config)?;
        run.dir()?.demand_one(&config)?;
        let own = run.settled_config();
        let asks_the_same = substitute.is_none() && (&config.arms, &config.evaluation) == (&own.arms, &own.evaluation);
        let place = match (elsewhere, asks_the_same) {
            (true, _) => free(&config.run.dir)?.to_path_buf(),
            (false, true) => run.root.clone(),
            (false, false) => run.root.join(EVALUATIONS).join(name(&config, &run.config, named, substitute.as_ref())?),
        };
        let mut written = if place == run.root { run.config.clone() } else { config.clone() };
        if place != run.root {
            (written.run.dir, written.run.cache) = (place.clone(), Some(run.cache()));
        }
        let missing = missing(Some(&run), &config, substitute.as_ref())?;
        Ok(Measuring { written, config, run: Some(run), place, substitute, missing })
    }

    /// The config by which it is made.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Looks at whatever it needs.
    ///
    /// # Errors
    /// A line for each file that is missing.
    pub fn check(&self) -> Result<()> {
        let config = &self.config;
        match self.purpose() {
            Purpose::Train => preflight(config).map(drop),
            Purpose::Measure => preflight_to_measure(config),
        }
    }

    /// The experiment that makes it: it writes where the results go, and has the stages of the run.
    ///
    /// # Errors
    /// As those of [`Experiment::open`].
    pub fn open(&self, interrupt: Interrupt, progress: Box<dyn Progress>) -> Result<Experiment> {
        let mut config = self.config.clone();
        if let Some(run) = &self.run {
            (config.run.dir, config.run.cache) = (self.place.clone(), Some(run.cache()));
        }
        // Policies that the run lacks are trained in its own directory.
        let purpose = if self.is_own() { self.purpose() } else { Purpose::Measure };
        Experiment::at(&self.place, &self.written, config, purpose, interrupt, progress.into())
    }

    /// The experiment of the run, where it has to train something that the evaluation needs, and is not `of` itself.
    pub(crate) fn trainer(&self, of: &Experiment) -> Result<Option<Experiment>> {
        let Some(run) = self.run.as_ref().filter(|_| !self.missing.is_empty()) else { return Ok(None) };
        let (root, missing) = (run.root.display(), self.missing.join(" and no "));
        of.progress.tell(&format!("{root} has no {missing} stage yet: what is missing is trained first"));
        if self.is_own() {
            return Ok(None);
        }
        let mut config = run.settled_config();
        (config.run.dir, config.run.cache) = (run.root.clone(), Some(run.cache()));
        let (interrupt, progress) = (of.interrupt.clone(), of.progress.clone());
        let trainer = Experiment::at(&run.root, &run.config, config, self.purpose(), interrupt, progress)?;
        Ok(Some(Experiment { actors: of.actors.clone(), ..trainer }))
    }

    /// Whether the results stand in the directory of the run.
    fn is_own(&self) -> bool {
        self.run.as_ref().is_none_or(|run| run.root == self.place)
    }

    fn purpose(&self) -> Purpose {
        if self.missing.contains(&TRAIN) { Purpose::Train } else { Purpose::Measure }
    }
}

/// Stages whose policies answer and that are not there.
fn missing(run: Option<&MadeRun>, config: &Config, substitute: Option<&Substitute>) -> Result<Vec<&'static str>> {
    let reinforced = config.arms.resolved().iter().any(|arm| arm.training() == Training::Rl) && substitute.is_none();
    let mut missing = Vec::new();
    for stage in [Some(FINETUNE), Some(TRAIN).filter(|_| reinforced)].into_iter().flatten() {
        if run.map_or(Ok(None), |run| run.find(stage))?.is_none() {
            missing.push(stage);
        }
    }
    Ok(missing)
}

/// Refuses a directory in which a run was trained: results would take the place of its own.
fn free(place: &Path) -> Result<&Path> {
    let trained = ["stages", "metrics.jsonl"].iter().any(|name| place.join(name).exists());
    let remedy =
        "name another directory in run.dir, or leave it out: then the results go to a directory inside the run's";
    if trained {
        Err(Error::invalid(place.display().to_string(), "a run has its own results there", remedy))
    } else {
        Ok(place)
    }
}

/// Refuses changes that would make another run: its policies are there, and were trained otherwise.
fn demand_same(run: &MadeRun, config: &Config) -> Result<()> {
    let mut differences = differences(&run.config, config)?;
    differences.retain(|(key, _)| !FREE.iter().any(|free| key == free || free.ends_with('.') && key.starts_with(free)));
    if differences.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = differences.into_iter().map(|(_, words)| words).collect();
    let found = format!("belongs to another config ({})", words.join(", "));
    let remedy = "name the run's own directory and change arms and evaluation alone, or begin another run with run.dir";
    Err(Error::invalid(run.root.display().to_string(), found, remedy))
}

/// What tells an evaluation of a run from others, in words and in a digest.
fn name(config: &Config, of_run: &Config, named: &Path, substitute: Option<&Substitute>) -> Result<String> {
    let mut words: Vec<String> = Vec::new();
    let mut content = String::new();
    if let Some(Substitute { dir, step }) = substitute {
        content = base::digest(Place::Dir(dir))?;
        let name = dir.file_name().unwrap_or(named.as_os_str()).to_string_lossy().into_owned();
        words.push(step.map_or(name, |step| format!("step-{step}")));
    }
    let (asked, there): (BTreeSet<Arm>, BTreeSet<Arm>) =
        (config.arms.resolved().into_iter().collect(), of_run.arms.resolved().into_iter().collect());
    if asked != there {
        words.extend(asked.iter().filter(|arm| **arm != Arm::FineTuned).map(|arm| arm.name().to_owned()));
    }
    if config.arms.likelihood && !of_run.arms.likelihood {
        words.push("likelihood".into());
    }
    let EvaluationConfig { seed, samples, max_new_tokens, .. } = &config.evaluation;
    let there = &of_run.evaluation;
    words.extend((*samples != there.samples).then(|| format!("samples-{samples}")));
    let asked = &config.evaluation;
    for (key, value, there) in [
        ("temperature", asked.temperature, there.temperature),
        ("top-k", asked.top_k as f64, there.top_k as f64),
        ("top-p", asked.top_p, there.top_p),
        ("min-p", asked.min_p, there.min_p),
        ("no-repeat", asked.no_repeat_ngram_size as f64, there.no_repeat_ngram_size as f64),
        ("repetition", asked.repetition_penalty, there.repetition_penalty),
    ] {
        words.extend((value != there).then(|| format!("{key}-{value}")));
    }
    words.extend((*max_new_tokens != there.max_new_tokens).then(|| format!("tokens-{max_new_tokens}")));
    words.extend((*seed != there.seed).then(|| format!("seed-{seed}")));
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let mut name: String = words.join("_").chars().map(plain).take(NAME).collect();
    if name.is_empty() {
        name.push_str("asked");
    }
    let digest = files::digest_json(EVALUATIONS, &(&config.arms, &config.evaluation, content))?;
    Ok(format!("{name}_{}", &digest[..8]))
}
