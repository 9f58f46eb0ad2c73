//! The engine for policies on a card: the same slots, requests and random streams as [`Engine`](super::Engine), with
//! weights, cache and sampler in the memory of the card.
//!
//! A step computes all slots, whether a completion is in them or not: its shapes never change, so that its launches
//! can be recorded once and repeated, and a completion does not depend on what goes on beside it. Prompts are read but
//! for their last token, which is the first that a slot reads; so the samples of a group share all of the prompt's
//! keys and values, and only slots need logits. Weights may change between two steps.

mod cache;
mod step;
mod weights;

use std::collections::VecDeque;

use self::cache::Cache;
use self::step::{Row, Step};
use self::weights::Decoder;
use super::request::{Begun, Completion, Job, Limits, Request};
use super::running::Running;
use crate::kernels::Precision;
use crate::kernels::cuda::Card;
use crate::kernels::cuda::attention::WIDEST;
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
    decoder: Option<Decoder>,
    step: Step,
    /// Slots of completions, then those of prompts.
    cache: Cache,
    slots: Vec<Option<Slot>>,
    /// Requests whose completions are to be started.
    waiting: VecDeque<Prompt>,
    finished: Vec<Completion>,
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
        if config.head_dim > WIDEST {
            let found = format!("heads of {} dimensions", config.head_dim);
            return refuse(found, format!("on a card at most {WIDEST} are supported; set run.device to \"cpu\""));
        }
        // What it does meanwhile waits for no one, and no one for it.
        let card = card.sibling()?;
        let step = Step::new(&card, &config, policy.precision, slots, slots.max(PIECE))?;
        let cache = Cache::new(&card, &config, policy.precision, slots + PROMPTS)?;
        let limits = Limits { max_tokens, vocab_size: config.vocab_size };
        let precision = policy.precision;
        let (slots, waiting, finished) = ((0..slots).map(|_| None).collect(), VecDeque::new(), Vec::new());
        Ok(Some(CardEngine { card, config, precision, limits, decoder: None, step, cache, slots, waiting, finished }))
    }

    /// Samples from a policy version from now on: a copy of a snapshot whose weights are on the card. Completions that
    /// are running go on under it.
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

    /// All completions of all requests, sorted by request and sample. Whatever the engine was at before is dropped.
    pub fn generate(&mut self, requests: &[Request]) -> Result<Vec<Completion>> {
        for (number, request) in requests.iter().enumerate() {
            self.limits.check(number, request)?;
        }
        self.clear();
        self.reserve(requests.iter().map(Request::tokens).max().unwrap_or(0))?;
        for (number, request) in requests.iter().cloned().enumerate() {
            self.take(Job::new(number, request))?;
        }
        while !self.is_idle() {
            self.step()?;
        }
        let mut completions = self.finished();
        completions.sort_by_key(|completion| (completion.request, completion.sample));
        Ok(completions)
    }

    /// Whether a request that came now would be begun with the next step.
    pub fn has_room(&self) -> bool {
        let waiting: usize = self.waiting.iter().map(|prompt| prompt.waiting.len()).sum();
        waiting < self.slots.iter().filter(|slot| slot.is_none()).count()
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.slots.iter().all(Option::is_none)
    }

    /// Begins a request, or goes on with one, with the next step.
    pub fn take(&mut self, job: Job) -> Result<()> {
        self.limits.check_job(&job)?;
        self.reserve(job.request.tokens())?;
        let Job { number, request, begun } = job;
        if !begun.is_empty() {
            let (alone, waiting) = (begun.len() == 1, begun.into());
            self.waiting.push_back(Prompt { number, request, alone, waiting, read: None });
        }
        Ok(())
    }

    /// Starts completions where slots are free, and samples one more token of all.
    pub fn step(&mut self) -> Result<()> {
        let Some(decoder) = &self.decoder else {
            return Err(Error::invalid("rollout engine", "no weights", "load a policy version first"));
        };
        loop {
            let plan = Plan::new(&mut self.waiting, &mut self.slots, &self.cache, decoder.version);
            if plan.is_empty() {
                break;
            }
            plan.carry_out(decoder, &mut self.step, &self.cache)?;
        }
        if self.slots.iter().all(Option::is_none) {
            return Ok(());
        }
        let rows = self.slots.iter_mut().enumerate().map(|(at, slot)| slot.as_mut().map(|slot| slot.row(at)));
        let drawn = self.step.sample(decoder, &self.cache, rows.collect())?;
        for (slot, draw) in self.slots.iter_mut().zip(drawn) {
            let Some(Slot { running, .. }) = slot else { continue };
            if let Some(finish) = running.take(draw, decoder.version)?
                && let Some(Slot { running, .. }) = slot.take()
            {
                self.finished.push(running.begun.end(finish));
            }
        }
        Ok(())
    }

    /// The completions that have ended since this was last asked.
    pub fn finished(&mut self) -> Vec<Completion> {
        std::mem::take(&mut self.finished)
    }

    /// How far everything has come that has not ended.
    pub fn begun(&self) -> Vec<Begun> {
        let running = self.slots.iter().flatten().map(|slot| &slot.running.begun);
        running.chain(self.waiting.iter().flat_map(|prompt| &prompt.waiting)).cloned().collect()
    }

    /// Drops all that it is at.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| *slot = None);
        self.waiting.clear();
        self.finished.clear();
    }

    /// Makes room for requests of so many tokens with their completions.
    fn reserve(&mut self, tokens: usize) -> Result<()> {
        if tokens > self.cache.capacity() {
            // What was recorded is about the old one.
            self.step.forget();
            self.cache.grow(tokens.next_multiple_of(STRIDE).min(self.limits.max_tokens))?;
        }
        Ok(())
    }
}

/// A completion in its slot.
struct Slot {
    running: Running,
    /// The last token of its prompt, which it reads before its own.
    last: u32,
}

impl Slot {
    /// What its next step reads, and where it draws.
    fn row(&mut self, slot: usize) -> Row {
        let said = &self.running.begun.tokens;
        let (token, position) = (said.last().copied().unwrap_or(self.last), self.running.position - 1);
        self.running.position += 1;
        let temperature = self.running.temperature;
        Row { token, slot, position, temperature, uniform: self.running.uniform() }
    }
}

/// A request whose completions are being started.
struct Prompt {
    number: usize,
    request: Request,
    /// Whether it has one completion only: then the prompt is read into its slot.
    alone: bool,
    waiting: VecDeque<Begun>,
    /// The slot among those of prompts that holds its keys and values, and the version of the policy that read it.
    read: Option<(usize, u64)>,
}

/// What has to be done before completions that have just got slots can go on.
#[derive(Default)]
struct Plan {
    /// Tokens of prompts.
    prompts: Vec<Row>,
    /// Keys and values of prompts for the completions that start: from, to, how many.
    copies: Vec<(usize, usize, usize)>,
    /// What completions had said before.
    said: Vec<Row>,
    started: usize,
}

impl Plan {
    /// Puts completions into free slots, of as many prompts as can be held at once.
    fn new(waiting: &mut VecDeque<Prompt>, slots: &mut [Option<Slot>], cache: &Cache, version: u64) -> Plan {
        let mut plan = Plan::default();
        let mut places: Vec<usize> = (0..PROMPTS).rev().collect();
        places.retain(|place| waiting.iter().all(|prompt| prompt.read.is_none_or(|(taken, _)| taken != *place)));
        let mut free = (0..slots.len()).filter(|at| slots[*at].is_none()).collect::<VecDeque<_>>();
        for prompt in waiting.iter_mut() {
            let Some((last, trunk)) = prompt.request.prompt.split_last() else { continue };
            while !free.is_empty() && !prompt.waiting.is_empty() {
                let (place, read) = match (prompt.read, free[0]) {
                    (None, slot) if prompt.alone => (slot, true),
                    (Some((place, by)), _) => (cache.prompt(place), by != version),
                    (None, _) => match places.pop() {
                        Some(place) => {
                            prompt.read = Some((place, version));
                            (cache.prompt(place), true)
                        }
                        None => break,
                    },
                };
                if read {
                    prompt.read = prompt.read.map(|(place, _)| (place, version));
                    plan.prompts.extend(rows(trunk.iter(), place, 0));
                }
                let (Some(slot), Some(begun)) = (free.pop_front(), prompt.waiting.pop_front()) else { break };
                if slot != place {
                    plan.copies.push((place, slot, trunk.len()));
                }
                // All but its last token, which the next step reads.
                if let Some((_, before)) = begun.tokens.split_last() {
                    plan.said.extend(rows(std::iter::once(last).chain(before), slot, trunk.len()));
                }
                let running = Running::new(prompt.number, &prompt.request, begun);
                slots[slot] = Some(Slot { running, last: *last });
                plan.started += 1;
            }
        }
        waiting.retain(|prompt| !prompt.waiting.is_empty());
        plan
    }

    fn is_empty(&self) -> bool {
        self.started == 0
    }

    fn carry_out(&self, decoder: &Decoder, step: &mut Step, cache: &Cache) -> Result<()> {
        let mut read = |rows: &[Row]| -> Result<()> {
            rows.chunks(step.capacity()).try_for_each(|piece| step.read(decoder, cache, piece))
        };
        read(&self.prompts)?;
        cache.copy(&self.copies)?;
        read(&self.said)
    }
}

/// Tokens that follow one another in a slot, from a position on.
fn rows<'a>(tokens: impl Iterator<Item = &'a u32>, slot: usize, first: usize) -> impl Iterator<Item = Row> {
    tokens.zip(first..).map(move |(token, position)| Row::reading(*token, slot, position))
}

#[cfg(test)]
mod tests;
