//! The generation engine: continuous batching over fixed slots.
//!
//! A request's prompt is read once, into a slot of its own that no completion uses; each of its samples starts from a
//! copy of those keys and values and of the logits after the prompt's last token. A slot whose completion ends is
//! refilled before the next step, with the next sample or the next request. What a completion says depends on its
//! request and the weights alone: neither the slot, nor its neighbours, nor the order of arrival matters.

use std::sync::Arc;

use super::attention::Place;
use super::cache::Cache;
use super::forward::Forward;
use super::panels::{self, Panels};
use super::request::{Completion, Request};
use super::running::{Running, name};
use crate::policy::{ModelConfig, Snapshot};
use crate::{Error, Result};

/// Slots of an engine that pay on a CPU. Eight rows fill the registers of a product; with more, keys and values of all
/// slots no longer fit the processor's cache, and each step fetches them anew. Measured at 144 tokens and two engines:
/// 16 slots take 1.02 times as long for 0.5 million parameters, 1.06 to 1.2 times for 4 million, as long for 30 million.
pub const SLOTS: usize = 8;

/// Tokens by which slots grow.
const STRIDE: usize = 64;

/// Rows that a step holds at least, so that prompts are read in long pieces even when slots are few.
const PIECE: usize = 64;

/// What an engine can take, to refuse a request before any work is done.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tokens of prompt and completion together.
    pub max_tokens: usize,
    pub vocab_size: usize,
}

impl Limits {
    /// Refuses a request that cannot be answered; `number` names it.
    pub fn check(&self, number: usize, request: &Request) -> Result<()> {
        let refuse = |found: String, remedy: String| Err(Error::invalid(name(number, request), found, remedy));
        let (prompt, new) = (request.prompt.len(), request.max_new_tokens);
        if prompt == 0 {
            return refuse("empty prompt".into(), "a prompt holds at least one token".into());
        }
        if let Some(token) = request.prompt.iter().find(|token| **token as usize >= self.vocab_size) {
            return refuse(format!("token id {token}"), format!("ids are below {}", self.vocab_size));
        }
        if new == 0 {
            return refuse("max_new_tokens = 0".into(), "ask for at least one token".into());
        }
        if new > self.max_tokens || prompt > self.max_tokens - new {
            return refuse(
                format!("a prompt of {prompt} tokens and {new} new ones"),
                format!("a slot holds {} together", self.max_tokens),
            );
        }
        if !(request.temperature >= 0.0 && request.temperature.is_finite()) {
            return refuse(format!("temperature = {}", request.temperature), "0 (greedy) or a positive number".into());
        }
        Ok(())
    }
}

/// Samples completions with a key/value cache of fixed slots, which grow only when longer requests come than any before.
/// One thread, no allocation per token.
pub struct Engine {
    config: ModelConfig,
    limits: Limits,
    slots: usize,
    panels: Option<Arc<Panels>>,
    forward: Forward,
    /// One slot more than completions use: the last holds the prompt that is being handed out.
    cache: Cache,
    /// Scratch of the sampler.
    weights: Vec<f32>,
}

impl Engine {
    /// An engine of `slots` completions at once, each of at most `max_tokens_per_slot` tokens with its prompt. Memory is
    /// taken for what is asked, not for what could be: real models have positions for far longer texts. Results do not
    /// depend on `slots`; speed does, see [`SLOTS`].
    pub fn new(config: &ModelConfig, slots: usize, max_tokens_per_slot: usize) -> Result<Engine> {
        panels::check(config)?;
        if slots == 0 || max_tokens_per_slot == 0 {
            let found = format!("{slots} slots of {max_tokens_per_slot} tokens");
            return Err(Error::invalid("rollout engine", found, "both are at least 1"));
        }
        if max_tokens_per_slot > config.longest_sequence() {
            let found = format!("slots of {max_tokens_per_slot} tokens");
            let remedy = format!("the model has {} positions", config.longest_sequence());
            return Err(Error::invalid("rollout engine", found, remedy));
        }
        Ok(Engine {
            config: config.clone(),
            limits: Limits { max_tokens: max_tokens_per_slot, vocab_size: config.vocab_size },
            slots,
            panels: None,
            forward: Forward::new(config, slots.max(PIECE.min(max_tokens_per_slot)), max_tokens_per_slot),
            cache: Cache::new(config, slots + 1, 0),
            weights: Vec::new(),
        })
    }

    /// Positions that went through the model so far: those of a request's prompt once, whatever its samples, and those
    /// of sampled tokens but for the last of each completion.
    pub fn positions(&self) -> u64 {
        self.forward.positions()
    }

    /// What this engine can take.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Packs the weights of a policy version and samples from them from now on.
    pub fn load(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.load_packed(Arc::new(Panels::pack(snapshot)?))
    }

    /// The same for weights that are packed already: workers share them.
    pub fn load_packed(&mut self, panels: Arc<Panels>) -> Result<()> {
        if panels.config != self.config {
            let place = format!("policy version {}", panels.version);
            return Err(Error::invalid(place, "another shape than the engine's", "make an engine for its config"));
        }
        self.panels = Some(panels);
        Ok(())
    }

    /// All completions of all requests, sorted by request and sample.
    pub fn generate(&mut self, requests: &[Request]) -> Result<Vec<Completion>> {
        generate(self.limits, requests, |longest, next, done| self.serve(longest, next, done))
    }

    /// Takes numbered requests, of at most `longest` tokens with their completions, from `next` whenever a slot is free,
    /// until there are none, and hands each completion to `done` as soon as it ends. Workers that share a queue share
    /// its work evenly.
    pub fn serve(
        &mut self,
        longest: usize,
        next: &mut dyn FnMut() -> Option<(usize, Request)>,
        done: &mut dyn FnMut(Completion) -> Result<()>,
    ) -> Result<()> {
        let Some(panels) = self.panels.clone() else {
            return Err(Error::invalid("rollout engine", "no weights", "load a policy version first"));
        };
        if longest > self.cache.positions() {
            let positions = longest.next_multiple_of(STRIDE).min(self.limits.max_tokens);
            self.cache = Cache::new(&self.config, self.slots + 1, positions);
        }
        let mut slots: Vec<Option<Running>> = (0..self.slots).map(|_| None).collect();
        let mut prompt: Option<Prompt> = None;
        let mut places = Vec::with_capacity(self.slots);
        loop {
            for (slot, running) in slots.iter_mut().enumerate() {
                if running.is_none() {
                    *running = self.refill(slot, &panels, &mut prompt, next, done)?;
                }
            }
            places.clear();
            places.extend(slots.iter().enumerate().filter_map(|(slot, running)| {
                let Running { position, completion, .. } = running.as_ref()?;
                Some(Place { slot, position: *position, token: *completion.tokens.last()? })
            }));
            if places.is_empty() {
                return Ok(());
            }
            self.forward.read(&panels, &mut self.cache, &places);
            self.forward.predict(&panels, places.len());
            for (row, Place { slot, .. }) in places.iter().enumerate() {
                let Some(running) = &mut slots[*slot] else { continue };
                running.position += 1;
                running.draw(self.forward.logits(row), &mut self.weights)?;
                if running.ended
                    && let Some(Running { completion, .. }) = slots[*slot].take()
                {
                    done(completion)?;
                }
            }
        }
    }

    /// Starts the next completion in a free slot: the next sample of the current prompt, or the first of the next
    /// request. None when there is nothing left to do.
    fn refill(
        &mut self,
        slot: usize,
        panels: &Panels,
        current: &mut Option<Prompt>,
        next: &mut dyn FnMut() -> Option<(usize, Request)>,
        done: &mut dyn FnMut(Completion) -> Result<()>,
    ) -> Result<Option<Running>> {
        loop {
            let prompt = match current {
                Some(prompt) if prompt.started < prompt.request.samples => prompt,
                _ => match next() {
                    Some((number, request)) => current.insert(self.read(panels, number, request)?),
                    None => return Ok(None),
                },
            };
            if prompt.started == prompt.request.samples {
                continue;
            }
            let mut running = prompt.start(panels.version);
            running.draw(&prompt.logits, &mut self.weights)?;
            if running.ended {
                done(running.completion)?;
                continue;
            }
            self.cache.copy(self.slots, slot, prompt.request.prompt.len());
            return Ok(Some(running));
        }
    }

    /// Reads a prompt into the slot for prompts.
    fn read(&mut self, panels: &Panels, number: usize, request: Request) -> Result<Prompt> {
        Limits { max_tokens: self.limits.max_tokens.min(self.cache.positions()), ..self.limits }
            .check(number, &request)?;
        let places = request.prompt.iter().enumerate();
        let places: Vec<Place> =
            places.map(|(position, token)| Place { slot: self.slots, position, token: *token }).collect();
        let mut last = 0;
        for piece in places.chunks(self.forward.capacity()) {
            self.forward.read(panels, &mut self.cache, piece);
            last = piece.len() - 1;
        }
        self.forward.keep_only(last);
        self.forward.predict(panels, 1);
        Ok(Prompt { number, request, started: 0, logits: self.forward.logits(0).to_vec() })
    }
}

/// All completions of all requests, sorted by request and sample, from an engine's `serve`.
pub(super) fn generate<S>(limits: Limits, requests: &[Request], serve: S) -> Result<Vec<Completion>>
where
    S: FnOnce(
        usize,
        &mut dyn FnMut() -> Option<(usize, Request)>,
        &mut dyn FnMut(Completion) -> Result<()>,
    ) -> Result<()>,
{
    for (number, request) in requests.iter().enumerate() {
        limits.check(number, request)?;
    }
    let mut completions = Vec::with_capacity(requests.iter().map(|request| request.samples).sum());
    let mut queue = requests.iter().cloned().enumerate();
    let longest = requests.iter().map(Request::tokens).max().unwrap_or(0);
    serve(longest, &mut || queue.next(), &mut |completion| {
        completions.push(completion);
        Ok(())
    })?;
    completions.sort_by_key(|completion| (completion.request, completion.sample));
    Ok(completions)
}

/// A prompt that has been read and whose samples are being started.
struct Prompt {
    number: usize,
    request: Request,
    started: usize,
    /// After its last token.
    logits: Vec<f32>,
}

impl Prompt {
    fn start(&mut self, version: u64) -> Running {
        self.started += 1;
        Running::new(self.number, &self.request, self.started - 1, version)
    }
}
