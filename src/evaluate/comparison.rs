//! Two checkpoints on the same questions: any two, and any questions.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::cost::Spent;
use super::evaluation::{Evaluation, Trains};
use super::examiner::{Examined, workers};
use super::made_run::{MadeRun, find_checkpoint};
use crate::base::{self, Base, Place};
use crate::config::Config;
use crate::evaluation::{Touched, Training};
use crate::experiment::start::{Start, check_room, knowledge, look_into_files, notes};
use crate::experiment::{Experiment, Purpose, preflight_to_measure};
use crate::interrupt::Interrupt;
use crate::knowledge::jsonl::JsonlFiles;
use crate::knowledge::{Jsonl, Knowledge, Set, leak};
use crate::telemetry::Progress;
use crate::{Error, Result, files, text};

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
    run: Option<MadeRun>,
}

impl Contender {
    /// Finds what a text names.
    fn find(text: &str) -> Result<Contender> {
        let (dir, run) = find_checkpoint(text)?;
        Ok(Contender { name: text.to_owned(), dir, run })
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
    fn run(&self) -> Option<&MadeRun> {
        self.checkpoint.run.as_ref().or(self.baseline.run.as_ref())
    }

    /// How they are compared: as the run that one of them belongs to is evaluated, or by the defaults, with changes. The
    /// results go to a directory of their own.
    ///
    /// # Errors
    /// A config that is wrong.
    pub fn config(&self, changes: &[String]) -> Result<Config> {
        let mut all = vec![format!("run.dir={}", self.dir().display())];
        all.extend_from_slice(changes);
        match self.run() {
            Some(run) => Config::load(&run.root, &all),
            None => Config::parse("", "the defaults", "comparison", &all),
        }
    }

    /// The experiment that compares them; nothing of a run is asked for that answering does not need.
    ///
    /// # Errors
    /// As those of [`Experiment::to_measure`].
    pub fn open(&self, config: Config, interrupt: Interrupt, progress: Box<dyn Progress>) -> Result<Experiment> {
        let root = config.run.dir.clone();
        Experiment::at(&root, &config.clone(), config, Purpose::Measure, interrupt, progress.into())
    }

    /// Looks at whatever comparing them needs, and refuses of the questions what the comparison would refuse of them,
    /// before anything is loaded. Gives notes on what was found, a line each.
    ///
    /// # Errors
    /// A line for each file that is missing; files that are wrong.
    pub fn check(&self, config: &Config) -> Result<Vec<String>> {
        preflight_to_measure(config)?;
        if self.questions.is_empty() {
            return look_into_files(config);
        }
        let knowledge = Knowledge::Files(Box::new(self.asked(config)?));
        leak::check(&knowledge)?;
        Ok(notes(&knowledge))
    }

    fn dir(&self) -> PathBuf {
        Path::new("runs").join(format!("{}-against-{}", self.checkpoint.short(), self.baseline.short()))
    }

    /// The questions of the files that are named, with their documents.
    fn asked(&self, config: &Config) -> Result<Jsonl> {
        let files = JsonlFiles { documents: &self.documents, questions: &self.questions, ..JsonlFiles::default() };
        Jsonl::to_measure(files, config.world.jsonl.matching, config.world.seed)
    }

    /// What a contender starts from, which is the contender itself, and its digest.
    fn start(&self, config: &Config, contender: &Contender) -> Result<(Start, String)> {
        let base = Base::load(Place::Dir(&contender.dir))?.asked(&config.prompt)?;
        let knowledge = if self.questions.is_empty() {
            knowledge(config)?
        } else {
            Knowledge::Files(Box::new(self.asked(config)?))
        };
        leak::check(&knowledge)?;
        let asked = match &knowledge {
            Knowledge::Generated(_) if config.base.is_made() => {
                format!("{:?} {:?}", config.world.generated(), config.known.known())
            }
            Knowledge::Generated(_) => format!("{:?} {:?}", config.world.generated(), config.base.path),
            Knowledge::Files(jsonl) => {
                check_room(config.longest_completion(false), &base, jsonl)?;
                jsonl.digest()?
            }
        };
        let content = base::digest(Place::Dir(&contender.dir))?;
        let digest = files::digest(format!("{content} {asked} {:?}", base.tokenizer.prompting()).as_bytes());
        Ok((Start { base, knowledge, digest, made: None, named: BTreeMap::new() }, content))
    }

    /// What is known of the asked questions of B and the reinforcement learning of both: whether it asked them, by their
    /// words; whatever else a policy has seen is unknown where it, or a question, comes from elsewhere.
    fn touched(&self, config: &Config, asked: &Knowledge) -> Result<Touched> {
        let (mut trained, mut held_out): (HashSet<String>, Option<HashSet<String>>) = (HashSet::new(), None);
        let mut of_runs: Vec<Knowledge> = Vec::new();
        for one in [&self.checkpoint, &self.baseline] {
            // A stage that is named by its directory has a past, too.
            let run = one.run.clone().map_or_else(|| MadeRun::around(&one.dir), |run| Ok(Some(run)))?;
            match run {
                Some(run) if self.questions.is_empty() && run.config.world == config.world => {
                    of_runs.push(asked.clone())
                }
                // Files of another run may be gone; then nothing is known of it.
                Some(run) => of_runs.extend(knowledge(&run.settled_config()).ok()),
                None => {}
            }
        }
        for of_run in &of_runs {
            let said = |set: Set| of_run.questions(set).iter().map(|question| words(&question.text)).collect();
            let of_b: HashSet<String> = said(Set::B);
            trained.extend(said(Set::A));
            held_out = Some(held_out.map_or(of_b.clone(), |all| &all & &of_b));
        }
        let of_b: Vec<String> = asked.questions(Set::B).iter().map(|question| words(&question.text)).collect();
        let known = of_runs.len() == 2 && held_out.is_some_and(|all| of_b.iter().all(|text| all.contains(text)));
        Ok(match of_b.iter().filter(|text| trained.contains(*text)).count() {
            0 if known => Touched::Never,
            0 => Touched::Unknown,
            count => Touched::Questions(count),
        })
    }
}

/// A question without its spelling.
fn words(text: &str) -> String {
    text::words(text).into_iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

/// Lets both answer: the baseline in the arms of the fine-tuned policy, the checkpoint in those after reinforcement learning.
///
/// # Errors
/// A checkpoint or a file that cannot be read.
pub fn compare(experiment: &Experiment, comparison: &Comparison) -> Result<()> {
    let config = &experiment.config;
    let baseline = comparison.start(config, &comparison.baseline)?;
    let checkpoint = comparison.start(config, &comparison.checkpoint)?;
    let mut evaluation = Evaluation::begin(experiment, &checkpoint.0, Trains::begun(experiment));
    evaluation.manifest.touched = comparison.touched(config, &checkpoint.0.knowledge)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_has_the_same_words_in_every_spelling() {
        let asked = words("Who wrote La for\u{ea}t?");
        for text in
            ["who wrote \u{ab}La fore\u{302}t\u{bb} ?", "WHO WROTE LA FOR\u{ca}T", "Who wrote La fo\u{ad}re\u{302}t?"]
        {
            assert_eq!(words(text), asked);
        }
        assert_ne!(words("Who wrote La fore t?"), asked);
    }
}
