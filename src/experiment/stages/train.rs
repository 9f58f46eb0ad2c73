//! Reinforcement learning on the questions of A: sample, judge, learn, step by step.

use std::time::Instant;

use metrics::gauge;
use rand::seq::index;
use serde::{Deserialize, Serialize};

use super::Start;
use super::evaluate::{Examiner, on_the_way};
use super::finetune::learn_documents;
use crate::evaluation::{ArmResult, Curves, TrainingPoint};
use crate::exchange::WorkerPool;
use crate::experiment::alarm::Alarm;
use crate::experiment::course::{Checkpoints, Progressed};
use crate::experiment::live_reward::{LiveReward, RewardNote};
use crate::experiment::stage::Stage;
use crate::experiment::{Experiment, base, rollouts};
use crate::knowledge::curriculum::{Curriculum, Lesson};
use crate::knowledge::leak::Leaks;
use crate::knowledge::{Knowledge, Question, Set};
use crate::language::Opening;
use crate::language::tokenizer::END_THINK;
use crate::learner::policy_gradient::{self, Sampled};
use crate::learner::{Advantages, Algorithm, GradientOn, Optimizer, OptimizerConfig, Schedule, supervised};
use crate::policy::Policy;
use crate::random;
use crate::reward::{Normalise, Record};
use crate::rollout::{Completion, Finish, Request, SLOTS};
use crate::telemetry::{JsonlRecorder, read_metrics};
use crate::verifier::judge;
use crate::{Error, Result, files};

/// What training remembers beside weights and moments.
#[derive(Default, Serialize, Deserialize)]
struct Notes {
    evaluations: Vec<ArmResult>,
    #[serde(default)]
    reward: RewardNote,
    #[serde(default)]
    alarm: Alarm,
}

/// File in the stage's directory that holds the learning curves.
pub(super) const CURVES: &str = "curves.json";

/// Trains the fine-tuned policy and gives the stage that holds the result.
pub fn train(experiment: &Experiment) -> Result<Stage> {
    let start = Start::new(experiment)?;
    let tuned = learn_documents(experiment, &start)?;
    reinforce(experiment, &start, &tuned)
}

pub(super) fn reinforce(experiment: &Experiment, start: &Start, tuned: &Stage) -> Result<Stage> {
    let config = &experiment.config;
    let algorithm = config.train.algorithm.resolve()?;
    if algorithm.gradient_on == GradientOn::Trace && start.base.tokenizer.end_think().is_none() {
        let found = format!("\"trace\", and the tokenizer of {} has no token {END_THINK}", config.base.path);
        let remedy = "where the trace ends cannot be seen: use \"completion\"";
        return Err(Error::invalid("train.algorithm.gradient_on", found, remedy));
    }
    // A reward that may change on the way is known by the name of its file alone.
    let reward = (!config.train.reload_reward).then_some(&experiment.reward);
    let inputs = (
        &tuned.content,
        &config.train,
        reward,
        &config.evaluation,
        config.run.seed,
        config.run.precision,
        &start.digest,
    );
    experiment.cache.get_or_make("train", &inputs, |dir| {
        let precision = config.run.precision;
        let reference = match algorithm.kl {
            0.0 => None,
            _ => Some(start.base.successor(&tuned.dir)?.with_precision(precision)),
        };
        let trainer = Trainer { experiment, start, algorithm, reference };
        let (policy, curves) = trainer.run(tuned)?;
        base::save(dir, &policy, &start.base.tokenizer, start.base.known.as_ref())?;
        let text = serde_json::to_vec(&curves)
            .map_err(|error| Error::invalid(CURVES, error.to_string(), "the curves cannot be written"))?;
        files::write_atomic(&dir.join(CURVES), &text)
    })
}

struct Trainer<'a> {
    experiment: &'a Experiment,
    start: &'a Start,
    algorithm: Algorithm,
    /// The policy that the algorithm holds to, where it does.
    reference: Option<Policy>,
}

/// The completions of one step with what they are worth.
struct Batch {
    prompts: Vec<Vec<u32>>,
    completions: Vec<Completion>,
    lines: Vec<Record>,
    advantages: Vec<f32>,
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
        let checkpoints = Checkpoints::of(experiment, "train", &self.key(tuned)?);
        let Progressed { step: first, policy, mut optimizer, mut notes } =
            checkpoints.resume::<Notes>(optimizer, &config.scales, || self.start.base.successor(&tuned.dir))?;
        let policy = policy.with_precision(experiment.config.run.precision);
        let mut reward = LiveReward::open(experiment, notes.reward.clone())?;
        let schedule = Schedule::over(config.steps, config.learning_rate, config.warmup_steps, config.decay_share);
        let workers = experiment.config.run.resolved_workers();
        let longest = policy.config.longest_sequence();
        let mut pool = WorkerPool::start(workers, &policy.config, SLOTS, longest)?;
        let recorder = JsonlRecorder::open(&experiment.run.metrics(), first as u64 + 1)?;
        let mut meter = experiment.progress.begin("reinforcement learning", "steps", first as u64, config.steps as u64);
        for step in first..config.steps {
            let began = Instant::now();
            pool.publish(&policy.snapshot(step as u64)?)?;
            if config.evaluate_every > 0 && step % config.evaluate_every == 0 {
                let mut examiner = Examiner::new(experiment, self.start, &mut pool);
                notes.evaluations.extend(on_the_way(&mut examiner, step as u64)?);
                meter.note(&shown(&notes.evaluations));
            }
            metrics::with_local_recorder(&recorder, || -> Result<()> {
                let sampling = Instant::now();
                if reward.look(step + 1, experiment.progress.as_ref())? {
                    // What another reward paid cannot be compared.
                    notes.alarm = Alarm::default();
                }
                let batch = self.sample(step, &mut pool, &mut reward)?;
                reward.measure(experiment.progress.as_ref());
                let (hacked, words) = notes.alarm.hear(&batch.lines);
                if hacked {
                    gauge!("alarm/hacked").set(1.0);
                }
                words.iter().for_each(|words| experiment.progress.tell(words));
                gauge!("time/sample").set(sampling.elapsed().as_secs_f64());
                let learning = Instant::now();
                self.learn(step, &policy, &mut optimizer, &batch, schedule.rate(step), workers)?;
                gauge!("time/learn").set(learning.elapsed().as_secs_f64());
                rollouts::write(&experiment.run.rollouts(step + 1), &batch.lines)?;
                let tokens: usize = batch.completions.iter().map(|c| c.tokens.len()).sum();
                gauge!("tokens_per_sec").set(tokens as f64 / began.elapsed().as_secs_f64());
                gauge!("step_time").set(began.elapsed().as_secs_f64());
                Ok(())
            })?;
            let line = recorder.write_step(step as u64 + 1)?;
            meter.set(step as u64 + 1);
            if let Some(Some(reward)) = line.values.get("reward") {
                let newest = shown(&notes.evaluations);
                let between = if newest.is_empty() { "" } else { " | " };
                meter.note(&format!("reward {reward:.2}{between}{newest}"));
            }
            let (done, stopping) = (step + 1, experiment.interrupt.requested());
            let due = config.checkpoint_every > 0 && done.is_multiple_of(config.checkpoint_every);
            if done < config.steps && (stopping || due) {
                notes.reward = reward.note();
                checkpoints.save(done, &policy, &optimizer, &notes)?;
            }
            let saved = format!("reinforcement learning is saved at step {done}; the same command goes on from there");
            experiment.interrupt.check(&saved)?;
        }
        let training = read_metrics(&experiment.run.metrics())?;
        let training = training.iter().map(|line| TrainingPoint::from_metrics(line.step, &line.values)).collect();
        checkpoints.remove()?;
        Ok((policy, Curves { evaluation: notes.evaluations, training }))
    }

    /// Names the checkpoints: another config, and another policy to start from, has other ones.
    fn key(&self, tuned: &Stage) -> Result<String> {
        let key = format!("{} {}", self.experiment.config.digest()?, tuned.content);
        Ok(files::digest(key.as_bytes())[..16].to_string())
    }

    /// Questions of A, as many of each form, none twice in a step.
    fn questions(&self, step: usize) -> Vec<Question> {
        let config = &self.experiment.config.train;
        let mut random = random::stream(self.experiment.config.run.seed, &[1, step as u64]);
        let mut questions = Vec::with_capacity(config.questions_per_step);
        for (at, form) in config.forms.iter().enumerate() {
            // What does not divide goes to the first forms.
            let rest = usize::from(at < config.questions_per_step % config.forms.len());
            let there = self.start.knowledge.questions_of(Set::A, *form);
            let count = (config.questions_per_step / config.forms.len() + rest).min(there);
            for index in index::sample(&mut random, there, count) {
                questions.push(self.start.knowledge.question(Set::A, *form, index, &mut random));
            }
        }
        questions
    }

    fn sample(&self, step: usize, pool: &mut WorkerPool, reward: &mut LiveReward) -> Result<Batch> {
        let (config, tokenizer) = (&self.experiment.config.train, &self.start.base.tokenizer);
        let questions = self.questions(step);
        let prompts: Vec<Vec<u32>> = questions
            .iter()
            .map(|question| tokenizer.encode(&tokenizer.prompt(&[], &question.text, Opening::Think)?))
            .collect::<Result<_>>()?;
        let requests = prompts.iter().zip(&questions).map(|(prompt, question)| Request {
            prompt: prompt.clone(),
            samples: config.group_size,
            temperature: config.temperature as f32,
            max_new_tokens: config.max_new_tokens,
            stop: tokenizer.ends().to_vec(),
            seed: self.experiment.config.run.seed,
            key: [step as u64, question.id],
        });
        let completions = pool.generate(requests.collect())?;
        let mut groups = vec![Vec::with_capacity(config.group_size); questions.len()];
        let mut lines = Vec::with_capacity(completions.len());
        for completion in &completions {
            let question = &questions[completion.request];
            let text = tokenizer.decode(&completion.tokens)?;
            let finished = completion.finish == Finish::Stop;
            let judgement = judge(&self.start.knowledge, question, Opening::Think, &text, finished);
            let mut line = Record::new(step as u64 + 1, question, completion, text, judgement);
            line.pay(reward.score(&line.evidence()));
            groups[completion.request].push(line.reward);
            lines.push(line);
        }
        let Advantages { values, without_spread } = match reward.reward().normalise {
            Normalise::Sum => self.algorithm.advantage.of(&groups),
            Normalise::Terms => {
                self.algorithm.advantage.of_terms(&rollouts::by_term(&completions, &lines, questions.len()))
            }
        };
        let advantages: Vec<f32> = values.into_iter().flatten().collect();
        for (line, advantage) in lines.iter_mut().zip(&advantages) {
            line.advantage = *advantage;
        }
        rollouts::measure(&lines, &groups, without_spread);
        Ok(Batch { prompts, completions, lines, advantages })
    }

    fn learn(
        &self,
        step: usize,
        policy: &Policy,
        optimizer: &mut Optimizer,
        batch: &Batch,
        learning_rate: f64,
        workers: usize,
    ) -> Result<()> {
        let (config, tokenizer) = (&self.experiment.config.train, &self.start.base.tokenizer);
        let sampled: Vec<Sampled> = batch
            .completions
            .iter()
            .zip(&batch.advantages)
            .map(|(completion, advantage)| Sampled {
                prompt: &batch.prompts[completion.request],
                tokens: &completion.tokens,
                log_probs: &completion.log_probs,
                advantage: *advantage,
            })
            .collect();
        // Where the tokenizer has none, `reinforce` has made sure that nobody looks for it.
        let end = tokenizer.end_think().unwrap_or(u32::MAX);
        let learned = policy_gradient::gradients(
            policy,
            self.reference.as_ref(),
            &self.algorithm,
            &sampled,
            end,
            config.max_new_tokens,
            workers,
        )?;
        let replayed = self.replay(step)?;
        let mut gradients = None;
        if let Some((gradient, learned)) = learned {
            gauge!("loss").set(learned.loss);
            gauge!("entropy").set(learned.entropy);
            gauge!("kl").set(learned.statistics.kl());
            gauge!("mismatch_kl").set(learned.statistics.mismatch_kl());
            gauge!("clip_ratio/low").set(learned.statistics.clip_ratio_low());
            gauge!("clip_ratio/high").set(learned.statistics.clip_ratio_high());
            gradients = Some(gradient);
        }
        if !replayed.is_empty() {
            let (gradient, fit) = supervised::gradients(policy, &replayed, config.replay_weight, workers)?;
            gauge!("replay/loss").set(fit.loss);
            match &mut gradients {
                None => gradients = Some(gradient),
                Some(sum) => sum.add(gradient)?,
            }
        }
        gauge!("learning_rate").set(learning_rate);
        let Some(gradients) = gradients else { return Ok(()) };
        let norm = optimizer.step(policy, &gradients, learning_rate, workers)?;
        gauge!("grad_norm").set(norm);
        if norm.is_finite() {
            return Ok(());
        }
        let found = format!("the gradient of step {} is not finite", step + 1);
        Err(Error::invalid("reinforcement learning", found, "lower train.learning_rate"))
    }

    /// Lessons of the base that go into a step; files have none.
    fn replay(&self, step: usize) -> Result<Vec<Lesson>> {
        let config = &self.experiment.config;
        let Knowledge::Generated(world) = &self.start.knowledge else { return Ok(Vec::new()) };
        let curriculum = Curriculum::new(world, &config.finetune.habits);
        let leaks = Leaks::of(world, Set::B);
        let mut random = random::stream(config.run.seed, &[2, step as u64]);
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

/// The newest evaluation in a few words.
fn shown(evaluations: &[ArmResult]) -> String {
    let Some(newest) = evaluations.last().map(|row| row.step) else { return String::new() };
    let rows = evaluations.iter().filter(|row| row.step == newest && row.set == Set::B);
    let words: Vec<String> = rows.map(|row| format!("{} {:.2}", row.form, row.accuracy)).collect();
    format!("B at step {newest}: {}", words.join(", "))
}
