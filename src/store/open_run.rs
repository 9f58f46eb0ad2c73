//! Taking a run directory: whose it is, that one process at a time writes to it, and what its config says now.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::run_dir::CONFIG;
use super::{RunDir, paths};
use crate::config::{Config, Override};
use crate::language::{Day, PromptConfig};
use crate::{Error, Result, files, shipped, strict_toml};

pub(crate) const LOCK: &str = "run.lock";

impl Config {
    /// The config in a file, or that of a run directory, with overrides (`train.steps=300`) applied in their order.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Config> {
        let changed = |key: &str| overrides.iter().any(|text| Override::parse(text).is_ok_and(|c| c.sets(key)));
        if !path.join(CONFIG).is_file() {
            let mut config = Config::read(path, overrides)?;
            paths::settle_beside(&mut config, path, changed);
            return Ok(config);
        }
        let mut config = Config::read(&path.join(CONFIG), overrides)?;
        // A run may have been moved since, or is gone on with from another working directory.
        if !changed("run.dir") {
            config.run.dir = path.to_path_buf();
        }
        paths::settle(&mut config, path, changed);
        Ok(config)
    }

    /// The same config with the day that chat templates are told: the one that it names, or that of the run that this
    /// goes on with, or today.
    pub fn dated(self) -> Config {
        let recorded = || Config::load(&self.run.dir, &[]).ok()?.prompt.date;
        let date = self.prompt.date.or_else(recorded).unwrap_or_else(Day::today);
        Config { prompt: PromptConfig { date: Some(date), ..self.prompt }, ..self }
    }
}

impl RunDir {
    /// Takes the run directory of a config, made if there is none. Refused, with nothing written: a directory that
    /// holds something else, one that belongs to a config with other results, one that another process is using.
    pub fn open(root: &Path, config: &Config) -> Result<RunDir> {
        Self::take(root, config, |_, _| false)
    }

    /// The same for a run that may go on under this config: with more steps of reinforcement learning than it had, and
    /// with files that have got other names since. What is in them is compared by those who read them.
    ///
    /// # Errors
    /// As those of [`RunDir::open`].
    pub fn go_on(root: &Path, config: &Config) -> Result<RunDir> {
        Self::take(root, config, |key, stored| goes_on(key, stored, config))
    }

    /// `allowed` says which keys may differ from those of the config that is there.
    fn take(root: &Path, config: &Config, allowed: impl Fn(&str, &Config) -> bool) -> Result<RunDir> {
        // Looked at before anything is written: a directory that is not ours must not even get a lock file.
        let owned = root.join(CONFIG).exists();
        if !owned && root.exists() {
            refuse_strangers(root)?;
        }
        files::create_dir(root)?;
        let lock = lock(root)?;
        let run = RunDir { root: root.to_path_buf(), _lock: Some(lock) };
        // Read under the lock: another process may have made the directory its own meanwhile.
        if run.config().exists() {
            run.refuse_other_configs(config, allowed)?;
        }
        for folder in [root, &run.world(), &run.rollouts_dir()] {
            files::remove_unfinished(folder)?;
        }
        files::write_atomic(&run.config(), config.to_toml()?.as_bytes())?;
        Ok(run)
    }

    fn refuse_other_configs(&self, config: &Config, allowed: impl Fn(&str, &Config) -> bool) -> Result<()> {
        let place = self.root.display().to_string();
        let text = files::read_text(&self.config())?;
        let mut stored = Config::parse(&text, &self.config().display().to_string(), "run", &[]).map_err(|error| {
            let found = format!("its {CONFIG} is none of this version ({})", strict_toml::one_line(&error.to_string()));
            Error::invalid(&place, found, "use another run.dir, or remove this one")
        })?;
        // Both may be written down as they were meant in another directory than this one.
        let mut here = config.clone();
        [&mut stored, &mut here].into_iter().for_each(|config| paths::settle(config, &self.root, |_| false));
        let mut differences = differences(&stored, &here)?;
        differences.retain(|(key, _)| !allowed(key, &stored));
        if differences.is_empty() {
            return Ok(());
        }
        let differences: Vec<String> = differences.into_iter().map(|(_, words)| words).collect();
        let shown = differences.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = differences.len().saturating_sub(3);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let found = format!("belongs to another config ({shown}{more})");
        Err(Error::invalid(place, found, "use another run.dir, or remove this one"))
    }
}

/// A directory without a config may be taken if it is empty, or if a run got no further than its lock and was killed while
/// it wrote its config.
fn refuse_strangers(root: &Path) -> Result<()> {
    let place = root.display().to_string();
    if !root.is_dir() {
        return Err(Error::invalid(place, "not a directory", "name another one in run.dir"));
    }
    for entry in fs::read_dir(root).map_err(Error::io(root, "read"))? {
        let name = entry.map_err(Error::io(root, "read"))?.file_name();
        if name != LOCK && !files::is_unfinished(&name) {
            let found = format!("not a run directory (it holds {} and no {CONFIG})", name.to_string_lossy());
            return Err(Error::invalid(place, strict_toml::one_line(&found), "name an empty or a new one in run.dir"));
        }
    }
    Ok(())
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join(LOCK);
    // Not truncated: the number of the process that holds the lock stands in it.
    let mut file = files::open_lock(&path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(Error::io(&path, "write"))?;
            write!(file, "{}", std::process::id()).map_err(Error::io(&path, "write"))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let found = format!("in use by process {}", strict_toml::one_line(&holder));
            Err(Error::invalid(root.display().to_string(), found, "wait until it ends, or use another run.dir"))
        }
        Err(TryLockError::Error(source)) => Err(Error::Io { path, action: "lock", source }),
    }
}

/// Whether a run of the config that is `stored` goes on under another one that differs in this key.
fn goes_on(key: &str, stored: &Config, config: &Config) -> bool {
    let same = |there: &Path, here: &Path| std::path::absolute(there).ok() == std::path::absolute(here).ok();
    match key {
        "train.steps" => config.train.steps > stored.train.steps,
        "world.jsonl.documents" | "world.jsonl.questions" | "world.jsonl.facts" | "world.jsonl.lessons" => true,
        // It is measured beside the answers, and its perplexity is kept by what is in it.
        "evaluation.held_back" => true,
        "base.path" => stored.base.dir().is_some() && config.base.dir().is_some(),
        // What it pays is known to checkpoints alone, so another file is another run unless it took this one's place.
        "train.reward" => {
            let (there, here) = (&stored.train.reward, &config.train.reward);
            same(there, here) || (!there.exists() && shipped::reward(there).is_none())
        }
        "train.from" => {
            let step = |config: &Config| {
                config.train.from.as_deref().and_then(|from| from.rsplit('@').next()).map(String::from)
            };
            step(stored).is_some() && step(stored) == step(config)
        }
        _ => false,
    }
}

/// The cache that a run in this directory has its stages in, where it has another one than its own.
pub fn cache_of(root: &Path) -> Option<PathBuf> {
    Config::load(root, &[]).ok().filter(|_| root.join(CONFIG).is_file())?.run.cache
}

/// "train.steps is 5 there and 6 here" for every key that differs, with the key.
///
/// # Errors
/// A config that cannot be written as TOML.
pub fn differences(there: &Config, here: &Config) -> Result<Vec<(String, String)>> {
    let (there, here) = (there.identity()?, here.identity()?);
    let value = |list: &[(String, String)], key: &str| {
        list.iter().find(|(k, _)| k == key).map_or("absent".to_string(), |(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = there.iter().chain(&here).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    Ok(keys
        .into_iter()
        .map(|key| (key, value(&there, key), value(&here, key)))
        .filter(|(_, there, here)| there != here)
        .map(|(key, there, here)| (key.clone(), format!("{key} is {there} there and {here} here")))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(overrides: &[&str]) -> Config {
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        Config::parse("", "x.toml", "x", &overrides).unwrap()
    }

    #[test]
    fn a_run_is_taken_up_again_under_the_same_config_only() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("deep/run");
        drop(RunDir::open(&root, &config(&[])).unwrap());
        drop(RunDir::open(&root, &config(&["run.workers=2"])).unwrap());
        assert_eq!(RunDir::read(&root).unwrap().1, config(&["run.workers=2"]));
        // By its directory it is found wherever it was moved.
        let moved = home.path().join("moved");
        fs::rename(&root, &moved).unwrap();
        let set = |changes: &[&str]| changes.iter().map(|change| change.to_string()).collect::<Vec<_>>();
        let found = Config::load(&moved, &set(&["run.workers=3"])).unwrap();
        assert_eq!((found.run.workers, found.run.dir.as_path()), (Some(3), moved.as_path()));
        assert_eq!(Config::load(&moved, &set(&["run.dir=other"])).unwrap().run.dir, Path::new("other"));
    }

    #[test]
    fn a_run_goes_on_with_more_steps_and_under_other_names_of_its_files_and_with_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let reward = |name: &str| format!("train.reward={}", home.path().join(name).display());
        fs::write(home.path().join("a.toml"), "").unwrap();
        let first = [reward("a.toml"), "base.path=models/a".into(), "train.from=runs/a@20".into()];
        let going_on = |name: &str, set: &[String]| {
            let root = home.path().join(name);
            let set: Vec<String> = first.iter().chain(set).cloned().collect();
            RunDir::go_on(&root, &Config::parse("", "x.toml", "x", &set).unwrap()).map(drop)
        };
        let refused = |set: &str| going_on("run", &[set.to_owned()]).unwrap_err().to_string();
        going_on("run", &[]).unwrap();
        assert!(refused("train.steps=299").contains("train.steps is 300 there and 299 here"));
        going_on("run", &["train.steps=301".into()]).unwrap();
        assert!(refused("train.steps=300").contains("train.steps is 301 there and 300 here"));
        let more = |set: &str| going_on("run", &["train.steps=301".into(), set.to_owned()]);
        more("base.path=elsewhere/a").unwrap();
        assert!(more("base.path=embedded").unwrap_err().to_string().contains("base.path is"));
        more("train.from=moved/a@20").unwrap();
        assert!(more("train.from=moved/a@40").unwrap_err().to_string().contains("train.from is"));
        assert!(more(&reward("b.toml")).unwrap_err().to_string().contains("train.reward is"));
        fs::rename(home.path().join("a.toml"), home.path().join("b.toml")).unwrap();
        more(&reward("b.toml")).unwrap();
        assert!(more("run.seed=7").unwrap_err().to_string().contains("run.seed is 0 there and 7 here"));
        let strict = Config::parse("", "x.toml", "x", &["train.steps=400".into()]).unwrap();
        assert!(RunDir::open(&home.path().join("run"), &strict).is_err(), "what is no run of its own does not go on");
    }

    #[test]
    fn what_is_no_run_directory_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("thesis.tex");
        fs::write(&file, "years of work").unwrap();
        assert!(RunDir::open(&file, &config(&[])).unwrap_err().to_string().contains("not a directory"));
        assert!(RunDir::read(home.path()).unwrap_err().to_string().contains("no config.toml"));

        fs::write(home.path().join(CONFIG), "[other]\nprogram = 1").unwrap();
        let error = RunDir::open(home.path(), &config(&[])).unwrap_err().to_string();
        assert!(error.contains("none of this version") && !error.contains('\n'), "{error}");
        assert_eq!(files::read_text(&home.path().join(CONFIG)).unwrap(), "[other]\nprogram = 1");
    }

    #[test]
    fn a_run_that_was_killed_while_it_wrote_its_config_is_taken_up_again() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(LOCK), "4194305").unwrap();
        fs::write(home.path().join(".unfinished-G28F7L"), "[ru").unwrap();
        let run = RunDir::open(home.path(), &config(&[])).unwrap();
        assert!(run.config().exists() && !home.path().join(".unfinished-G28F7L").exists());
        // And one that was killed later.
        fs::create_dir(run.rollouts_dir()).unwrap();
        fs::write(run.rollouts_dir().join(".unfinished-4cX"), "half").unwrap();
        drop(run);
        let run = RunDir::open(home.path(), &config(&[])).unwrap();
        assert_eq!(fs::read_dir(run.rollouts_dir()).unwrap().count(), 0);
    }
}
