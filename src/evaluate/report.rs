//! Puts what a run left behind into a table, a page and a JSON.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::likelihood::read_choices;
use super::{examiner, forgetting};
use crate::config::Config;
use crate::evaluation::{
    Answered, Arm, ArmCost, Curves, LearningPoint, RunInfo, RunResult, StageTime, Summary, mean_over_forms, merge_runs,
    tally,
};
use crate::experiment::budget::estimates;
use crate::experiment::finetune::FINETUNE;
use crate::experiment::warmup::WARMUP;
use crate::knowledge::Set;
use crate::report::RunBeside;
use crate::rl::train::{self, TRAIN};
use crate::store::manifest::Manifest;
use crate::store::stage::Stage;
use crate::store::{RunDir, checkpoint, learning};
use crate::telemetry::MetricsLine;
use crate::{Error, Result, files};

/// The most points of a curve of a stage that learns from texts.
const POINTS: usize = 300;

/// A report and where it was written.
pub struct Reported {
    pub summary: Summary,
    pub files: Vec<PathBuf>,
    /// The policy after reinforcement learning, where the run has one of its own.
    pub policy: Option<PathBuf>,
    /// The checkpoint on the way that answered most questions of set A, where that is not the last step's, as `RUN@STEP` names
    /// it: the step, and the share of right answers.
    pub best: Option<(u64, f64)>,
}

/// Writes `report.json`, `report.md` and `report.html` of a run that was evaluated, or of all the seeds of one.
///
/// # Errors
/// A run that was not evaluated; a file that is not what it was.
pub fn report(run: &Path) -> Result<Reported> {
    let (run, config) = RunDir::read(run)?;
    if !config.run.seeds.is_empty() {
        let runs: Vec<PathBuf> = config.run.seeds.iter().map(|seed| run.of_seed(*seed)).collect();
        return put_together(&runs, Some(run.root()), &config.to_toml()?);
    }
    let RunResult { answered, curves, info } = one(&run, &config)?;
    let reported = write(run.root(), Summary::new(&answered, curves, info), &answered)?;
    // Of what is asked of a run beside its own evaluation, the policy is the run's.
    let own = |stage: &Stage| {
        stage.dir.starts_with(run.root()) && !stage.dir.components().any(|part| part == Component::ParentDir)
    };
    let policy = Manifest::read(run.root())?.find(TRAIN)?.filter(own).map(|stage| stage.dir);
    let best = best(&reported.summary.curves).filter(|(step, _)| {
        let named = checkpoint::named(&format!("{}@{step}", run.root().display()), "report");
        *step != config.train.steps as u64 && named.is_ok()
    });
    Ok(Reported { policy, best, ..reported })
}

/// The step on the way at which set A was answered best, the first of several, and the mean over forms of right answers:
/// what training keeps the best checkpoint by.
fn best(curves: &Curves) -> Option<(u64, f64)> {
    let steps: BTreeSet<u64> = curves.evaluation.iter().map(|row| row.step).filter(|step| *step > 0).collect();
    let rows = |step| curves.evaluation.iter().filter(move |row| row.step == step);
    let shares = steps.into_iter().filter_map(|step| Some((step, mean_over_forms(rows(step), Set::A)?)));
    shares.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Puts runs of one experiment with different seeds together, and writes what they say together into a directory, if
/// there is one to write to.
///
/// Errors: a run that was not evaluated; runs that differ in anything but seeds.
pub fn report_together(runs: &[PathBuf], into: Option<&Path>) -> Result<Reported> {
    let config = runs.first().map_or(Ok(String::new()), |run| RunDir::read(run)?.1.to_toml())?;
    put_together(runs, into, &config)
}

/// Different runs, to be shown side by side.
///
/// # Errors
/// A run that was not evaluated; a file that is not what it was.
pub fn side_by_side(runs: &[PathBuf]) -> Result<Vec<RunBeside>> {
    let beside = |path: &PathBuf| {
        let (run, config) = RunDir::read(path)?;
        let RunResult { answered, curves, .. } = one(&run, &config)?;
        Ok(RunBeside { name: path.display().to_string(), config: config.identity()?, answered, curves })
    };
    runs.iter().map(beside).collect()
}

fn put_together(runs: &[PathBuf], into: Option<&Path>, config: &str) -> Result<Reported> {
    let mut all: Vec<RunResult> = Vec::with_capacity(runs.len());
    let mut first: Option<(&Path, Config)> = None;
    for path in runs {
        let (run, config) = RunDir::read(path)?;
        match &first {
            None => first = Some((path, config.clone())),
            Some((other, same)) => demand_same(path, &config, other, same)?,
        }
        all.push(one(&run, &config)?);
    }
    let name = into.and_then(Path::file_name).map_or("runs".into(), |name| name.to_string_lossy().into_owned());
    let (summary, answered) = merge_runs(&name, config, all);
    match into {
        Some(folder) => {
            files::create_dir(folder)?;
            write(folder, summary, &answered)
        }
        None => Ok(Reported { summary, files: Vec::new(), policy: None, best: None }),
    }
}

/// Refuses two configs that differ in anything but seeds.
fn demand_same(path: &Path, config: &Config, other: &Path, same: &Config) -> Result<()> {
    let identity = |config: &Config| -> Result<Vec<(String, String)>> {
        let seeds = ["world.seed", "finetune.seed", "run.seed", "evaluation.seed"];
        let mut identity = config.identity()?;
        identity.retain(|(key, _)| !seeds.contains(&key.as_str()));
        Ok(identity)
    };
    let (identity, same) = (identity(config)?, identity(same)?);
    let missing = |of: &[(String, String)], from: &[(String, String)]| {
        of.iter().find(|entry| !from.contains(entry)).map(|(key, _)| key.clone())
    };
    let Some(key) = missing(&identity, &same).or_else(|| missing(&same, &identity)) else { return Ok(()) };
    let found = format!("{key} is not what it is in {}", other.display());
    Err(Error::invalid(path.display().to_string(), found, "only runs that differ in seeds go together"))
}

/// What a run has to say.
fn one(run: &RunDir, config: &Config) -> Result<RunResult> {
    let (manifest, answered) = answers(run.root())?;
    let trained = manifest.find(TRAIN)?;
    let mut curves = trained.as_ref().map_or(Ok(Curves::default()), train::read_curves)?;
    if let Some(tuned) = manifest.find(FINETUNE)? {
        for stage in [FINETUNE, WARMUP] {
            let lines = learning::read(&tuned.dir, stage)?;
            if !lines.is_empty() {
                curves.learning.insert(stage.into(), thinned(&lines));
            }
        }
    }
    // The last point of a curve is what the trained policy was asked at the end, about everything.
    let last = curves.evaluation.iter().map(|row| row.step).max();
    let at_the_end = |one: &&Answered| one.arm == Arm::AfterRl && last.is_some_and(|last| one.step > last);
    let at_the_end: Vec<Answered> = answered.iter().filter(at_the_end).cloned().collect();
    // Forms that were not asked on the way have no curve.
    let known: BTreeSet<_> = curves.evaluation.iter().map(|row| (row.task, row.form)).collect();
    curves.evaluation.extend(tally(&at_the_end).into_iter().filter(|row| known.contains(&(row.task, row.form))));
    let info = info(run.root(), config, manifest, &answered)?;
    Ok(RunResult { answered, curves, info })
}

/// The losses of a stage, in the mean of so many steps that a plot has room for all of them.
fn thinned(lines: &[MetricsLine]) -> Vec<LearningPoint> {
    let together = lines.len().div_ceil(POINTS).max(1);
    let point = |lines: &[MetricsLine]| {
        let losses: Vec<f64> = lines.iter().filter_map(|line| line.values.get("loss").copied().flatten()).collect();
        let loss = (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64);
        Some(LearningPoint { step: lines.last()?.step, loss })
    };
    lines.chunks(together).filter_map(point).collect()
}

/// Writes the three files of a report into a directory.
fn write(folder: &Path, summary: Summary, answered: &[Answered]) -> Result<Reported> {
    let [html, md, json] = ["report.html", "report.md", "report.json"].map(|name| folder.join(name));
    files::write_atomic(&html, crate::report::page(&summary, answered)?.as_bytes())?;
    files::write_atomic(&md, crate::report::markdown(&summary).as_bytes())?;
    files::write_json_pretty(&json, &summary)?;
    Ok(Reported { summary, files: vec![html, md, json], policy: None, best: None })
}

/// Every answer of a run to what was asked for.
fn answers(run: &Path) -> Result<(Manifest, Vec<Answered>)> {
    let manifest = Manifest::read(run)?;
    let mut answered: Vec<Answered> = Vec::new();
    for stage in &manifest.answers {
        answered.extend(examiner::read(&manifest.stage(stage)?)?);
    }
    for stage in &manifest.choices {
        read_choices(&manifest.stage(stage)?)?.note(&mut answered);
    }
    // A stage may hold more than was asked for.
    answered.retain(|one| manifest.arms.contains(&one.arm));
    Ok((manifest, answered))
}

fn info(run: &Path, config: &Config, manifest: Manifest, answered: &[Answered]) -> Result<RunInfo> {
    let costs = manifest.arms.iter().filter_map(|arm| Some((*arm, cost(*arm, answered, &manifest)?))).collect();
    let (perplexity, budget) = (forgetting::measured(&manifest)?, estimates(run)?);
    let mut digests = manifest.digests;
    digests.insert("config".into(), config.digest()?);
    let seeds = [
        ("world", config.world.seed),
        ("fine-tuning", config.finetune.seed),
        ("reinforcement learning", config.run.seed),
        ("evaluation", config.evaluation.seed),
    ];
    Ok(RunInfo {
        name: run.file_name().map_or("run".into(), |name| name.to_string_lossy().into_owned()),
        runs: Vec::new(),
        version: env!("CARGO_PKG_VERSION").into(),
        config: config.to_toml()?,
        digests,
        seeds: seeds.map(|(name, seed)| (name.to_string(), seed)).into(),
        stages: manifest.stages.into_iter().map(|s| StageTime { name: s.name, seconds: s.seconds }).collect(),
        peak_memory: manifest.peak_memory,
        model_parameters: manifest.model_parameters,
        hardware: manifest.hardware,
        costs,
        duplicates: manifest.duplicates,
        touched: manifest.touched,
        perplexity,
        budget,
    })
}

/// What an arm took; `None` where it answered nothing.
fn cost(arm: Arm, answered: &[Answered], manifest: &Manifest) -> Option<ArmCost> {
    let of_arm = || answered.iter().filter(|one| one.arm == arm);
    let count = of_arm().count();
    let mean = |of: fn(&Answered) -> usize| of_arm().map(of).sum::<usize>() as f64 / count as f64;
    (count > 0).then(|| ArmCost {
        training_flops: manifest.training_flops.get(&arm).copied(),
        seconds: manifest.seconds.get(&arm).copied(),
        read: mean(|one| one.prompt_tokens),
        sampled: mean(|one| one.tokens),
    })
}
