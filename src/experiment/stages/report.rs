//! Puts what a run left behind into a table, a page and a JSON.

use std::path::{Path, PathBuf};

use super::evaluate::{self, ANSWERS};
use super::train;
use crate::evaluation::{Answered, Curves, RunInfo, StageTime, Summary};
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
    let manifest = Manifest::read(run.root())?;
    let mut answered: Vec<Answered> = Vec::new();
    for stage in ["baseline", "evaluation"] {
        answered.extend(evaluate::read(&manifest.dir(stage)?.join(ANSWERS))?);
    }
    let curves = manifest.dir("train").map_or(Ok(Curves::default()), train::read_curves)?;
    let summary = Summary::new(&answered, curves, info(run.root(), &config, manifest)?);
    let json = serde_json::to_vec_pretty(&summary)
        .map_err(|error| Error::invalid("report.json", error.to_string(), "the summary cannot be written"))?;
    files::write_atomic(&run.report_json(), &json)?;
    files::write_atomic(&run.report_markdown(), crate::report::markdown(&summary).as_bytes())?;
    files::write_atomic(&run.report_html(), crate::report::page(&summary, &answered)?.as_bytes())?;
    Ok(Reported { summary, files: vec![run.report_html(), run.report_markdown(), run.report_json()] })
}

fn info(run: &Path, config: &Config, manifest: Manifest) -> Result<RunInfo> {
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
    })
}
