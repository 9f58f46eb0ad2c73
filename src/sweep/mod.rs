//! A search over the keys of a config: cells are trained with several seeds, judged by questions of A that training does
//! not ask, and ranked; the winner is then measured on B, once.
//!
//! Every run is an experiment of its own, with its stages in a cache that all of them share, so that fine-tuning is made
//! once for each seed (and each value of an axis that changes it). The order of runs is fixed, and what is finished is
//! found again by what went into it: a sweep that was stopped goes on where it was, and one that gets another value on an
//! axis makes only the new cells.

mod axes;
mod cells;
mod file;
mod judge;
mod search;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::judge::Judged;
use crate::config::Config;
use crate::evaluation::sweep::{FailedCell, effects, on_b, rank};
use crate::evaluation::{Answered, Cost, MeasuredCell, SweepSummary};
use crate::experiment::{self, Experiment};
use crate::interrupt::Interrupt;
use crate::knowledge::Form;
use crate::store::RunDir;
use crate::strict_toml::one_line;
use crate::telemetry::{Progress, machine};
use crate::{Error, Result, files, report};

pub use axes::Axis;
pub use cells::Cell;
pub use file::SweepFile;
pub use judge::find_judged;
pub use search::Search;

/// A sweep that was read and checked.
pub struct Sweep {
    pub file: SweepFile,
    pub cells: Vec<Cell>,
    /// Where everything of it lies.
    pub root: PathBuf,
    /// What its runs share with the others of this machine.
    shared: Option<PathBuf>,
}

/// What came of a sweep, and where it was written.
pub struct Swept {
    pub summary: SweepSummary,
    pub files: Vec<PathBuf>,
}

/// What is known while the cells are run.
#[derive(Default)]
struct Course {
    measured: Vec<MeasuredCell>,
    failed: Vec<FailedCell>,
    /// Seconds of fine-tuning by what was made.
    tuned: BTreeMap<String, f64>,
    /// Digests of trained policies by cell and seed; the last one counts.
    policies: BTreeMap<(usize, u64), String>,
}

impl Sweep {
    /// Reads a sweep's file and makes its cells; nothing is written. `changes` go to the config that it names.
    ///
    /// # Errors
    /// Everything that is wrong with the file and its cells.
    pub fn load(path: &Path, changes: &[String]) -> Result<Sweep> {
        let file = SweepFile::load(path, changes)?;
        let root = file.base.run.dir.clone();
        let cells = Cell::all(&file, &root)?;
        Ok(Sweep { file, cells, root, shared: None })
    }

    /// The same with what comes before reinforcement learning taken over from other runs of this machine, and given to them,
    /// unless its config names a cache of its own.
    pub fn sharing(self, shared: Option<PathBuf>) -> Sweep {
        Sweep { shared: shared.filter(|_| self.file.base.run.cache.is_none()), ..self }
    }

    /// One of its runs. All keep their stages in one cache.
    fn open(&self, config: Config, interrupt: &Interrupt, progress: &Arc<dyn Progress>) -> Result<Experiment> {
        let experiment = Experiment::open(config, interrupt.clone(), Box::new(Arc::clone(progress)))?;
        let cache = experiment.cache.clone().sharing(self.shared.clone());
        Ok(Experiment { cache, ..experiment })
    }

    /// Runs in all: cells, seeds and rungs.
    pub fn runs(&self) -> usize {
        self.rungs().iter().map(|(cells, _)| cells * self.file.seeds.len()).sum()
    }

    /// Completions that all runs sample in training; where only some cells go on, those that sample most.
    pub fn rollouts(&self) -> usize {
        let of_rung = |(cells, steps): &(usize, Option<usize>)| {
            let mut all: Vec<usize> =
                self.cells.iter().map(|cell| cell.rollouts(steps.unwrap_or(cell.steps()))).collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.iter().take(*cells).fold(0, |sum: usize, rollouts| sum.saturating_add(*rollouts))
        };
        let once = self.rungs().iter().map(of_rung).fold(0, usize::saturating_add);
        once.saturating_mul(self.file.seeds.len())
    }

    /// How many cells are trained for how many steps, rung by rung. Where there is one rung, each cell has its own steps.
    fn rungs(&self) -> Vec<(usize, Option<usize>)> {
        let rungs = self.file.search.rungs(self.file.base.train.steps);
        let mut cells = self.cells.len();
        let halved = rungs.len() > 1;
        let rung = |steps| {
            let here = cells;
            cells = self.file.search.survivors(&vec![0.0; cells]).len();
            (here, halved.then_some(steps))
        };
        rungs.into_iter().map(rung).collect()
    }

    /// Runs every cell that is not finished, ranks them, measures the winner on B, and writes `sweep.json` and
    /// `sweep.html`.
    ///
    /// A cell that cannot be trained (its gradient is not finite, for example) is told of, has no rank, and is tried again
    /// by the next call; the others go on. What is no cell's fault (a full disk, an interruption) ends the sweep.
    ///
    /// # Errors
    /// What is no cell's fault: a full disk, a request to stop; that no cell was measured.
    pub fn run(&self, interrupt: &Interrupt, progress: Arc<dyn Progress>) -> Result<Swept> {
        // A sweep's directory is that of a run of its base config: the same lock, and the same care for what it finds.
        let _held = RunDir::open(&self.root, &self.file.base)?;
        files::write_atomic(&self.root.join("sweep.toml"), self.file.text.as_bytes())?;
        for reward in self.cells.iter().filter_map(|cell| cell.reward.as_ref()) {
            files::write_atomic(&reward.path, reward.text.as_bytes())?;
        }
        let mut course = Course::default();
        let mut cells: Vec<&Cell> = self.cells.iter().collect();
        for (rung, (_, steps)) in self.rungs().into_iter().enumerate() {
            cells = self.run_rung(rung, steps, &cells, &mut course, interrupt, &progress)?;
        }
        let summary = self.summary(course, interrupt, &progress)?;
        self.write(summary)
    }

    /// Runs some cells with every seed, and gives those that go on.
    fn run_rung<'a>(
        &'a self,
        rung: usize,
        steps: Option<usize>,
        cells: &[&'a Cell],
        course: &mut Course,
        interrupt: &Interrupt,
        progress: &Arc<dyn Progress>,
    ) -> Result<Vec<&'a Cell>> {
        let runs: Vec<(&Cell, u64)> =
            cells.iter().flat_map(|cell| self.file.seeds.iter().map(move |seed| (*cell, *seed))).collect();
        let open = |cell: &Cell, seed: u64| -> Result<Experiment> {
            let config = cell.config(&self.root, seed, steps.unwrap_or(cell.steps()))?;
            self.open(config, interrupt, progress)
        };
        let mut finished: Vec<Option<Judged>> = Vec::with_capacity(runs.len());
        for (cell, seed) in &runs {
            finished.push(judge::find_judged(&open(cell, *seed)?, self.forms())?);
            interrupt.check("nothing was under way; the same command goes on from there")?;
        }
        // Fine-tuning comes first: runs share it, and without it they take about as long as each other, so that the progress
        // of the sweep tells how long the rest will take.
        for ((cell, seed), _) in runs.iter().zip(&finished).filter(|(_, judged)| judged.is_none()) {
            match open(cell, *seed).and_then(|experiment| experiment::finetune(&experiment)) {
                Err(error) if !is_the_cells_fault(&error) => return Err(error),
                // What is wrong with a cell is told when its turn comes.
                _ => (),
            }
        }
        let mut done = finished.iter().flatten().count();
        let mut meter = progress.begin("sweep", "runs", done as u64, runs.len() as u64);
        let mut judged: BTreeMap<usize, Vec<(u64, Judged)>> = BTreeMap::new();
        for ((cell, seed), found) in runs.iter().zip(finished) {
            if course.failed.iter().any(|failed| failed.cell == cell.number) {
                continue;
            }
            let made = match found {
                Some(judged) => Ok(judged),
                None => {
                    let (number, all, what) = (cell.number, self.cells.len(), &cell.what);
                    progress.tell(&format!("cell {number} of {all}, seed {seed}: {what}"));
                    meter.note(&format!("cell {}, seed {seed}", cell.number));
                    let made = open(cell, *seed).and_then(|experiment| judge::judge(&experiment, self.forms()));
                    done += 1;
                    meter.set(done as u64);
                    made
                }
            };
            match made {
                Ok(made) => judged.entry(cell.number).or_default().push((*seed, made)),
                Err(error) if is_the_cells_fault(&error) => {
                    let error = one_line(&error.to_string());
                    progress.tell(&format!("cell {} failed with seed {seed}, the others go on: {error}", cell.number));
                    let (number, settings) = (cell.number, cell.settings.clone());
                    course.failed.push(FailedCell { cell: number, settings, seed: *seed, error });
                    judged.remove(&number);
                }
                Err(error) => return Err(error),
            }
        }
        let mut scored: Vec<(&Cell, f64)> = Vec::new();
        for cell in cells {
            let Some(runs) = judged.remove(&cell.number) else { continue };
            let measured = self.measured(cell, rung, steps.unwrap_or(cell.steps()), runs, course)?;
            scored.extend(measured.score().map(|score| (*cell, score.accuracy)));
            course.measured.push(measured);
        }
        let scores: Vec<f64> = scored.iter().map(|(_, score)| *score).collect();
        Ok(self.file.search.survivors(&scores).into_iter().map(|at| scored[at].0).collect())
    }

    fn measured(
        &self,
        cell: &Cell,
        rung: usize,
        steps: usize,
        runs: Vec<(u64, Judged)>,
        course: &mut Course,
    ) -> Result<MeasuredCell> {
        let mut cost = Cost::default();
        let mut answers: Vec<(u64, Vec<Answered>)> = Vec::with_capacity(runs.len());
        for (seed, judged) in runs {
            cost += judged.cost;
            course.tuned.insert(judged.tuned.key.clone(), judged.tuned.seconds);
            course.policies.insert((cell.number, seed), judged.trained.content.clone());
            answers.push((seed, judged.answers));
        }
        let dir = cell.dir(&self.root, steps)?.display().to_string();
        Ok(MeasuredCell { cell: cell.number, settings: cell.settings.clone(), rung, steps, runs: answers, cost, dir })
    }

    /// Ranks what was measured, and only then asks the winner about B.
    fn summary(&self, course: Course, interrupt: &Interrupt, progress: &Arc<dyn Progress>) -> Result<SweepSummary> {
        let Course { measured, failed, tuned, policies } = course;
        let ranking = rank(&measured);
        let Some(winner) = ranking.first() else {
            let failure = |cell: &FailedCell| Error::Refused(format!("cell {} failed: {}", cell.cell, cell.error));
            Error::all(failed.iter().map(failure).collect())?;
            return Err(Error::Refused("no cell was measured".into()));
        };
        let cell = self.cells.iter().find(|cell| cell.number == winner.cell);
        let cell = cell.ok_or_else(|| Error::Refused(format!("cell {} is none of this sweep", winner.cell)))?;
        let mut answers: Vec<(u64, Vec<Answered>)> = Vec::new();
        for seed in &self.file.seeds {
            let config = cell.config(&self.root, *seed, winner.steps)?;
            let experiment = self.open(config, interrupt, progress)?;
            answers.push((*seed, judge::answers_on_b(&experiment, self.forms())?));
        }
        let mut digests = BTreeMap::from([
            ("base config".to_string(), self.file.base.digest()?),
            ("sweep's file".to_string(), files::digest(self.file.text.as_bytes())),
        ]);
        for seed in &self.file.seeds {
            let policy = policies.get(&(winner.cell, *seed)).cloned().unwrap_or_default();
            digests.insert(format!("winner's policy, seed {seed}"), policy);
        }
        let keys: Vec<String> = self.file.axes.iter().map(|axis| axis.key.clone()).collect();
        let finetune_seconds = tuned.values().sum();
        let mut cost = Cost::default();
        measured.iter().for_each(|one| cost += one.cost);
        cost.seconds += finetune_seconds;
        Ok(SweepSummary {
            name: self.root.file_name().map_or("sweep".into(), |name| name.to_string_lossy().into_owned()),
            version: env!("CARGO_PKG_VERSION").into(),
            search: self.describe(),
            effects: effects(&keys, &measured),
            axes: keys,
            labels: self.file.labels(),
            seeds: self.file.seeds.clone(),
            b: on_b(&answers),
            command: self.command(cell),
            cost,
            finetune_seconds,
            digests,
            hardware: machine::describe(),
            file: self.file.text.clone(),
            config: self.file.base.to_toml()?,
            ranking,
            failed,
        })
    }

    /// How cells are found and how long they are trained, in words.
    pub fn describe(&self) -> String {
        let own = self.file.axes.iter().any(|axis| axis.key == "train.steps");
        self.file.search.describe(self.cells.len(), (!own).then_some(self.file.base.train.steps))
    }

    /// Trains the cell as the base config says, with nothing held out and for all its steps.
    fn command(&self, cell: &Cell) -> String {
        let set = cell.changes(&self.file.axes).into_iter().map(|change| format!(" --set {}", quoted(change)));
        let set: Vec<String> = set.collect();
        format!("recollect run {}{} --set run.dir=runs/tuned", self.file.base_path.display(), set.concat())
    }

    /// The forms of questions that judge: those that the base config trains on.
    fn forms(&self) -> &[Form] {
        &self.file.base.train.forms
    }

    fn write(&self, summary: SweepSummary) -> Result<Swept> {
        let (json, html) = (self.root.join("sweep.json"), self.root.join("sweep.html"));
        files::write_json_pretty(&json, &summary)?;
        files::write_atomic(&html, report::sweep_page(&summary)?.as_bytes())?;
        Ok(Swept { summary, files: vec![html, json] })
    }
}

/// Text as a shell takes it for one word.
fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=._/+-,".contains(c);
    if word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Whether another cell may fare better.
fn is_the_cells_fault(error: &Error) -> bool {
    matches!(error, Error::Invalid { .. } | Error::Refused(_) | Error::Tensor(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(home: &Path, axes: &str) -> Sweep {
        let (base, sweep) = (home.join("base.toml"), home.join("s.toml"));
        let reward = home.join("r.toml");
        std::fs::write(&reward, "[[term]]\nkind = 'correct'\n[[term]]\nkind = 'length'\nlimit = 9\n").unwrap();
        std::fs::write(&base, format!("[train]\nreward = '{}'\nevaluate_every = 9", reward.display())).unwrap();
        std::fs::write(&sweep, format!("base = '{}'\n[axes]\n{axes}", base.display())).unwrap();
        Sweep::load(&sweep, &[format!("run.dir={}", home.join("runs").display())]).unwrap()
    }

    #[test]
    fn cells_differ_by_their_axes_and_by_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let axes = "train.algorithm = ['grpo', { preset = 'grpo', clip = { high = 0.3 } }]\nreward.term.length.weight = [-0.5, 0.0]";
        let sweep = sweep(home.path(), axes);
        assert_eq!(sweep.cells.len(), 4);
        let (base, held_out) = (&sweep.file.base, sweep.file.base.train.held_out);
        assert_eq!(
            (base.train.evaluate_every, held_out),
            (None, 0.25),
            "nothing of B on the way, and something to judge by"
        );
        let mut places = std::collections::BTreeSet::new();
        for (cell, seed) in sweep.cells.iter().flat_map(|cell| [(cell, 0), (cell, 5)]) {
            let mut config = cell.config(&sweep.root, seed, base.train.steps).unwrap();
            assert_eq!((config.world.seed, config.finetune.seed, config.run.seed), (seed, seed, seed));
            assert!(places.insert(config.run.dir.clone()), "every run has a directory of its own");
            (config.world.seed, config.finetune.seed, config.run.seed) = (0, 0, 0);
            config.train.algorithm = base.train.algorithm.clone();
            config.train.reward = base.train.reward.clone();
            assert_eq!(config.digest().unwrap(), base.digest().unwrap());
        }
        let rewards: std::collections::BTreeSet<_> =
            sweep.cells.iter().map(|c| c.reward.as_ref().unwrap().path.clone()).collect();
        assert_eq!(rewards.len(), 2, "a reward is one file, whichever cells have it");
        assert!(!sweep.root.exists(), "reading writes nothing");
    }

    #[test]
    fn the_command_for_the_winner_can_be_pasted() {
        let home = tempfile::tempdir().unwrap();
        let sweep = sweep(
            home.path(),
            "train.algorithm = [{ preset = 'grpo', clip = { high = 0.3 } }]\ntrain.learning_rate = [1e-4]",
        );
        let command = sweep.command(&sweep.cells[0]);
        assert!(
            command.contains(" --set train.learning_rate=1e-4 ") && command.contains(" --set 'train.algorithm={"),
            "{command}"
        );
        let change = command.split('\'').nth(1).unwrap().to_string();
        assert!(crate::config::Config::parse("", "x.toml", "x", &[change]).is_ok(), "{command}");
        assert_eq!(quoted("a'b".into()), r"'a'\''b'");
    }
}
