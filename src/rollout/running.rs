//! A completion on its way.

use rand::Rng;

use super::places::TokenPlace;
use super::request::{Finish, PartialCompletion, Request, name};
use super::sampler::{self, Draw};
use crate::random::{self, Stream};
use crate::{Error, Result};

/// A completion that occupies a slot.
pub struct Running {
    name: String,
    prompt: usize,
    /// The last token of the prompt.
    last: u32,
    pub(super) temperature: f32,
    budget: usize,
    stop: Vec<u32>,
    stream: Stream,
    pub(super) begun: PartialCompletion,
}

impl Running {
    /// A completion of a request, as far as it has come.
    pub(super) fn new(number: usize, request: &Request, mut begun: PartialCompletion) -> Running {
        let Request { seed, key, temperature, max_new_tokens, .. } = *request;
        let said = begun.tokens.len();
        begun.tokens.reserve_exact(max_new_tokens - said);
        begun.log_probs.reserve_exact(max_new_tokens - said);
        let mut stream = random::stream(seed, &[key[0], key[1], begun.sample as u64]);
        if temperature != 0.0 {
            // Every token that has been said has taken its number from the stream.
            for _ in 0..said {
                let _: f64 = stream.random();
            }
        }
        Running {
            name: name(number, request),
            prompt: request.prompt.len(),
            last: request.prompt.last().copied().unwrap_or_default(),
            temperature,
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
        sampler::draw(logits, self.temperature, || self.stream.random(), weights)
    }

    /// Where in [0, 1) the next token is drawn, for whoever draws it elsewhere; greedy decoding draws nothing.
    pub(super) fn uniform(&mut self) -> f64 {
        if self.temperature == 0.0 { 0.0 } else { self.stream.random() }
    }

    /// Appends a token that was drawn, and says whether that ends the completion.
    pub(super) fn append(&mut self, draw: Option<Draw>, version: u64) -> Result<Option<Finish>> {
        let PartialCompletion { tokens, log_probs, versions, .. } = &mut self.begun;
        let Some(Draw { token, log_prob }) = draw else {
            let found = format!("logits that are not finite after {} new tokens", tokens.len());
            return Err(Error::invalid(&self.name, found, "the weights have diverged: lower the learning rate"));
        };
        tokens.push(token);
        log_probs.push(log_prob);
        versions.push(version);
        Ok(if self.stop.contains(&token) {
            Some(Finish::Stop)
        } else {
            (tokens.len() == self.budget).then_some(Finish::Length)
        })
    }
}
