//! What a run was made from: the files that its config names, by their content.
//!
//! A file that has become another one under the same name is refused before anything goes on, because a run whose first
//! half was made from one file and whose second from another is neither. The same content under another name is the
//! same input, so files and runs may be moved. The reward is not among them: a checkpoint knows it (`live_reward.rs`), and
//! it is refused in the same words.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::base::{self, Place};
use super::run_dir::CONFIG;
use super::{Config, RunDir, course};
use crate::{Error, Result, files};

const FILE: &str = "inputs.json";
/// Hexadecimal digits of a digest that people are shown.
const SHOWN: usize = 16;

/// `inputs.json` of a run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInputs {
    /// The working directory of the newest command, where relative paths of `config.toml` begin.
    directory: PathBuf,
    /// By the key of the config that names it.
    files: BTreeMap<String, InputFile>,
    /// Content of the checkpoint that training has branched off from. The other run may go on and keep it no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branched_from: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct InputFile {
    path: PathBuf,
    /// SHA-256 in hexadecimal.
    digest: String,
}

impl RunInputs {
    /// The inputs of a config as they are now. A base that the run makes itself is none.
    ///
    /// # Errors
    ///
    /// A file that is not there or cannot be read.
    pub fn of(config: &Config) -> Result<RunInputs> {
        let mut all = BTreeMap::new();
        let jsonl = &config.world.jsonl;
        for (key, paths) in [("documents", &jsonl.documents), ("questions", &jsonl.questions)] {
            for (at, path) in paths.iter().enumerate() {
                all.insert(format!("world.jsonl.{key}[{at}]"), InputFile::read(path)?);
            }
        }
        match config.base.place() {
            _ if config.base.is_made() => {}
            Place::Dir(dir) => {
                for path in base::files(dir)? {
                    let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
                    all.insert(format!("base.path: {name}"), InputFile::read(&path)?);
                }
            }
            // Where knowledge comes from files, the name stands for a model that the run makes.
            Place::Shipped(_) if config.world.is_jsonl() => {}
            place => {
                let digest = base::digest(place)?;
                all.insert("base.path".into(), InputFile { path: PathBuf::from(&config.base.path), digest });
            }
        }
        Ok(RunInputs { directory: env::current_dir().unwrap_or_default(), files: all, branched_from: None })
    }

    /// Those that a run was begun with; `None` where it was not begun, or by a version that did not note them.
    ///
    /// # Errors
    ///
    /// A file that is none.
    pub fn read(run: &Path) -> Result<Option<RunInputs>> {
        let path = run.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        serde_json::from_str(&files::read_text(&path)?).map(Some).map_err(|error| {
            let remedy = "remove it if all files that the config names are what they were when the run began";
            Error::invalid(path.display().to_string(), format!("damaged ({error})"), remedy)
        })
    }

    /// Notes them in a run directory, beside what is known there of a checkpoint that training has branched off from.
    pub fn write(&self, run: &RunDir) -> Result<()> {
        let noted = || RunInputs::read(run.root()).ok().flatten().and_then(|inputs| inputs.branched_from);
        let whole = RunInputs { branched_from: self.branched_from.clone().or_else(noted), ..self.clone() };
        let path = run.root().join(FILE);
        let text = serde_json::to_vec_pretty(&whole)
            .map_err(|error| Error::invalid(path.display().to_string(), error.to_string(), "paths must be text"))?;
        files::write_atomic(&path, &text)
    }

    /// Notes the content of the checkpoint that a run's training branches off from.
    pub fn note_branch(run: &RunDir, content: &str) -> Result<()> {
        let noted = RunInputs::read(run.root())?.unwrap_or_default();
        RunInputs { branched_from: Some(content.into()), ..noted }.write(run)
    }

    /// Content of the checkpoint that a run's training has branched off from.
    pub fn branched_from(run: &RunDir) -> Result<Option<String>> {
        Ok(RunInputs::read(run.root())?.and_then(|inputs| inputs.branched_from))
    }

    /// Refuses to go on with a run that has been begun with others, a line for each file. One that has made nothing yet
    /// may have any.
    pub fn demand_same(&self, run: &RunDir) -> Result<()> {
        let Some(before) = RunInputs::read(run.root())?.filter(|_| begun(run)) else { return Ok(()) };
        let keys: BTreeSet<&String> = before.files.keys().chain(self.files.keys()).collect();
        let changed = keys.into_iter().filter_map(|key| {
            let (then, now) = (before.files.get(key), self.files.get(key));
            let [was, is] = [then, now].map(|file| file.map(|file| file.digest.as_str()));
            let path = &now.or(then)?.path;
            (was != is).then(|| refusal(path, key, was, is, "put it back"))
        });
        Error::all(changed.collect())
    }
}

impl InputFile {
    fn read(path: &Path) -> Result<InputFile> {
        Ok(InputFile { path: path.to_path_buf(), digest: files::digest_file(path)? })
    }
}

/// What to say of a file, which a key names, whose content is another one now or is there at one time only: with the
/// digests of both. `remedy` is what can be done beside using another run directory.
pub fn refusal(path: &Path, key: &str, then: Option<&str>, now: Option<&str>, remedy: &str) -> Error {
    let short = |digest: &str| digest.chars().take(SHOWN).collect::<String>();
    let words = |digest: Option<&str>| digest.map_or("none".into(), |digest| format!("SHA-256 {}…", short(digest)));
    let found = format!("not what this run began with ({key} was {} then and is {} now)", words(then), words(now));
    Error::invalid(path.display().to_string(), found, format!("{remedy}, or use another run.dir"))
}

/// Whether a run has made anything from its inputs: a policy, a step or an answer. A base that was made for it, or a
/// blank one, is found again by what went into it.
fn begun(run: &RunDir) -> bool {
    let made = |path: PathBuf| {
        let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        !["base-", "blank-", "locks"].iter().any(|other| name.starts_with(other))
    };
    let stages = fs::read_dir(run.stages()).into_iter().flatten().flatten();
    let steps = fs::metadata(run.metrics()).is_ok_and(|file| file.len() > 0);
    steps || course::any(run) || stages.into_iter().any(|entry| made(entry.path()))
}

/// Makes the relative paths of a run's config lead where they led when the run was last worked on, whatever the working
/// directory is now; those that lead to nothing there are left as they are. `changed` says which keys the caller has
/// just set: these are relative to where the caller is.
pub fn find_again(config: &mut Config, run: &Path, changed: impl Fn(&str) -> bool) {
    let before = RunInputs::read(run).ok().flatten().unwrap_or_default().directory;
    let elsewhere = !before.as_os_str().is_empty() && env::current_dir().is_ok_and(|here| here != before);
    if elsewhere && before.is_dir() {
        let found = |path: &Path| Some(before.join(path)).filter(|there| path.is_relative() && there.exists());
        let settle = |key: &str, path: &mut PathBuf| {
            if let Some(there) = found(path).filter(|_| !changed(key)) {
                *path = there;
            }
        };
        let jsonl = &mut config.world.jsonl;
        jsonl.documents.iter_mut().for_each(|path| settle("world.jsonl.documents", path));
        jsonl.questions.iter_mut().for_each(|path| settle("world.jsonl.questions", path));
        settle("train.reward", &mut config.train.reward);
        if let Some(there) = config.base.dir().and_then(found).filter(|_| !changed("base.path")) {
            config.base.path = there.display().to_string();
        }
        if let Some((trunk, step)) = config.train.from.as_deref().and_then(|from| from.rsplit_once('@'))
            && let Some(there) = found(Path::new(trunk)).filter(|_| !changed("train.from"))
        {
            config.train.from = Some(format!("{}@{step}", there.display()));
        }
        if let Some(cache) = config.run.cache.as_mut().filter(|path| path.is_relative() && !changed("run.cache")) {
            *cache = before.join(&cache);
        }
    }
    // A run inside of another one, which may have been moved with it, shares its stages.
    if let Some(cache) = config.run.cache.as_mut().filter(|cache| !cache.exists() && !changed("run.cache"))
        && let Ok(run) = std::path::absolute(run)
    {
        let outer = run.ancestors().skip(1).take(2).find(|outer| outer.join(CONFIG).is_file());
        if let Some(stages) = outer.map(|outer| outer.join("stages")).filter(|stages| stages.is_dir()) {
            *cache = stages;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(home: &Path, set: &[String]) -> Config {
        let files = ["documents", "questions"].map(|key| {
            let path = home.join(key);
            format!("world.jsonl.{key}=['{}']", path.display())
        });
        let plain = ["train.forms=['completion']", "train.replay_tokens=0", "finetune.replay=0"].map(str::to_owned);
        let run = format!("run.dir={}", home.join("run").display());
        Config::parse("", "x.toml", "x", &[&files[..], &plain, &[run], set].concat()).unwrap()
    }

    #[test]
    fn another_content_under_the_same_name_is_refused_with_both_digests_and_another_name_is_not() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
        write("documents", "one");
        write("questions", "two");
        let first = config(home.path(), &[]);
        let run = RunDir::open(&first.run.dir, &first).unwrap();
        let inputs = RunInputs::of(&first).unwrap();
        inputs.write(&run).unwrap();
        assert_eq!(RunInputs::read(run.root()).unwrap().unwrap(), inputs);

        write("documents", "other");
        let now = RunInputs::of(&first).unwrap();
        assert!(now.demand_same(&run).is_ok(), "nothing was made of the first ones");
        fs::create_dir_all(run.stages().join("blank-0123")).unwrap();
        assert!(now.demand_same(&run).is_ok(), "a blank model is found again by what it was made from");
        fs::create_dir_all(run.stages().join("finetune-0123")).unwrap();
        let error = now.demand_same(&run).unwrap_err().to_string();
        let [then, new] = [b"one" as &[u8], b"other"].map(|bytes| files::digest(bytes)[..SHOWN].to_string());
        let expected = format!(
            "{}: not what this run began with (world.jsonl.documents[0] was SHA-256 {then}… then and is SHA-256 {new}… \
             now); put it back, or use another run.dir",
            home.path().join("documents").display()
        );
        assert_eq!(error, expected);

        write("elsewhere", "one");
        let moved = format!("world.jsonl.documents=['{}']", home.path().join("elsewhere").display());
        assert!(RunInputs::of(&config(home.path(), &[moved])).unwrap().demand_same(&run).is_ok());
        let both = ["documents", "elsewhere"].map(|name| format!("'{}'", home.path().join(name).display())).join(",");
        write("documents", "one");
        let more = RunInputs::of(&config(home.path(), &[format!("world.jsonl.documents=[{both}]")])).unwrap();
        assert!(more.demand_same(&run).unwrap_err().to_string().contains("documents[1] was none then"));

        write("run/inputs.json", "{");
        assert!(now.demand_same(&run).unwrap_err().to_string().contains("inputs.json: damaged"));
    }

    #[test]
    fn paths_lead_where_they_led_from_whatever_directory_a_run_is_gone_on_with() {
        let home = tempfile::tempdir().unwrap();
        let first = Config::parse("", "x.toml", "x", &[]).unwrap();
        let run = RunDir::open(&home.path().join("run"), &first).unwrap();
        fs::create_dir(home.path().join("rewards")).unwrap();
        fs::write(home.path().join("rewards/correct.toml"), "").unwrap();
        RunInputs { directory: home.path().into(), ..RunInputs::default() }.write(&run).unwrap();
        let found = |changed: &str| {
            let mut config = first.clone();
            config.run.cache = Some("cache".into());
            config.base.path = "nowhere".into();
            find_again(&mut config, run.root(), |key| key == changed);
            config
        };
        let all = found("");
        assert_eq!(all.train.reward, home.path().join("rewards/correct.toml"));
        assert_eq!(all.run.cache, Some(home.path().join("cache")));
        assert_eq!(all.base.path, "nowhere", "what is not there stays as it is written");
        assert_eq!(found("train.reward").train.reward, first.train.reward, "the caller's own path");

        // A run inside of another one finds its stages after both were moved.
        let inner = home.path().join("run/seed-3");
        let mut inside = first.clone();
        inside.run.cache = Some("runs/before/stages".into());
        fs::create_dir_all(run.stages()).unwrap();
        find_again(&mut inside, &inner, |_| false);
        assert_eq!(inside.run.cache, Some(run.stages()));
    }
}
