//! Measures every arm on the same questions.

use std::path::Path;

use super::Start;
use super::cost::{self, Spent};
use super::examine::{Examined, Sampling, examine, examine_further, read_seconds, workers};
use super::finetune::learn_documents;
use super::leaks;
use super::likelihood;
use super::train::reinforce;
use super::trainings;
use crate::Result;
use crate::evaluation::{Arm, Training, Way};
use crate::experiment::Experiment;
use crate::experiment::manifest::Manifest;
use crate::experiment::stage::Stage;
use crate::telemetry::{hardware, memory};

/// Standard arms that one stage asks together, by the policy that answers. Those that answer from the thoughts of another
/// arm stand behind it.
const BEFORE: [Arm; 3] = [Arm::FineTuned, Arm::ThinkingBeforeRl, Arm::InContext];
const AFTER: [Arm; 4] = [Arm::AfterRl, Arm::SwappedTraces, Arm::DirectAfterRl, Arm::InContextAfterRl];

/// Measures the arms that the config asks for; `checkpoint` stands for the policy that reinforcement learning gives, if it
/// is named. Nothing is trained that no arm asks for.
pub fn eval(experiment: &Experiment, checkpoint: Option<&Path>) -> Result<()> {
    let asked = experiment.config.arms.resolved();
    asked.iter().try_for_each(|arm| trainings::check(&experiment.config, arm.training()))?;
    let start = Start::new(experiment)?;
    // A checkpoint that cannot be read is better known before an hour of fine-tuning than after it.
    let opened = || checkpoint.map(|dir| start.with_base(&experiment.config, dir)).transpose();
    opened()?;
    let tuned = learn_documents(experiment, &start)?;
    let mut evaluation = Evaluation::begin(experiment, &start);
    evaluation.manifest.digests.insert("base and world".into(), start.digest.clone());
    evaluation.manifest.add("finetune", &tuned);
    let parameters = start.base.policy.config.parameter_count();
    let documents = cost::of_documents(&experiment.config, parameters);
    evaluation.put(&workers, &start, Training::Documents, Examined::of(&tuned, 0), documents)?;
    if evaluation.asks(Training::Rl) {
        let step = experiment.config.train.steps as u64;
        match opened()? {
            Some((start, content)) => {
                evaluation.put(&workers, &start, Training::Rl, Examined::base(&content, step), Spent::default())?;
            }
            None => {
                let trained = reinforce(experiment, &start, &tuned)?;
                leaks::check_rollouts(experiment, &start)?;
                evaluation.manifest.add("train", &trained);
                let spent = documents.plus(cost::of_reinforcement(experiment, &start, &trained)?);
                evaluation.put(&workers, &start, Training::Rl, Examined::of(&trained, step), spent)?;
            }
        }
    }
    for training in Training::ALL {
        if ![Training::Documents, Training::Rl].contains(&training) && evaluation.asks(training) {
            evaluation.train_and_put(training)?;
        }
    }
    evaluation.finish()
}

/// An evaluation that is under way.
pub(super) struct Evaluation<'a> {
    experiment: &'a Experiment,
    arms: Vec<Arm>,
    pub manifest: Manifest,
}

impl<'a> Evaluation<'a> {
    pub fn begin(experiment: &'a Experiment, start: &Start) -> Self {
        let arms = experiment.config.arms.resolved();
        let manifest = Manifest {
            model_parameters: start.base.policy.config.parameter_count() as u64,
            hardware: hardware::describe(),
            arms: arms.clone(),
            ..Manifest::default()
        };
        Self { experiment, arms, manifest }
    }

    /// Whether an arm is asked for that this training is needed for.
    pub fn asks(&self, training: Training) -> bool {
        self.arms.iter().any(|arm| arm.training() == training)
    }

    /// Trains a policy in another way than the run, and puts all questions to it.
    fn train_and_put(&mut self, training: Training) -> Result<()> {
        let asked: Vec<&str> =
            self.arms.iter().filter(|arm| arm.training() == training).map(|arm| arm.label()).collect();
        self.experiment.progress.tell(&format!("for the arm {}:", asked.join(", ")));
        let child = trainings::experiment(self.experiment, training)?;
        let start = Start::new(&child)?;
        let name = asked.join(", ");
        let mut policy = learn_documents(&child, &start)?;
        let mut spent = cost::of_documents(&child.config, start.base.policy.config.parameter_count());
        self.manifest.add_new(&format!("finetune for {name}"), &policy);
        let mut step = 0;
        if trainings::reinforces(training) {
            policy = reinforce(&child, &start, &policy)?;
            leaks::check_rollouts(&child, &start)?;
            spent = spent.plus(cost::of_reinforcement(&child, &start, &policy)?);
            step = child.config.train.steps as u64;
            self.manifest.add_new(&format!("train for {name}"), &policy);
        }
        self.put(&workers, &start, training, Examined::of(&policy, step), spent)
    }

    /// Puts all questions to a policy, in all arms that are asked for and that it answers in.
    /// `sampling` starts what answers.
    pub fn put(
        &mut self,
        sampling: Sampling,
        start: &Start,
        training: Training,
        policy: Examined,
        spent: Spent,
    ) -> Result<()> {
        let wanted: Vec<Arm> = self.arms.iter().copied().filter(|arm| arm.training() == training).collect();
        let (name, together) = match training {
            Training::Documents => ("baseline", &BEFORE[..]),
            Training::Rl => ("evaluation", &AFTER[..]),
            _ => ("", &[][..]),
        };
        let of_thoughts = |arm: &Arm| matches!(arm.way(), Way::Filler(_));
        let mut earlier = None;
        if wanted.iter().any(|arm| together.contains(arm) || of_thoughts(arm)) {
            let stage = examine(sampling, self.experiment, start, name, together, policy)?;
            self.note(start, name, policy, &stage, spent)?;
            earlier = Some(stage);
        }
        for arm in wanted.iter().filter(|arm| !together.contains(arm)) {
            let stage = examine_further(sampling, self.experiment, start, *arm, policy, earlier.as_ref())?;
            self.note(start, &format!("arm {arm}"), policy, &stage, spent)?;
        }
        Ok(())
    }

    fn note(&mut self, start: &Start, name: &str, policy: Examined, stage: &Stage, spent: Spent) -> Result<()> {
        self.manifest.add(name, stage);
        self.manifest.answers.push(name.into());
        if self.experiment.config.arms.likelihood {
            let name = name.trim_start_matches("arm ");
            let choices = likelihood::score(self.experiment, start, name, policy, stage)?;
            let name = format!("choices {name}");
            self.manifest.add(&name, &choices);
            self.manifest.choices.push(name);
        }
        for (arm, seconds) in read_seconds(&stage.dir)? {
            self.manifest.seconds.insert(arm, seconds);
            self.manifest.training_flops.extend(spent.flops().map(|flops| (arm, flops)));
        }
        Ok(())
    }

    /// Writes down what the evaluation consists of.
    pub fn finish(mut self) -> Result<()> {
        self.manifest.peak_memory = memory::peak_resident();
        self.manifest.write(self.experiment.run.root())
    }
}
