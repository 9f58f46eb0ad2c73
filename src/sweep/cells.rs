//! The cells of a sweep: what each of them is run with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Value;

use super::axes::{Axis, REWARD, setting};
use super::file::SweepFile;
use crate::config::{Config, Override};
use crate::evaluation::{Setting, described};
use crate::experiment::Feasible;
use crate::experiment::context::unreadable_reward;
use crate::reward::Reward;
use crate::strict_toml::{Problem, one_line, parse};
use crate::{Error, Result, files, reward, shipped};

/// The longest part of a directory's name that says what is in it.
const LONGEST_NAME: usize = 80;

/// One point of the search.
#[derive(Clone, Debug)]
pub struct Cell {
    /// From 1.
    pub number: usize,
    /// A value for each axis.
    pub settings: Vec<Setting>,
    /// The same in words.
    pub what: String,
    /// Of no seed yet.
    config: Config,
    /// The reward file that its axes make, where they change one.
    pub reward: Option<CellReward>,
    /// Its settings as a name for files.
    name: String,
}

/// A reward file to be written.
#[derive(Clone, Debug)]
pub struct CellReward {
    pub path: PathBuf,
    /// The file that it is made from.
    from: PathBuf,
    pub text: String,
}

impl Cell {
    /// The cells of a sweep, each of which can be run with every seed. `root` is the directory of the sweep.
    pub fn all(file: &SweepFile, root: &Path) -> Result<Vec<Cell>> {
        let place = file.path.display().to_string();
        let wrong = |problems: Vec<Problem>| Error::all(problems.into_iter().map(|p| p.at(&place)).collect());
        let points = match file.search.cells(&file.axes) {
            Ok(points) => points,
            Err(problems) => return Err(wrong(problems).err().unwrap_or_else(|| no_cells(&place))),
        };
        if points.is_empty() {
            return Err(no_cells(&place));
        }
        let (mut cells, mut errors) = (Vec::new(), Vec::new());
        // What many cells have in common is said once, for the first of them.
        let (mut said, mut feasible) = (BTreeSet::new(), Feasible::default());
        for (index, point) in points.iter().enumerate() {
            let settings: Vec<Setting> = point.iter().map(setting).collect();
            let what = described(&file.labels(), &settings);
            let here = format!("{place}: cell {} ({what})", index + 1);
            let cell = match Cell::new(file, root, index + 1, point, settings, what) {
                Ok(cell) => cell,
                Err(error) => {
                    errors.extend(new_lines(error, &here, &mut said));
                    continue;
                }
            };
            for seed in &file.seeds {
                if let Err(error) = cell.check(root, *seed, &mut feasible) {
                    errors.extend(new_lines(error, &format!("{here}, seed {seed}"), &mut said));
                }
            }
            cells.push(cell);
        }
        Error::all(errors)?;
        Ok(cells)
    }

    fn new(
        file: &SweepFile,
        root: &Path,
        number: usize,
        point: &[Value],
        settings: Vec<Setting>,
        what: String,
    ) -> Result<Cell> {
        let axes = || file.axes.iter().zip(point);
        let changes: Vec<Override> = axes()
            .filter(|(axis, _)| !axis.key.starts_with(REWARD))
            .filter_map(|(axis, value)| Override::new("axes", &axis.key, value.clone()))
            .collect();
        let base = parse(&file.base.to_toml()?, "config")?;
        let mut config = Config::with_changes(base, &file.base_path.display().to_string(), "cell", &changes)?;
        config.run.cache = Some(file.base.run.cache.clone().unwrap_or_else(|| root.join("stages")));
        let of_reward: Vec<(&str, Value)> =
            axes().filter_map(|(axis, value)| Some((axis.key.strip_prefix(REWARD)?, value.clone()))).collect();
        let reward = if of_reward.is_empty() { None } else { Some(reward_file(&config, root, &of_reward)?) };
        if let Some(reward) = &reward {
            config.train.reward = reward.path.clone();
        }
        let name =
            file.axes.iter().zip(&settings).map(|(axis, setting)| format!("{} {}", axis.label(), setting.short()));
        let name = file_name(&name.collect::<Vec<_>>().join(" "));
        Ok(Cell { number, settings, what, config, reward, name })
    }

    /// Refuses what `recollect run --dry-run` refuses of its run with this seed.
    fn check(&self, root: &Path, seed: u64, feasible: &mut Feasible) -> Result<()> {
        let config = self.config(root, seed, self.steps())?;
        let Some(CellReward { from, text, .. }) = &self.reward else { return feasible.can_run(&config, None) };
        // It is written when the sweep begins.
        let place = from.display().to_string();
        feasible.can_run(&config, Some((&Reward::parse(text, &place)?, &place)))
    }

    /// The config of one run of the cell. `root` is the directory of the sweep.
    pub fn config(&self, root: &Path, seed: u64, steps: usize) -> Result<Config> {
        let mut config = self.config.clone();
        config.train.steps = steps;
        // Two sweeps of one directory may have the same cell; the same config gives the same place.
        config.run.dir = self.dir(root, steps)?.join(format!("seed-{seed}"));
        (config.world.seed, config.finetune.seed, config.run.seed) = (seed, seed, seed);
        Ok(config)
    }

    /// The directory of the cell's runs, named by what it is and not by its number: another axis renumbers cells.
    pub fn dir(&self, root: &Path, steps: usize) -> Result<PathBuf> {
        let mut config = self.config.clone();
        config.train.steps = steps;
        Ok(root.join("cells").join(format!("{}-{}", self.name, &config.digest()?[..8])))
    }

    /// Steps of training where nothing is halved.
    pub fn steps(&self) -> usize {
        self.config.train.steps
    }

    /// Completions that one run of so many steps samples.
    pub fn rollouts(&self, steps: usize) -> usize {
        self.config.train.rollouts_per_step().saturating_mul(steps)
    }

    /// The changes to the base config that make the cell, as `--set` takes them.
    pub fn changes(&self, axes: &[Axis]) -> Vec<String> {
        let plain = axes.iter().zip(&self.settings).filter(|(axis, _)| !axis.key.starts_with(REWARD));
        let plain = plain.filter(|(axis, _)| self.reward.is_none() || axis.key != "train.reward");
        let reward = self.reward.iter().map(|reward| format!("train.reward={}", reward.path.display()));
        plain.map(|(axis, setting)| format!("{}={}", axis.key, setting.text)).chain(reward).collect()
    }
}

fn no_cells(place: &str) -> Error {
    Error::invalid(place, "no cells", "give [axes] keys with values")
}

/// The reward that axes make of the file that the config names. Its name follows from what is in it, so that a sweep with
/// more cells finds what it made before.
fn reward_file(config: &Config, root: &Path, changes: &[(&str, Value)]) -> Result<CellReward> {
    let path = &config.train.reward;
    Error::all(unreadable_reward(path).into_iter().collect())?;
    let text = reward::changed(&shipped::reward_text(path)?, &path.display().to_string(), changes)?;
    let with: Vec<String> = changes.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let text = format!("# {}, with {}.\n\n{text}", path.display(), one_line(&with.join(", ")));
    let stem = path.file_stem().map_or("reward".into(), |stem| stem.to_string_lossy().into_owned());
    let name = format!("{}-{}.toml", file_name(&stem), &files::digest(text.as_bytes())[..8]);
    Ok(CellReward { path: root.join("rewards").join(name), from: path.clone(), text })
}

/// Text as a name that every shell and file system takes.
fn file_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' };
    text.chars().map(plain).take(LONGEST_NAME).collect()
}

/// The lines of an error that were not said before, with the cell in front.
fn new_lines(error: Error, cell: &str, said: &mut BTreeSet<String>) -> Vec<Error> {
    match error {
        Error::Several(errors) => errors.into_iter().flat_map(|error| new_lines(error, cell, said)).collect(),
        error if !said.insert(error.to_string()) => Vec::new(),
        Error::Invalid { place, found, remedy } => vec![Error::invalid(format!("{cell}: {place}"), found, remedy)],
        Error::Refused(why) => vec![Error::Refused(format!("{cell}: {why}"))],
        Error::Io { path, action, source } => {
            let remedy = "every cell has to be possible before the first is trained";
            vec![Error::invalid(format!("{cell}: {}", path.display()), format!("cannot {action}: {source}"), remedy)]
        }
        error => vec![error],
    }
}
