//! `[pretrain]`: how a base model is made from scratch.

use serde::{Deserialize, Serialize};

use super::optimizer::optimizer_keys;
use super::ranges::{LARGEST, MOST_STEPS, MOST_TOKENS};
use super::{AdamConfig, Ranges};
use crate::knowledge::curriculum::{CotStyle, Mixture};
use crate::language::tokenizer::SPECIAL;
use crate::learner::Scales;
use crate::policy::{Anchor, Code, Head, InitConfig, Structured};

/// The most heads, codes and tokens of distance of a structured start.
const MOST_PARTS: usize = 4096;

/// AdamW on a mixture of generated text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// Seed of the initial weights and of the text.
    pub seed: u64,
    /// How the weights begin.
    pub init: InitConfig,
    /// What is taught, one phase after the other. Reading comes first: a model that memorises before it can read
    /// does not learn to read.
    pub phases: Vec<Phase>,
    /// Tokens of one step, padding not counted.
    pub tokens_per_step: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shares of it for variables whose names begin so. A structured start is washed out at the full rate before
    /// anything uses it.
    pub scales: Scales,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// The last share of the steps, over which the learning rate falls.
    pub decay_share: f64,
    /// On matrices only.
    pub weight_decay: f64,
    /// Longest gradient (2-norm over all weights) that is not scaled down.
    pub max_gradient_norm: f64,
    /// AdamW's constants.
    #[serde(skip_serializing_if = "AdamConfig::is_usual")]
    pub adam: AdamConfig,
}

/// One phase of pretraining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phase {
    /// Optimizer steps.
    pub steps: usize,
    /// Kinds of lessons by how often they come.
    pub mixture: Mixture,
    /// What lessons are like.
    #[serde(alias = "habits")]
    pub cot_style: CotStyle,
}

impl Default for Phase {
    fn default() -> Self {
        Phase { steps: 6000, mixture: Mixture::default(), cot_style: CotStyle::default() }
    }
}

/// A head that looks for sentences in which what stood `query` places before the current token stood `key` places
/// before the full stop.
fn matching(query: usize, key: usize, says: bool) -> Head {
    Head::Match { query: Code::Previous(query), key: Code::Previous(key), says, fetched: vec![] }
}

/// Learning rates that keep the structured start of reading: the parts that look and match learn slowly.
pub fn reading_circuit() -> Scales {
    let slow = [
        ("model.embed_tokens", 0.1),
        ("model.layers.0.", 0.05),
        ("model.layers.1.self_attn.q_proj", 0.05),
        ("model.layers.1.self_attn.k_proj", 0.05),
        ("model.layers.1.self_attn.v_proj", 0.5),
        ("model.layers.1.self_attn.o_proj", 0.5),
    ];
    slow.map(|(name, scale)| (name.to_string(), scale)).into()
}

optimizer_keys!(PretrainConfig, "pretrain", 0.98);

impl PretrainConfig {
    /// Optimizer steps of all phases together.
    pub fn steps(&self) -> usize {
        self.phases.iter().fold(0, |sum: usize, phase| sum.saturating_add(phase.steps))
    }

    /// The phase that a step, `0..steps()`, belongs to.
    pub fn phase(&self, step: usize) -> &Phase {
        let mut end = 0;
        let found = self.phases.iter().position(|phase| {
            end = phase.steps.saturating_add(end);
            step < end
        });
        &self.phases[found.unwrap_or(self.phases.len() - 1)]
    }
}

impl Default for PretrainConfig {
    fn default() -> Self {
        PretrainConfig {
            seed: 0,
            init: InitConfig {
                embedding_std: 0.1,
                matrix_gain: 0.5,
                structured: Some(Structured {
                    sharpness: 8.0,
                    gain: 2.5,
                    offsets: vec![1, 2, 3, 4],
                    heads: vec![
                        // At the colon of an answer: the premises about the first and the last term …
                        matching(4, 4, false),
                        matching(1, 4, false),
                        // … and the fact about the object before it.
                        matching(1, 1, true),
                        // At the beginning of an answer: what the question asks for, before its question mark.
                        Head::Repeat { token: SPECIAL.len() as u32 + 2, code: Code::Previous(1) },
                    ],
                    then: vec![],
                    fetched: vec![Code::Previous(3), Code::Previous(2)],
                    // The full stop: the first word of every lexicon.
                    anchor: Anchor { token: SPECIAL.len() as u32, strength: 8.0 },
                    gates: None,
                }),
            },
            phases: vec![Phase { steps: 1500, mixture: Mixture::reading(), ..Phase::default() }, Phase::default()],
            tokens_per_step: 2048,
            learning_rate: 2e-3,
            scales: reading_circuit(),
            warmup_steps: 100,
            decay_share: 0.3,
            weight_decay: 0.01,
            max_gradient_norm: 1.0,
            adam: AdamConfig::default(),
        }
    }
}

impl PretrainConfig {
    pub(super) fn check(&self, ranges: &mut Ranges) {
        let phases = self.phases.len();
        ranges.demand((1..=1000).contains(&phases), "pretrain.phases", format!("{phases} phases"), "1 to 1000");
        ranges.count("pretrain.phases.steps", self.steps(), 1..=MOST_STEPS);
        for Phase { mixture, cot_style, .. } in &self.phases {
            ranges.mixture("pretrain.phases.mixture", mixture);
            ranges.cot_style("pretrain.phases.cot_style", cot_style);
        }
        ranges.count("pretrain.tokens_per_step", self.tokens_per_step, 1..=MOST_TOKENS);
        self.optimizer_keys().check(ranges);
        init("pretrain.init", &self.init, ranges);
    }
}

/// Sizes of random numbers that stay finite in single precision.
fn init(key: &str, init: &InitConfig, ranges: &mut Ranges) {
    ranges.not_negative(&format!("{key}.embedding_std"), init.embedding_std, LARGEST);
    ranges.not_negative(&format!("{key}.matrix_gain"), init.matrix_gain, LARGEST);
    let Some(Structured { sharpness, gain, offsets, heads, then, fetched, anchor, .. }) = &init.structured else {
        return;
    };
    let sizes = [("sharpness", *sharpness), ("gain", *gain), ("anchor.strength", anchor.strength)];
    for (name, size) in sizes {
        ranges.not_negative(&format!("{key}.structured.{name}"), size, 1e4);
    }
    let codes = heads.iter().chain(then).map(|head| match head {
        Head::Match { fetched, .. } => fetched.len(),
        Head::Repeat { .. } => 0,
    });
    let longest = codes.chain([offsets.len(), heads.len(), then.len(), fetched.len()]).max().unwrap_or(0);
    let found = format!("a list of {longest}");
    ranges.demand(longest <= MOST_PARTS, &format!("{key}.structured"), found, format!("lists of {MOST_PARTS} at most"));
    let far = offsets.iter().copied().max().unwrap_or(0);
    ranges.count(&format!("{key}.structured.offsets"), far, 0..=MOST_PARTS);
}
