//! What a step of reinforcement learning makes of its batch: one optimizer step, or as many as there are inner epochs.

use metrics::gauge;

use super::batch::Batch;
use crate::experiment::Experiment;
use crate::experiment::start::Start;
use crate::kernels::Gradients;
use crate::knowledge::curriculum::TrainingSequence;
use crate::knowledge::leak::Leaks;
use crate::knowledge::{Knowledge, Set};
use crate::learner::policy_gradient::{self, Learned};
use crate::learner::{Algorithm, Optimizer, Parallelism, Penalty, supervised};
use crate::monitor::StepStats;
use crate::policy::Policy;
use crate::{Result, random};

/// What updates depend on beside the policy.
pub(crate) struct Updater<'a> {
    pub experiment: &'a Experiment,
    pub start: &'a Start,
    pub algorithm: Algorithm,
    /// The policy that the algorithm holds to, where it does.
    pub reference: Option<&'a Policy>,
    /// Threads.
    pub workers: usize,
}

/// What one step did to the policy.
#[derive(Default)]
pub(crate) struct Update {
    /// Sums over its optimizer steps.
    learned: Learned,
    /// Optimizer steps with something to learn from.
    steps: usize,
    /// Mismatch of sampler and learner, before the first of them.
    mismatch_kl: Option<f64>,
    gradient_norm: Option<f64>,
    /// The smallest share of tokens at the lower bound, and the largest at the upper one, of its optimizer steps.
    clipped: Option<(f64, f64)>,
    /// What was not finite, so that the rest of the step was left out.
    pub not_finite: Option<&'static str>,
}

impl Updater<'_> {
    /// Learns from a batch.
    pub fn learn(
        &self,
        step: usize,
        policy: &Policy,
        optimizer: &mut Optimizer,
        batch: &Batch,
        learning_rate: f64,
    ) -> Result<Update> {
        let (config, tokenizer, workers) = (&self.experiment.config.train, &self.start.base.tokenizer, self.workers);
        let Algorithm { inner_epochs, tis_cap, .. } = self.algorithm;
        // Completions were sampled at this temperature, so that is where their probabilities are compared.
        let tempered = policy.clone().with_temperature(config.temperature as f32);
        let mut sampled = batch.sampled();
        let trace = |tokens: &[u32]| tokenizer.trace_length(tokens);
        let weights = policy_gradient::token_weights(&self.algorithm, &sampled, &trace, config.longest_completion().1);
        // The first of several optimizer steps is where ratios are taken to; a single one knows by itself.
        let before = if tis_cap != 0.0 && inner_epochs > 1 {
            policy_gradient::score(&tempered, &sampled, workers)?
        } else {
            Vec::new()
        };
        sampled.iter_mut().zip(&before).for_each(|(completion, before)| completion.old_logprobs = Some(before));
        gauge!("learning_rate").set(learning_rate);
        let hands = Parallelism { threads: workers, others: self.experiment.actors.others() };
        let mut update = Update::default();
        for epoch in 0..inner_epochs {
            let reference = self.reference;
            let learned = policy_gradient::gradients(&tempered, reference, &self.algorithm, &sampled, &weights, hands)?;
            let gradients = learned.map(|(gradients, learned)| {
                update.add(learned);
                gradients
            });
            let Some(mut gradients) = together(gradients, self.replayed(step, epoch, policy)?)? else { continue };
            gradients.retain(|name| !config.freezes(name));
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
        if hands.others.is_some() {
            gauge!("time/learned_elsewhere").set(update.elsewhere());
        }
        Ok(update)
    }

    /// The gradient of the base's lessons that an optimizer step replays.
    fn replayed(&self, step: usize, epoch: usize, policy: &Policy) -> Result<Option<Gradients>> {
        let lessons = self.replay(step, epoch)?;
        if lessons.is_empty() {
            return Ok(None);
        }
        let weight = self.experiment.config.train.replay_weight;
        let (gradients, fit) = supervised::gradients(policy, &lessons, weight, self.workers)?;
        gauge!("replay/loss").set(fit.loss);
        Ok(Some(gradients))
    }

    /// What the alarms listen to.
    pub fn stats(&self, update: &Update, batch: &Batch) -> StepStats {
        let learned = |value: f64| (update.steps > 0 && value.is_finite()).then_some(value);
        let Algorithm { kl, kl_in, .. } = self.algorithm;
        let in_loss = learned(update.learned.statistics.kl()).filter(|_| kl != 0.0 && kl_in == Penalty::Loss);
        let mismatch_kl = update.mismatch_kl.filter(|value| value.is_finite());
        let synchronous = self.experiment.config.train.max_off_policy_steps == 0;
        StepStats {
            entropy: learned(update.entropy()),
            kl: in_loss.or(batch.kl),
            mismatch_kl: mismatch_kl.filter(|_| synchronous),
            behind_kl: mismatch_kl.filter(|_| !synchronous),
            gradient_norm: update.gradient_norm.filter(|value| value.is_finite()),
            truncated: Some(batch.truncated()),
            foretold: batch.foretold,
            // Where groups are not compared with themselves, those without spread teach as well.
            flat: self.algorithm.advantage.needs_spread().then_some(batch.flat),
        }
    }

    /// Lessons of the base that go into a step; files have none.
    fn replay(&self, step: usize, epoch: usize) -> Result<Vec<TrainingSequence>> {
        let config = &self.experiment.config;
        let Knowledge::Generated(world) = &self.start.knowledge else { return Ok(Vec::new()) };
        let curriculum = config.finetune.curriculum(world);
        let leaks = Leaks::new(world, Set::B);
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
        let (low, high) = (learned.statistics.clip_ratio_low(), learned.statistics.clip_ratio_high());
        self.clipped = Some(self.clipped.map_or((low, high), |(least, most)| (least.min(low), most.max(high))));
        self.learned += learned;
        self.steps += 1;
    }

    /// Mean over its optimizer steps.
    fn entropy(&self) -> f64 {
        self.learned.entropy / self.steps.max(1) as f64
    }

    /// The share of the tokens that went through the model in other processes.
    fn elsewhere(&self) -> f64 {
        self.learned.elsewhere as f64 / self.learned.tokens.max(1) as f64
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
        gauge!("clip_ratio/low_mean").set(statistics.clip_ratio_low());
        gauge!("clip_ratio/high_mean").set(statistics.clip_ratio_high());
        gauge!("clip_ratio/region_mean").set(statistics.clip_ratio_region());
        if let Some((least, most)) = self.clipped {
            gauge!("clip_ratio/low_min").set(least);
            gauge!("clip_ratio/high_max").set(most);
        }
        if algorithm.value.head().is_some() {
            gauge!("value/loss").set(statistics.value_loss());
            gauge!("value/clip_ratio").set(statistics.value_clip_ratio());
        }
        if algorithm.tis_cap != 0.0 {
            gauge!("importance/capped_ratio").set(statistics.importance_capped());
        }
    }
}
