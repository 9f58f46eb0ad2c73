//! Makes a base model from scratch; and maximum likelihood on lessons, step by step, which fine-tuning has in common with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Experiment;
use super::budget::FirstSteps;
use crate::config::OptimizerKeys;
use crate::knowledge::World;
use crate::knowledge::curriculum::{Curriculum, TrainingSequence};
use crate::language::Tokenizer;
use crate::learner::supervised::Fit;
use crate::learner::{Optimizer, supervised};
use crate::policy::Policy;
use crate::random::{self, Stream};
use crate::store::checkpoint::{Checkpoints, TrainState};
use crate::store::learning::{LearningLog, LearningNotes};
use crate::store::manifest::BASE;
use crate::store::stage::Stage;
use crate::telemetry::MetricsLine;
use crate::{Error, Result, base};

/// Trains a base on the lessons of the config and gives the directory that holds it.
///
/// # Errors
/// A world that cannot be made; a gradient that is not finite; a run that is to stop.
pub fn pretrain(experiment: &Experiment) -> Result<PathBuf> {
    make(experiment).map(|stage| stage.dir)
}

/// The same as a stage.
pub(crate) fn make(experiment: &Experiment) -> Result<Stage> {
    let config = &experiment.config;
    let pretrain = &config.pretrain;
    let inputs = (&config.known, &config.model, pretrain, config.run.precision);
    experiment.cache.get_or_make(BASE, &inputs, |dir| {
        let known = config.known.known();
        let world = World::known(&known)?;
        let tokenizer = Tokenizer::from_words(world.grammar.lexicon.words())?;
        let model = Arc::new(config.model.with_vocabulary(tokenizer.size()));
        let plan = LessonPlan {
            name: "pretraining",
            stage: BASE,
            seed: pretrain.seed,
            steps: pretrain.steps(),
            tokens_per_step: pretrain.tokens_per_step,
            keys: pretrain.optimizer_keys(),
            checkpoints: Checkpoints::new(&experiment.run, BASE, &pretrain.seed.to_string(), KEPT),
            tokenizer: &tokenizer,
            told: &|_| Ok(()),
        };
        let policy = plan.teach(
            experiment,
            dir,
            || Policy::initialise(model.clone(), &pretrain.init, pretrain.seed),
            |step, random| {
                let phase = pretrain.phase(step);
                Ok(Curriculum::new(&world, &phase.cot_style).lesson(&phase.mixture, random))
            },
        )?;
        base::save(dir, &policy, &tokenizer, Some(&known))?;
        plan.checkpoints.remove()
    })
}

/// How a stage of lessons is run.
pub struct LessonPlan<'a> {
    /// Shown while it goes on.
    pub name: &'a str,
    /// What its files are called by.
    pub stage: &'a str,
    pub seed: u64,
    pub steps: usize,
    /// Lessons are added to a step until they have so many tokens.
    pub tokens_per_step: usize,
    pub keys: OptimizerKeys<'a>,
    pub checkpoints: Checkpoints,
    /// Saved beside the weights, so that other programs can use a checkpoint.
    pub tokenizer: &'a Tokenizer,
    /// Hears of the first steps, by which the whole run is estimated.
    pub(super) told: &'a dyn Fn(&FirstSteps) -> Result<()>,
}

/// Steps between two checkpoints: a minute's work of a small model.
const CHECKPOINT_EVERY: usize = 500;
/// A large one saves what it has learned after so long at the latest.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(600);
/// The newest, and the one before it should the newest be damaged.
pub const KEPT: usize = 2;
/// Steps over which the loss that is shown is averaged.
const SHOWN: f64 = 50.0;
/// Steps by which a run is estimated, the first of which is not counted.
const ESTIMATED_BY: usize = 4;

impl LessonPlan<'_> {
    /// Trains `fresh` (or goes on from a checkpoint) on what `lesson` makes for each step. What was measured goes into the
    /// directory of the stage.
    pub fn teach(
        &self,
        experiment: &Experiment,
        dir: &Path,
        fresh: impl Fn() -> Result<Policy>,
        lesson: impl Fn(usize, &mut Stream) -> Result<TrainingSequence>,
    ) -> Result<Policy> {
        let saved = |dir: &Path| Policy::saved_on(dir, &fresh);
        let (optimizer, scales) = (self.keys.optimizer(), self.keys.scales);
        let schedule = self.keys.schedule(self.steps);
        let begin = || Ok(TrainState::begin(fresh()?, optimizer, scales));
        let TrainState { step: first, policy, mut optimizer, notes } = self
            .checkpoints
            .resume::<Option<LearningNotes>>(experiment.progress.as_ref(), optimizer, scales, saved, begin)?;
        let policy = policy.with_precision(experiment.config.run.precision).on(&experiment.device)?;
        let workers = experiment.config.run.resolved_workers();
        let mut log = LearningLog::open(&experiment.run, self.stage, first as u64 + 1, notes.unwrap_or_default())?;
        let mut meter = experiment.progress.begin(self.name, "steps", first as u64, self.steps as u64);
        let mut shown: Option<f64> = None;
        let mut saved = Instant::now();
        let (mut warm, mut learned) = (Instant::now(), 0);
        for step in first..self.steps {
            let began = Instant::now();
            let mut random = random::stream(self.seed, &[step as u64]);
            let mut lessons = Vec::new();
            let mut tokens = 0;
            while tokens < self.tokens_per_step {
                let lesson = lesson(step, &mut random)?;
                tokens += lesson.tokens.len();
                lessons.push(lesson);
            }
            let rate = schedule.rate(step);
            let fit = supervised::fit(&policy, &mut optimizer, &lessons, rate, workers)?;
            if !fit.gradient_norm.is_finite() {
                let found = format!("the gradient of step {} is not finite", step + 1);
                return Err(Error::invalid(self.name, found, "lower the learning rate"));
            }
            log.add(&measured(step as u64 + 1, &fit, rate, began.elapsed().as_secs_f64()))?;
            let loss = shown.map_or(fit.loss, |shown| shown + (fit.loss - shown) / SHOWN);
            shown = Some(loss);
            meter.set(step as u64 + 1);
            meter.note(&format!("loss {loss:.3}"));
            let done = step + 1;
            if step == first {
                warm = Instant::now();
            } else if done <= first + ESTIMATED_BY {
                learned += fit.tokens;
                if done == self.steps.min(first + ESTIMATED_BY) {
                    (self.told)(&FirstSteps { done, tokens: learned, seconds: warm.elapsed().as_secs_f64() })?;
                }
            }
            self.keep(experiment, step + 1, &policy, &optimizer, &log, &mut saved)?;
        }
        log.save(dir, self.stage)?;
        Ok(policy)
    }

    /// Saves a checkpoint where it is time for one.
    fn keep(
        &self,
        experiment: &Experiment,
        done: usize,
        policy: &Policy,
        optimizer: &Optimizer,
        log: &LearningLog,
        saved: &mut Instant,
    ) -> Result<()> {
        let due = done.is_multiple_of(CHECKPOINT_EVERY) || saved.elapsed() >= CHECKPOINT_AFTER;
        if done < self.steps && (due || experiment.interrupt.requested()) {
            let save = |dir: &Path| base::save(dir, policy, self.tokenizer, None);
            self.checkpoints.save(done, save, optimizer, log.notes(), None)?;
            *saved = Instant::now();
        }
        experiment
            .interrupt
            .check(&format!("{} is saved at step {done}; the same command goes on from there", self.name))
    }
}

/// What a step says of itself.
fn measured(step: u64, fit: &Fit, rate: f64, seconds: f64) -> MetricsLine {
    let named = |all: &[(&str, f64)]| {
        all.iter().map(|(name, value)| ((*name).to_owned(), value.is_finite().then_some(*value))).collect()
    };
    let values =
        [("loss", fit.loss), ("grad_norm", fit.gradient_norm), ("learning_rate", rate), ("tokens", fit.tokens as f64)];
    let time = [("step_time", seconds), ("tokens_per_second", fit.tokens as f64 / seconds.max(1e-9))];
    MetricsLine { step, values: named(&values), time: named(&time) }
}
