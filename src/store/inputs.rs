//! What a run was made from: the files that its config names, by their content.
//!
//! A file that has become another one under the same name is refused before anything goes on, because a run whose first
//! half was made from one file and whose second from another is neither. The same content under another name is the
//! same input, so files and runs may be moved. The reward is not among them: a checkpoint knows it (`live_reward.rs`), and
//! it is refused in the same words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::{Deserialize, Serialize};

use super::{Manifest, RunDir, checkpoint};
use crate::base::{self, Place};
use crate::config::Config;
use crate::{Error, Result, files};

const FILE: &str = "inputs.json";
/// Hexadecimal digits of a digest that people are shown.
const SHOWN: usize = 16;

/// `inputs.json` of a run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInputs {
    /// The working directory of the newest command, where relative paths of `config.toml` begin.
    pub(super) directory: PathBuf,
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
    /// A file that is not there or cannot be read.
    pub fn from_config(config: &Config) -> Result<RunInputs> {
        let mut all = BTreeMap::new();
        let mut numbers = BTreeMap::<&str, usize>::new();
        for (key, path) in config.world.jsonl.keyed() {
            let at = numbers.entry(key).or_default();
            all.insert(format!("world.jsonl.{key}[{at}]"), InputFile::read(path)?);
            *at += 1;
        }
        match config.base.place() {
            _ if config.base.is_made() => {}
            Place::Dir(dir) => {
                for path in base::files(dir)? {
                    let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
                    // A GGUF file is what the key itself names.
                    let key = if name.is_empty() { "base.path".into() } else { format!("base.path: {name}") };
                    all.insert(key, InputFile::read(&path)?);
                }
            }
            // Where knowledge comes from files, the name stands for a model that the run makes.
            Place::Shipped(_) if config.world.is_free_text() => {}
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
    /// A file that is none.
    pub fn read(run: &Path) -> Result<Option<RunInputs>> {
        let remedy = "remove it if all files that the config names are what they were when the run began";
        files::read_json_if_there(&run.join(FILE), remedy)
    }

    /// Notes them in a run directory, beside what is known there of a checkpoint that training has branched off from.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, run: &RunDir) -> Result<()> {
        let noted = || RunInputs::read(run.root()).ok().flatten().and_then(|inputs| inputs.branched_from);
        let whole = RunInputs { branched_from: self.branched_from.clone().or_else(noted), ..self.clone() };
        files::write_json_pretty(&run.root().join(FILE), &whole)
    }

    /// Notes the content of the checkpoint that a run's training branches off from.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn note_branch(run: &RunDir, content: &str) -> Result<()> {
        let noted = RunInputs::read(run.root())?.unwrap_or_default();
        RunInputs { branched_from: Some(content.into()), ..noted }.write(run)
    }

    /// Content of the checkpoint that a run's training has branched off from.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn branched_from(run: &RunDir) -> Result<Option<String>> {
        Ok(RunInputs::read(run.root())?.and_then(|inputs| inputs.branched_from))
    }

    /// Refuses to go on with a run that has been begun with others, a line for each file. One that has made nothing yet
    /// may have any.
    ///
    /// # Errors
    /// A line for each file that is another one, and a file that cannot be read.
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
    // Stages in a cache that several runs share are known by what the run has written down.
    let noted = Manifest::at(run.root()).ok().flatten().is_some_and(|run| run.has_policies());
    let made = |path: PathBuf| {
        let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        !["base-", "blank-", "locks"].iter().any(|other| name.starts_with(other))
    };
    let stages = fs::read_dir(run.stages()).into_iter().flatten().flatten();
    let steps = fs::metadata(run.metrics()).is_ok_and(|file| file.len() > 0);
    noted || steps || checkpoint::any(run) || stages.into_iter().any(|entry| made(entry.path()))
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
    fn another_content_is_refused_once_something_was_made_of_the_first_one() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
        write("documents", "one");
        write("questions", "two");
        let first = config(home.path(), &[]);
        let run = RunDir::open(&first.run.dir, &first).unwrap();
        let inputs = RunInputs::from_config(&first).unwrap();
        inputs.write(&run).unwrap();
        assert_eq!(RunInputs::read(run.root()).unwrap().unwrap(), inputs);

        write("documents", "other");
        let now = RunInputs::from_config(&first).unwrap();
        assert!(now.demand_same(&run).is_ok(), "nothing was made of the first ones");
        fs::create_dir_all(run.stages().join("blank-0123")).unwrap();
        assert!(now.demand_same(&run).is_ok(), "a blank model is found again by what it was made from");
        fs::create_dir_all(run.stages().join("finetune-0123")).unwrap();
        assert!(now.demand_same(&run).unwrap_err().to_string().contains("world.jsonl.documents[0] was SHA-256"));

        write("elsewhere", "one");
        let both = ["documents", "elsewhere"].map(|name| format!("'{}'", home.path().join(name).display())).join(",");
        write("documents", "one");
        let more = RunInputs::from_config(&config(home.path(), &[format!("world.jsonl.documents=[{both}]")])).unwrap();
        assert!(more.demand_same(&run).unwrap_err().to_string().contains("documents[1] was none then"));

        write("run/inputs.json", "{");
        assert!(now.demand_same(&run).unwrap_err().to_string().contains("inputs.json: EOF while"));
    }
}
