//! An actor that panics in the middle of a run: the run ends at once with a line that names it, keeps every rollout that
//! was finished, and goes on from there to what an undisturbed run leaves.

#[path = "../../tests/support/left.rs"]
mod left;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::train;
use crate::Result;
use crate::config::Config;
use crate::exchange::{Actors, PartialRollouts, Sampler, Threads, WorkerPool};
use crate::experiment::Experiment;
use crate::interrupt::Interrupt;
use crate::policy::Policy;
use crate::rollout::{Completion, CpuEngine, Engine, Job, Limits, PartialCompletion, Published, slots};
use crate::telemetry::Silent;
use left::{left_by, same};

/// Completions of a step.
const ROLLOUTS: usize = 24;
/// The step whose rollouts are being sampled when somebody panics, from 0.
const FATAL: usize = 3;

/// Two engines; either of them may have a step at which it panics.
#[derive(Clone, Default)]
struct TwoEngines {
    fatal: Option<usize>,
    /// Completions that were asked for, by step.
    asked: Arc<Mutex<BTreeMap<usize, usize>>>,
}

struct Engineer {
    engine: CpuEngine,
    watched: TwoEngines,
    /// Completions of the fatal step that it has handed in.
    done: usize,
    /// It is at that step.
    close: bool,
}

impl Actors for TwoEngines {
    fn pool(&self, _: Option<usize>, policy: &Policy) -> Result<WorkerPool> {
        let limits = Limits { max_tokens: policy.config.longest_sequence(), vocab_size: policy.config.vocab_size };
        let engineer = |_| -> Result<Engineer> {
            let engine = Engine::new(&policy.config, slots(&policy.config), limits.max_tokens)?;
            Ok(Engineer { engine, watched: self.clone(), done: 0, close: false })
        };
        WorkerPool::with_samplers((0..2).map(engineer).collect::<Result<_>>()?, limits)
    }
}

impl Sampler for Engineer {
    fn load(&mut self, weights: Published) -> Result<()> {
        Sampler::load(&mut self.engine, weights)
    }

    fn has_room(&self) -> bool {
        self.engine.has_room()
    }

    fn is_idle(&self) -> bool {
        self.engine.is_idle()
    }

    fn take(&mut self, job: Job) -> Result<()> {
        let step = job.request.key[0] as usize;
        *self.watched.asked.lock().unwrap().entry(step).or_default() += job.begun.len();
        self.close |= self.watched.fatal == Some(step);
        self.engine.take(job)
    }

    fn step(&mut self) -> Result<()> {
        assert!(self.done == 0, "the roof is on fire");
        self.engine.step()
    }

    fn finished(&mut self) -> Vec<Completion> {
        let finished = self.engine.finished();
        self.done += if self.close { finished.len() } else { 0 };
        finished
    }

    fn begun(&self) -> Vec<PartialCompletion> {
        self.engine.begun()
    }

    fn clear(&mut self) {
        self.engine.clear();
    }
}

/// Trains in `home/name`.
fn trained(home: &Path, name: &str, staleness: usize, actors: Arc<dyn Actors>) -> Result<()> {
    fs::write(home.join("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
    let mut set: Vec<String> = [
        "finetune.steps=2",
        "finetune.tokens_per_step=256",
        "train.steps=6",
        "train.questions_per_step=6",
        "train.group_size=4",
        "train.max_new_tokens=48",
        "train.replay_tokens=128",
        "train.evaluate_every=0",
        "train.checkpoint_every=0",
        "train.algorithm.tis_cap=2.0",
        "run.workers=2",
    ]
    .map(str::to_owned)
    .to_vec();
    set.push(format!("train.max_off_policy_steps={staleness}"));
    set.push(format!("train.reward={}", home.join("reward.toml").display()));
    set.push(format!("run.dir={}", home.join(name).display()));
    let config = Config::parse("", "tiny", "tiny", &set)?;
    let experiment = Experiment::open(config, Interrupt::default(), Box::new(Silent))?;
    train(&Experiment { actors, ..experiment }).map(drop)
}

/// What the newest checkpoint of a run keeps of steps that are not done.
fn kept(run: &Path) -> BTreeMap<usize, PartialRollouts> {
    let inside = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let stages = inside(&run.join("checkpoints"));
    let newest = stages.iter().flat_map(|stage| inside(stage)).max_by_key(|dir| dir.file_name().map(ToOwned::to_owned));
    let notes: serde_json::Value =
        serde_json::from_slice(&fs::read(newest.unwrap().join("notes.json")).unwrap()).unwrap();
    serde_json::from_value(notes["underway"].clone()).unwrap()
}

/// A run in which an actor panics, and that goes on with what was kept.
fn panics_and_goes_on(home: &Path, name: &str, staleness: usize) {
    let fragile = TwoEngines { fatal: Some(FATAL), ..TwoEngines::default() };
    let began = Instant::now();
    let message = trained(home, name, staleness, Arc::new(fragile)).unwrap_err().to_string();
    assert!(began.elapsed() < Duration::from_secs(60), "it was waited for");
    let words = ["rollout worker ", "panicked (the roof is on fire)", "the same command goes on from what is saved"];
    assert!(words.iter().all(|words| message.contains(words)) && !message.contains('\n'), "{message}");

    let run = home.join(name);
    let kept = kept(&run);
    assert!(!kept[&FATAL].finished.is_empty(), "{kept:?}");
    let there = |step: usize| run.join(format!("rollouts/step-{step:06}.jsonl")).exists();
    let done = (1..).take_while(|step| there(*step)).count();
    assert!((FATAL.saturating_sub(staleness)..=FATAL).contains(&done), "{done} steps were done");

    let watched = TwoEngines::default();
    trained(home, name, staleness, Arc::new(watched.clone())).unwrap();
    let asked = watched.asked.lock().unwrap_or_else(PoisonError::into_inner);
    for step in 0..6 {
        // None that was finished is sampled twice.
        let finished = kept.get(&step).map_or(0, |underway| underway.finished.len());
        let missing = if step < done { 0 } else { ROLLOUTS - finished };
        assert_eq!(asked.get(&step).copied().unwrap_or_default(), missing, "step {step} of {done} done: {kept:?}");
    }
}

#[test]
fn an_actor_that_panics_costs_no_finished_rollout_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    trained(home.path(), "alone", 0, Arc::new(Threads)).unwrap();
    let expected = left_by(&home.path().join("alone"));
    let metrics = String::from_utf8_lossy(&expected["metrics.jsonl"]);
    assert!(metrics.lines().count() == 6 && metrics.contains("\"loss\""), "{metrics}");
    panics_and_goes_on(home.path(), "hurt", 0);
    same(&expected, &left_by(&home.path().join("hurt")), "after a panic");
}

#[test]
fn nor_does_one_that_samples_ahead_of_the_learner() {
    let home = tempfile::tempdir().unwrap();
    panics_and_goes_on(home.path(), "hurt", 2);
    assert_eq!(left_by(&home.path().join("hurt")).keys().filter(|name| name.starts_with("step-")).count(), 6);
}
