//! A sweep's file: which config, what is changed in it for all cells, which keys differ, and how cells are found.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::axes::{Axis, REWARD};
use super::search::{Search, SearchMethod};
use crate::config::{Config, Override};
use crate::strict_toml::{self, Problem};
use crate::{Error, Result, shipped};

/// Share of A that judges where the config holds nothing out.
const HELD_OUT: f64 = 0.25;

/// A sweep as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepTable {
    base: PathBuf,
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    #[serde(default)]
    search: Search,
    #[serde(default)]
    set: Table,
    #[serde(default)]
    axes: Table,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

/// A sweep's file, read and checked, with the config that its axes change.
pub struct SweepFile {
    pub path: PathBuf,
    pub text: String,
    /// The config file that it names.
    pub base_path: PathBuf,
    pub base: Config,
    /// Each stands for the world, the order of documents in fine-tuning, and the sampling of training.
    pub seeds: Vec<u64>,
    pub search: Search,
    pub axes: Vec<Axis>,
}

impl SweepFile {
    /// Reads a sweep and the config that it names. `changes` (`train.steps=50`) go to that config, after what the sweep
    /// itself sets. Everything that is wrong is reported, a line each.
    pub fn load(path: &Path, changes: &[String]) -> Result<SweepFile> {
        let text = shipped::config_text(path)?;
        let place = path.display().to_string();
        let (written, mut problems) = strict_toml::decode::<SweepTable>(&strict_toml::parse(&text, &place)?);
        let Some(SweepTable { base: base_path, seeds, search, set, axes }) = written else {
            let errors = problems.into_iter().map(|problem| problem.at(&place)).collect();
            let none = || Error::invalid(&place, "not a sweep", "see configs/sweep.toml");
            return Err(Error::all(errors).err().unwrap_or_else(none));
        };
        let named = |problem: Problem| Problem { key: format!("axes.{}", problem.key), ..problem };
        problems.extend(search.problems());
        problems.extend(seed_problems(&seeds));
        let no_axes = axes.is_empty();
        let (axes, wrong) = Axis::all(&axes);
        problems.extend(wrong.into_iter().map(named));
        if no_axes {
            let example = "write [axes] and, for example, \"train.learning_rate\" = [1e-4, 3e-4]";
            problems.push(Problem::new("axes", "no cells: no key has values to try", example));
        }
        let asked = changes.iter().map(|text| Override::parse(text)).collect::<Result<Vec<_>>>()?;
        let mut all_changes = Vec::new();
        overrides("", &set, &format!("{place}: set"), &mut all_changes, &mut problems);
        all_changes.extend(asked);
        let mut errors: Vec<Error> = problems.into_iter().map(|problem| problem.at(&place)).collect();
        for change in &all_changes {
            if let Some(axis) = axes.iter().find(|axis| change.sets(&axis.key)) {
                let found = format!("{} is an axis of the sweep", axis.key);
                errors.push(Error::invalid(change.place(), found, "change the axis, or take it away"));
            }
        }
        Error::all(errors)?;
        let base_place = base_path.display().to_string();
        let table = strict_toml::parse(&shipped::config_text(&base_path)?, &base_place)?;
        let name = path.file_stem().map_or("sweep".into(), |stem| stem.to_string_lossy().into_owned());
        let mut base = Config::with_changes(table, &base_place, &name, &all_changes)?;
        let refused = axes.iter().filter_map(|axis| {
            let why = refusal(&axis.key, &search, &base)?;
            Some(Problem::new(format!("axes.{}", axis.key), "no key to search", why).at(&place))
        });
        Error::all(refused.collect())?;
        if base.train.held_out == 0.0 {
            base.train.held_out = HELD_OUT;
        }
        // An evaluation on the way would ask about B.
        base.train.evaluate_every = None;
        Ok(SweepFile { path: path.to_path_buf(), text, base_path, base, seeds, search, axes })
    }

    /// The axes in few words.
    pub fn labels(&self) -> Vec<String> {
        self.axes.iter().map(|axis| axis.label().to_owned()).collect()
    }
}

fn seed_problems(seeds: &[u64]) -> Vec<Problem> {
    let twice = (1..seeds.len()).filter(|at| seeds[..*at].contains(&seeds[*at]));
    let mut problems: Vec<Problem> =
        twice.map(|at| Problem::new("seeds", format!("found {} twice", seeds[at]), "take one of them away")).collect();
    if seeds.is_empty() {
        problems.push(Problem::new("seeds", "none", "give at least one, such as [0, 1]"));
    }
    // TOML has no greater numbers, and the config of a cell is written as TOML.
    problems.extend(
        seeds
            .iter()
            .filter(|seed| i64::try_from(**seed).is_err())
            .map(|seed| Problem::new("seeds", format!("found {seed}"), "allowed is a whole number below 2^63")),
    );
    problems
}

/// What `[set]` changes.
fn overrides(prefix: &str, table: &Table, place: &str, changes: &mut Vec<Override>, problems: &mut Vec<Problem>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (value, Override::new(place, &key, value.clone())) {
            (Value::Table(inner), _) => overrides(&key, inner, place, changes, problems),
            (_, Some(change)) if !key.starts_with(REWARD) => changes.push(change),
            (_, Some(_)) => {
                let remedy = "write it into a reward file, and name that in train.reward";
                problems.push(Problem::new(format!("set.{key}"), "a key of the reward file", remedy));
            }
            (_, None) => problems.push(Problem::new(format!("set.{key}"), "not a key", "write section.key = value")),
        }
    }
}

/// Why a key cannot be an axis.
fn refusal(key: &str, search: &Search, base: &Config) -> Option<&'static str> {
    let section = key.split('.').next().unwrap_or_default();
    match (section, key) {
        (_, "run.seed" | "world.seed" | "finetune.seed") => Some("the seeds of a sweep are listed in `seeds`"),
        (_, "run.dir" | "run.cache" | "run.workers") => Some("it changes no result"),
        ("world" | "evaluation", _) | (_, "train.held_out") => Some("every cell has to answer the same questions"),
        (_, "train.evaluate_every") => Some("it changes no result, and an evaluation on the way asks about B"),
        ("known" | "model" | "pretrain", _) if !base.world.is_free_text() => {
            Some("a run takes its base as it is; base.path names another one")
        }
        (_, "train.steps") if search.kind == SearchMethod::Halving => Some("kind halving sets the steps of each rung"),
        _ => None,
    }
}
