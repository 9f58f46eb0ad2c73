//! The engine for policies on a card: the same slots, requests and random streams as [`Engine`](super::Engine), with
//! weights, cache and sampler in the memory of the card.
//!
//! A step computes all slots, whether a completion is in them or not: its shapes never change, so that its launches
//! can be recorded once and repeated, and a completion does not depend on what goes on beside it. Prompts are read but
//! for their last token, which is the first that a slot reads; so the samples of a group share all of the prompt's
//! keys and values, and only slots need logits.

mod cache;
mod step;
mod weights;

use std::collections::VecDeque;

use self::cache::Cache;
use self::step::{Row, Step};
use self::weights::Decoder;
use super::engine::{Limits, generate};
use super::request::{Completion, Request};
use super::running::Running;
use crate::kernels::Precision;
use crate::kernels::cuda::Card;
use crate::policy::{ModelConfig, Policy, Snapshot};
use crate::{Error, Result};

/// Completions at once. A card reads all weights for every step, whatever it computes with them.
const SLOTS: usize = 256;

/// Prompts that are held at once for the samples of their groups.
const PROMPTS: usize = 8;

/// Rows of prompts that are read at once.
const PIECE: usize = 256;

/// Tokens by which slots grow.
const STRIDE: usize = 64;

/// Samples completions on a card.
pub struct CardEngine {
    card: Card,
    config: ModelConfig,
    precision: Precision,
    limits: Limits,
    slots: usize,
    decoder: Option<Decoder>,
    step: Step,
    /// Slots of completions, then those of prompts.
    cache: Cache,
}

impl CardEngine {
    /// An engine where a policy lives, of slots that hold `max_tokens` tokens; none if it lives on the processor.
    pub fn for_policy(policy: &Policy, max_tokens: usize) -> Result<Option<CardEngine>> {
        CardEngine::with_slots(policy, SLOTS, max_tokens)
    }

    /// The same with a number of slots that is not the usual one.
    pub fn with_slots(policy: &Policy, slots: usize, max_tokens: usize) -> Result<Option<CardEngine>> {
        let Some(card) = policy.card() else { return Ok(None) };
        let config = policy.config.as_ref().clone();
        let refuse = |found: String, remedy: String| Err(Error::invalid("rollout engine", found, remedy));
        if slots == 0 || max_tokens == 0 || max_tokens > config.longest_sequence() {
            let remedy = format!("1 slot or more, and up to the {} positions of the model", config.longest_sequence());
            return refuse(format!("{slots} slots of {max_tokens} tokens"), remedy);
        }
        if config.head_dim > 256 {
            let found = format!("heads of {} dimensions", config.head_dim);
            return refuse(found, "on a card at most 256 are supported; set run.device to \"cpu\"".into());
        }
        // What it does meanwhile waits for no one, and no one for it.
        let card = card.sibling()?;
        let step = Step::new(&card, &config, policy.precision, slots, slots.max(PIECE))?;
        let cache = Cache::new(&card, &config, policy.precision, slots + PROMPTS, 0)?;
        let limits = Limits { max_tokens, vocab_size: config.vocab_size };
        let precision = policy.precision;
        Ok(Some(CardEngine { card, config, precision, limits, slots, decoder: None, step, cache }))
    }

    /// Samples from a policy version from now on: a copy of a snapshot whose weights are on the card.
    pub fn load(&mut self, snapshot: &Snapshot) -> Result<()> {
        if *snapshot.config != self.config {
            let place = format!("policy version {}", snapshot.version);
            return Err(Error::invalid(place, "another shape than the engine's", "make an engine for its config"));
        }
        // Frees the old weights before the new ones are made.
        self.decoder = None;
        self.step.forget();
        self.decoder = Some(Decoder::new(&self.card, snapshot, self.precision)?);
        Ok(())
    }

    /// All completions of all requests, sorted by request and sample.
    pub fn generate(&mut self, requests: &[Request]) -> Result<Vec<Completion>> {
        generate(self.limits, requests, |longest, next, done| self.serve(longest, next, done))
    }

    /// Takes numbered requests, of at most `longest` tokens with their completions, from `next` whenever a slot is free,
    /// until there are none, and hands each completion to `done` as soon as it ends.
    pub fn serve(
        &mut self,
        longest: usize,
        next: &mut dyn FnMut() -> Option<(usize, Request)>,
        done: &mut dyn FnMut(Completion) -> Result<()>,
    ) -> Result<()> {
        let Some(decoder) = &self.decoder else {
            return Err(Error::invalid("rollout engine", "no weights", "load a policy version first"));
        };
        if longest > self.cache.capacity() {
            let capacity = longest.next_multiple_of(STRIDE).min(self.limits.max_tokens);
            self.step.forget();
            // Frees the old one before the new one is made.
            self.cache = Cache::new(&self.card, &self.config, self.precision, self.slots + PROMPTS, 0)?;
            self.cache = Cache::new(&self.card, &self.config, self.precision, self.slots + PROMPTS, capacity)?;
        }
        let limits = Limits { max_tokens: self.limits.max_tokens.min(self.cache.capacity()), ..self.limits };
        let mut slots: Vec<Option<Slot>> = (0..self.slots).map(|_| None).collect();
        let mut queue = Queue { next, limits, held: VecDeque::new() };
        loop {
            while queue.fill(&mut slots, decoder.version)? {
                queue.read(decoder, &mut self.step, &self.cache)?;
            }
            if slots.iter().all(Option::is_none) {
                return Ok(());
            }
            let rows = slots.iter_mut().enumerate().map(|(slot, running)| running.as_mut().map(|it| it.row(slot)));
            let drawn = self.step.sample(decoder, &self.cache, rows.collect())?;
            for (slot, draw) in slots.iter_mut().zip(drawn) {
                let Some(Slot { running, .. }) = slot else { continue };
                running.take(draw)?;
                if running.ended
                    && let Some(Slot { running, .. }) = slot.take()
                {
                    done(running.completion)?;
                }
            }
        }
    }
}

/// A completion in its slot.
struct Slot {
    running: Running,
    /// The last token of its prompt, which it reads first.
    last: u32,
}

impl Slot {
    /// What its next step reads, and where it draws.
    fn row(&mut self, slot: usize) -> Row {
        let new = &self.running.completion.tokens;
        let (token, position) = (new.last().copied().unwrap_or(self.last), self.running.position - 1 + new.len());
        let temperature = self.running.temperature;
        Row { token, slot, position, temperature, uniform: self.running.uniform() }
    }
}

/// Requests that are waiting, and prompts whose samples are being started.
struct Queue<'a> {
    next: &'a mut dyn FnMut() -> Option<(usize, Request)>,
    limits: Limits,
    held: VecDeque<Prompt>,
}

/// A prompt with its group.
struct Prompt {
    number: usize,
    request: Request,
    started: usize,
    /// Slots of completions that start with the next read.
    starting: Vec<usize>,
    /// Whether its keys and values are in the cache, in the slot of this number among those of prompts.
    read: Option<usize>,
}

impl Prompt {
    /// Whether its completion has no others beside it: then the prompt is read into its slot.
    fn is_alone(&self) -> bool {
        self.request.samples == 1
    }

    fn is_started(&self) -> bool {
        self.started == self.request.samples
    }
}

impl Queue<'_> {
    /// Puts completions into free slots, of as many prompts as can be held at once. Says whether there are any.
    fn fill(&mut self, slots: &mut [Option<Slot>], version: u64) -> Result<bool> {
        self.held.retain(|prompt| !prompt.is_started());
        let mut some = false;
        for (at, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
            while self.held.back().is_none_or(Prompt::is_started) {
                if self.held.iter().filter(|prompt| !prompt.is_alone()).count() == PROMPTS {
                    return Ok(some);
                }
                let Some((number, request)) = (self.next)() else { return Ok(some) };
                self.limits.check(number, &request)?;
                if request.samples > 0 {
                    let (started, starting, read) = (0, Vec::new(), None);
                    self.held.push_back(Prompt { number, request, started, starting, read });
                }
            }
            let Some(prompt) = self.held.back_mut() else { return Ok(some) };
            let running = Running::new(prompt.number, &prompt.request, prompt.started, version);
            let last = prompt.request.prompt.last().copied().unwrap_or_default();
            *slot = Some(Slot { running, last });
            prompt.started += 1;
            prompt.starting.push(at);
            some = true;
        }
        Ok(some)
    }

    /// Reads the prompts that are new and gives the completions that start their keys and values.
    fn read(&mut self, decoder: &Decoder, step: &mut Step, cache: &Cache) -> Result<()> {
        let (mut rows, mut copies) = (Vec::new(), Vec::new());
        let mut free: Vec<usize> = (0..PROMPTS).rev().collect();
        free.retain(|place| self.held.iter().all(|prompt| prompt.read != Some(*place)));
        for prompt in &mut self.held {
            let trunk = &prompt.request.prompt[..prompt.request.prompt.len() - 1];
            let starting = std::mem::take(&mut prompt.starting);
            let known = prompt.read.is_some();
            let place = match (prompt.read, &starting[..]) {
                (Some(place), _) => cache.prompt(place),
                (None, [slot]) if prompt.is_alone() => *slot,
                (None, _) => {
                    let Some(place) = free.pop() else { continue };
                    prompt.read = Some(place);
                    cache.prompt(place)
                }
            };
            if !known {
                let row = |(position, token): (usize, &u32)| Row::reading(*token, place, position);
                rows.extend(trunk.iter().enumerate().map(row));
            }
            copies.extend(starting.iter().filter(|slot| **slot != place).map(|slot| (place, *slot, trunk.len())));
        }
        for piece in rows.chunks(step.capacity()) {
            step.read(decoder, cache, piece)?;
        }
        cache.copy(&copies)
    }
}

#[cfg(test)]
mod tests;
