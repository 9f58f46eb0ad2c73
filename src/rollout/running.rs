//! A completion on its way.

use rand::Rng;

use super::request::{Begun, Finish, Request, name};
use super::sampler::{self, Draw};
use crate::random::{self, Stream};
use crate::{Error, Result};

/// A completion that occupies a slot.
pub(super) struct Running {
    name: String,
    /// Where its last token stands.
    pub(super) position: usize,
    pub(super) temperature: f32,
    budget: usize,
    stop: Vec<u32>,
    stream: Stream,
    pub(super) begun: Begun,
}

impl Running {
    /// A completion of a request, as far as it has come.
    pub(super) fn new(number: usize, request: &Request, mut begun: Begun) -> Running {
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
            position: request.prompt.len() + said,
            temperature,
            budget: max_new_tokens,
            stop: request.stop.clone(),
            stream,
            begun,
        }
    }

    /// Draws the next token, and says whether that ends the completion.
    pub(super) fn draw(&mut self, logits: &[f32], version: u64, weights: &mut Vec<f32>) -> Result<Option<Finish>> {
        let draw = sampler::draw(logits, self.temperature, || self.stream.random(), weights);
        self.take(draw, version)
    }

    /// Where in [0, 1) the next token is drawn, for whoever draws it elsewhere; greedy decoding draws nothing.
    pub(super) fn uniform(&mut self) -> f64 {
        if self.temperature == 0.0 { 0.0 } else { self.stream.random() }
    }

    /// Appends a token that was drawn, and says whether that ends the completion. None means that its logits were not
    /// finite.
    pub(super) fn take(&mut self, draw: Option<Draw>, version: u64) -> Result<Option<Finish>> {
        let Begun { tokens, log_probs, versions, .. } = &mut self.begun;
        let Some(Draw { token, log_prob }) = draw else {
            let found = format!("logits that are not finite after {} new tokens", tokens.len());
            return Err(Error::invalid(&self.name, found, "the weights have diverged: lower the learning rate"));
        };
        tokens.push(token);
        log_probs.push(log_prob);
        versions.push(version);
        Ok(match self.stop.contains(&token) {
            true => Some(Finish::Stop),
            false => (tokens.len() == self.budget).then_some(Finish::Length),
        })
    }
}
