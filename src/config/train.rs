//! `[train]`: reinforcement learning on the questions of A.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use toml::Table;

use super::draw::{FormFilter, QuestionDraw};
use super::foreign::translated;
use super::optimizer::optimizer_keys;
use super::pretrain::reading_circuit;
use super::ranges::{MOST_STEPS, MOST_TOKENS};
use super::{AdamConfig, HintConfig, Ranges, off_at_zero};
use crate::knowledge::Form;
use crate::knowledge::curriculum::Mixture;
use crate::knowledge::reversal::{CANDIDATES, OPEN};
use crate::knowledge::syllogism::ENTAILMENT;
use crate::learner::{self, Scales};
use crate::rollout::SamplingParams;
use crate::strict_toml::{WordOr, word_or};
use crate::{Error, Result};

/// The most completions of a step.
const MOST_ROLLOUTS: usize = 1_000_000;

/// Batch sizes are counted in questions, completions of each and optimizer steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Steps: each samples completions, judges them and learns from them, by one optimizer step for each of the
    /// algorithm's inner epochs. May be raised for a run that has begun or is finished: it goes on from its last step.
    pub steps: usize,
    /// Forms of questions that a step asks, each once; as many questions of each, if `form_shares` does not say otherwise.
    pub forms: Vec<Form>,
    /// How often a form is asked beside the others, where that is not 1; every step asks one question of each form at least.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub form_shares: BTreeMap<Form, f64>,
    /// Longest completions of questions of a form, where that is not `max_new_tokens`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub form_max_new_tokens: BTreeMap<Form, usize>,
    /// What is otherwise than in `algorithm.filter` for questions of a form: `{ open = { extra_rounds = 2, keep = "finished" } }`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub form_filters: BTreeMap<Form, FormFilter>,
    /// Begin thoughts with a part of a right one; without this section nothing is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<HintConfig>,
    /// Which questions are asked. With `"unsolved"` what a step has to say of itself (`reward`, `correct/…`) is of harder questions
    /// than those of A as a whole, and what is maximised is no longer the mean over these: it is a mixture that moves on to what
    /// is still wrong.
    #[serde(skip_serializing_if = "QuestionDraw::is_uniform")]
    pub draw: QuestionDraw,
    /// Share of what is known in A (groups of facts, squares of syllogisms) that is asked of nobody in training, so that
    /// runs can be compared by it and B stays for the end; a sweep takes a quarter. 0: training asks about all of A.
    // Left out where it is 0: a run that holds nothing out is the run that it was before this key existed.
    #[serde(skip_serializing_if = "is_zero")]
    pub held_out: f64,
    /// Questions of one step.
    pub questions_per_step: usize,
    /// Completions of each question.
    pub group_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shares of it for variables whose names begin so. A structured start is washed out at the full rate before
    /// anything uses it.
    pub scales: Scales,
    /// Variables that stay as they are: those that have one of these in their names, as `embed_tokens` or `mlp`. Most of what
    /// a policy knows lies in its embeddings and its MLPs, and attention decides what it brings up: with the former frozen,
    /// reinforcement learning learns less of A by heart and more of how to recall.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// The last share of the steps, over which the learning rate falls. When `steps` is raised, the rate of each further
    /// step is that of a run of so many steps; what was learned at a lower rate stays as it is.
    pub decay_share: f64,
    /// On matrices only.
    pub weight_decay: f64,
    /// Longest gradient (2-norm over all weights) that is not scaled down.
    pub max_gradient_norm: f64,
    /// AdamW's constants.
    #[serde(skip_serializing_if = "AdamConfig::is_usual")]
    pub adam: AdamConfig,
    /// Longest completion in tokens, the end token included.
    pub max_new_tokens: usize,
    /// Logits are divided by this before sampling.
    pub temperature: f64,
    /// Only so many of the likeliest tokens can be drawn; 0: all. Log-probabilities in the loss are then those of the
    /// distribution that was sampled from, as with the three that follow.
    #[serde(skip_serializing_if = "is_none")]
    pub top_k: usize,
    /// Only the likeliest tokens that together have this probability can be drawn; 1: all.
    #[serde(skip_serializing_if = "is_one")]
    pub top_p: f64,
    /// Only tokens with this share of the probability of the likeliest can be drawn; 0: all.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_p: f64,
    /// No run of so many tokens of prompt and completion comes twice; 0: any may. `no_repeat_ngram_size` of transformers.
    #[serde(skip_serializing_if = "is_none")]
    pub no_repeat_ngram_size: usize,
    /// How the policy is updated.
    pub algorithm: AlgorithmChoice,
    /// What a completion is worth: a file with reward terms.
    pub reward: PathBuf,
    /// Take changes of that file while the run goes on, from the next step; otherwise they are refused.
    pub reload_reward: bool,
    /// Tokens of the base's lessons that each step also learns, against forgetting how to read; 0 for none.
    pub replay_tokens: usize,
    /// Weight of their loss.
    pub replay_weight: f64,
    /// Kinds of those lessons by how often they come.
    pub mixture: Mixture,
    /// Versions that a token may be behind the policy that learns from it. 0: sampling and learning take turns, and the
    /// same seed gives the same bytes. Above: workers sample while the policy learns, as many batches ahead, and take up
    /// new weights between two tokens; faster where they have cores or a device of their own, and no two runs the same.
    // Left out where it is 0: a run that takes turns is the run that it was before this key existed.
    #[serde(skip_serializing_if = "is_none", alias = "staleness")]
    pub max_off_policy_steps: usize,
    /// Steps between evaluations on a sample of the questions; 0 for none but the first and the last.
    #[serde(with = "off_at_zero")]
    pub evaluate_every: Option<usize>,
    /// Steps between checkpoints; the last step has one in any case. 0 for that one only.
    #[serde(with = "off_at_zero")]
    pub checkpoint_every: Option<usize>,
    /// How many of the newest checkpoints stay, that of the last step among them.
    pub keep_last: usize,
    /// Keep the checkpoint that answered most questions of A as well, of those that were evaluated.
    pub keep_best: bool,
    /// Keep the rollouts of every so many steps, and of the last; 1: of all.
    #[serde(skip_serializing_if = "is_usual_recording")]
    pub record_every: usize,
    /// Write them compressed (`step-000123.jsonl.zst`), which takes a tenth of the room; everything here reads them as it reads
    /// the others, and `zstd -d` makes text of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compress_rollouts: bool,
    /// Branch off from a checkpoint of another run, `RUN@STEP` (runs/quickstart@200), with its weights, its
    /// optimizer's state and its count of steps, instead of beginning with the fine-tuned policy. `RUN@0` is the
    /// fine-tuned policy of that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            steps: 300,
            forms: vec![CANDIDATES, OPEN, ENTAILMENT],
            form_shares: BTreeMap::new(),
            form_max_new_tokens: BTreeMap::new(),
            form_filters: BTreeMap::new(),
            hint: None,
            draw: QuestionDraw::Uniform,
            held_out: 0.0,
            questions_per_step: 12,
            group_size: 16,
            learning_rate: 3e-4,
            scales: reading_circuit(),
            freeze: Vec::new(),
            warmup_steps: 10,
            decay_share: 0.0,
            weight_decay: 0.0,
            max_gradient_norm: 1.0,
            adam: AdamConfig::default(),
            max_new_tokens: 64,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            no_repeat_ngram_size: 0,
            algorithm: AlgorithmChoice::Preset("grpo".into()),
            reward: PathBuf::from("rewards/correct.toml"),
            reload_reward: false,
            replay_tokens: 1024,
            replay_weight: 0.2,
            mixture: Mixture::reading(),
            max_off_policy_steps: 0,
            evaluate_every: Some(50),
            checkpoint_every: Some(50),
            keep_last: 2,
            keep_best: true,
            record_every: 1,
            compress_rollouts: false,
            from: None,
        }
    }
}

optimizer_keys!(TrainConfig, "train", 0.99);

impl TrainConfig {
    /// What the results depend on: the same with the defaults of which checkpoints and rollouts are written and which of them
    /// stay.
    pub fn learned(&self) -> TrainConfig {
        let usual = TrainConfig::default();
        let TrainConfig { checkpoint_every, keep_last, keep_best, record_every, compress_rollouts, .. } = usual;
        TrainConfig { checkpoint_every, keep_last, keep_best, record_every, compress_rollouts, ..self.clone() }
    }

    /// Whether the variable of this name stays as it is.
    pub fn freezes(&self, name: &str) -> bool {
        self.freeze.iter().any(|part| name.contains(part.as_str()))
    }

    /// How tokens are drawn.
    pub fn sampling(&self) -> SamplingParams {
        let (top_p, min_p) = (self.top_p as f32, self.min_p as f32);
        let (top_k, no_repeat_ngram_size) = (self.top_k, self.no_repeat_ngram_size);
        SamplingParams { top_k, top_p, min_p, no_repeat_ngram_size, ..SamplingParams::at(self.temperature as f32) }
    }

    /// Completions sampled in one step.
    pub fn rollouts_per_step(&self) -> usize {
        self.questions_per_step.saturating_mul(self.group_size)
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.count("train.steps", self.steps, 1..=MOST_STEPS);
        self.check_forms(ranges);
        self.hint.iter().for_each(|hint| hint.check(ranges));
        ranges.within("train.held_out", self.held_out, 0.0..=0.9);
        let least = self.forms.len().clamp(1, MOST_ROLLOUTS);
        ranges.count("train.questions_per_step", self.questions_per_step, least..=MOST_ROLLOUTS);
        ranges.not_negative("train.replay_weight", self.replay_weight, 1e6);
        ranges.count("train.replay_tokens", self.replay_tokens, 0..=MOST_TOKENS);
        ranges.mixture("train.mixture", &self.mixture);
        // Where an advantage compares the completions of one question, one alone has nothing to be compared with.
        let alone = self.algorithm.resolve().is_ok_and(|algorithm| !algorithm.advantage.needs_spread());
        ranges.count("train.group_size", self.group_size, if alone { 1 } else { 2 }..=MOST_ROLLOUTS);
        let allowed = format!("with train.group_size {MOST_ROLLOUTS} completions of a step at most");
        let rollouts = self.rollouts_per_step();
        // Either alone is out of range already where it is.
        let each = self.questions_per_step.max(self.group_size) <= MOST_ROLLOUTS;
        ranges.demand(!each || rollouts <= MOST_ROLLOUTS, "train.questions_per_step", self.questions_per_step, allowed);
        self.optimizer_keys().check(ranges);
        let nameless = self.freeze.iter().any(String::is_empty);
        ranges.demand(!nameless, "train.freeze", "an empty name", "parts of the names of variables, such as \"mlp\"");
        ranges.count("train.max_new_tokens", self.max_new_tokens, 2..=MOST_TOKENS);
        ranges.temperature("train.temperature", self.temperature);
        ranges.truncation("train", self.top_k, self.top_p, self.min_p);
        ranges.count("train.no_repeat_ngram_size", self.no_repeat_ngram_size, 0..=MOST_TOKENS);
        ranges.count("train.evaluate_every", self.evaluate_every.unwrap_or(0), 0..=MOST_STEPS);
        ranges.count("train.checkpoint_every", self.checkpoint_every.unwrap_or(0), 0..=MOST_STEPS);
        let behind = self.max_off_policy_steps;
        ranges.demand(behind <= 64, "train.max_off_policy_steps", behind, "0 (take turns) to 64");
        ranges.count("train.record_every", self.record_every, 1..=MOST_STEPS);
        ranges.count("train.keep_last", self.keep_last, 1..=MOST_STEPS);
        let named = !self.reward.as_os_str().is_empty();
        ranges.demand(named, "train.reward", "nothing", "a file such as rewards/correct.toml");
    }
}

/// Where a share is none.
pub(super) fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

/// Where every step is recorded.
fn is_usual_recording(every: &usize) -> bool {
    *every == 1
}

/// Where nothing is taken off a distribution.
pub(super) fn is_one(share: &f64) -> bool {
    *share == 1.0
}

/// Where a count is none.
pub(super) fn is_none(count: &usize) -> bool {
    *count == 0
}

/// The update rule: a preset by its name, or a table of the learner's own fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AlgorithmChoice {
    Preset(String),
    Custom(Table),
}

impl AlgorithmChoice {
    /// The algorithm that is meant. What is wrong with it, or cannot work together, is a line each.
    ///
    /// # Errors
    /// A line for each key that is wrong.
    pub fn resolve(&self) -> Result<learner::Algorithm> {
        match self {
            AlgorithmChoice::Preset(name) => learner::Algorithm::preset(name).map_err(|_| {
                let allowed = format!("one of {}", learner::Algorithm::PRESETS.join(", "));
                Error::invalid("train.algorithm", name, allowed)
            }),
            AlgorithmChoice::Custom(table) => learner::Algorithm::from_table(table).map_err(|problems| {
                let told = |problem| translated(problem).at("train.algorithm");
                Error::Several(problems.into_iter().map(told).collect())
            }),
        }
    }
}

impl<'de> Deserialize<'de> for AlgorithmChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match word_or(deserializer, "the name of an algorithm or a section")? {
            WordOr::Word(name) => AlgorithmChoice::Preset(name),
            WordOr::Table(table) => AlgorithmChoice::Custom(table),
        })
    }
}
