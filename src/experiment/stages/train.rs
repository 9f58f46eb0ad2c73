//! Reinforcement learning on the questions of A: sample, judge, learn, step by step.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use metrics::gauge;
use serde::{Deserialize, Serialize};

use super::Start;
use super::ahead::Ahead;
use super::batch::Sampling;
use super::examine::{Examiner, on_the_way};
use super::finetune::{FINETUNE, learn_documents};
use super::judging::Judge;
use super::update::Updating;
use crate::evaluation::{ArmResult, Curves, TrainingPoint};
use crate::exchange::{Ticket, Underway};
use crate::experiment::alarm::Alarm;
use crate::experiment::base::Saved;
use crate::experiment::config::{RunConfig, TrainConfig};
use crate::experiment::course::{self, Checkpoints, Origin, Progressed};
use crate::experiment::health::Health;
use crate::experiment::history::{self, Damaged, History};
use crate::experiment::inputs::RunInputs;
use crate::experiment::live_reward::{LiveReward, RewardNote};
use crate::experiment::manifest::Manifest;
use crate::experiment::resources::{self, Left, Resources};
use crate::experiment::stage::Stage;
use crate::experiment::{Config, Experiment, RunDir, base, rollouts};
use crate::knowledge::{Division, Set};
use crate::language::tokenizer::END_THINK;
use crate::learner::{Advantage, Algorithm, GradientOn, Optimizer, OptimizerConfig, Penalty, Ratio, Scales, Schedule};
use crate::policy::{Policy, value_head};
use crate::rollout::Completion;
use crate::telemetry::{self, JsonlRecorder, TensorBoard};
use crate::{Error, Result, files};

/// What training remembers beside weights and moments.
#[derive(Default, Serialize, Deserialize)]
struct Notes {
    /// What was written on the way.
    #[serde(default)]
    history: History,
    #[serde(default)]
    reward: RewardNote,
    #[serde(default)]
    alarm: Alarm,
    /// The evaluated step with the most right answers about A, and their share.
    #[serde(default)]
    best: Option<(usize, f64)>,
    /// Content of the fine-tuned policy that all began with.
    tuned: String,
    #[serde(default)]
    health: Health,
    /// Rollouts of the steps to come, and of one that was broken off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    underway: BTreeMap<usize, Underway>,
}

/// Name of the stage.
pub(super) const TRAIN: &str = "train";
/// File in the stage's directory that holds the learning curves.
const CURVES: &str = "curves.json";

/// Trains the fine-tuned policy and gives the stage that holds the result.
pub fn train(experiment: &Experiment) -> Result<Stage> {
    let start = Start::new(experiment)?;
    let tuned = learn_documents(experiment, &start)?;
    start.record(experiment)?;
    Manifest::record(experiment.run.root(), FINETUNE, &tuned)?;
    let trained = reinforce(experiment, &start, &tuned)?;
    Manifest::record(experiment.run.root(), TRAIN, &trained)?;
    Ok(trained)
}

/// What the trained policy depends on.
pub(super) fn inputs<'a>(
    experiment: &'a Experiment,
    start: &'a Start,
    tuned: &'a Stage,
) -> Result<impl Serialize + 'a> {
    let config = &experiment.config;
    // A reward that may change on the way is known by the name of its file alone, any other by what it pays; a checkpoint
    // is known by its content.
    let mut train = config.train.learned();
    train.from = None;
    let reward = (!config.train.reload_reward).then(|| experiment.reward()).transpose()?;
    if reward.is_some() {
        train.reward = PathBuf::new();
    }
    let RunConfig { seed, precision, .. } = config.run;
    let from = branched_from(experiment)?;
    // How often a policy answers when it is finished is no part of how it came to be.
    let evaluation = (config.train.evaluate_every > 0).then(|| config.evaluation.during_training());
    Ok((&tuned.content, train, reward, evaluation, seed, precision, &start.digest, from))
}

/// The content of the checkpoint that training branches off from; none where it begins with a fine-tuned policy. A run
/// that has branched off knows it, also when the other run does not keep it any more.
fn branched_from(experiment: &Experiment) -> Result<Option<String>> {
    match experiment.config.train.from.as_deref().map(course::origin).transpose() {
        Ok(Some(Origin::Checkpoint(dir))) => course::content(&dir).map(Some),
        Ok(Some(Origin::Tuned(..)) | None) => Ok(None),
        Err(error) => RunInputs::branched_from(&experiment.run)?.map(Some).ok_or(error),
    }
}

pub(super) fn reinforce(experiment: &Experiment, start: &Start, tuned: &Stage) -> Result<Stage> {
    let config = &experiment.config;
    // Before anything is written.
    if let Some(notes) = course::newest_notes::<Notes>(&experiment.run) {
        notes.reward.demand_same(experiment)?;
    }
    let algorithm = config.train.algorithm.resolve()?;
    if algorithm.gradient_on == GradientOn::Trace && start.base.tokenizer.end_think().is_none() {
        let found = format!("\"trace\", and the tokenizer of {} has no token {END_THINK}", config.base.path);
        let remedy = "where the trace ends cannot be seen: use \"completion\"";
        return Err(Error::invalid("train.algorithm.gradient_on", found, remedy));
    }
    let stage = experiment.cache.get_or_make(TRAIN, &inputs(experiment, start, tuned)?, |dir| {
        if let Some(words) = uncorrected(config.train.staleness, &algorithm) {
            experiment.progress.tell(words);
        }
        let precision = config.run.precision;
        let reference = match algorithm.kl {
            0.0 => None,
            _ => {
                let temperature = config.train.temperature as f32;
                let reference =
                    start.base.successor(Saved::by(tuned))?.with_precision(precision).on(&experiment.device)?;
                Some(reference.with_temperature(temperature))
            }
        };
        let division = Division::new(&start.knowledge, config.train.held_out, config.world.seed)?;
        let trainer = Trainer { experiment, start, algorithm, reference, division };
        let (policy, curves) = trainer.run(tuned)?;
        base::save(dir, &policy, &start.base.tokenizer, start.base.known.as_ref())?;
        let text = serde_json::to_vec(&curves)
            .map_err(|error| Error::invalid(CURVES, error.to_string(), "the curves cannot be written"))?;
        files::write_atomic(&dir.join(CURVES), &text)
    })?;
    if stage.reused
        && let Some(history) = History::of(&experiment.run)
    {
        tell(experiment, &history.restore(&experiment.run, false)?);
    }
    Ok(stage)
}

fn tell(experiment: &Experiment, damage: &[Damaged]) {
    damage.iter().for_each(|damaged| experiment.progress.tell(&damaged.words()));
}

/// What to say of an algorithm that takes the tokens of older policies for its own.
fn uncorrected(staleness: usize, algorithm: &Algorithm) -> Option<&'static str> {
    let own = staleness == 0 || algorithm.ratio != Ratio::None || algorithm.importance_cap != 0.0;
    // Imitation asks nobody who wrote what it imitates.
    (!own && algorithm.advantage != Advantage::One).then_some(
        "warning: train.staleness without train.algorithm.ratio or importance_cap: the gradient takes tokens of older \
         policies for those of the one that learns; train.algorithm.importance_cap = 2 corrects for it",
    )
}

/// The learning curves of a finished stage.
pub(super) fn read_curves(stage: &Stage) -> Result<Curves> {
    let path = stage.dir.join(CURVES);
    serde_json::from_str(&files::read_text(&path)?)
        .map_err(|error| Error::invalid(path.display().to_string(), error.to_string(), "train the run again"))
}

struct Trainer<'a> {
    experiment: &'a Experiment,
    start: &'a Start,
    algorithm: Algorithm,
    /// The policy that the algorithm holds to, where it does.
    reference: Option<Policy>,
    /// Which questions of A may be asked.
    division: Division,
}

impl Trainer<'_> {
    fn run(&self, tuned: &Stage) -> Result<(Policy, Curves)> {
        let (experiment, config) = (self.experiment, &self.experiment.config.train);
        let there = course::of_training(&experiment.run).len();
        let forecasts = [resources::forecast(&experiment.config), resources::disk_forecast(&experiment.config, there)];
        forecasts.iter().flatten().for_each(|words| experiment.progress.tell(words));
        let optimizer = OptimizerConfig {
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: config.weight_decay,
            max_gradient_norm: config.max_gradient_norm,
        };
        let anew = Cell::new(false);
        let checkpoints = Checkpoints::of(experiment, TRAIN, &self.key(tuned)?, config.keep_last);
        let Progressed { step: first, policy, mut optimizer, mut notes } = checkpoints.resume::<Notes>(
            experiment.progress.as_ref(),
            optimizer,
            &self.scales(),
            |dir| self.policy(dir),
            || {
                anew.set(true);
                checkpoints.demand_alone()?;
                self.begin(tuned, optimizer)
            },
        )?;
        let policy = policy.with_precision(experiment.config.run.precision).on(&experiment.device)?;
        let mut reward = LiveReward::open(experiment, notes.reward.clone())?;
        let damage = notes.history.restore(&experiment.run, true)?;
        // What is begun anew has written nothing that could be damaged.
        tell(experiment, if anew.get() { &[] } else { &damage });
        let schedule = Schedule::over(config.steps, config.learning_rate, config.warmup_steps, config.decay_share);
        let workers = experiment.config.run.resolved_workers();
        let mut pool = experiment.pool(&policy)?;
        let reference = self.reference.as_ref().filter(|_| self.algorithm.kl_in == Penalty::Reward);
        let (start, algorithm, division) = (self.start, self.algorithm, &self.division);
        let critic = self.algorithm.value.head().map(|_| &policy);
        let sampling = Sampling { experiment, start, algorithm, division, reference, critic };
        let updating = Updating { experiment, start, algorithm, reference: self.reference.as_ref(), workers };
        let mut ahead = Ahead::new(config.staleness, config.steps, std::mem::take(&mut notes.underway));
        let recorder = JsonlRecorder::open(&experiment.run.metrics(), first as u64 + 1)?;
        let mut board = TensorBoard::open(&experiment.run.tensorboard(), first as u64 + 1)?;
        let mut resources = Resources::default();
        let mut meter = experiment.progress.begin("reinforcement learning", "steps", first as u64, config.steps as u64);
        for step in first..config.steps {
            let began = Instant::now();
            let mut untouched = true;
            let outcome = metrics::with_local_recorder(&recorder, || -> Result<String> {
                pool.publish(&policy.snapshot(step as u64)?)?;
                ahead.fill(step, &sampling, &mut pool)?;
                let evaluated = notes.history.evaluations.last().is_some_and(|row| row.step == step as u64);
                if config.evaluate_every > 0 && step % config.evaluate_every == 0 && !evaluated {
                    let judge = Judge { start: self.start, reward: &reward };
                    let mut heard = |ticket: Ticket, completion: &Completion| {
                        ahead.hear(judge, ticket, completion);
                    };
                    let mut examiner = Examiner::new(experiment, self.start, &mut pool).telling(&mut heard);
                    let rows = on_the_way(&mut examiner, step as u64)?;
                    let right = right_about_a(&rows);
                    let scalar = |row: &ArmResult| (format!("eval/{}/{}", row.set, row.form), row.accuracy);
                    board.write(step as u64, rows.iter().map(scalar))?;
                    notes.history.evaluations.extend(rows);
                    history::write_evaluations(&experiment.run, &notes.history.evaluations)?;
                    meter.note(&shown(&notes.history.evaluations));
                    if config.keep_best && step > 0 && notes.best.is_none_or(|(_, best)| right > best) {
                        notes.best = Some((step, right));
                        notes.underway = ahead.underway(step, &mut pool);
                        self.save(&checkpoints, step, &policy, &optimizer, &mut notes, &reward)?;
                    }
                }
                let asking = Instant::now();
                if reward.look(step + 1, experiment.progress.as_ref())? {
                    // What another reward paid cannot be compared.
                    notes.alarm = Alarm::default();
                    ahead.judge_again(&reward);
                }
                let batch = sampling.batch(step, &mut ahead, &mut pool, &reward, workers)?;
                let lines = batch.lines();
                // Before anything is noted or learned of them: whatever happens then, they are kept.
                let written = rollouts::write(&experiment.run.rollouts(step + 1), &lines)?;
                untouched = false;
                reward.measure(experiment.progress.as_ref());
                let (hacked, words) = notes.alarm.hear(&lines);
                if hacked {
                    gauge!("alarm/hacked").set(1.0);
                }
                words.iter().for_each(|words| experiment.progress.tell(words));
                gauge!("time/sample").set(asking.elapsed().as_secs_f64());
                let learning = Instant::now();
                let judge = Judge { start: self.start, reward: &reward };
                let learn = || updating.learn(step, &policy, &mut optimizer, &batch, schedule.rate(step));
                let update = ahead.meanwhile(judge, &mut pool, learn)?;
                gauge!("time/learn").set(learning.elapsed().as_secs_f64());
                let words = notes.health.hear(updating.signs(&update, &batch), &lines);
                words.iter().for_each(|words| experiment.progress.tell(words));
                let left = Left::now(experiment.run.root(), course::size(&optimizer), written.bytes);
                resources.look(&left).iter().for_each(|words| experiment.progress.tell(words));
                match update.not_finite {
                    None => notes.health.learned(),
                    Some(what) => experiment.progress.tell(&notes.health.skip(step + 1, what)?),
                }
                gauge!("tokens_per_second").set(batch.tokens() as f64 / began.elapsed().as_secs_f64());
                gauge!("step_time").set(began.elapsed().as_secs_f64());
                Ok(written.digest)
            });
            let rollouts = match outcome {
                Ok(digest) => digest,
                Err(error) => {
                    // That this may fail too (a full disk) says less than what came first.
                    if untouched {
                        notes.underway = ahead.underway(step, &mut pool);
                        if step > first || !notes.underway.is_empty() {
                            let _ = self.save(&checkpoints, step, &policy, &optimizer, &mut notes, &reward);
                        }
                    }
                    return Err(error);
                }
            };
            let line = recorder.write_step(step as u64 + 1)?;
            notes.history.add(&line, rollouts)?;
            board.write(line.step, line.finite())?;
            telemetry::meaning::export(&line);
            meter.set(step as u64 + 1);
            if let Some(Some(reward)) = line.values.get("reward") {
                let newest = shown(&notes.history.evaluations);
                let between = if newest.is_empty() { "" } else { " | " };
                meter.note(&format!("reward {reward:.2}{between}{newest}"));
            }
            let (done, stopping) = (step + 1, experiment.interrupt.requested());
            let due = config.checkpoint_every > 0 && done.is_multiple_of(config.checkpoint_every);
            // From the last step's, too, training may go on: train.steps can be raised.
            if stopping || due || done == config.steps {
                notes.underway = ahead.underway(done, &mut pool);
                self.save(&checkpoints, done, &policy, &optimizer, &mut notes, &reward)?;
            }
            let saved = format!("reinforcement learning is saved at step {done}; the same command goes on from there");
            experiment.interrupt.check(&saved)?;
        }
        // Whoever edits files while they are written has them restored as well.
        tell(experiment, &notes.history.restore(&experiment.run, false)?);
        let training = notes.history.lines(&experiment.run.metrics())?;
        let training = training.iter().map(|line| TrainingPoint::from_metrics(line.step, &line.values)).collect();
        Ok((policy, Curves { evaluation: notes.history.evaluations, training }))
    }

    /// The fine-tuned policy, or the checkpoint of another run.
    fn begin(&self, tuned: &Stage, optimizer: OptimizerConfig) -> Result<Progressed<Notes>> {
        let config = &self.experiment.config.train;
        let from = config.from.as_deref().unwrap_or_default();
        let refuse = |found: String, remedy: &str| Err(Error::invalid(format!("train.from = {from:?}"), found, remedy));
        let refuse_other = || {
            let remedy = "leave [world], [base], [finetune] and run.precision as they are in that run";
            refuse("it began with another fine-tuned policy than this run".into(), remedy)
        };
        let dir = match config.from.as_deref().map(course::origin).transpose()? {
            Some(Origin::Checkpoint(dir)) => dir,
            origin => {
                if let Some(Origin::Tuned(trunk, theirs)) = origin
                    && !self.tuned_alike(tuned, &trunk, &theirs)?
                {
                    return refuse_other();
                }
                let begun = Progressed::<Notes>::begin(self.policy(&tuned.dir)?, optimizer, &self.scales());
                return Ok(Progressed { notes: Notes { tuned: tuned.content.clone(), ..begun.notes }, ..begun });
            }
        };
        let progressed = Progressed::<Notes>::load(&dir, optimizer, &self.scales(), |dir| self.policy(dir))?;
        if progressed.notes.tuned != tuned.content {
            return refuse_other();
        }
        if progressed.step >= config.steps {
            return refuse(format!("train.steps is {}", config.steps), "ask for more steps than the checkpoint has");
        }
        RunInputs::note_branch(&self.experiment.run, &course::content(&dir)?)?;
        // What another reward paid cannot be compared, and metrics and rollouts of the other run stay there.
        let (reward, alarm, underway) = (RewardNote::default(), Alarm::default(), BTreeMap::new());
        let history = progressed.notes.history.without_files();
        let notes = Notes { history, reward, alarm, underway, ..progressed.notes };
        Ok(Progressed { notes, ..progressed })
    }

    /// Whether another run begins its reinforcement learning with the same fine-tuned policy: by its newest checkpoint,
    /// or, where it has none, by all that fine-tuning depends on.
    fn tuned_alike(&self, tuned: &Stage, trunk: &RunDir, theirs: &Config) -> Result<bool> {
        if let Some(notes) = course::newest_notes::<Notes>(trunk) {
            return Ok(notes.tuned == tuned.content);
        }
        let sections = ["world.", "base.", "known.", "model.", "pretrain.", "lora.", "finetune.", "run.precision"];
        let of_tuning = |config: &Config| -> Result<Vec<(String, String)>> {
            let mut keys = config.identity()?;
            keys.retain(|(key, _)| sections.iter().any(|section| key.starts_with(section)));
            Ok(keys)
        };
        Ok(of_tuning(theirs)? == of_tuning(&self.experiment.config)?)
    }

    /// The policy that a directory holds, with a value head where the algorithm asks for one: a fresh one where the
    /// directory has none.
    fn policy(&self, dir: &Path) -> Result<Policy> {
        let policy = self.start.base.successor(Saved::on_the_way(dir))?;
        match self.algorithm.value.head() {
            None => Ok(policy),
            Some(head) => policy.with_value_head(dir, head.trunk),
        }
    }

    /// Learning rates of some variables as shares of that of all others.
    fn scales(&self) -> Scales {
        let head = self.algorithm.value.head().map(|head| (value_head::PREFIX.to_string(), head.rate));
        self.experiment.config.train.scales.clone().into_iter().chain(head).collect()
    }

    fn save(
        &self,
        checkpoints: &Checkpoints,
        step: usize,
        policy: &Policy,
        optimizer: &Optimizer,
        notes: &mut Notes,
        reward: &LiveReward,
    ) -> Result<()> {
        notes.reward = reward.note();
        let base = &self.start.base;
        let model = |dir: &Path| base::save(dir, policy, &base.tokenizer, base.known.as_ref());
        checkpoints.save(step, model, optimizer, notes, notes.best.map(|(step, _)| step))
    }

    /// Names the checkpoints by what training goes on with: another policy to start from, other questions and other
    /// settings have other ones. More steps, other evaluations and other names of the same files have not.
    fn key(&self, tuned: &Stage) -> Result<String> {
        let config = &self.experiment.config;
        let train = TrainConfig { steps: 0, reward: PathBuf::new(), from: None, ..config.train.learned() };
        let from = branched_from(self.experiment)?;
        let inputs = (&tuned.content, &self.start.digest, train, config.run.seed, config.run.precision, from);
        let text = serde_json::to_vec(&inputs)
            .map_err(|error| Error::invalid("train", error.to_string(), "it cannot be written as JSON"))?;
        Ok(files::digest(&text)[..16].to_string())
    }
}

/// The mean over forms of the right answers about A. What training asks is what it may be chosen by; B never is.
fn right_about_a(rows: &[ArmResult]) -> f64 {
    let of_a: Vec<f64> = rows.iter().filter(|row| row.set == Set::A).map(|row| row.accuracy).collect();
    of_a.iter().sum::<f64>() / of_a.len().max(1) as f64
}

/// The newest evaluation in a few words.
fn shown(evaluations: &[ArmResult]) -> String {
    let Some(newest) = evaluations.last().map(|row| row.step) else { return String::new() };
    let rows = evaluations.iter().filter(|row| row.step == newest && row.set == Set::B);
    let words: Vec<String> = rows.map(|row| format!("{} {:.2}", row.form, row.accuracy)).collect();
    format!("B at step {newest}: {}", words.join(", "))
}
