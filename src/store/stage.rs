//! Finished stages, found again by what went into them.
//!
//! A stage's key is a digest over its name, the number of its schema and everything that it was made from. Its
//! directory is written under another name and renamed when it is whole, with a marker that holds the digest of
//! every file. A directory without the marker does not exist: it is removed and made anew. A file that no longer
//! has the digest in the marker is an error rather than a reason to make the stage again, because it means that
//! a disk is failing or that somebody edited the file, and either should be known before it is overwritten.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::Device;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::machine_cache;
use super::seal::{self, Marker};
use crate::interrupt::Interrupt;
use crate::kernels::allocator::give_back_freed_memory;
use crate::{Error, Result, files};

/// A finished stage on disk.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Digest over what went in.
    pub key: String,
    /// Digest over what came out. Stages that build on this one put it among their inputs.
    pub content: String,
    pub dir: PathBuf,
    /// It was there already.
    pub reused: bool,
    /// It was made by another run of this machine, and has just been taken over.
    pub taken_over: bool,
    /// Wall-clock time that it took when it was made. No part of the content: the next stage is the same however
    /// long this one took.
    pub seconds: f64,
}

impl Stage {
    /// The finished stage in a directory, every file of which is what it was when the stage was finished; `None` where
    /// there is none.
    ///
    /// # Errors
    /// A marker or a file that is not what it was when the stage was finished.
    pub fn read(dir: &Path) -> Result<Option<Stage>> {
        let remedy = format!("remove {} to have the stage made again", dir.display());
        let Some(marker) = Marker::<StageInfo>::read(dir, &remedy)? else { return Ok(None) };
        marker.demand_whole(dir, "the stage was finished", &remedy)?;
        let Marker { about: StageInfo { stage, inputs, seconds, .. }, files } = marker;
        let lines: Vec<String> = files.iter().map(|(file, digest)| format!("{digest} {file}")).collect();
        let content = files::digest(lines.join("\n").as_bytes());
        Ok(Some(Stage {
            key: key(&stage, &inputs)?,
            content,
            dir: dir.to_path_buf(),
            reused: true,
            taken_over: false,
            seconds,
        }))
    }
}

/// What the marker of a finished stage says of it.
#[derive(Serialize, Deserialize)]
struct StageInfo {
    stage: String,
    /// Of the program that made it, for people to read.
    version: String,
    /// What went in, for people to read.
    inputs: serde_json::Value,
    #[serde(default)]
    seconds: f64,
}

/// A folder of finished stages, which several runs and processes may share.
#[derive(Clone, Debug)]
pub struct StageCache {
    root: PathBuf,
    /// What the runs of this machine share, see [`machine_cache`].
    shared: Option<PathBuf>,
    interrupt: Interrupt,
    patience: Duration,
    /// Whether stages are made on a card, which rounds in other places.
    on_card: bool,
}

impl StageCache {
    /// Stages below `root`, which is made when the first one is.
    pub fn new(root: impl Into<PathBuf>, interrupt: &Interrupt) -> StageCache {
        // Longer than any single stage is expected to take.
        let patience = Duration::from_secs(12 * 3600);
        StageCache { root: root.into(), shared: None, interrupt: interrupt.clone(), patience, on_card: false }
    }

    /// The same for stages that are made on this device.
    pub fn on(self, device: &Device) -> StageCache {
        StageCache { on_card: !device.is_cpu(), ..self }
    }

    /// The same, with stages taken over from the runs of this machine, and given to them.
    pub fn sharing(self, shared: Option<PathBuf>) -> StageCache {
        StageCache { shared, ..self }
    }

    /// What it shares with the runs of this machine.
    pub fn shared(&self) -> Option<&Path> {
        self.shared.as_deref()
    }

    /// The same with another limit to how long to wait for a process that is making a stage that is needed here.
    pub fn with_patience(self, patience: Duration) -> StageCache {
        StageCache { patience, ..self }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The stage that was made from these inputs. If there is none, `make` writes its files into the empty
    /// directory that it is given; if `make` fails, nothing is left behind.
    ///
    /// `inputs` must say everything that the files depend on, and serialise the same way every time (no hash maps).
    ///
    /// # Errors
    /// Those of `make`; a damaged stage; another process that makes the same stage for too long; a request to stop.
    pub fn get_or_make(
        &self,
        name: &str,
        inputs: &impl Serialize,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Stage> {
        let inputs = self.serialise(name, inputs)?;
        if let Some(stage) = self.stored(name, &inputs)? {
            return Ok(stage);
        }
        files::create_dir(&self.root)?;
        let _lock = self.lock(name, &inputs)?;
        // Another process may have made it while this one waited.
        if let Some(stage) = self.stored(name, &inputs)? {
            return Ok(stage);
        }
        let dir = self.dir(name, &inputs)?;
        let start = Instant::now();
        let about = || StageInfo {
            stage: name.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            inputs: inputs.clone(),
            seconds: start.elapsed().as_secs_f64(),
        };
        seal::seal(&dir, make, about, serde_json::to_vec_pretty)?;
        give_back_freed_memory();
        let stage = self.stored(name, &inputs)?;
        let stage = stage.ok_or_else(|| Error::invalid(dir.display().to_string(), "gone", "run again"))?;
        if let Some(shared) = self.shared_dir(name, &inputs)? {
            // A cache that cannot be written makes no run fail.
            drop(files::create_dir(&shared).and_then(|()| machine_cache::link(&dir, &shared)));
        }
        Ok(Stage { reused: false, ..stage })
    }

    /// The stage that was made from these inputs, if it is there.
    ///
    /// # Errors
    /// A damaged stage.
    pub fn find(&self, name: &str, inputs: &impl Serialize) -> Result<Option<Stage>> {
        self.stored(name, &self.serialise(name, inputs)?)
    }

    fn serialise(&self, name: &str, inputs: &impl Serialize) -> Result<serde_json::Value> {
        let inputs = serde_json::to_value(inputs)
            .map_err(|error| Error::invalid(format!("stage {name}"), error.to_string(), "its inputs must serialise"))?;
        Ok(if self.on_card { json!({ "device": "cuda", "inputs": inputs }) } else { inputs })
    }

    fn dir(&self, name: &str, inputs: &serde_json::Value) -> Result<PathBuf> {
        Ok(self.root.join(format!("{name}-{}", &key(name, inputs)?[..16])))
    }

    fn stored(&self, name: &str, inputs: &serde_json::Value) -> Result<Option<Stage>> {
        let dir = self.dir(name, inputs)?;
        let mut stage = Stage::read(&dir)?;
        if stage.is_none()
            && let Some(shared) = self.shared_dir(name, inputs)?
            // One that is damaged is nobody's, and made anew.
            && let Ok(Some(_)) = Stage::read(&shared)
            && machine_cache::link(&shared, &dir).is_ok()
        {
            machine_cache::touch(&shared);
            stage = Stage::read(&dir)?.map(|stage| Stage { taken_over: true, ..stage });
        }
        stage.map(|stage| Ok(Stage { key: key(name, inputs)?, ..stage })).transpose()
    }

    /// Where the runs of this machine have the stage, if they share it.
    fn shared_dir(&self, name: &str, inputs: &serde_json::Value) -> Result<Option<PathBuf>> {
        let shared = self.shared.as_ref().filter(|_| machine_cache::shares(name));
        shared.map(|shared| Ok(shared.join(format!("{name}-{}", &key(name, inputs)?[..16])))).transpose()
    }

    /// Waits until no other process is making this stage. The lock ends with the returned file or the process.
    fn lock(&self, name: &str, inputs: &serde_json::Value) -> Result<File> {
        let key = format!("{name}-{}", &key(name, inputs)?[..16]);
        let lock_in = |root: &Path| {
            let folder = root.join("locks");
            files::create_dir(&folder)?;
            let path = folder.join(&key);
            Ok::<_, Error>((files::open_lock(&path)?, path))
        };
        // Of several runs that want the same stage one makes it for all. A cache that cannot be written makes no run fail.
        let shared = self.shared.as_ref().filter(|_| machine_cache::shares(name));
        let (file, path) = match shared.and_then(|shared| lock_in(shared).ok()) {
            Some(locked) => locked,
            None => lock_in(&self.root)?,
        };
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(Error::Io { path, action: "lock", source }),
                Err(TryLockError::WouldBlock) => {}
            }
            self.interrupt.check("another process was making a stage that this one needs")?;
            if start.elapsed() >= self.patience {
                return Err(Error::Timeout {
                    waiter: format!("stage {name}"),
                    awaited: format!("the process that holds {}", path.display()),
                    seconds: self.patience.as_secs(),
                });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn key(name: &str, inputs: &serde_json::Value) -> Result<String> {
    Ok(files::digest(format!("{name}\n{}\n{inputs}", schema(name)?).as_bytes()))
}

// A stage's key holds the number of its schema and no version of the program, so a new version finds what an older one has
// made. Whoever changes what a stage writes, or what it computes from the same inputs, raises its number: then it is made
// anew, and so is whatever builds on it.

/// By the name of the stage, or by what the names of several begin with (`arm-filler`, `choices-evaluation`).
const SCHEMAS: [(&str, u32); 16] = [
    ("base", 2),
    ("blank", 1),
    ("whole", 1),
    ("own-text", 1),
    ("finetune", 2),
    ("warmup", 1),
    ("recall", 1),
    ("perplexity", 1),
    ("train", 1),
    ("baseline", 1),
    ("evaluation", 1),
    ("arm", 2),
    ("choices", 1),
    ("held-out", 1),
    ("baseline-on-b", 1),
    ("winner-on-b", 1),
];

/// The number of a stage's schema. Of several names that fit the longest one counts.
///
/// # Errors
/// A stage that is not in the table.
fn schema(stage: &str) -> Result<u32> {
    let fits = |name: &str| stage.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    let found = SCHEMAS.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len());
    found
        .map(|(_, number)| *number)
        .ok_or_else(|| Error::invalid(format!("stage {stage}"), "no schema number", "give it one in SCHEMAS"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::seal::{MARKER, partial};

    fn cache(home: &tempfile::TempDir) -> StageCache {
        StageCache::new(home.path().join("stages"), &Interrupt::default()).with_patience(Duration::from_millis(150))
    }

    fn write(dir: &Path, text: &str) -> Result<()> {
        files::write_atomic(&dir.join("deep/weights"), text.as_bytes())
    }

    #[test]
    fn a_stage_is_made_once_for_the_same_inputs() {
        let home = tempfile::tempdir().unwrap();
        let stages = cache(&home);
        assert!(stages.find("base", &("seed", 1)).unwrap().is_none());
        let first = stages.get_or_make("base", &("seed", 1), |dir| write(dir, "one")).unwrap();
        let again = stages.get_or_make("base", &("seed", 1), |_| panic!("made twice")).unwrap();
        assert!(!first.reused && again.reused);
        assert_eq!((&first.dir, &first.content), (&again.dir, &again.content));
        assert_eq!(fs::read_to_string(again.dir.join("deep/weights")).unwrap(), "one");

        let other = stages.get_or_make("base", &("seed", 2), |dir| write(dir, "two")).unwrap();
        assert_ne!((&first.key, &first.content), (&other.key, &other.content));
        let slowly = |dir: &Path| {
            std::thread::sleep(Duration::from_millis(20));
            write(dir, "one")
        };
        let renamed = stages.get_or_make("finetune", &("seed", 1), slowly).unwrap();
        assert_ne!(first.key, renamed.key);
        assert_eq!(first.content, renamed.content);
        assert!(renamed.seconds >= 0.02);
    }

    #[test]
    fn a_key_depends_on_name_schema_and_inputs_and_on_no_version_of_the_program() {
        let key = |name: &str| key(name, &json!({ "seed": 1 })).unwrap();
        for (name, number) in [("base", 2), ("train", 1), ("arm-filler", 2)] {
            assert_eq!(key(name), files::digest(format!("{name}\n{number}\n{{\"seed\":1}}").as_bytes()));
        }
        let home = tempfile::tempdir().unwrap();
        let error = cache(&home).get_or_make("unheard-of", &1, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("stage unheard-of: no schema number"), "{error}");
    }

    #[test]
    fn what_comes_before_reinforcement_learning_is_taken_over_by_other_runs_of_the_machine() {
        let home = tempfile::tempdir().unwrap();
        let shared = home.path().join("shared");
        let run =
            |name: &str| StageCache::new(home.path().join(name), &Interrupt::default()).sharing(Some(shared.clone()));
        let make = |text: &'static str| move |dir: &Path| write(dir, text);
        let first = run("one").get_or_make("finetune", &1, make("weights")).unwrap();
        let own = run("one").get_or_make("train", &1, make("policy")).unwrap();
        assert!(!first.reused && !first.taken_over && !own.taken_over);
        let second = run("two").get_or_make("finetune", &1, |_| panic!("made twice")).unwrap();
        assert!(second.reused && second.taken_over && second.dir.starts_with(home.path().join("two")));
        assert_eq!((second.content, second.key), (first.content, first.key));
        assert!(!run("two").find("finetune", &1).unwrap().unwrap().taken_over, "it is its own by now");
        assert!(!run("two").get_or_make("train", &1, make("policy")).unwrap().reused);
        // What was removed from the cache, or damaged there, is missed by nobody.
        let listed = machine_cache::list(&shared).unwrap();
        assert_eq!(listed.len(), 1);
        assert!(listed[0].name.starts_with("finetune-") && listed[0].bytes > 7);
        assert_eq!(machine_cache::remove(&shared, Duration::from_secs(3600)).unwrap(), []);
        fs::remove_file(listed[0].dir.join("deep/weights")).unwrap();
        fs::write(listed[0].dir.join("deep/weights"), "damaged").unwrap();
        assert!(!run("three").get_or_make("finetune", &1, make("weights")).unwrap().reused);
        assert_eq!(machine_cache::remove(&shared, Duration::ZERO).unwrap().len(), 1);
        assert_eq!(machine_cache::list(&shared).unwrap(), []);
        for name in ["one", "two", "three"] {
            assert!(run(name).find("finetune", &1).unwrap().is_some());
        }
    }

    #[test]
    fn a_cache_that_cannot_be_written_makes_no_run_fail() {
        let home = tempfile::tempdir().unwrap();
        let shared = home.path().join("a-file");
        fs::write(&shared, "no directory").unwrap();
        let stages = cache(&home).sharing(Some(shared.clone()));
        let stage = stages.get_or_make("finetune", &1, |dir| write(dir, "weights")).unwrap();
        assert!(!stage.reused && stages.find("finetune", &1).unwrap().is_some());
        assert_eq!(fs::read_to_string(shared).unwrap(), "no directory");
    }

    #[test]
    fn a_failed_stage_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let stages = cache(&home);
        let fail = |dir: &Path| write(dir, "half").and(Err(Error::Refused("no".into())));
        assert!(stages.get_or_make("base", &1, fail).is_err());
        assert!(stages.find("base", &1).unwrap().is_none());
        let names: Vec<_> = fs::read_dir(home.path().join("stages")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["locks"]);
    }

    #[test]
    fn what_a_killed_process_left_is_made_anew() {
        let home = tempfile::tempdir().unwrap();
        let stages = cache(&home);
        let dir = stages.get_or_make("base", &1, |dir| write(dir, "whole")).unwrap().dir;
        fs::remove_file(dir.join(MARKER)).unwrap();
        fs::write(dir.join("leftover"), "x").unwrap();
        fs::create_dir_all(partial(&dir)).unwrap();
        fs::write(partial(&dir).join("half"), "x").unwrap();
        let stage = stages.get_or_make("base", &1, |dir| write(dir, "again")).unwrap();
        assert!(!stage.reused && !stage.dir.join("leftover").exists() && !stage.dir.join("half").exists());
    }

    #[test]
    fn a_changed_or_missing_file_is_an_error_that_says_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let stages = cache(&home);
        let dir = stages.get_or_make("base", &1, |dir| write(dir, "whole")).unwrap().dir;
        fs::write(dir.join("note"), "a file that is not the stage's is nobody's business").unwrap();
        assert!(stages.find("base", &1).unwrap().is_some());
        for (damage, word) in [(true, "changed since"), (false, "missing since")] {
            let weights = dir.join("deep/weights");
            if damage {
                fs::write(weights, "whole!").unwrap()
            } else {
                fs::remove_file(weights).unwrap()
            };
            let error = stages.get_or_make("base", &1, |_| Ok(())).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("remove "), "{error}");
        }
        fs::write(dir.join(MARKER), "{").unwrap();
        assert!(stages.find("base", &1).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn waiting_for_another_process_ends_in_time_or_on_request() {
        let home = tempfile::tempdir().unwrap();
        let stages = cache(&home);
        let error = stages.get_or_make("base", &1, |_| stages.get_or_make("base", &1, |_| Ok(())).map(drop));
        assert!(matches!(error, Err(Error::Timeout { .. })));
        stages.interrupt.request();
        let error = stages.get_or_make("base", &1, |_| stages.get_or_make("base", &1, |_| Ok(())).map(drop));
        assert!(matches!(error, Err(Error::Interrupted(_))));
    }

    #[test]
    fn every_stage_has_its_number_and_no_other_name_has_one() {
        let pinned = "base 2, blank 1, whole 1, own-text 1, finetune 2, warmup 1, recall 1, perplexity 1, train 1, baseline 1, \
                      evaluation 1, arm 2, choices 1, held-out 1, baseline-on-b 1, winner-on-b 1";
        let table: Vec<String> = SCHEMAS.iter().map(|(name, number)| format!("{name} {number}")).collect();
        assert_eq!(table.join(", "), pinned, "whoever raises a number changes this line as well");
        for (name, number) in
            [("finetune", 2), ("arm-filler-after-rl", 2), ("choices-evaluation", 1), ("baseline-on-b", 1)]
        {
            assert_eq!(schema(name).unwrap(), number, "{name}");
        }
        for name in ["", "trainer", "arms", "on-b"] {
            assert!(schema(name).unwrap_err().to_string().contains("no schema number"), "{name}");
        }
    }
}
