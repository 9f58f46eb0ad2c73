//! `[evaluation]`: measuring every arm on the questions of A and B; `[arms]`: which ways of answering those are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ranges::{MOST_STEPS, MOST_TOKENS};
use super::train::{is_none, is_one, is_zero};
use super::{Ranges, off_at_zero};
use crate::evaluation::Arm;
use crate::rollout::SamplingParams;

/// The same questions for every arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Seed of the sampling.
    pub seed: u64,
    /// Completions of each question in each arm.
    pub samples: usize,
    /// Longest completion in tokens, the end token included.
    pub max_new_tokens: usize,
    /// Of chains of thought: 0 takes the likeliest token, otherwise logits are divided by this before sampling. Below
    /// the temperature of training, so that a slip of the sampler does not count as something the model believes.
    /// A single answer without a chain of thought is the likeliest; of several, all are sampled, so that every arm has
    /// as many tries.
    pub temperature: f64,
    /// Only so many of the likeliest tokens can be drawn; 0: all.
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
    /// What logits of tokens are divided by (multiplied, below zero) that stand in the prompt or the completion; 1: nothing.
    #[serde(skip_serializing_if = "is_one")]
    pub repetition_penalty: f64,
    /// Questions of each task, form and set that an evaluation during training asks; 0 for all.
    #[serde(with = "off_at_zero")]
    pub questions_during_training: Option<usize>,
    /// A file of text that no training sees, a `.jsonl` with a `text` in each row or plain text. Its perplexity before and after
    /// training measures what is forgotten, in place of that of texts which the base wrote (`own_text.held_back`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_back: Option<PathBuf>,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        EvaluationConfig {
            seed: 0,
            samples: 1,
            max_new_tokens: 96,
            temperature: 0.5,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            no_repeat_ngram_size: 0,
            repetition_penalty: 1.0,
            questions_during_training: Some(50),
            held_back: None,
        }
    }
}

impl EvaluationConfig {
    /// How tokens are drawn: as the config says, or the likeliest every time.
    pub fn sampling(&self, sampled: bool) -> SamplingParams {
        SamplingParams {
            temperature: if sampled { self.temperature as f32 } else { 0.0 },
            top_k: self.top_k,
            top_p: self.top_p as f32,
            min_p: self.min_p as f32,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            repetition_penalty: self.repetition_penalty as f32,
            ..SamplingParams::default()
        }
    }

    /// What evaluations on the way of a training depend on: a question is asked once there.
    pub fn during_training(&self) -> EvaluationConfig {
        EvaluationConfig { samples: 1, ..self.asking() }
    }

    /// What answers to questions depend on: nothing that is measured beside them.
    pub fn asking(&self) -> EvaluationConfig {
        EvaluationConfig { held_back: None, ..self.clone() }
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.count("evaluation.samples", self.samples, 1..=10_000);
        ranges.count("evaluation.max_new_tokens", self.max_new_tokens, 2..=MOST_TOKENS);
        if self.temperature != 0.0 {
            let allowed = "0 for the likeliest token, or a number from 0.001 to 1000";
            let within = (0.001..=1000.0).contains(&self.temperature);
            ranges.demand(within, "evaluation.temperature", self.temperature, allowed);
        }
        ranges.truncation("evaluation", self.top_k, self.top_p, self.min_p);
        ranges.count("evaluation.no_repeat_ngram_size", self.no_repeat_ngram_size, 0..=MOST_TOKENS);
        ranges.within("evaluation.repetition_penalty", self.repetition_penalty, 0.001..=1000.0);
        let asked = self.questions_during_training.unwrap_or(0);
        let named = self.held_back.as_ref().is_none_or(|path| !path.as_os_str().is_empty());
        ranges.demand(named, "evaluation.held_back", "nothing", "a file of text, or the key left out");
        ranges.count("evaluation.questions_during_training", asked, 0..=MOST_STEPS);
    }
}

/// What is asked of a run that is done may change: nothing here belongs to what makes two runs the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArmsConfig {
    /// Names of arms, as `recollect eval --arms list` explains them. The fine-tuned baseline is always one of them,
    /// because all others are compared with it.
    pub ask: Vec<Arm>,
    /// Passages that a search in the documents gives.
    pub passages: usize,
    /// Also score by which of a question's choices is the likeliest to follow, where they are not shown in it.
    pub likelihood: bool,
}

impl Default for ArmsConfig {
    fn default() -> Self {
        ArmsConfig { ask: Arm::STANDARD.to_vec(), passages: 5, likelihood: false }
    }
}

impl ArmsConfig {
    /// The arms to evaluate, each once, the baseline among them.
    pub fn resolved(&self) -> Vec<Arm> {
        let wanted = |arm: &Arm| *arm == Arm::FineTuned || self.ask.contains(arm);
        Arm::ALL.into_iter().filter(wanted).collect()
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.count("arms.passages", self.passages, 1..=1000);
    }
}
