//! How the next token is drawn from logits, as everywhere: temperature, truncation of the distribution, penalties.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is done to logits before a token is drawn, in the order of transformers and vLLM: penalties, runs that do not come
/// twice, temperature, top-k, top-p of what is left, min-p of what is left. Temperature 0 takes the likeliest token, and
/// truncates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingParams {
    /// 0 takes the likeliest token; otherwise logits are divided by this before sampling.
    pub temperature: f32,
    /// Only so many of the likeliest tokens can be drawn; 0: all.
    pub top_k: usize,
    /// Only the likeliest tokens that together have this probability can be drawn; 1: all
    /// (<https://arxiv.org/abs/1904.09751>).
    pub top_p: f32,
    /// Only tokens with this share of the probability of the likeliest can be drawn; 0: all
    /// (<https://arxiv.org/abs/2407.01082>).
    pub min_p: f32,
    /// No run of so many tokens of prompt and completion comes twice: a token that would end one cannot be drawn; 0: all may
    /// (`no_repeat_ngram_size` of transformers).
    pub no_repeat_ngram_size: usize,
    /// What logits of tokens are divided by (multiplied, below zero) that stand in the prompt or the completion; 1: nothing
    /// (<https://arxiv.org/abs/1909.05858>).
    pub repetition_penalty: f32,
    /// Taken off the logits of tokens that stand in the completion.
    pub presence_penalty: f32,
    /// The same as often as they stand there.
    pub frequency_penalty: f32,
    /// How many of the likeliest tokens are reported beside each that is drawn.
    pub top_logprobs: usize,
}

impl Default for SamplingParams {
    fn default() -> Self {
        SamplingParams {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            no_repeat_ngram_size: 0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            top_logprobs: 0,
        }
    }
}

impl SamplingParams {
    /// A temperature and nothing else.
    pub fn at(temperature: f32) -> SamplingParams {
        SamplingParams { temperature, ..SamplingParams::default() }
    }

    /// The likeliest token every time.
    pub fn greedy() -> SamplingParams {
        SamplingParams::at(0.0)
    }

    /// Whether some tokens may be kept from being drawn.
    pub fn restricts(&self) -> bool {
        self.no_repeat_ngram_size > 0 || self.truncates()
    }

    /// Whether unlikely tokens cannot be drawn.
    fn truncates(&self) -> bool {
        self.temperature != 0.0 && (self.top_k > 0 || self.top_p < 1.0 || self.min_p > 0.0)
    }

    /// The tokens, rising, that would end a run of [`no_repeat_ngram_size`](Self::no_repeat_ngram_size) tokens which
    /// stands there already.
    pub(super) fn banned(&self, prompt: &[u32], said: &[u32]) -> Vec<u32> {
        let (size, length) = (self.no_repeat_ngram_size, prompt.len() + said.len());
        let Some(last) = length.checked_sub(size).filter(|_| size > 0) else { return Vec::new() };
        let at = |place: usize| prompt.get(place).or_else(|| said.get(place - prompt.len()));
        let begun = last + 1;
        let again = |start: &usize| (0..size - 1).all(|step| at(start + step) == at(begun + step));
        let mut banned: Vec<u32> = (0..=last).filter(again).filter_map(|start| at(start + size - 1).copied()).collect();
        banned.sort_unstable();
        banned.dedup();
        banned
    }

    /// Whether a token counts for what was said before.
    pub fn penalises(&self) -> bool {
        self.repetition_penalty != 1.0 || self.presence_penalty != 0.0 || self.frequency_penalty != 0.0
    }

    /// The first that is out of range: its name, what was found, what is allowed. Logits stay finite within these.
    pub fn problem(&self) -> Option<(&'static str, f32, &'static str)> {
        let SamplingParams { temperature, top_p, min_p, repetition_penalty, .. } = *self;
        let (presence, frequency) = (self.presence_penalty, self.frequency_penalty);
        let moderate = |penalty: f32| penalty.abs() <= 100.0;
        let checks = [
            (
                "temperature",
                temperature,
                temperature == 0.0 || (0.001..=1000.0).contains(&temperature),
                "0 (greedy) or a number from 0.001 to 1000",
            ),
            ("top_p", top_p, top_p > 0.0 && top_p <= 1.0, "a number above 0, 1 at most"),
            ("min_p", min_p, (0.0..=1.0).contains(&min_p), "a number from 0 to 1"),
            (
                "repetition_penalty",
                repetition_penalty,
                (0.001..=1000.0).contains(&repetition_penalty),
                "a number from 0.001 to 1000",
            ),
            ("presence_penalty", presence, moderate(presence), "a number from -100 to 100"),
            ("frequency_penalty", frequency, moderate(frequency), "a number from -100 to 100"),
        ];
        checks.into_iter().find(|(.., holds, _)| !holds).map(|(name, found, _, allowed)| (name, found, allowed))
    }

    /// Logits after the penalties. `said` counts how often each token stands in the completion, those of the prompt with 0.
    pub(super) fn penalised(&self, logits: &[f32], said: &BTreeMap<u32, u32>) -> Vec<f32> {
        let mut logits = logits.to_vec();
        for (token, count) in said {
            let logit = &mut logits[*token as usize];
            let repeated = self.repetition_penalty;
            *logit = if *logit > 0.0 { *logit / repeated } else { *logit * repeated };
            *logit -= self.frequency_penalty * *count as f32 + if *count > 0 { self.presence_penalty } else { 0.0 };
        }
        logits
    }

    /// The tokens that can be drawn, rising, and the sum of their weights; none where all can. Weights are probabilities times
    /// something, the largest is 1.
    pub(super) fn mask(&self, weights: &[f32], total: f64) -> Option<(Vec<u32>, f64)> {
        if !self.truncates() {
            return None;
        }
        let of = |token: &u32| weights[*token as usize];
        let limited = self.top_k > 0 && self.top_k < weights.len();
        let mut kept: Vec<u32> = if limited {
            let mut order = weights.to_vec();
            let (_, least, _) = order.select_nth_unstable_by(self.top_k - 1, |a, b| b.total_cmp(a));
            let least = *least;
            (0..).zip(weights).filter(|(_, weight)| **weight >= least).map(|(token, _)| token).collect()
        } else {
            // All tokens up to this weight together have no more than what top-p leaves out.
            let cut = (1.0 - f64::from(self.top_p)) * total / weights.len() as f64;
            (0..).zip(weights).filter(|(_, weight)| f64::from(**weight) > cut).map(|(token, _)| token).collect()
        };
        if self.top_p < 1.0 {
            let whole = if limited { kept.iter().map(|token| f64::from(of(token))).sum() } else { total };
            kept.sort_unstable_by(|a, b| of(b).total_cmp(&of(a)).then(a.cmp(b)));
            let mut sum = 0.0;
            let enough = kept.iter().position(|token| {
                sum += f64::from(of(token));
                sum >= f64::from(self.top_p) * whole
            });
            kept.truncate(enough.map_or(kept.len(), |last| last + 1));
            kept.sort_unstable();
        }
        kept.retain(|token| of(token) >= self.min_p);
        let left = kept.iter().map(|token| f64::from(of(token))).sum();
        (kept.len() < weights.len()).then_some((kept, left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(params: SamplingParams, weights: &[f32]) -> Vec<u32> {
        let total = weights.iter().map(|weight| f64::from(*weight)).sum();
        params.mask(weights, total).map_or((0..weights.len() as u32).collect(), |(kept, _)| kept)
    }

    #[test]
    fn each_way_of_truncating_keeps_what_its_definition_says_and_all_together_in_their_order() {
        // Probabilities 0.05, 0.4, 0.25, 0.2, 0.1 over the largest.
        let weights = [0.125, 1.0, 0.625, 0.5, 0.25];
        let usual = SamplingParams::default();
        assert_eq!(kept(usual, &weights), [0, 1, 2, 3, 4]);
        assert_eq!(kept(SamplingParams { top_k: 2, ..usual }, &weights), [1, 2]);
        assert_eq!(kept(SamplingParams { top_k: 9, ..usual }, &weights), [0, 1, 2, 3, 4]);
        assert_eq!(kept(SamplingParams { top_p: 0.3, ..usual }, &weights), [1]);
        assert_eq!(kept(SamplingParams { top_p: 0.6, ..usual }, &weights), [1, 2]);
        assert_eq!(kept(SamplingParams { top_p: 0.7, ..usual }, &weights), [1, 2, 3]);
        assert_eq!(kept(SamplingParams { top_p: 0.99, ..usual }, &weights), [0, 1, 2, 3, 4]);
        assert_eq!(kept(SamplingParams { min_p: 0.5, ..usual }, &weights), [1, 2, 3]);
        assert_eq!(kept(SamplingParams { min_p: 1.0, ..usual }, &weights), [1]);
        // Of the two that top-k leaves the first has 0.615 of the probability; of all, 0.4.
        assert_eq!(kept(SamplingParams { top_k: 2, top_p: 0.6, ..usual }, &weights), [1]);
        assert_eq!(kept(SamplingParams { top_k: 4, top_p: 0.8, min_p: 0.55, ..usual }, &weights), [1, 2]);
        assert_eq!(kept(SamplingParams { temperature: 0.0, top_k: 1, ..usual }, &weights), [0, 1, 2, 3, 4]);
        // Tokens that are as likely as the last one stay, as in transformers.
        assert_eq!(kept(SamplingParams { top_k: 2, ..usual }, &[0.5, 1.0, 0.5, 0.1]), [0, 1, 2]);
    }

    #[test]
    fn no_run_of_tokens_comes_twice() {
        let banned = |size, prompt: &[u32], said: &[u32]| -> Vec<u32> {
            SamplingParams { no_repeat_ngram_size: size, ..SamplingParams::default() }.banned(prompt, said)
        };
        assert!(banned(0, &[1, 2], &[1, 2]).is_empty());
        assert_eq!(banned(1, &[3, 1], &[2, 1]), [1, 2, 3]);
        assert_eq!(banned(2, &[1, 2, 1, 3], &[1]), [2, 3]);
        // A run may begin in the prompt and end in the completion.
        assert_eq!(banned(3, &[7, 1], &[2, 3, 1, 2]), [3]);
        assert_eq!(banned(3, &[7], &[1, 2, 3, 4, 1, 2]), [3]);
        assert!(banned(3, &[7], &[1, 2, 3, 4, 2, 1]).is_empty());
        assert!(banned(4, &[7], &[7, 7]).is_empty());
        assert_eq!(banned(3, &[7], &[7, 7]), [7]);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let usual = SamplingParams::default();
        assert_eq!(usual.problem(), None);
        for (params, name) in [
            (SamplingParams { temperature: -1.0, ..usual }, "temperature"),
            // Logits divided by so little are not finite.
            (SamplingParams { temperature: 1e-40, ..usual }, "temperature"),
            (SamplingParams { repetition_penalty: 1e-40, ..usual }, "repetition_penalty"),
            (SamplingParams { top_p: 0.0, ..usual }, "top_p"),
            (SamplingParams { top_p: f32::NAN, ..usual }, "top_p"),
            (SamplingParams { min_p: 1.5, ..usual }, "min_p"),
            (SamplingParams { repetition_penalty: 0.0, ..usual }, "repetition_penalty"),
            (SamplingParams { frequency_penalty: f32::INFINITY, ..usual }, "frequency_penalty"),
        ] {
            assert_eq!(params.problem().map(|(name, ..)| name), Some(name));
        }
    }
}
