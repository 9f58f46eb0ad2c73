//! What a run consists of: written while it is trained and evaluated, read by whatever is asked of it afterwards.
//!
//! Every path is kept twice, as the way from the directory of the run and from the root of the file system, so that a
//! run is found together with what belongs to it after either of both was moved.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stage::Stage;
use crate::evaluation::{Arm, Touched};
use crate::{Error, Result, files};

/// Name of the stage that made the base of a run.
pub const BASE: &str = "base";
pub(crate) const FILE: &str = "manifest.json";

/// The stages of a run in their order, and what is known of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub stages: Vec<StageRecord>,
    /// Digests of what the stages were made from, by what it is.
    pub digests: BTreeMap<String, String>,
    pub model_parameters: u64,
    /// Peak resident memory in bytes of the process that evaluated.
    pub peak_memory: Option<u64>,
    pub hardware: String,
    /// The arms that were asked for.
    pub arms: Vec<Arm>,
    /// Names of the stages that hold their answers; none before the run was evaluated.
    pub answers: Vec<String>,
    /// Names of the stages that hold which choices are the likeliest.
    pub choices: Vec<String>,
    /// Names of the stages that hold the perplexity of held-back text, in the order of the policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub perplexity: Vec<String>,
    /// Wall-clock seconds that the questions of an arm took.
    pub seconds: BTreeMap<Arm, f64>,
    /// Floating-point operations that went into the policy of an arm, where that is known.
    pub training_flops: BTreeMap<Arm, f64>,
    /// Questions that stood in the files once more, and were asked once.
    #[serde(default)]
    pub duplicates: usize,
    /// What is known of set B and reinforcement learning.
    #[serde(default)]
    pub touched: Touched,
    /// Where the relative paths of the config begin: the working directory of whoever began the run.
    #[serde(default)]
    pub(crate) home: Option<Home>,
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    pub name: String,
    /// In the file: from the directory of the run, where there is such a way.
    pub dir: PathBuf,
    /// The same from the root of the file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<PathBuf>,
    /// Wall-clock seconds that it took when it was made.
    pub seconds: f64,
}

/// A directory, from that of the run and from the root of the file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Home {
    dir: PathBuf,
    at: PathBuf,
}

impl Manifest {
    /// Adds a finished stage, in place of one that has this name.
    pub fn add(&mut self, name: &str, stage: &Stage) {
        let record = StageRecord { name: name.into(), dir: stage.dir.clone(), at: None, seconds: stage.seconds };
        match self.stages.iter_mut().find(|record| record.name == name) {
            Some(there) => *there = record,
            None => self.stages.push(record),
        }
        self.digests.insert(name.into(), stage.content.clone());
    }

    /// The same unless it is there under another name.
    pub fn add_new(&mut self, name: &str, stage: &Stage) {
        if self.stages.iter().all(|record| record.dir != stage.dir) {
            self.add(name, stage);
        }
    }

    /// A stage, if the run has it. Refused, with the file: one in which something has changed since it was written down.
    pub fn find(&self, name: &str) -> Result<Option<Stage>> {
        let Some(record) = self.stages.iter().find(|record| record.name == name) else { return Ok(None) };
        let place = || record.dir.display().to_string();
        let Some(stage) = Stage::read(&record.dir)? else {
            let remedy = "put it back, or have it made again with `recollect run` and the config of the run";
            return Err(Error::invalid(place(), format!("no finished stage there, and {FILE} names it"), remedy));
        };
        match self.digests.get(name) {
            Some(digest) if *digest != stage.content => {
                let found = format!("its files have the digest {}, and {FILE} names {digest}", stage.content);
                Err(Error::invalid(place(), found, "put back what was there, or evaluate the run again"))
            }
            _ => Ok(Some(stage)),
        }
    }

    /// A stage that the run has to have; refused as by [`Manifest::find`].
    ///
    /// # Errors
    /// As those of [`Manifest::find`], and a run without it.
    pub fn stage(&self, name: &str) -> Result<Stage> {
        self.find(name)?.ok_or_else(|| {
            Error::invalid(FILE, format!("the run has no {name}"), "finish it with `recollect run` and its config")
        })
    }

    /// Whether both tell the same of an evaluation; when and where it was made aside.
    pub fn tells_the_same(&self, other: &Manifest) -> bool {
        let told = |of: &Manifest| {
            let Manifest { digests, arms, answers, choices, perplexity, duplicates, touched, .. } = of.clone();
            (digests, arms, answers, choices, perplexity, duplicates, touched)
        };
        told(self) == told(other)
    }

    /// Where the working directory of whoever began the run may be now, the likeliest place first.
    pub fn begun_in(&self, run: &Path) -> Vec<PathBuf> {
        self.home.iter().flat_map(|home| [run.join(&home.dir), home.at.clone()]).collect()
    }

    /// Whether a policy of the run is finished: its base alone is found again by what went into it.
    pub fn has_policies(&self) -> bool {
        self.stages.iter().any(|stage| stage.name != BASE)
    }

    /// Writes down a stage of a run that goes on. Answers that a policy gave which is another one now are forgotten.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn record(run: &Path, name: &str, stage: &Stage) -> Result<()> {
        let mut manifest = Manifest::at(run)?.unwrap_or_default();
        match manifest.digests.get(name) {
            Some(there) if *there == stage.content => return Ok(()),
            Some(_) => {
                (manifest.arms, manifest.answers, manifest.choices) = Default::default();
                manifest.perplexity.clear();
            }
            None => {}
        }
        manifest.add(name, stage);
        manifest.write(run)
    }

    /// Writes it into a run directory.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        let mut moved = self.clone();
        for record in &mut moved.stages {
            let at = whole(&record.dir);
            record.dir = way(&whole(run), &at);
            record.at = Some(at);
        }
        let here = whole(Path::new("."));
        moved.home = self.home.clone().or(Some(Home { dir: way(&whole(run), &here), at: here }));
        files::write_json_pretty(&run.join(FILE), &moved)
    }

    /// Reads that of a run that was evaluated.
    ///
    /// # Errors
    /// A run that was not evaluated; a file that cannot be read.
    pub fn read(run: &Path) -> Result<Self> {
        match Manifest::at(run)? {
            Some(manifest) if !manifest.answers.is_empty() => Ok(manifest),
            _ => {
                let remedy =
                    "finish the run with `recollect run` and its config, or `recollect eval` and its directory";
                let place = run.join(FILE).display().to_string();
                Err(Error::invalid(place, "the run was not evaluated yet", remedy))
            }
        }
    }

    /// Reads what a run directory has so far; `None` where nothing is written down yet.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn at(run: &Path) -> Result<Option<Self>> {
        let mut manifest: Option<Manifest> = files::read_json_if_there(&run.join(FILE), "evaluate the run again")?;
        for record in manifest.iter_mut().flat_map(|manifest| &mut manifest.stages) {
            record.dir = record.found(run);
        }
        Ok(manifest)
    }
}

impl StageRecord {
    /// Where the stage is now, as far as can be told.
    fn found(&self, run: &Path) -> PathBuf {
        let from_run = run.join(&self.dir);
        // Written by 0.3, a way begins in the working directory; and whoever moved a run may have moved its cache into it.
        let within = self.dir.file_name().map(|name| run.join("stages").join(name));
        let places = [Some(from_run.clone()), self.at.clone(), Some(self.dir.clone()), within];
        places.into_iter().flatten().find(|place| place.is_dir()).unwrap_or(from_run)
    }
}

/// A path from the root of the file system.
fn whole(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

/// The way from one directory to another; both from the root of the file system.
fn way(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(common)).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::interrupt::Interrupt;
    use crate::store::StageCache;

    /// A run with one stage in a cache beside it.
    fn run(home: &Path) -> (PathBuf, Stage) {
        let (root, cache) = (home.join("runs/one"), StageCache::new(home.join("cache"), &Interrupt::default()));
        let text = |dir: &Path| files::write_atomic(&dir.join("answers.jsonl"), b"false");
        let stage = cache.get_or_make("evaluation", &1, text).unwrap();
        fs::create_dir_all(&root).unwrap();
        let mut manifest = Manifest { answers: vec!["evaluation".into()], ..Manifest::default() };
        manifest.add("evaluation", &stage);
        manifest.write(&root).unwrap();
        (root, stage)
    }

    #[test]
    fn the_way_from_one_directory_to_another() {
        let of = |from: &str, to: &str| way(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(of("/a/b", "/a/b/stages/x"), "stages/x");
        assert_eq!(of("/a/b", "/a/c/x"), "../c/x");
        assert_eq!([of("/a/b", "/a"), of("/a", "/a")], ["..", "."]);
    }

    #[test]
    fn stages_are_found_wherever_they_were_moved_to() {
        let home = tempfile::tempdir().unwrap();
        let (root, stage) = run(home.path());
        let content = |run: &Path| Manifest::read(run).unwrap().stage("evaluation").map(|stage| stage.content);
        assert_eq!(content(&root).unwrap(), stage.content);
        // The run alone, then all of it, then the stage into the run.
        let (alone, all) = (home.path().join("alone"), tempfile::tempdir().unwrap());
        fs::rename(&root, &alone).unwrap();
        assert_eq!(content(&alone).unwrap(), stage.content);
        fs::create_dir(home.path().join("runs/two")).unwrap();
        fs::rename(&alone, &root).unwrap();
        let moved = all.path().join("moved");
        fs::create_dir(&moved).unwrap();
        for name in ["runs", "cache"] {
            fs::rename(home.path().join(name), moved.join(name)).unwrap();
        }
        let root = moved.join("runs/one");
        assert_eq!(content(&root).unwrap(), stage.content);
        fs::create_dir(root.join("stages")).unwrap();
        let name = stage.dir.file_name().unwrap();
        fs::rename(moved.join("cache").join(name), root.join("stages").join(name)).unwrap();
        assert_eq!(content(&root).unwrap(), stage.content);
        fs::remove_dir_all(root.join("stages")).unwrap();
        assert!(content(&root).unwrap_err().to_string().contains("no finished stage there"));
    }

    #[test]
    fn those_of_version_0_3_are_read() {
        let home = tempfile::tempdir().unwrap();
        let (root, stage) = run(home.path());
        let text = serde_json::json!({
            "stages": [{ "name": "evaluation", "dir": stage.dir, "seconds": 1.5 }],
            "digests": { "evaluation": stage.content },
            "model_parameters": 7, "peak_memory": null, "hardware": "", "arms": ["fine-tuned"],
            "answers": ["evaluation"], "choices": [], "seconds": {}, "training_flops": {},
        });
        fs::write(root.join(FILE), text.to_string()).unwrap();
        let manifest = Manifest::read(&root).unwrap();
        assert_eq!(manifest.stage("evaluation").unwrap().content, stage.content);
        let stages = root.join("stages");
        fs::create_dir(&stages).unwrap();
        fs::rename(&stage.dir, stages.join(stage.dir.file_name().unwrap())).unwrap();
        let moved = Manifest::read(&root).unwrap().stage("evaluation").unwrap();
        assert_eq!((moved.content, moved.dir.parent().unwrap()), (stage.content, stages.as_path()));
    }

    #[test]
    fn a_stage_that_is_not_what_was_written_down_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (root, stage) = run(home.path());
        let answers = stage.dir.join("answers.jsonl");
        let error = || Manifest::read(&root).unwrap().stage("evaluation").unwrap_err().to_string();
        fs::write(&answers, "true").unwrap();
        let error_of_file = error();
        assert!(error_of_file.contains("answers.jsonl: changed since"), "{error_of_file}");
        // With a marker that says so, too.
        let marker = fs::read_to_string(stage.dir.join("complete.json")).unwrap();
        let marker = marker.replace(&files::digest(b"false"), &files::digest(b"true"));
        fs::write(stage.dir.join("complete.json"), marker).unwrap();
        let error_of_marker = error();
        assert!(error_of_marker.contains("manifest.json names"), "{error_of_marker}");
    }

    #[test]
    fn answers_of_a_policy_that_is_trained_on_are_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let (root, stage) = run(home.path());
        Manifest::record(&root, "train", &stage).unwrap();
        assert!(Manifest::read(&root).is_ok());
        Manifest::record(&root, "train", &Stage { content: "another".into(), ..stage }).unwrap();
        let error = Manifest::read(&root).unwrap_err().to_string();
        assert!(error.contains("was not evaluated yet"), "{error}");
        assert_eq!(Manifest::at(&root).unwrap().unwrap().stages.len(), 2);
    }
}
