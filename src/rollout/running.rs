//! A completion on its way.

use rand::Rng;

use super::request::{Completion, Finish, Request};
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
    pub(super) ended: bool,
    pub(super) completion: Completion,
}

impl Running {
    /// Sample number `sample` of a request, before its first token.
    pub(super) fn new(number: usize, request: &Request, sample: usize, version: u64) -> Running {
        Running {
            name: name(number, request),
            position: request.prompt.len(),
            temperature: request.temperature,
            budget: request.max_new_tokens,
            stop: request.stop.clone(),
            stream: random::stream(request.seed, &[request.key[0], request.key[1], sample as u64]),
            ended: false,
            completion: Completion {
                request: number,
                sample,
                tokens: Vec::with_capacity(request.max_new_tokens),
                log_probs: Vec::with_capacity(request.max_new_tokens),
                version,
                finish: Finish::Length,
            },
        }
    }

    /// Draws the next token.
    pub(super) fn draw(&mut self, logits: &[f32], weights: &mut Vec<f32>) -> Result<()> {
        let draw = sampler::draw(logits, self.temperature, || self.stream.random(), weights);
        self.take(draw)
    }

    /// Where in [0, 1) the next token is drawn, for whoever draws it elsewhere; greedy decoding draws nothing.
    pub(super) fn uniform(&mut self) -> f64 {
        if self.temperature == 0.0 { 0.0 } else { self.stream.random() }
    }

    /// Appends a token that was drawn; none means that its logits were not finite.
    pub(super) fn take(&mut self, draw: Option<Draw>) -> Result<()> {
        let Completion { tokens, log_probs, finish, .. } = &mut self.completion;
        let Some(Draw { token, log_prob }) = draw else {
            let found = format!("logits that are not finite after {} new tokens", tokens.len());
            return Err(Error::invalid(&self.name, found, "the weights have diverged: lower the learning rate"));
        };
        tokens.push(token);
        log_probs.push(log_prob);
        let stopped = self.stop.contains(&token);
        if stopped {
            *finish = Finish::Stop;
        }
        self.ended = stopped || tokens.len() == self.budget;
        Ok(())
    }
}

/// How messages name a request.
pub(super) fn name(number: usize, request: &Request) -> String {
    format!("request {number} (key {}, {})", request.key[0], request.key[1])
}
