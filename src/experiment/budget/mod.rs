//! What a run will take: told when its first stage of training has made a few steps, told again when reinforcement learning
//! begins, and held against what it took.

mod estimate;
mod workload;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use self::estimate::{MeasuredRates, Rate, Workload, in_words, sampling};
use self::workload::Lengths;
use super::start::Start;
use super::{Experiment, own_text};
use crate::evaluate::examiner::{self, read_seconds, workers_of};
use crate::evaluation::{Arm, StageBudget, Training};
use crate::knowledge::Set;
use crate::language::Opening;
use crate::rollout::{Request, SamplingParams};
use crate::store::stage::Stage;
use crate::{Result, files};

/// File in the run's directory.
const FILE: &str = "budget.json";
/// Below so many seconds in all there is nothing to plan.
const WORTH_TELLING: f64 = 60.0;

/// Names of stages in an estimate.
pub(crate) const FINETUNING: &str = "fine-tuning";
pub(crate) const WARMING_UP: &str = "warm-up";
const BEFORE: &str = "questions before RL";
pub(crate) const LEARNING: &str = "reinforcement learning";
const AFTER: &str = "questions after RL";

/// The stage of training in which an estimate is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrainingStage {
    Finetuning,
    WarmingUp,
    Learning,
}

/// What is known of how fast a run goes. Off, until a whole run begins: nobody plans by a part of one.
#[derive(Default)]
pub struct Budget(Mutex<Option<Known>>);

/// What was measured, and what was told.
#[derive(Default)]
struct Known {
    file: PathBuf,
    /// Of the first steps of a stage of this process.
    learned: Rate,
    /// Of whole stages that were made before.
    learned_before: Rate,
    sampled: Rate,
    lengths: Lengths,
    stages: Vec<StageBudget>,
    /// In this process.
    told: bool,
}

impl Known {
    fn learning(&self) -> Option<f64> {
        self.learned.per_second().or_else(|| self.learned_before.per_second())
    }

    /// Takes an estimate down. The first of a process counts: that is what people plan by.
    fn note(&mut self, estimated: &[(Workload, f64)]) -> Result<()> {
        if !self.told {
            self.stages.retain(|stage| stage.took.is_some());
        }
        for (stage, seconds) in estimated {
            if self.stages.iter().all(|there| there.stage != stage.name) {
                self.stages.push(StageBudget { stage: stage.name.into(), estimated: *seconds, took: None });
            }
        }
        self.told = true;
        self.write()
    }

    fn write(&self) -> Result<()> {
        files::write_json_pretty(&self.file, &self.stages)
    }
}

impl Budget {
    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A whole run begins, or goes on, in this directory.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn begin(&self, run: &Path) -> Result<()> {
        let known = Known { file: run.join(FILE), stages: estimates(run)?, ..Known::default() };
        *self.known() = Some(known);
        Ok(())
    }

    fn is_on(&self) -> bool {
        self.known().is_some()
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.known().as_mut() {
            change(known);
        }
    }

    /// A stage that learns so many tokens is done, now or before: then they were learned in its time.
    pub(crate) fn learned(&self, name: &str, tokens: usize, stage: &Stage) -> Result<()> {
        if !stage.reused {
            return self.took(name, stage);
        }
        let rate = Rate { tokens: tokens as f64, seconds: stage.seconds };
        self.change(|known| known.learned_before = rate);
        Ok(())
    }

    /// The base has written so many tokens of its own. How long that took on another day, beside other work, says nothing of
    /// today.
    pub(crate) fn wrote(&self, texts: &[own_text::WrittenText], stage: &Stage) {
        if stage.reused {
            return;
        }
        let tokens = texts.iter().map(|text| text.tokens.len() - text.given).sum::<usize>() as f64;
        self.change(|known| known.sampled = Rate { tokens, seconds: stage.seconds });
    }

    /// Questions were answered, by a policy that was trained so: how fast, and at what length.
    pub(crate) fn answered(&self, training: Training, stage: &Stage) -> Result<()> {
        let name = match training {
            Training::Documents => BEFORE,
            Training::Rl => AFTER,
            _ => return Ok(()),
        };
        if !self.is_on() {
            return Ok(());
        }
        if !stage.reused {
            self.took(name, stage)?;
        }
        let (answers, seconds) = (examiner::read(stage)?, read_seconds(stage)?);
        let mean = |arm: Arm| {
            let lengths: Vec<usize> = answers.iter().filter(|one| one.arm == arm).map(|one| one.tokens).collect();
            (!lengths.is_empty()).then(|| lengths.iter().sum::<usize>() as f64 / lengths.len() as f64)
        };
        let read: usize = answers.iter().map(|one| one.prompt_tokens).sum();
        let sampled: usize = answers.iter().map(|one| one.tokens).sum();
        let seconds: f64 = seconds.values().sum();
        self.change(|known| {
            let rate = sampling(read as f64, sampled as f64, seconds, known.learning());
            if training == Training::Documents && rate.per_second().is_some() {
                known.sampled = rate;
                known.lengths.thinking = mean(Arm::ThinkingBeforeRl).or(known.lengths.thinking);
                known.lengths.direct = mean(Arm::FineTuned).or(known.lengths.direct);
            }
        });
        Ok(())
    }

    /// A stage is done.
    pub(crate) fn took(&self, name: &str, stage: &Stage) -> Result<()> {
        let mut known = self.known();
        let Some(known) = known.as_mut() else { return Ok(()) };
        let Some(told) = known.stages.iter_mut().find(|told| told.stage == name) else { return Ok(()) };
        told.took = Some(told.took.unwrap_or(0.0) + stage.seconds);
        known.write()
    }

    /// Some steps of a stage were made: so many tokens were learned in so many seconds.
    pub(crate) fn stepped(
        &self,
        experiment: &Experiment,
        start: &Start,
        part: TrainingStage,
        seen: &FirstSteps,
    ) -> Result<()> {
        let FirstSteps { done, tokens, seconds } = *seen;
        self.change(|known| known.learned = Rate { tokens: tokens as f64, seconds });
        let due = self.known().as_ref().is_some_and(|known| !known.told);
        if due { self.tell(experiment, start, part, done) } else { Ok(()) }
    }

    /// Says how long the stages from this one on will take, of which so many steps are done.
    pub(crate) fn tell(&self, experiment: &Experiment, start: &Start, part: TrainingStage, done: usize) -> Result<()> {
        let unmeasured = self.known().as_ref().is_some_and(|known| known.sampled.per_second().is_none());
        if unmeasured {
            let measured = sample(experiment, start)?;
            self.change(|known| known.sampled = measured);
        }
        let mut known = self.known();
        let Some(known) = known.as_mut() else { return Ok(()) };
        let Some((learned, sampled)) = known.learning().zip(known.sampled.per_second()) else { return Ok(()) };
        let speed = MeasuredRates { learned, sampled };
        let stages = workload::remaining(experiment, start, part, done, known.lengths)?;
        let timed = |stage: Workload| {
            let seconds = stage.seconds(speed);
            (stage, seconds)
        };
        let estimated: Vec<(Workload, f64)> = stages.into_iter().map(timed).collect();
        if estimated.iter().map(|(_, seconds)| seconds).sum::<f64>() < WORTH_TELLING {
            return Ok(());
        }
        let again = if known.told { "still " } else { "" };
        let other = |arm: &Arm| ![Training::Documents, Training::Rl].contains(&arm.training());
        let more = if experiment.config.arms.resolved().iter().any(other) {
            "; arms that are trained in another way come on top"
        } else {
            ""
        };
        experiment.progress.tell(&format!("{again}{}{more}", in_words(&estimated)));
        known.note(&estimated)
    }
}

/// The first steps of a stage of lessons, without the very first one, which is slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstSteps {
    /// Steps that are done by now.
    pub done: usize,
    /// Tokens that were learned, in so many seconds.
    pub tokens: usize,
    pub seconds: f64,
}

/// How fast the base samples: a few short completions, which are thrown away.
fn sample(experiment: &Experiment, start: &Start) -> Result<Rate> {
    const QUESTIONS: usize = 4;
    let tokenizer = &start.base.tokenizer;
    let mut requests = Vec::new();
    for (number, question) in start.knowledge.questions(Set::A).into_iter().take(QUESTIONS).enumerate() {
        requests.push(Request {
            prompt: tokenizer.encode(&tokenizer.prompt(&[], &question.text, Opening::Think)?)?,
            samples: 8,
            sampling: SamplingParams::at(1.0),
            max_new_tokens: 16.min(experiment.longest_completion().1),
            stop: Vec::new(),
            seed: 0,
            key: [u64::MAX, number as u64],
        });
    }
    let mut pool = workers_of(experiment, start.base.policy.clone(), 0)?;
    // The first completion waits for weights to be packed.
    let first = requests.iter().take(1).map(|request| Request { samples: 1, max_new_tokens: 1, ..request.clone() });
    pool.generate(first.collect())?;
    let began = Instant::now();
    let tokens: usize = pool.generate(requests)?.iter().map(|completion| completion.tokens.len()).sum();
    Ok(Rate { tokens: tokens as f64, seconds: began.elapsed().as_secs_f64() })
}

/// What the stages of a run were estimated to take, and what they took; nothing where none was told.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn estimates(run: &Path) -> Result<Vec<StageBudget>> {
    let there =
        files::read_json_if_there(&run.join(FILE), "remove it: it only holds what stages were thought to take")?;
    Ok(there.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(seconds: f64) -> Stage {
        Stage {
            key: String::new(),
            content: String::new(),
            dir: PathBuf::new(),
            reused: false,
            taken_over: false,
            seconds,
        }
    }

    fn told(names: &[(&'static str, f64)]) -> Vec<(Workload, f64)> {
        names.iter().map(|(name, seconds)| (Workload { name, ..Workload::default() }, *seconds)).collect()
    }

    #[test]
    fn the_first_estimate_of_a_process_is_held_against_what_stages_took() {
        let home = tempfile::tempdir().unwrap();
        let budget = Budget::default();
        budget.took(FINETUNING, &stage(9.0)).unwrap();
        assert!(estimates(home.path()).unwrap().is_empty(), "it is off");
        budget.begin(home.path()).unwrap();
        budget.took(FINETUNING, &stage(9.0)).unwrap();
        let note =
            |budget: &Budget, all: &[(&'static str, f64)]| budget.known().as_mut().unwrap().note(&told(all)).unwrap();
        note(&budget, &[(FINETUNING, 100.0), (LEARNING, 300.0)]);
        budget.took(FINETUNING, &stage(110.0)).unwrap();
        note(&budget, &[(LEARNING, 350.0), (AFTER, 20.0)]);
        budget.took(AFTER, &stage(8.0)).unwrap();
        budget.took(AFTER, &stage(9.0)).unwrap();
        let row = |stage: &str, estimated, took| StageBudget { stage: stage.into(), estimated, took };
        let first = [row(FINETUNING, 100.0, Some(110.0)), row(LEARNING, 300.0, None), row(AFTER, 20.0, Some(17.0))];
        assert_eq!(estimates(home.path()).unwrap(), first);
        // A run that goes on is estimated anew, but for what is done.
        let later = Budget::default();
        later.begin(home.path()).unwrap();
        note(&later, &[(LEARNING, 120.0)]);
        let rows = [row(FINETUNING, 100.0, Some(110.0)), row(AFTER, 20.0, Some(17.0)), row(LEARNING, 120.0, None)];
        assert_eq!(estimates(home.path()).unwrap(), rows);
    }
}
