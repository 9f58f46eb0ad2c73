//! `[own_text]`: texts that the base writes before it is trained, which training replays against forgetting.

use serde::{Deserialize, Serialize};

use super::Ranges;
use super::ranges::MOST_TOKENS;

/// The most texts: far more than a replay needs.
const MOST_TEXTS: usize = 1_000_000;

/// Written once, before anything is trained, at temperature 1 and from where a text begins; with a chat template from the
/// opening of a user's turn, so that question and answer are both the base's own. Nothing is written where neither
/// `finetune.own_text` nor `warmup.own_text` is above 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnTextConfig {
    /// Seed of the sampling.
    pub seed: u64,
    /// How many texts are written, those that are held back among them.
    pub texts: usize,
    /// Longest text in tokens, the end token included; with a chat template longest question and longest answer.
    pub max_new_tokens: usize,
    /// How many of the texts training never sees: the perplexity of these measures what is forgotten. 0 measures nothing.
    pub held_back: usize,
}

impl Default for OwnTextConfig {
    fn default() -> Self {
        OwnTextConfig { seed: 0, texts: 64, max_new_tokens: 128, held_back: 16 }
    }
}

impl OwnTextConfig {
    pub(super) fn is_usual(&self) -> bool {
        *self == OwnTextConfig::default()
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        ranges.count("own_text.texts", self.texts, 1..=MOST_TEXTS);
        ranges.count("own_text.max_new_tokens", self.max_new_tokens, 2..=MOST_TOKENS);
        let some = self.held_back < self.texts;
        ranges.demand(some, "own_text.held_back", self.held_back, "fewer than own_text.texts, to leave some to replay");
    }
}
