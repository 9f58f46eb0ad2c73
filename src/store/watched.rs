//! A run as its files show it, whether it goes on, has been stopped or is over. Nothing is written and nothing is
//! locked: a run does not notice that it is watched.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::RunDir;
use super::history::{self, Damaged};
use crate::config::Config;
use crate::evaluation::ArmResult;
use crate::reward::Record;
use crate::telemetry::{MetricsLine, MetricsTail};
use crate::{Error, Result, files};

/// What is known of a run so far.
pub struct WatchedRun {
    run: RunDir,
    pub config: Config,
    metrics: MetricsTail,
    /// Every step of reinforcement learning that is done, with its number.
    pub lines: Vec<MetricsLine>,
    /// The stage before it that has gone on last, if there is one.
    pub learning: Option<WatchedStage>,
    /// The evaluations on the way, oldest first.
    pub evaluations: Vec<ArmResult>,
    /// The completions of the last step.
    pub rollouts: Vec<Record>,
    /// Files of what is shown that were not what they were when they were written, when the run was first looked at.
    pub damage: Vec<Damaged>,
}

/// A stage that learns from texts.
pub struct WatchedStage {
    /// As in `learning/<stage>.jsonl`.
    pub name: &'static str,
    metrics: MetricsTail,
    pub lines: Vec<MetricsLine>,
}

/// The stages that learn from texts, in their order, and what they are called.
const STAGES: [(&str, &str); 3] = [("base", "pretraining"), ("finetune", "fine-tuning"), ("warmup", "warm-up")];

impl WatchedStage {
    /// What people call it.
    pub fn words(&self) -> &'static str {
        STAGES.iter().find(|(name, _)| *name == self.name).map_or("learning", |(_, words)| words)
    }

    /// How many steps a config gives it.
    pub fn steps(&self, config: &Config) -> u64 {
        let steps = match self.name {
            "base" => config.pretrain.steps(),
            "warmup" => config.warmup.as_ref().map_or(0, |warmup| warmup.steps),
            _ => config.finetune.steps,
        };
        steps as u64
    }
}

impl WatchedRun {
    /// Looks at a run directory for the first time. That of several seeds is refused: each has its own.
    ///
    /// # Errors
    /// A directory that is no run, or one of several seeds; a file that cannot be read.
    pub fn open(root: &Path) -> Result<WatchedRun> {
        let (run, config) = RunDir::read(root)?;
        run.demand_one(&config)?;
        let metrics = MetricsTail::new(&run.metrics());
        let damage = Vec::new();
        let (lines, evaluations, rollouts) = (Vec::new(), Vec::new(), Vec::new());
        let learning = None;
        let mut watched = WatchedRun { run, config, metrics, lines, learning, evaluations, rollouts, damage };
        watched.poll()?;
        watched.damage = history::damage_to_shown(&watched.run, watched.step())?;
        Ok(watched)
    }

    /// Reads what is new. Whether there is something new.
    ///
    /// # Errors
    /// A file that cannot be read, or that no run has written.
    pub fn poll(&mut self) -> Result<bool> {
        let before = if self.lines.is_empty() { self.poll_learning()? } else { false };
        if !self.metrics.read(&mut self.lines)? {
            return Ok(before);
        }
        let written = files::read_json_if_there(&self.run.evaluations(), "the run writes it: run it again")?;
        self.evaluations = written.unwrap_or_default();
        if let Some(step) = self.step() {
            // A run that is taken up again may just be writing it anew: then the last one is shown for longer.
            match files::read_jsonl(&self.run.rollouts(step as usize), "a rollout", "") {
                Err(Error::Io { .. }) => {}
                records => self.rollouts = records.unwrap_or_default(),
            }
        }
        Ok(true)
    }

    /// Reads what is new of the stage that goes on before reinforcement learning: the last of those that have begun.
    fn poll_learning(&mut self) -> Result<bool> {
        let begun = STAGES.iter().rev().find(|(name, _)| self.run.learning(name).exists());
        let Some((name, _)) = begun else { return Ok(false) };
        if self.learning.as_ref().is_none_or(|stage| stage.name != *name) {
            let metrics = MetricsTail::new(&self.run.learning(name));
            self.learning = Some(WatchedStage { name, metrics, lines: Vec::new() });
        }
        let Some(stage) = &mut self.learning else { return Ok(false) };
        stage.metrics.read(&mut stage.lines)
    }

    /// The steps that are looked at: those of reinforcement learning, or before it those of the stage that goes on.
    fn shown(&self) -> &[MetricsLine] {
        match &self.learning {
            Some(stage) if self.lines.is_empty() => &stage.lines,
            _ => &self.lines,
        }
    }

    pub fn root(&self) -> &Path {
        self.run.root()
    }

    /// The last step that is done.
    pub fn step(&self) -> Option<u64> {
        self.lines.last().map(|line| line.step)
    }

    /// The run has its report, and was not given more steps since.
    pub fn finished(&self) -> bool {
        let done = self.step().is_none_or(|step| step >= self.config.train.steps as u64);
        done && self.run.report_json().exists()
    }

    /// How long ago the last step ended, where the clocks agree.
    pub fn idle(&self) -> Option<Duration> {
        let stage = self.learning.as_ref().filter(|_| self.lines.is_empty());
        let path = stage.map_or(self.run.metrics(), |stage| self.run.learning(stage.name));
        let written = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
        SystemTime::now().duration_since(written).ok()
    }

    /// A metric over all steps that have it, times among them under `time/`.
    pub fn curve(&self, name: &str) -> Vec<(f64, f64)> {
        let time = name.strip_prefix("time/");
        let value = |line: &MetricsLine| match time {
            Some(short) => line.time.get(short).copied().flatten(),
            None => line.values.get(name).copied().flatten(),
        };
        self.shown().iter().filter_map(|line| Some((line.step as f64, value(line)?))).collect()
    }

    /// The newest value of a metric.
    pub fn newest(&self, name: &str) -> Option<f64> {
        self.curve(name).last().map(|(_, value)| *value)
    }

    /// The names of all metrics that any step has.
    pub fn names_of_any_step(&self) -> BTreeSet<String> {
        self.shown().iter().flat_map(|line| line.values.keys().cloned()).collect()
    }

    /// The names of all metrics that the last step has.
    pub fn names(&self) -> Vec<String> {
        self.shown().last().map_or(Vec::new(), |line| line.finite().map(|(name, _)| name.into_owned()).collect())
    }
}
