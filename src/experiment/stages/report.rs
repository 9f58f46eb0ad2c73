//! Puts what a run left behind into a table, a page and a JSON.

use std::path::{Path, PathBuf};

use super::examine::{self, ANSWERS};
use super::likelihood::read_choices;
use super::train;
use crate::evaluation::{Answered, Arm, ArmCost, Curves, OverRuns, RunInfo, StageTime, Summary, over_runs};
use crate::experiment::manifest::Manifest;
use crate::experiment::{Config, RunDir};
use crate::{Error, Result, files};

/// A report and where it was written.
pub struct Reported {
    pub summary: Summary,
    pub files: Vec<PathBuf>,
}

/// Writes `report.json`, `report.md` and `report.html` of a run that was evaluated.
pub fn report(run: &Path) -> Result<Reported> {
    let (run, config) = RunDir::read(run)?;
    let (manifest, answered) = answers(run.root())?;
    let curves = manifest.dir("train").map_or(Ok(Curves::default()), train::read_curves)?;
    let summary = Summary::new(&answered, curves, info(run.root(), &config, manifest, &answered)?);
    let json = serde_json::to_vec_pretty(&summary)
        .map_err(|error| Error::invalid("report.json", error.to_string(), "the summary cannot be written"))?;
    files::write_atomic(&run.report_json(), &json)?;
    files::write_atomic(&run.report_markdown(), crate::report::markdown(&summary).as_bytes())?;
    files::write_atomic(&run.report_html(), crate::report::page(&summary, &answered)?.as_bytes())?;
    Ok(Reported { summary, files: vec![run.report_html(), run.report_markdown(), run.report_json()] })
}

/// Puts runs of one experiment with different seeds together.
///
/// Errors: a run that was not evaluated; runs that differ in anything but seeds.
pub fn report_together(runs: &[PathBuf]) -> Result<Vec<OverRuns>> {
    let mut first: Option<(&Path, Vec<(String, String)>)> = None;
    let mut all: Vec<Vec<Answered>> = Vec::with_capacity(runs.len());
    for path in runs {
        let (run, config) = RunDir::read(path)?;
        let mut identity = config.identity()?;
        identity
            .retain(|(key, _)| !["world.seed", "finetune.seed", "run.seed", "evaluation.seed"].contains(&key.as_str()));
        match &first {
            None => first = Some((path, identity)),
            Some((_, same)) if *same == identity => {}
            Some((other, same)) => {
                let differs = identity
                    .iter()
                    .find(|entry| !same.contains(entry))
                    .or_else(|| same.iter().find(|entry| !identity.contains(entry)));
                let key = differs.map_or("a key", |(key, _)| key.as_str());
                let found = format!("{key} is not what it is in {}", other.display());
                return Err(Error::invalid(
                    path.display().to_string(),
                    found,
                    "only runs that differ in seeds go together",
                ));
            }
        }
        all.push(answers(run.root())?.1);
    }
    Ok(over_runs(&all))
}

/// Every answer of a run to what was asked for.
fn answers(run: &Path) -> Result<(Manifest, Vec<Answered>)> {
    let manifest = Manifest::read(run)?;
    let mut answered: Vec<Answered> = Vec::new();
    for stage in &manifest.answers {
        answered.extend(examine::read(&manifest.dir(stage)?.join(ANSWERS))?);
    }
    for stage in &manifest.choices {
        read_choices(manifest.dir(stage)?)?.note(&mut answered);
    }
    // A stage may hold more than was asked for.
    answered.retain(|one| manifest.arms.contains(&one.arm));
    Ok((manifest, answered))
}

fn info(run: &Path, config: &Config, manifest: Manifest, answered: &[Answered]) -> Result<RunInfo> {
    let costs = manifest.arms.iter().filter_map(|arm| Some((*arm, cost(*arm, answered, &manifest)?))).collect();
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
        version: env!("CARGO_PKG_VERSION").into(),
        config: config.to_toml()?,
        digests,
        seeds: seeds.map(|(name, seed)| (name.to_string(), seed)).into(),
        stages: manifest.stages.into_iter().map(|s| StageTime { name: s.name, seconds: s.seconds }).collect(),
        peak_memory: manifest.peak_memory,
        model_parameters: manifest.model_parameters,
        hardware: manifest.hardware,
        costs,
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
