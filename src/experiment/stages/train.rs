//! Reinforcement learning on the questions of A: sample, judge, learn, step by step.

use std::path::Path;
use std::time::Instant;

use metrics::gauge;
use serde::{Deserialize, Serialize};

use super::Start;
use super::batch::{Batch, Sampling};
use super::evaluate::{Examiner, on_the_way};
use super::finetune::learn_documents;
use crate::evaluation::{ArmResult, Curves, TrainingPoint};
use crate::exchange::WorkerPool;
use crate::experiment::alarm::Alarm;
use crate::experiment::config::RunConfig;
use crate::experiment::course::{self, Checkpoints, Progressed};
use crate::experiment::health::{Health, Signs};
use crate::experiment::live_reward::{LiveReward, RewardNote};
use crate::experiment::stage::Stage;
use crate::experiment::{Experiment, base, rollouts};
use crate::kernels::Gradients;
use crate::knowledge::curriculum::{Curriculum, Lesson};
use crate::knowledge::leak::Leaks;
use crate::knowledge::{Division, Knowledge, Set};
use crate::language::tokenizer::END_THINK;
use crate::learner::policy_gradient::{self, Learned};
use crate::learner::{Algorithm, GradientOn, Optimizer, OptimizerConfig, Penalty, Schedule, supervised};
use crate::policy::Policy;
use crate::random;
use crate::telemetry::{JsonlRecorder, TensorBoard, read_metrics};
use crate::{Error, Result, files};

/// What training remembers beside weights and moments.
#[derive(Default, Serialize, Deserialize)]
struct Notes {
    evaluations: Vec<ArmResult>,
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
}

/// Name of the stage.
pub(super) const TRAIN: &str = "train";
/// File in the stage's directory that holds the learning curves.
const CURVES: &str = "curves.json";

/// Trains the fine-tuned policy and gives the stage that holds the result.
pub fn train(experiment: &Experiment) -> Result<Stage> {
    let start = Start::new(experiment)?;
    let tuned = learn_documents(experiment, &start)?;
    reinforce(experiment, &start, &tuned)
}

/// What the trained policy depends on.
pub(super) fn inputs<'a>(
    experiment: &'a Experiment,
    start: &'a Start,
    tuned: &'a Stage,
) -> Result<impl Serialize + 'a> {
    let config = &experiment.config;
    // A reward that may change on the way is known by the name of its file alone.
    let reward = (!config.train.reload_reward).then_some(&experiment.reward);
    let RunConfig { seed, precision, .. } = config.run;
    let from = config.train.from.as_deref().map(|from| course::content(&course::named(from)?)).transpose()?;
    Ok((&tuned.content, &config.train, reward, &config.evaluation, seed, precision, &start.digest, from))
}

pub(super) fn reinforce(experiment: &Experiment, start: &Start, tuned: &Stage) -> Result<Stage> {
    let config = &experiment.config;
    let algorithm = config.train.algorithm.resolve()?;
    if algorithm.gradient_on == GradientOn::Trace && start.base.tokenizer.end_think().is_none() {
        let found = format!("\"trace\", and the tokenizer of {} has no token {END_THINK}", config.base.path);
        let remedy = "where the trace ends cannot be seen: use \"completion\"";
        return Err(Error::invalid("train.algorithm.gradient_on", found, remedy));
    }
    experiment.cache.get_or_make(TRAIN, &inputs(experiment, start, tuned)?, |dir| {
        let precision = config.run.precision;
        let reference = match algorithm.kl {
            0.0 => None,
            _ => {
                let temperature = config.train.temperature as f32;
                let reference = start.base.successor(&tuned.dir)?.with_precision(precision).on(&experiment.device)?;
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
    })
}

/// The learning curves in the directory of a finished stage.
pub(super) fn read_curves(stage: &Path) -> Result<Curves> {
    let path = stage.join(CURVES);
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

/// What one step did to the policy.
#[derive(Default)]
struct Update {
    /// Sums over its optimizer steps.
    learned: Learned,
    /// Optimizer steps with something to learn from.
    steps: usize,
    /// Mismatch of sampler and learner, before the first of them.
    mismatch_kl: Option<f64>,
    gradient_norm: Option<f64>,
    /// What was not finite, so that the rest of the step was left out.
    not_finite: Option<&'static str>,
}

impl Trainer<'_> {
    fn run(&self, tuned: &Stage) -> Result<(Policy, Curves)> {
        let (experiment, config) = (self.experiment, &self.experiment.config.train);
        let optimizer = OptimizerConfig {
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: config.weight_decay,
            max_gradient_norm: config.max_gradient_norm,
        };
        let checkpoints = Checkpoints::of(experiment, "train", &self.key(tuned)?, config.keep_last);
        let Progressed { step: first, policy, mut optimizer, mut notes } = checkpoints.resume::<Notes>(
            experiment.progress.as_ref(),
            optimizer,
            &config.scales,
            |dir| self.start.base.successor(dir),
            || self.begin(tuned, optimizer),
        )?;
        let policy = policy.with_precision(experiment.config.run.precision).on(&experiment.device)?;
        let mut reward = LiveReward::open(experiment, notes.reward.clone())?;
        let schedule = Schedule::over(config.steps, config.learning_rate, config.warmup_steps, config.decay_share);
        let workers = experiment.config.run.resolved_workers();
        let longest = policy.config.longest_sequence();
        let mut pool = WorkerPool::for_policy(&policy, workers, longest)?;
        let reference = self.reference.as_ref().filter(|_| self.algorithm.kl_in == Penalty::Reward);
        let (start, algorithm, division) = (self.start, self.algorithm, &self.division);
        let sampling = Sampling { experiment, start, algorithm, division, reference };
        let recorder = JsonlRecorder::open(&experiment.run.metrics(), first as u64 + 1)?;
        let mut board = TensorBoard::open(&experiment.run.tensorboard(), first as u64 + 1)?;
        let mut meter = experiment.progress.begin("reinforcement learning", "steps", first as u64, config.steps as u64);
        for step in first..config.steps {
            let began = Instant::now();
            pool.publish(&policy.snapshot(step as u64)?)?;
            let evaluated = notes.evaluations.last().is_some_and(|row| row.step == step as u64);
            if config.evaluate_every > 0 && step % config.evaluate_every == 0 && !evaluated {
                let mut examiner = Examiner::new(experiment, self.start, &mut pool);
                let rows = on_the_way(&mut examiner, step as u64)?;
                let right = right_about_a(&rows);
                let scalar = |row: &ArmResult| (format!("eval/{}/{}", row.set, row.form), row.accuracy);
                board.write(step as u64, rows.iter().map(scalar))?;
                notes.evaluations.extend(rows);
                self.write_evaluations(&notes.evaluations)?;
                meter.note(&shown(&notes.evaluations));
                if config.keep_best && step > 0 && notes.best.is_none_or(|(_, best)| right > best) {
                    notes.best = Some((step, right));
                    self.save(&checkpoints, step, &policy, &optimizer, &mut notes, &reward)?;
                }
            }
            let mut untouched = true;
            let outcome = metrics::with_local_recorder(&recorder, || -> Result<()> {
                let asking = Instant::now();
                if reward.look(step + 1, experiment.progress.as_ref())? {
                    // What another reward paid cannot be compared.
                    notes.alarm = Alarm::default();
                }
                let batch = sampling.batch(step, &mut pool, &mut reward, workers)?;
                let lines = batch.lines();
                // Before anything is noted or learned of them: whatever happens then, they are kept.
                rollouts::write(&experiment.run.rollouts(step + 1), &lines)?;
                untouched = false;
                reward.measure(experiment.progress.as_ref());
                let (hacked, words) = notes.alarm.hear(&lines);
                if hacked {
                    gauge!("alarm/hacked").set(1.0);
                }
                words.iter().for_each(|words| experiment.progress.tell(words));
                gauge!("time/sample").set(asking.elapsed().as_secs_f64());
                let learning = Instant::now();
                let update = self.learn(step, &policy, &mut optimizer, &batch, schedule.rate(step), workers)?;
                gauge!("time/learn").set(learning.elapsed().as_secs_f64());
                let words = notes.health.hear(self.signs(&update, &batch), &lines);
                words.iter().for_each(|words| experiment.progress.tell(words));
                match update.not_finite {
                    None => notes.health.learned(),
                    Some(what) => experiment.progress.tell(&notes.health.skip(step + 1, what)?),
                }
                gauge!("tokens_per_sec").set(batch.tokens() as f64 / began.elapsed().as_secs_f64());
                gauge!("step_time").set(began.elapsed().as_secs_f64());
                Ok(())
            });
            if let Err(error) = outcome {
                // That this may fail too (a full disk) says less than what came first.
                if step > first && untouched {
                    let _ = self.save(&checkpoints, step, &policy, &optimizer, &mut notes, &reward);
                }
                return Err(error);
            }
            let line = recorder.write_step(step as u64 + 1)?;
            board.write(line.step, line.finite())?;
            // To a global recorder, should the program that this runs in have one.
            gauge!("recollect/step").set(line.step as f64);
            line.finite().for_each(|(name, value)| gauge!(format!("recollect/{name}")).set(value));
            meter.set(step as u64 + 1);
            if let Some(Some(reward)) = line.values.get("reward") {
                let newest = shown(&notes.evaluations);
                let between = if newest.is_empty() { "" } else { " | " };
                meter.note(&format!("reward {reward:.2}{between}{newest}"));
            }
            let (done, stopping) = (step + 1, experiment.interrupt.requested());
            let due = config.checkpoint_every > 0 && done.is_multiple_of(config.checkpoint_every);
            if done < config.steps && (stopping || due) {
                self.save(&checkpoints, done, &policy, &optimizer, &mut notes, &reward)?;
            }
            let saved = format!("reinforcement learning is saved at step {done}; the same command goes on from there");
            experiment.interrupt.check(&saved)?;
        }
        let training = read_metrics(&experiment.run.metrics())?;
        let training = training.iter().map(|line| TrainingPoint::from_metrics(line.step, &line.values)).collect();
        Ok((policy, Curves { evaluation: notes.evaluations, training }))
    }

    /// The fine-tuned policy, or the checkpoint of another run.
    fn begin(&self, tuned: &Stage, optimizer: OptimizerConfig) -> Result<Progressed<Notes>> {
        let config = &self.experiment.config.train;
        let Some(from) = &config.from else {
            let begun = Progressed::<Notes>::begin(self.start.base.successor(&tuned.dir)?, optimizer, &config.scales);
            return Ok(Progressed { notes: Notes { tuned: tuned.content.clone(), ..begun.notes }, ..begun });
        };
        let refuse = |found: String, remedy: &str| Err(Error::invalid(format!("train.from = {from:?}"), found, remedy));
        let progressed = Progressed::<Notes>::load(&course::named(from)?, optimizer, &config.scales, |dir| {
            self.start.base.successor(dir)
        })?;
        if progressed.notes.tuned != tuned.content {
            let remedy = "leave [world], [base], [finetune] and run.precision as they are in that run";
            return refuse("it began with another fine-tuned policy than this run".into(), remedy);
        }
        if progressed.step >= config.steps {
            return refuse(format!("train.steps is {}", config.steps), "ask for more steps than the checkpoint has");
        }
        // What another reward paid cannot be compared.
        let notes = Notes { reward: RewardNote::default(), alarm: Alarm::default(), ..progressed.notes };
        Ok(Progressed { notes, ..progressed })
    }

    /// For whoever watches.
    fn write_evaluations(&self, evaluations: &[ArmResult]) -> Result<()> {
        let path = self.experiment.run.evaluations();
        let text = serde_json::to_vec(evaluations)
            .map_err(|error| Error::invalid(path.display().to_string(), error.to_string(), "it cannot be written"))?;
        files::write_atomic(&path, &text)
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

    /// Names the checkpoints: another config, and another policy to start from, has other ones.
    fn key(&self, tuned: &Stage) -> Result<String> {
        let key = format!("{} {}", self.experiment.config.digest()?, tuned.content);
        Ok(files::digest(key.as_bytes())[..16].to_string())
    }

    /// Takes the optimizer steps of one step: one, or as many as the algorithm has inner epochs.
    fn learn(
        &self,
        step: usize,
        policy: &Policy,
        optimizer: &mut Optimizer,
        batch: &Batch,
        learning_rate: f64,
        workers: usize,
    ) -> Result<Update> {
        let (config, tokenizer) = (&self.experiment.config.train, &self.start.base.tokenizer);
        let Algorithm { inner_epochs, importance_cap, .. } = self.algorithm;
        // Completions were sampled at this temperature, so that is where their probabilities are compared.
        let tempered = policy.clone().with_temperature(config.temperature as f32);
        let mut sampled = batch.sampled(&self.algorithm);
        // Where the tokenizer has none, `reinforce` has made sure that nobody looks for it.
        let end = tokenizer.end_think().unwrap_or(u32::MAX);
        let weights = policy_gradient::weigh(&self.algorithm, &sampled, end, config.max_new_tokens);
        // The first of several optimizer steps is where ratios are taken to; a single one knows by itself.
        let before = match importance_cap != 0.0 && inner_epochs > 1 {
            true => policy_gradient::score(&tempered, &sampled, workers)?,
            false => Vec::new(),
        };
        sampled.iter_mut().zip(&before).for_each(|(completion, before)| completion.before = Some(before));
        gauge!("learning_rate").set(learning_rate);
        let mut update = Update::default();
        for epoch in 0..inner_epochs {
            let reference = self.reference.as_ref();
            let learned =
                policy_gradient::gradients(&tempered, reference, &self.algorithm, &sampled, &weights, workers)?;
            let gradients = learned.map(|(gradients, learned)| {
                update.add(learned);
                gradients
            });
            let Some(gradients) = together(gradients, self.replayed(step, epoch, policy, workers)?)? else { continue };
            if !update.learned.loss.is_finite() {
                update.not_finite = Some("loss");
                break;
            }
            let norm = optimizer.step(policy, &gradients, learning_rate, workers)?;
            gauge!("grad_norm").set(norm);
            update.gradient_norm = Some(norm);
            if !norm.is_finite() {
                update.not_finite = Some("gradient");
                break;
            }
        }
        update.measure(&self.algorithm);
        Ok(update)
    }

    /// The gradient of the base's lessons that an optimizer step replays.
    fn replayed(&self, step: usize, epoch: usize, policy: &Policy, workers: usize) -> Result<Option<Gradients>> {
        let lessons = self.replay(step, epoch)?;
        if lessons.is_empty() {
            return Ok(None);
        }
        let weight = self.experiment.config.train.replay_weight;
        let (gradients, fit) = supervised::gradients(policy, &lessons, weight, workers)?;
        gauge!("replay/loss").set(fit.loss);
        Ok(Some(gradients))
    }

    /// What the alarms listen to.
    fn signs(&self, update: &Update, batch: &Batch) -> Signs {
        let learned = |value: f64| (update.steps > 0 && value.is_finite()).then_some(value);
        let Algorithm { kl, kl_in, .. } = self.algorithm;
        let in_loss = learned(update.learned.statistics.kl()).filter(|_| kl != 0.0 && kl_in == Penalty::Loss);
        Signs {
            entropy: learned(update.entropy()),
            kl: in_loss.or(batch.kl),
            mismatch_kl: update.mismatch_kl.filter(|value| value.is_finite()),
            gradient_norm: update.gradient_norm.filter(|value| value.is_finite()),
            truncated: Some(batch.truncated()),
            // Where groups are not compared with themselves, those without spread teach as well.
            flat: self.algorithm.advantage.needs_spread().then_some(batch.flat),
        }
    }

    /// Lessons of the base that go into a step; files have none.
    fn replay(&self, step: usize, epoch: usize) -> Result<Vec<Lesson>> {
        let config = &self.experiment.config;
        let Knowledge::Generated(world) = &self.start.knowledge else { return Ok(Vec::new()) };
        let curriculum = Curriculum::new(world, &config.finetune.habits);
        let leaks = Leaks::of(world, Set::B);
        let key = [2, step as u64, epoch as u64];
        let mut random = random::stream(config.run.seed, if epoch == 0 { &key[..2] } else { &key });
        let (mut lessons, mut tokens) = (Vec::new(), 0);
        while tokens < config.train.replay_tokens {
            let lesson = curriculum.lesson(&config.train.mixture, &mut random);
            leaks.check(&lesson)?;
            tokens += lesson.tokens.len();
            lessons.push(lesson);
        }
        Ok(lessons)
    }
}

/// The mean over forms of the right answers about A. What training asks is what it may be chosen by; B never is.
fn right_about_a(rows: &[ArmResult]) -> f64 {
    let of_a: Vec<f64> = rows.iter().filter(|row| row.set == Set::A).map(|row| row.accuracy).collect();
    of_a.iter().sum::<f64>() / of_a.len().max(1) as f64
}

/// The sum of what there is.
fn together(first: Option<Gradients>, second: Option<Gradients>) -> Result<Option<Gradients>> {
    match (first, second) {
        (Some(mut sum), Some(second)) => {
            sum.add(second)?;
            Ok(Some(sum))
        }
        (first, second) => Ok(first.or(second)),
    }
}

impl Update {
    fn add(&mut self, learned: Learned) {
        self.mismatch_kl.get_or_insert(learned.statistics.mismatch_kl());
        self.learned += learned;
        self.steps += 1;
    }

    /// Mean over its optimizer steps.
    fn entropy(&self) -> f64 {
        self.learned.entropy / self.steps.max(1) as f64
    }

    /// Records what was learned; nothing, if nothing was.
    fn measure(&self, algorithm: &Algorithm) {
        if self.steps == 0 {
            return;
        }
        let statistics = &self.learned.statistics;
        gauge!("loss").set(self.learned.loss / self.steps as f64);
        gauge!("entropy").set(self.entropy());
        if algorithm.kl == 0.0 || algorithm.kl_in == Penalty::Loss {
            gauge!("kl").set(statistics.kl());
        }
        gauge!("mismatch_kl").set(self.mismatch_kl.unwrap_or_default());
        gauge!("clip_ratio/low").set(statistics.clip_ratio_low());
        gauge!("clip_ratio/high").set(statistics.clip_ratio_high());
        if algorithm.importance_cap != 0.0 {
            gauge!("importance/capped_ratio").set(statistics.importance_capped());
        }
    }
}

/// The newest evaluation in a few words.
fn shown(evaluations: &[ArmResult]) -> String {
    let Some(newest) = evaluations.last().map(|row| row.step) else { return String::new() };
    let rows = evaluations.iter().filter(|row| row.step == newest && row.set == Set::B);
    let words: Vec<String> = rows.map(|row| format!("{} {:.2}", row.form, row.accuracy)).collect();
    format!("B at step {newest}: {}", words.join(", "))
}
