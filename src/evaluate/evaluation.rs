//! Measures every arm on the same questions.

use std::path::{Path, PathBuf};

use super::cost::{self, Spent};
use super::examiner::{Examined, OpenPool, Respondent, read_seconds, workers};
use super::forgetting::Forgetting;
use super::made_run::MadeRun;
use super::measuring::{Measuring, Substitute};
use super::prompts::has_passages;
use super::{leaks, likelihood, trainings};
use crate::Result;
use crate::config::Config;
use crate::evaluation::{Arm, PromptMode, Touched, Training};
use crate::experiment::Experiment;
use crate::experiment::finetune::{self, FINETUNE, learn_documents};
use crate::experiment::start::Start;
use crate::rl::train::{self, TRAIN, reinforce};
use crate::store::manifest::Manifest;
use crate::store::stage::Stage;
use crate::telemetry::machine;

/// Standard arms that one stage asks together, by the policy that answers. Those that answer from the thoughts of another
/// arm stand behind it.
const BEFORE: [Arm; 3] = [Arm::FineTuned, Arm::ThinkingBeforeRl, Arm::InContext];
const AFTER: [Arm; 4] = [Arm::AfterRl, Arm::SwappedTraces, Arm::DirectAfterRl, Arm::InContextAfterRl];

/// Measures the arms that the config of an experiment asks for, and makes first what they need.
///
/// # Errors
/// Whatever ends a stage that it needs; a leak of what is asked about B.
pub fn evaluate(experiment: &Experiment) -> Result<()> {
    measure(experiment, experiment, None, None)
}

/// Measures as asked for: by the policies that the run has, which are taken as they are. Nothing is trained that it has,
/// or that no arm asks for.
///
/// # Errors
/// As those of [`evaluate`].
pub fn eval(experiment: &Experiment, measuring: &Measuring) -> Result<()> {
    let trainer = measuring.trainer(experiment)?;
    let trainer = trainer.as_ref().unwrap_or(experiment);
    measure(experiment, trainer, measuring.run.as_ref(), measuring.substitute.as_ref())
}

/// `trainer` trains what `run` does not have; `substitute` answers in place of the policy after reinforcement learning.
fn measure(
    experiment: &Experiment,
    trainer: &Experiment,
    run: Option<&MadeRun>,
    substitute: Option<&Substitute>,
) -> Result<()> {
    let asked = experiment.config.arms.resolved();
    asked.iter().try_for_each(|arm| trainings::check(&experiment.config, arm.training()))?;
    let start = run.map_or_else(|| Start::new(trainer), |run| run.start(trainer))?;
    // A checkpoint that cannot be read is better known before an hour of fine-tuning than after it.
    let opened = || substitute.map(|Substitute { dir, .. }| start.with_base(&experiment.config, dir)).transpose();
    opened()?;
    let trains = Trains::new(trainer, run);
    if run.is_none_or(|run| run.manifest.stages.is_empty()) {
        start.record(trainer)?;
    }
    let tuned = trains.found_or_made(FINETUNE, || learn_documents(trainer, &start))?;
    let mut evaluation = Evaluation::begin(experiment, &start, trains);
    start.note(&mut evaluation.manifest);
    evaluation.manifest.add(FINETUNE, &tuned);
    let parameters = start.base.policy.config.parameter_count();
    let documents = cost::of_documents(&experiment.config, parameters);
    evaluation.put(&workers, &start, Training::Documents, Examined::new(&tuned, 0), documents)?;
    let mut forgetting = Forgetting::begin(experiment, &start, &mut evaluation.manifest)?;
    forgetting.measure_and_tell("fine-tuned", Examined::new(&tuned, 0), &mut evaluation.manifest)?;
    if evaluation.asks(Training::Rl) {
        let steps = experiment.config.train.steps as u64;
        match opened()?.zip(substitute) {
            Some(((own, content), Substitute { dir, step })) => {
                evaluation.manifest.touched = if step.is_some() { Touched::Never } else { touched(dir, &start)? };
                let policy = Examined::base(&content, step.unwrap_or(steps));
                evaluation.put(&workers, &own, Training::Rl, policy, Spent::default())?;
            }
            None => {
                let trained = evaluation.trains.found_or_made(TRAIN, || reinforce(trainer, &start, &tuned))?;
                match run {
                    Some(run) => leaks::check_rollouts(&run.dir()?, &start)?,
                    None => leaks::check_rollouts(&trainer.run, &start)?,
                }
                evaluation.manifest.add(TRAIN, &trained);
                let spent = documents.plus(cost::of_reinforcement(experiment, &start, &trained)?);
                let policy = Examined::new(&trained, steps);
                evaluation.put(&workers, &start, Training::Rl, policy, spent)?;
                forgetting.measure_and_tell("after RL", policy, &mut evaluation.manifest)?;
            }
        }
    }
    for training in Training::ALL {
        if ![Training::Documents, Training::Rl].contains(&training) && evaluation.asks(training) {
            evaluation.train_and_put(&start, training)?;
        }
    }
    evaluation.finish()
}

/// What reinforcement learning has asked a checkpoint of: the set A of its run, if that is a run of the same world.
fn touched(checkpoint: &Path, start: &Start) -> Result<Touched> {
    let run = MadeRun::around(checkpoint)?;
    Ok(if run.is_some_and(|run| run.is_of(start)) { Touched::Never } else { Touched::Unknown })
}

/// Where policies come from: what a run has written down, and what it would train.
pub(crate) struct Trains {
    root: PathBuf,
    config: Config,
    made: Manifest,
}

impl Trains {
    /// Those of a run that is there, or of one that begins.
    fn new(trainer: &Experiment, run: Option<&MadeRun>) -> Trains {
        match run {
            Some(run) => Trains { root: run.root.clone(), config: run.settled_config(), made: run.manifest.clone() },
            None => Trains::begun(trainer),
        }
    }

    /// Those of a run that has written nothing down: its stages know what they were made from.
    pub fn begun(trainer: &Experiment) -> Trains {
        let root = trainer.run.root().to_path_buf();
        Trains { root, config: trainer.config.clone(), made: Manifest::default() }
    }

    /// The stage that the run has, or the one that is made now, which is written down.
    fn found_or_made(&self, name: &str, make: impl FnOnce() -> Result<Stage>) -> Result<Stage> {
        if let Some(stage) = self.made.find(name)? {
            return Ok(stage);
        }
        let stage = make()?;
        Manifest::record(&self.root, name, &stage)?;
        Ok(stage)
    }
}

/// An evaluation that is under way.
pub(crate) struct Evaluation<'a> {
    experiment: &'a Experiment,
    arms: Vec<Arm>,
    trains: Trains,
    pub manifest: Manifest,
}

impl<'a> Evaluation<'a> {
    pub fn begin(experiment: &'a Experiment, start: &Start, trains: Trains) -> Self {
        let asked = experiment.config.arms.resolved();
        let (arms, without): (Vec<Arm>, Vec<Arm>) =
            asked.into_iter().partition(|arm| has_passages(&start.knowledge, *arm));
        if !without.is_empty() {
            let labels: Vec<&str> = without.into_iter().map(Arm::label).collect();
            let words =
                format!("not asked, because there are no documents to put into a prompt: {}", labels.join(", "));
            experiment.progress.tell(&words);
        }
        let manifest = Manifest {
            model_parameters: start.base.policy.config.parameter_count() as u64,
            hardware: machine::describe(),
            arms: arms.clone(),
            duplicates: start.knowledge.duplicates(),
            ..Manifest::default()
        };
        Self { experiment, arms, trains, manifest }
    }

    /// Whether an arm is asked for that this training is needed for.
    pub fn asks(&self, training: Training) -> bool {
        self.arms.iter().any(|arm| arm.training() == training)
    }

    /// Trains a policy in another way than the run, unless there is one, and puts all questions to it.
    fn train_and_put(&mut self, of_run: &Start, training: Training) -> Result<()> {
        let asked: Vec<&str> =
            self.arms.iter().filter(|arm| arm.training() == training).map(|arm| arm.label()).collect();
        let name = asked.join(", ");
        let Trains { root, config, .. } = &self.trains;
        let child = trainings::experiment(self.experiment, root, config, training)?;
        let start = Start::on(&child, of_run.made.clone(), &child.run)?;
        let made = MadeRun::at(child.run.root())?;
        let trains = Trains::new(&child, made.as_ref());
        let tell = |what: &str, there: Option<Stage>| {
            if there.is_none() {
                self.experiment.progress.tell(&format!("for the arm {name} a policy of its own is {what} first:"));
            }
        };
        let mut policy = trains.found_or_made(FINETUNE, || {
            tell("fine-tuned", finetune::find(&child, &start)?);
            learn_documents(&child, &start)
        })?;
        let mut spent = cost::of_documents(&child.config, start.base.policy.config.parameter_count());
        self.manifest.add_new(&format!("finetune for {name}"), &policy);
        let mut step = 0;
        if trainings::reinforces(training) {
            let tuned = policy;
            policy = trains.found_or_made(TRAIN, || {
                tell(
                    "trained by reinforcement learning",
                    child.cache.find(TRAIN, &train::inputs(&child, &start, &tuned)?)?,
                );
                reinforce(&child, &start, &tuned)
            })?;
            leaks::check_rollouts(&child.run, &start)?;
            spent = spent.plus(cost::of_reinforcement(&child, &start, &policy)?);
            step = child.config.train.steps as u64;
            self.manifest.add_new(&format!("train for {name}"), &policy);
        }
        self.put(&workers, &start, training, Examined::new(&policy, step), spent)
    }

    /// Puts all questions to a policy, in all arms that are asked for and that it answers in.
    /// `open_pool` starts what answers.
    pub fn put(
        &mut self,
        open_pool: OpenPool,
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
        let together: Vec<Arm> = together.iter().copied().filter(|arm| has_passages(&start.knowledge, *arm)).collect();
        let of_thoughts = |arm: &Arm| matches!(arm.way(), PromptMode::Filler(_));
        let experiment = self.experiment;
        let (config, mut respondent) = (&experiment.config, Respondent::new(experiment, start, policy, open_pool));
        let mut earlier: Option<Stage> = None;
        if wanted.iter().any(|arm| together.contains(arm) || of_thoughts(arm)) {
            let inputs = (policy.content, &start.digest, config.evaluation.asking(), &together);
            let stage = respondent.examine(name, &inputs, name, &together, None)?;
            self.note(start, name, policy, &stage, spent)?;
            experiment.budget.answered(training, &stage)?;
            earlier = Some(stage);
        }
        for arm in wanted.iter().filter(|arm| !together.contains(arm)) {
            let from = earlier.as_ref().filter(|_| of_thoughts(arm)).map(|stage| &stage.content);
            let asking = config.evaluation.asking();
            let inputs = (policy.content, &start.digest, asking, arm, config.arms.passages, from);
            let stage = respondent.examine(&format!("arm-{arm}"), &inputs, arm.name(), &[*arm], earlier.as_ref())?;
            self.note(start, &format!("arm {arm}"), policy, &stage, spent)?;
            experiment.budget.answered(training, &stage)?;
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
        for (arm, seconds) in read_seconds(stage)? {
            self.manifest.seconds.insert(arm, seconds);
            self.manifest.training_flops.extend(spent.flops().map(|flops| (arm, flops)));
        }
        Ok(())
    }

    /// Writes down what the evaluation consists of, unless the same stands there.
    pub fn finish(mut self) -> Result<()> {
        let root = self.experiment.run.root();
        if Manifest::at(root)?.is_some_and(|there| there.tells_the_same(&self.manifest)) {
            return Ok(());
        }
        self.manifest.peak_memory = machine::peak_resident();
        self.manifest.write(root)
    }
}
