//! A stretch of training that can be stopped and continued: the loop that pretraining, fine-tuning and
//! reinforcement learning share, and what it keeps on disk.
//!
//! Every random stream is keyed by the step, so weights, optimizer moments and the step are all the state there is.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::RunDir;
use super::seal::{self, MARKER, Marker};
use crate::config::Config;
use crate::learner::{Optimizer, OptimizerConfig, Scales};
use crate::policy::Policy;
use crate::telemetry::Progress;
use crate::{Error, Result, files};

/// Where a stretch of training keeps its checkpoints.
pub struct Checkpoints {
    root: PathBuf,
    /// How many of the newest stay.
    last: usize,
}

/// What training goes on from.
pub struct TrainState<N> {
    /// Steps that are done.
    pub step: usize,
    pub policy: Policy,
    pub optimizer: Optimizer,
    /// Whatever the stage keeps beside weights and moments.
    pub notes: N,
}

/// What the marker of a checkpoint says of it.
#[derive(Serialize, Deserialize)]
struct CheckpointInfo {
    version: String,
    step: usize,
}

const NOTES: &str = "notes.json";
const MOMENTS: &str = "optimizer.safetensors";
const PREFIX: &str = "step-";
/// How the directories begin that hold the checkpoints of reinforcement learning.
const TRAINING: &str = "train-";

impl<N: Default> TrainState<N> {
    /// A policy that has learned nothing yet.
    pub fn begin(policy: Policy, optimizer: OptimizerConfig, scales: &Scales) -> TrainState<N> {
        TrainState { step: 0, policy, optimizer: Optimizer::new(optimizer).with_scales(scales), notes: N::default() }
    }
}

impl<N: DeserializeOwned> TrainState<N> {
    /// What stands in a checkpoint, whose policy `policy` reads. One that is not whole is an error.
    ///
    /// # Errors
    /// A checkpoint that is not whole, or that is of another stage.
    pub fn load(
        dir: &Path,
        optimizer: OptimizerConfig,
        scales: &Scales,
        policy: impl FnOnce(&Path) -> Result<Policy>,
    ) -> Result<TrainState<N>> {
        let step = verify(dir)?.step;
        let remedy = "it is of another version or another stage: use another checkpoint";
        let notes = files::read_json(&dir.join(NOTES), remedy)?;
        let optimizer = Optimizer::load(&dir.join(MOMENTS), optimizer)?.with_scales(scales);
        Ok(TrainState { step, policy: policy(dir)?, optimizer, notes })
    }
}

impl Checkpoints {
    /// The checkpoints of the stage with this name and key, of which the `last` newest are kept.
    pub fn new(run: &RunDir, stage: &str, key: &str, last: usize) -> Self {
        Self { root: run.checkpoints().join(format!("{stage}-{key}")), last }
    }

    /// The newest checkpoint that is whole, whose policy `policy` reads, or `fresh`. One that is not is removed, and `progress` told so.
    ///
    /// # Errors
    /// A checkpoint that cannot be read although it is whole; those of `fresh`.
    pub fn resume<N: DeserializeOwned>(
        &self,
        progress: &dyn Progress,
        optimizer: OptimizerConfig,
        scales: &Scales,
        policy: impl FnOnce(&Path) -> Result<Policy>,
        fresh: impl FnOnce() -> Result<TrainState<N>>,
    ) -> Result<TrainState<N>> {
        self.sweep()?;
        for (_, dir) in steps(&self.root).into_iter().rev() {
            match verify(&dir) {
                Ok(_) => return TrainState::load(&dir, optimizer, scales, policy),
                Err(error) => {
                    progress
                        .tell(&format!("warning: {error}; it is removed, and training goes on from the one before"));
                    seal::remove(&dir)?;
                }
            }
        }
        fresh()
    }

    /// Saves the state after `step` steps; `model` writes the policy into the directory that it is given. Of the others
    /// the newest and `best` stay.
    ///
    /// # Errors
    /// A file that cannot be written; a disk without room.
    pub fn save<N: Serialize>(
        &self,
        step: usize,
        model: impl FnOnce(&Path) -> Result<()>,
        optimizer: &Optimizer,
        notes: &N,
        best: Option<usize>,
    ) -> Result<()> {
        files::create_dir(&self.root)?;
        let dir = self.root.join(format!("{PREFIX}{step:06}"));
        files::demand_room(&dir, size(optimizer))?;
        let make = |beside: &Path| {
            model(beside)?;
            optimizer.save(&beside.join(MOMENTS))?;
            files::write_json(&beside.join(NOTES), notes)
        };
        let about = || CheckpointInfo { version: env!("CARGO_PKG_VERSION").into(), step };
        seal::seal(&dir, make, about, serde_json::to_vec)?;
        let mut others = steps(&self.root);
        others.truncate(others.len().saturating_sub(self.last.max(1)));
        others.retain(|(step, _)| Some(*step) != best);
        others.into_iter().try_for_each(|(_, dir)| seal::remove(&dir))
    }

    /// Refuses to begin anew beside checkpoints of the same stage that belong to something else: what is written on the
    /// way would take the place of what led to them.
    ///
    /// # Errors
    /// There are such checkpoints.
    pub fn demand_alone(&self) -> Result<()> {
        let (Some(folder), Some(name)) = (self.root.parent(), self.root.file_name().and_then(|name| name.to_str()))
        else {
            return Ok(());
        };
        let stage = name.split_once('-').map_or(name, |(stage, _)| stage);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let same_stage = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            *path != self.root && name.and_then(|name| name.split_once('-')).is_some_and(|(other, _)| other == stage)
        };
        match entries.filter(same_stage).find(|path| !steps(path).is_empty()) {
            None => Ok(()),
            Some(path) => {
                let found = "checkpoints of another fine-tuned policy or another training";
                let remedy = "use another run.dir, or remove this directory to begin again at step 1";
                Err(Error::invalid(path.display().to_string(), found, remedy))
            }
        }
    }

    /// Removes all of them: the stage is finished.
    ///
    /// # Errors
    /// A directory that cannot be removed.
    pub fn remove(&self) -> Result<()> {
        seal::remove(&self.root)
    }

    /// Removes what a process that was killed while it wrote a checkpoint has left.
    fn sweep(&self) -> Result<()> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Ok(()) };
        let unfinished = entries.flatten().map(|entry| entry.path()).filter(|path| step_of(path).is_none());
        unfinished.filter(|path| path.is_dir()).try_for_each(|path| seal::remove(&path))
    }
}

/// Bytes that a checkpoint takes, but for what is small beside its weights and the two moments of each.
pub fn size(optimizer: &Optimizer) -> u64 {
    optimizer.size() / 2 * 3
}

/// Where a branch begins.
pub enum BranchOrigin {
    /// `RUN@0`: with the fine-tuned policy of a run, whose config this is.
    Tuned(RunDir, Box<Config>),
    /// `RUN@STEP`: with a checkpoint of its reinforcement learning.
    Checkpoint(PathBuf),
}

/// What `train.from` names.
///
/// # Errors
/// A text that names nothing, a directory that is no run, a step without a checkpoint.
pub fn origin(text: &str) -> Result<BranchOrigin> {
    match text.rsplit_once('@') {
        Some((run, "0")) => {
            let (run, config) = RunDir::read(Path::new(run))?;
            Ok(BranchOrigin::Tuned(run, Box::new(config)))
        }
        _ => named(text, &format!("train.from = {text:?}")).map(BranchOrigin::Checkpoint),
    }
}

/// The checkpoint that `RUN@STEP` names: of the reinforcement learning of a run, after so many steps. `place` is where
/// the name stands, for messages.
///
/// # Errors
/// A text that names none, with those that there are.
pub fn named(text: &str, place: &str) -> Result<PathBuf> {
    let parts = text.rsplit_once('@').and_then(|(run, step)| Some((run, step.parse::<usize>().ok()?)));
    let Some((run, step)) = parts else {
        let remedy = "name a run directory and a step, such as runs/quickstart@200";
        return Err(Error::invalid(place, "no RUN@STEP", remedy));
    };
    let (run, _) = RunDir::read(Path::new(run))?;
    let all = of_training(&run);
    if let Some((_, dir)) = all.iter().find(|(there, _)| *there == step) {
        return Ok(dir.clone());
    }
    let there: Vec<String> = all.iter().map(|(step, _)| step.to_string()).collect();
    let found = format!("no checkpoint of step {step} in {}", run.root().display());
    let remedy = if there.is_empty() {
        "it has none; train.checkpoint_every says when they are made, train.keep_last how many stay".to_owned()
    } else {
        format!("it has those of steps {}; train.keep_last says how many stay", there.join(", "))
    };
    Err(Error::invalid(place, found, remedy))
}

/// The checkpoints of a run's reinforcement learning, oldest first.
pub fn of_training(run: &RunDir) -> Vec<(usize, PathBuf)> {
    let stages = fs::read_dir(run.checkpoints()).into_iter().flatten().flatten().map(|entry| entry.path());
    let training =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(TRAINING));
    let mut all: Vec<(usize, PathBuf)> = stages.filter(training).flat_map(|stage| steps(&stage)).collect();
    all.sort();
    all
}

/// The notes of the newest checkpoint of a run's reinforcement learning that are what they were when they were saved.
/// The run may be going on: a checkpoint that goes away meanwhile is passed over.
pub fn newest_notes<N: DeserializeOwned>(run: &RunDir) -> Option<N> {
    of_training(run).into_iter().rev().find_map(|(_, dir)| {
        let marker = Marker::<CheckpointInfo>::read(&dir, "").ok()??;
        let notes = fs::read(dir.join(NOTES)).ok()?;
        let whole = marker.files.get(NOTES).is_some_and(|expected| *expected == files::digest(&notes));
        serde_json::from_slice(&notes).ok().filter(|_| whole)
    })
}

/// Whether a run has a checkpoint of any stage.
pub fn any(run: &RunDir) -> bool {
    let stages = fs::read_dir(run.checkpoints()).into_iter().flatten().flatten();
    stages.into_iter().any(|stage| !steps(&stage.path()).is_empty())
}

/// A digest of everything in a checkpoint.
///
/// # Errors
/// A checkpoint that is not whole.
pub fn content(dir: &Path) -> Result<String> {
    verify(dir)?;
    Ok(files::digest(&files::read_bytes(&dir.join(MARKER))?))
}

/// What a checkpoint says of itself in which nothing is missing or changed.
fn verify(dir: &Path) -> Result<CheckpointInfo> {
    const REMEDY: &str = "the checkpoint is damaged: use another one";
    let Some(marker) = Marker::<CheckpointInfo>::read(dir, REMEDY)? else {
        return Err(Error::invalid(dir.join(MARKER).display().to_string(), "no such file", REMEDY));
    };
    marker.demand_whole(dir, "it was saved", REMEDY)?;
    Ok(marker.about)
}

/// The checkpoints in a directory, oldest first.
fn steps(root: &Path) -> Vec<(usize, PathBuf)> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<(usize, PathBuf)> = entries.filter_map(|path| Some((step_of(&path)?, path))).collect();
    all.sort();
    all
}

fn step_of(path: &Path) -> Option<usize> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::policy::Family;
    use crate::policy::config::tests::tiny;
    use crate::policy::model::tests::random_policy;
    use crate::telemetry::{Meter, Silent};

    const OPTIMIZER: OptimizerConfig =
        OptimizerConfig { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.0, max_gradient_norm: 1.0 };

    /// Keeps what it is told.
    #[derive(Default)]
    struct Ear(Mutex<Vec<String>>);

    impl Progress for Ear {
        fn begin(&self, _: &str, _: &str, _: u64, _: u64) -> Box<dyn Meter> {
            Box::new(Silent)
        }

        fn tell(&self, text: &str) {
            self.0.lock().unwrap().push(text.into());
        }
    }

    fn checkpoints(root: &Path, last: usize) -> Checkpoints {
        Checkpoints { root: root.join("checkpoints/train-0"), last }
    }

    fn save(checkpoints: &Checkpoints, step: usize, best: Option<usize>) {
        let policy = random_policy(&tiny(Family::Llama, true), step as u64);
        checkpoints
            .save(step, |dir| policy.save(dir), &Optimizer::new(OPTIMIZER), &format!("note {step}"), best)
            .unwrap();
    }

    fn resume(checkpoints: &Checkpoints, ear: &Ear) -> (usize, String) {
        let fresh = || Ok(TrainState::begin(random_policy(&tiny(Family::Llama, true), 0), OPTIMIZER, &Scales::new()));
        let found = checkpoints.resume::<String>(ear, OPTIMIZER, &Scales::new(), Policy::load, fresh).unwrap();
        (found.step, found.notes)
    }

    #[test]
    fn the_newest_and_the_best_stay() {
        let home = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(home.path(), 2);
        assert_eq!(resume(&checkpoints, &Ear::default()), (0, String::new()));
        for (step, best) in [(10, None), (20, Some(20)), (30, Some(20)), (40, Some(20)), (50, Some(20))] {
            save(&checkpoints, step, best);
        }
        let there = |root: &Path| steps(root).into_iter().map(|(step, _)| step).collect::<Vec<_>>();
        assert_eq!(there(&checkpoints.root), [20, 40, 50]);
        assert_eq!(resume(&checkpoints, &Ear::default()), (50, "note 50".into()));
        fs::write(home.path().join("config.toml"), "").unwrap();
        let run = home.path().display();
        assert_eq!(named(&format!("{run}@20"), "x").unwrap(), checkpoints.root.join("step-000020"));
        let error = named(&format!("{run}@30"), "x").unwrap_err().to_string();
        assert!(error.contains("no checkpoint of step 30") && error.contains("steps 20, 40, 50"), "{error}");
        assert!(named("runs/quickstart", "x").unwrap_err().to_string().contains("runs/quickstart@200"));
        let other = Checkpoints { root: home.path().join("checkpoints/train-1"), last: 2 };
        let error = other.demand_alone().unwrap_err().to_string();
        assert!(
            error.contains("train-0: checkpoints of another fine-tuned policy") && error.contains("run.dir"),
            "{error}"
        );
        assert!(checkpoints.demand_alone().is_ok());
        assert!(Checkpoints { root: home.path().join("checkpoints/finetune-1"), last: 2 }.demand_alone().is_ok());
        checkpoints.remove().unwrap();
        assert!(named(&format!("{run}@20"), "x").unwrap_err().to_string().contains("it has none"));
    }

    #[test]
    fn a_damaged_checkpoint_is_told_of_and_the_one_before_it_is_taken() {
        let damages: [fn(&Path); 5] = [
            |dir| fs::write(dir.join("model.safetensors"), "half").unwrap(),
            |dir| fs::remove_file(dir.join(MOMENTS)).unwrap(),
            |dir| fs::write(dir.join(NOTES), "\"note 9\"").unwrap(),
            |dir| fs::remove_file(dir.join(MARKER)).unwrap(),
            |dir| fs::write(dir.join(MARKER), "{").unwrap(),
        ];
        for damage in damages {
            let home = tempfile::tempdir().unwrap();
            let (checkpoints, ear) = (checkpoints(home.path(), 3), Ear::default());
            [10, 20].into_iter().for_each(|step| save(&checkpoints, step, None));
            // Left by a process that was killed while it wrote.
            fs::create_dir(checkpoints.root.join(".tmpabc")).unwrap();
            let newest = checkpoints.root.join("step-000020");
            damage(&newest);
            assert!(TrainState::<String>::load(&newest, OPTIMIZER, &Scales::new(), Policy::load).is_err());
            assert_eq!(resume(&checkpoints, &ear), (10, "note 10".into()));
            let told = ear.0.into_inner().unwrap();
            assert!(told.len() == 1 && told[0].contains("the checkpoint is damaged"), "{told:?}");
            assert_eq!(fs::read_dir(&checkpoints.root).unwrap().count(), 1);
        }
    }

    #[test]
    fn the_newest_notes_that_are_whole_are_read_without_a_look_at_the_weights() {
        let home = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(home.path(), 9);
        let run = RunDir::at(home.path());
        assert_eq!(newest_notes::<String>(&run), None);
        [10, 20].into_iter().for_each(|step| save(&checkpoints, step, None));
        fs::remove_file(checkpoints.root.join("step-000020/model.safetensors")).unwrap();
        assert_eq!(newest_notes::<String>(&run), Some("note 20".into()));
        fs::write(checkpoints.root.join("step-000020").join(NOTES), "\"note 21\"").unwrap();
        assert_eq!(newest_notes::<String>(&run), Some("note 10".into()));
        fs::write(home.path().join("config.toml"), "").unwrap();
        assert!(matches!(origin(&format!("{}@0", home.path().display())), Ok(BranchOrigin::Tuned(..))));
        assert!(matches!(origin(&format!("{}@10", home.path().display())), Ok(BranchOrigin::Checkpoint(_))));
        assert!(origin("no/such/run@0").is_err());
    }

    #[test]
    fn the_content_is_that_of_the_files() {
        let home = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(home.path(), 2);
        let content = |step| {
            save(&checkpoints, step, None);
            content(&checkpoints.root.join(format!("step-{step:06}"))).unwrap()
        };
        let first = content(10);
        assert_eq!(content(10), first);
        assert_ne!(content(20), first);
    }
}
