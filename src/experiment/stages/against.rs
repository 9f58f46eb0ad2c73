//! Two checkpoints on the same questions: any two, and any questions.

use std::path::{Path, PathBuf};

use super::cost::Spent;
use super::evaluate::Evaluation;
use super::examine::{Examined, workers};
use super::{Start, check_room, knowledge};
use crate::evaluation::Training;
use crate::experiment::base::{self, Base, Place};
use crate::experiment::manifest::Manifest;
use crate::experiment::{Config, Experiment, course, run_dir};
use crate::knowledge::{Jsonl, Knowledge, leak};
use crate::{Error, Result, files};

/// What is compared: two checkpoints, and where the questions come from.
#[derive(Clone, Debug)]
pub struct Comparison {
    checkpoint: Contender,
    baseline: Contender,
    /// Files with questions, and with the documents that they are about; the world of the run that a checkpoint belongs to,
    /// where none is named.
    questions: Vec<PathBuf>,
    documents: Vec<PathBuf>,
}

/// A checkpoint, and the run that it belongs to, where it does.
#[derive(Clone, Debug)]
struct Contender {
    name: String,
    dir: PathBuf,
    run: Option<PathBuf>,
}

impl Contender {
    /// Finds what a text names: a directory in the Hugging Face layout; a run, for the policy that it trained; or
    /// `RUN@STEP`, for a checkpoint on the way, of which `RUN@0` is the fine-tuned policy before the first step.
    fn find(text: &str) -> Result<Contender> {
        let path = Path::new(text);
        let named =
            |dir: PathBuf, run: Option<&Path>| Contender { name: text.to_owned(), dir, run: run.map(Path::to_owned) };
        let is_run = |path: &Path| path.join(run_dir::CONFIG).is_file();
        if is_run(path) {
            let manifest = Manifest::read(path)?;
            let dir = manifest.dir("train").or_else(|_| manifest.dir("finetune"))?;
            return Ok(named(dir.to_path_buf(), Some(path)));
        }
        if path.join("config.json").is_file() || path.join("adapter_config.json").is_file() {
            return Ok(named(path.to_path_buf(), None));
        }
        match text.rsplit_once('@') {
            Some((run, "0")) if is_run(Path::new(run)) => {
                let dir = Manifest::read(Path::new(run))?.dir("finetune")?.to_path_buf();
                Ok(named(dir, Some(Path::new(run))))
            }
            Some((run, _)) if is_run(Path::new(run)) => Ok(named(course::named(text)?, Some(Path::new(run)))),
            _ => {
                let found = if path.is_dir() { "no config.json and no run in it" } else { "no such directory" };
                let remedy =
                    "name a checkpoint in the Hugging Face layout, a run, or RUN@STEP (RUN@0 is fine-tuned only)";
                Err(Error::invalid(text, found, remedy))
            }
        }
    }

    /// In the name of a directory.
    fn short(&self) -> String {
        let name = Path::new(&self.name).file_name().map_or("checkpoint".into(), |name| name.to_string_lossy());
        name.replace('@', "-at-")
    }
}

impl Comparison {
    /// Finds both checkpoints.
    ///
    /// Errors: a name that is none; no questions, because neither belongs to a run and no file is named.
    pub fn new(checkpoint: &str, baseline: &str, questions: &[PathBuf], documents: &[PathBuf]) -> Result<Comparison> {
        let comparison = Comparison {
            checkpoint: Contender::find(checkpoint)?,
            baseline: Contender::find(baseline)?,
            questions: questions.to_vec(),
            documents: documents.to_vec(),
        };
        if questions.is_empty() && comparison.run().is_none() {
            let remedy =
                "name a file with --questions: rows of prompt and completion, or what `recollect world --export` wrote";
            return Err(Error::invalid("--against", "two checkpoints that belong to no run, and no questions", remedy));
        }
        Ok(comparison)
    }

    /// The run whose world and settings are taken.
    fn run(&self) -> Option<&Path> {
        self.checkpoint.run.as_deref().or(self.baseline.run.as_deref())
    }

    /// How they are compared: as the run that one of them belongs to is evaluated, or by the defaults, with changes. The
    /// results go to a directory of their own.
    pub fn config(&self, changes: &[String]) -> Result<Config> {
        let mut all = vec![format!("run.dir={}", self.dir().display())];
        all.extend_from_slice(changes);
        match self.run() {
            Some(run) => Config::load(run, &all),
            None => Config::parse("", "the defaults", "comparison", &all),
        }
    }

    fn dir(&self) -> PathBuf {
        Path::new("runs").join(format!("{}-against-{}", self.checkpoint.short(), self.baseline.short()))
    }

    /// The questions of the files that are named, with their documents.
    fn asked(&self, config: &Config) -> Result<Jsonl> {
        Jsonl::to_measure(&self.documents, &self.questions, config.world.jsonl.matching, config.world.seed)
    }

    /// Reads the files that are named and refuses what the comparison would refuse of them, before anything is loaded.
    pub fn look_into_files(&self, config: &Config) -> Result<()> {
        if self.questions.is_empty() {
            return Ok(());
        }
        leak::check(&Knowledge::Files(self.asked(config)?))
    }

    /// What a contender starts from, which is the contender itself, and its digest.
    fn start(&self, config: &Config, contender: &Contender) -> Result<(Start, String)> {
        let base = Base::load(Place::Dir(&contender.dir))?.asked(&config.prompt)?;
        let knowledge = match self.questions.is_empty() {
            true => knowledge(config)?,
            false => Knowledge::Files(self.asked(config)?),
        };
        leak::check(&knowledge)?;
        let asked = match &knowledge {
            Knowledge::Generated(_) if config.base.is_made() => {
                format!("{:?} {:?}", config.world.generated(), config.known.known())
            }
            Knowledge::Generated(_) => format!("{:?} {:?}", config.world.generated(), config.base.path),
            Knowledge::Files(jsonl) => {
                check_room(config, &base, jsonl)?;
                jsonl.digest()?
            }
        };
        let content = base::digest(Place::Dir(&contender.dir))?;
        let digest = files::digest(format!("{content} {asked} {:?}", base.tokenizer.prompting()).as_bytes());
        Ok((Start { base, knowledge, digest }, content))
    }
}

/// Lets both answer: the baseline in the arms of the fine-tuned policy, the checkpoint in those after reinforcement learning.
pub fn compare(experiment: &Experiment, comparison: &Comparison) -> Result<()> {
    let config = &experiment.config;
    let baseline = comparison.start(config, &comparison.baseline)?;
    let checkpoint = comparison.start(config, &comparison.checkpoint)?;
    let mut evaluation = Evaluation::begin(experiment, &checkpoint.0);
    for (training, what, (start, content), contender) in [
        (Training::Documents, "baseline", &baseline, &comparison.baseline),
        (Training::Rl, "checkpoint", &checkpoint, &comparison.checkpoint),
    ] {
        evaluation.manifest.digests.insert(format!("{what} {}", contender.name), content.clone());
        // Each is the base of its own start: adapters are part of it already.
        evaluation.put(&workers, start, training, Examined::base(content, 0), Spent::default())?;
    }
    evaluation.finish()
}
