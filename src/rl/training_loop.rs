//! The training loop: sample, judge, learn, step by step.

use std::path::Path;
use std::time::Instant;

use metrics::gauge;

use super::batch::Batch;
use super::judging::Judge;
use super::live_reward::LiveReward;
use super::prefetch::PrefetchQueue;
use super::rollouts::{self, RolloutsFile};
use super::sampler::BatchSampler;
use super::trainer::{Notes, Resumed, Trainer, tell};
use super::update::{Update, Updater};
use crate::evaluate::examiner::{Examiner, on_the_way};
use crate::evaluation::{ArmResult, Curves, TrainingPoint, mean_over_forms};
use crate::exchange::{Ticket, WorkerPool};
use crate::knowledge::Set;
use crate::learner::{Optimizer, Penalty, Schedule};
use crate::monitor::Headroom;
use crate::policy::Policy;
use crate::rollout::Completion;
use crate::store::checkpoint::{self, Checkpoints};
use crate::store::history;
use crate::telemetry::{self, JsonlRecorder, Meter, MetricsLine, TensorBoard};
use crate::{Error, Result, base};

/// A run of reinforcement learning that is under way.
pub(super) struct TrainingLoop<'a> {
    trainer: &'a Trainer<'a>,
    policy: &'a Policy,
    optimizer: Optimizer,
    notes: Notes,
    /// Steps that were done before.
    first: usize,
    /// The step whose rollouts were written last, from 0: it is not sampled again.
    sampled: Option<usize>,
    checkpoints: &'a Checkpoints,
    reward: LiveReward,
    schedule: Schedule,
    pool: WorkerPool,
    queue: PrefetchQueue,
    sampler: BatchSampler<'a>,
    updater: Updater<'a>,
    board: TensorBoard,
    meter: Box<dyn Meter>,
}

impl<'a> TrainingLoop<'a> {
    /// Goes on from where training is. `policy` is the one that learns.
    pub fn new(
        trainer: &'a Trainer<'a>,
        policy: &'a Policy,
        checkpoints: &'a Checkpoints,
        resumed: Resumed,
    ) -> Result<TrainingLoop<'a>> {
        let Resumed { reward, step: first, optimizer, mut notes } = resumed;
        let Trainer { experiment, start, algorithm, .. } = *trainer;
        let (config, run) = (&experiment.config.train, &experiment.run);
        let schedule = config.optimizer_keys().schedule(config.steps);
        let reference = trainer.reference.as_ref();
        let sampler = BatchSampler {
            experiment,
            start,
            algorithm,
            division: &trainer.division,
            reference: reference.filter(|_| algorithm.kl_in == Penalty::Reward),
            critic: algorithm.value.head().map(|_| policy),
            solved: std::mem::take(&mut notes.solved),
        };
        let updater =
            Updater { experiment, start, algorithm, reference, workers: experiment.config.run.resolved_workers() };
        Ok(TrainingLoop {
            trainer,
            policy,
            optimizer,
            first,
            sampled: None,
            checkpoints,
            reward,
            schedule,
            pool: experiment.pool(policy)?,
            queue: PrefetchQueue::new(config.max_off_policy_steps, config.steps, std::mem::take(&mut notes.underway)),
            sampler,
            updater,
            board: TensorBoard::open(&run.tensorboard(), first as u64 + 1)?,
            meter: experiment.progress.begin("reinforcement learning", "steps", first as u64, config.steps as u64),
            notes,
        })
    }

    /// Trains to the last step and gives the learning curves.
    ///
    /// # Errors
    /// Whatever ends training. What is done by then is kept in a checkpoint.
    pub fn run(mut self) -> Result<Curves> {
        // What is later than the checkpoint was cut off when its history was restored.
        let recorder = JsonlRecorder::open(&self.trainer.experiment.run.metrics())?;
        for step in self.first..self.trainer.experiment.config.train.steps {
            let rollouts = match metrics::with_local_recorder(&recorder, || self.step(step)) {
                Ok(written) => written.digest,
                Err(error) => return Err(self.keep_unfinished(step, error)),
            };
            self.record(&recorder.write_step(step as u64 + 1)?, rollouts)?;
            self.save_if_due(step + 1)?;
        }
        self.finish()
    }

    fn step(&mut self, step: usize) -> Result<RolloutsFile> {
        let began = Instant::now();
        self.pool.publish(&self.policy.snapshot(step as u64)?)?;
        self.queue.fill(step, &self.sampler, &mut self.pool)?;
        self.evaluate_if_due(step)?;
        let sampling = Instant::now();
        self.poll_reward(step)?;
        let batch = self.sampler.batch(step, &mut self.queue, &mut self.pool, &self.reward, self.updater.workers)?;
        let written = self.write_rollouts(step, &batch)?;
        gauge!("time/sample").set(sampling.elapsed().as_secs_f64());
        let update = self.learn(step, &batch)?;
        self.observe(step, &batch, &update, &written)?;
        self.sampler.note_solved(step, &batch);
        self.notes.num_tokens += batch.tokens_with_prompts();
        gauge!("num_tokens").set(self.notes.num_tokens as f64);
        gauge!("tokens_per_second").set(batch.tokens() as f64 / began.elapsed().as_secs_f64());
        gauge!("step_time").set(began.elapsed().as_secs_f64());
        Ok(written)
    }

    /// Asks a sample of the questions, where it is time to and that was not done before the run was stopped. The policy
    /// that answered most about A so far is saved.
    fn evaluate_if_due(&mut self, step: usize) -> Result<()> {
        let experiment = self.trainer.experiment;
        let config = &experiment.config.train;
        let evaluated = self.notes.history.evaluations.last().is_some_and(|row| row.step == step as u64);
        if evaluated || config.evaluate_every.is_none_or(|every| !step.is_multiple_of(every)) {
            return Ok(());
        }
        let judge = Judge { start: self.trainer.start, reward: &self.reward };
        let mut heard = |ticket: Ticket, completion: &Completion| {
            self.queue.observe(judge, ticket, completion);
        };
        let mut examiner = Examiner::new(experiment, self.trainer.start, &mut self.pool).telling(&mut heard);
        let rows = on_the_way(&mut examiner, step as u64)?;
        let right = mean_over_forms(&rows, Set::A);
        let scalar = |row: &ArmResult| (format!("eval/{}/{}", row.set, row.form), row.accuracy);
        self.board.write(step as u64, rows.iter().map(scalar))?;
        self.notes.history.evaluations.extend(rows);
        history::write_evaluations(&experiment.run, &self.notes.history.evaluations)?;
        self.meter.note(&shown(&self.notes.history.evaluations));
        if let Some(right) = right.filter(|_| config.keep_best && step > 0)
            && self.notes.best.is_none_or(|(_, best)| right > best)
        {
            self.notes.best = Some((step, right));
            self.save(step)?;
        }
        Ok(())
    }

    /// Takes another reward where its file has changed and the config allows it.
    fn poll_reward(&mut self, step: usize) -> Result<()> {
        if self.reward.poll(step + 1, self.trainer.experiment.progress.as_ref())? {
            self.notes.monitor.forget_rewards();
            self.queue.judge_again(&self.reward);
        }
        Ok(())
    }

    /// Keeps the rollouts before anything is noted or learned of them: whatever happens then, they are there.
    fn write_rollouts(&mut self, step: usize, batch: &Batch) -> Result<RolloutsFile> {
        let experiment = self.trainer.experiment;
        let config = &experiment.config.train;
        let written = if (step + 1).is_multiple_of(config.record_every) || step + 1 == config.steps {
            let path = experiment.run.rollouts_as(step + 1, config.compress_rollouts);
            rollouts::write(&path, &batch.lines())?
        } else {
            RolloutsFile { bytes: 0, digest: None }
        };
        self.sampled = Some(step);
        self.reward.measure(experiment.progress.as_ref());
        Ok(written)
    }

    fn learn(&mut self, step: usize, batch: &Batch) -> Result<Update> {
        let began = Instant::now();
        self.pool.unload();
        let rate = self.schedule.rate(step);
        let judge = Judge { start: self.trainer.start, reward: &self.reward };
        let (updater, policy, optimizer) = (&self.updater, self.policy, &mut self.optimizer);
        let learn = || updater.learn(step, policy, optimizer, batch, rate);
        let update = self.queue.meanwhile(judge, &mut self.pool, learn)?;
        gauge!("time/learn").set(began.elapsed().as_secs_f64());
        Ok(update)
    }

    /// Says what goes wrong. Too many steps in a row that changed nothing end the run.
    fn observe(&mut self, step: usize, batch: &Batch, update: &Update, written: &RolloutsFile) -> Result<()> {
        let experiment = self.trainer.experiment;
        let headroom = Headroom::now(experiment.run.root(), checkpoint::size(&self.optimizer), written.bytes);
        let monitor = &mut self.notes.monitor;
        let told = monitor.observe(self.updater.stats(update, batch), &batch.lines(), &headroom);
        told.iter().for_each(|words| experiment.progress.tell(words));
        match update.not_finite {
            None => monitor.learned(),
            Some(what) => experiment.progress.tell(&monitor.skip(step + 1, what)?),
        }
        Ok(())
    }

    /// Writes down what a step has measured.
    fn record(&mut self, line: &MetricsLine, rollouts: Option<String>) -> Result<()> {
        self.notes.history.add(line, rollouts)?;
        self.board.write(line.step, line.finite())?;
        telemetry::meaning::export(line);
        self.meter.set(line.step);
        if let Some(Some(reward)) = line.values.get("reward") {
            let newest = shown(&self.notes.history.evaluations);
            let between = if newest.is_empty() { "" } else { " | " };
            self.meter.note(&format!("reward {reward:.2}{between}{newest}"));
        }
        Ok(())
    }

    /// Saves where it is time to, at the last step, from which training may go on as well (train.steps can be raised), and
    /// where the run is to stop, which then ends it.
    fn save_if_due(&mut self, done: usize) -> Result<()> {
        let experiment = self.trainer.experiment;
        let config = &experiment.config.train;
        let due = config.checkpoint_every.is_some_and(|every| done.is_multiple_of(every));
        if experiment.interrupt.requested() || due || done == config.steps {
            self.save(done)?;
        }
        let saved = format!("reinforcement learning is saved at step {done}; the same command goes on from there");
        experiment.interrupt.check(&saved)
    }

    /// Saves the state after so many steps, with the rollouts of those to come.
    fn save(&mut self, step: usize) -> Result<()> {
        self.notes.underway = self.queue.underway(step, &mut self.pool);
        self.notes.reward = self.reward.note();
        self.notes.solved = self.sampler.solved.clone();
        let (policy, base) = (self.policy, &self.trainer.start.base);
        let best = self.notes.best.map(|(step, _)| step);
        let model = |dir: &Path| base::save(dir, policy, &base.tokenizer, base.known.as_ref());
        self.checkpoints.save(step, model, &self.optimizer, &self.notes, best)
    }

    /// Keeps what has been sampled of a step that was broken off, and gives the error that broke it off.
    fn keep_unfinished(&mut self, step: usize, error: Error) -> Error {
        if self.sampled != Some(step) && (step > self.first || !self.queue.underway(step, &mut self.pool).is_empty()) {
            // That this may fail too (a full disk) says less than what came first, unless that says that it is saved.
            if let (Err(unsaved), Error::Interrupted(_)) = (self.save(step), &error) {
                return unsaved;
            }
        }
        error
    }

    fn finish(self) -> Result<Curves> {
        let experiment = self.trainer.experiment;
        // Whoever edits files while they are written has them restored as well.
        tell(experiment, &self.notes.history.restore(&experiment.run)?);
        let training = self.notes.history.lines(&experiment.run.metrics())?;
        let training = training.iter().map(|line| TrainingPoint::from_metrics(line.step, &line.values)).collect();
        Ok(Curves { evaluation: self.notes.history.evaluations, training, ..Curves::default() })
    }
}

/// The newest evaluation in a few words.
fn shown(evaluations: &[ArmResult]) -> String {
    let Some(newest) = evaluations.last().map(|row| row.step) else { return String::new() };
    let rows = evaluations.iter().filter(|row| row.step == newest && row.set == Set::B);
    let words: Vec<String> = rows.map(|row| format!("{} {:.2}", row.form, row.accuracy)).collect();
    format!("B at step {newest}: {}", words.join(", "))
}
