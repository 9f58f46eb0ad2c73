//! A completion on its way.

use std::collections::BTreeMap;

use rand::Rng;

use super::params::SamplingParams;
use super::places::TokenPlace;
use super::request::{Finish, PartialCompletion, Request, name};
use super::sampler::{self, Draw};
use crate::kernels::log_prob::likeliest;
use crate::random::{self, Stream};
use crate::{Error, Result};

/// A completion that occupies a slot.
pub struct Running {
    name: String,
    prompt: usize,
    /// The last token of the prompt.
    last: u32,
    pub(super) sampling: SamplingParams,
    /// The prompt, where runs of its tokens do not come again.
    context: Vec<u32>,
    /// How often each token stands in the completion, and 0 for those that stand in the prompt alone; kept where what was said
    /// counts.
    said: BTreeMap<u32, u32>,
    budget: usize,
    stop: Vec<u32>,
    stream: Stream,
    pub(super) begun: PartialCompletion,
}

impl Running {
    /// A completion of a request, as far as it has come.
    pub(super) fn new(number: usize, request: &Request, mut begun: PartialCompletion) -> Running {
        let Request { seed, key, sampling, max_new_tokens, .. } = *request;
        let said = begun.tokens.len();
        begun.tokens.reserve_exact(max_new_tokens - said);
        begun.log_probs.reserve_exact(max_new_tokens - said);
        let mut stream = random::stream(seed, &[key[0], key[1], begun.sample as u64]);
        if sampling.temperature != 0.0 {
            // Every token that has been said has taken its number from the stream.
            for _ in 0..said {
                let _: f64 = stream.random();
            }
        }
        let mut counts = BTreeMap::new();
        if sampling.penalises() {
            counts.extend(request.prompt.iter().map(|token| (*token, 0)));
            begun.tokens.iter().for_each(|token| *counts.entry(*token).or_default() += 1);
        }
        let context = if sampling.no_repeat_ngram_size > 0 { request.prompt.clone() } else { Vec::new() };
        Running {
            name: name(number, request),
            context,
            prompt: request.prompt.len(),
            last: request.prompt.last().copied().unwrap_or_default(),
            sampling,
            said: counts,
            budget: max_new_tokens,
            stop: request.stop.clone(),
            stream,
            begun,
        }
    }

    /// Its last token at its place, or the last of its prompt if it has none.
    pub(super) fn newest(&self, slot: usize) -> TokenPlace {
        let said = &self.begun.tokens;
        TokenPlace { slot, position: self.prompt + said.len() - 1, token: said.last().copied().unwrap_or(self.last) }
    }

    /// Draws the next token. None if a logit is not finite.
    pub(super) fn draw(&mut self, logits: &[f32], weights: &mut Vec<f32>) -> Option<Draw> {
        let penalised = self.sampling.penalises().then(|| self.sampling.penalised(logits, &self.said));
        let drawn_from = penalised.as_deref().unwrap_or(logits);
        let banned = self.sampling.banned(&self.context, &self.begun.tokens);
        let uniform = || self.stream.random();
        let draw = if banned.is_empty() {
            sampler::draw(drawn_from, &self.sampling, uniform, weights)?
        } else {
            sampler::draw_without(&banned, drawn_from, &self.sampling, uniform, weights)?
        };
        let top = likeliest(logits, draw.token, self.sampling.top_logprobs);
        Some(Draw { top, ..draw })
    }

    /// Where in [0, 1) the next token is drawn, for whoever draws it elsewhere; greedy decoding draws nothing.
    pub(super) fn uniform(&mut self) -> f64 {
        if self.sampling.temperature == 0.0 { 0.0 } else { self.stream.random() }
    }

    /// Whether drawing takes more than a softmax at a temperature.
    pub(super) fn needs_logits(&self) -> bool {
        self.sampling.restricts() || self.sampling.penalises() || self.sampling.top_logprobs > 0
    }

    /// Appends a token that was drawn, and says whether that ends the completion.
    pub(super) fn append(&mut self, draw: Option<Draw>, version: u64) -> Result<Option<Finish>> {
        let PartialCompletion { tokens, log_probs, versions, sampling_mask, top_logprobs, .. } = &mut self.begun;
        let Some(Draw { token, log_prob, mask, top }) = draw else {
            let found = format!("logits that are not finite after {} new tokens", tokens.len());
            return Err(Error::invalid(&self.name, found, "the weights have diverged: lower the learning rate"));
        };
        tokens.push(token);
        log_probs.push(log_prob);
        versions.push(version);
        if self.sampling.restricts() {
            sampling_mask.push(mask);
        }
        if self.sampling.top_logprobs > 0 {
            top_logprobs.push(top);
        }
        if self.sampling.penalises() {
            *self.said.entry(token).or_default() += 1;
        }
        Ok(if self.stop.contains(&token) {
            Some(Finish::Stop)
        } else {
            (tokens.len() == self.budget).then_some(Finish::Length)
        })
    }
}
