//! The generation engine: continuous batching over fixed slots.
//!
//! A prompt is read once for all completions of its request, which start from copies of its keys and values. A slot
//! whose completion ends is refilled before the next step, with the next sample or the next request. What a completion
//! says depends on its request and the weights alone: neither the slot, nor its neighbours, nor the order of arrival
//! matters. Weights may change between two steps: what is running goes on with its keys and values under the new ones.

use std::collections::VecDeque;
use std::sync::Arc;

use super::backend::{Backend, Drawn, StartedSlot};
use super::published::Published;
use super::request::{Completion, Job, Limits, PartialCompletion, Request};
use super::running::Running;
use crate::policy::{ModelConfig, Snapshot};
use crate::{Error, Result};

/// Tokens by which slots grow.
const STRIDE: usize = 64;

/// Samples completions with a key/value cache of fixed slots, which grow only when longer requests come than any before.
///
/// [`Engine::generate`] does everything for a list of requests. Whoever has requests coming in all the time hands over
/// one ([`Engine::take`]) whenever there is [room](Engine::has_room), and calls [`Engine::step`] until it is
/// [idle](Engine::is_idle).
pub struct Engine<B: Backend> {
    config: ModelConfig,
    limits: Limits,
    pub(super) backend: B,
    /// With their policy version.
    weights: Option<(B::Weights, u64)>,
    slots: Vec<Option<Running>>,
    /// Requests whose completions are being started.
    waiting: VecDeque<PrefixGroup>,
    finished: Vec<Completion>,
}

impl<B: Backend> Engine<B> {
    /// An engine of `slots` completions at once, each of at most `max_tokens` tokens with its prompt.
    pub(super) fn with_backend(
        config: &ModelConfig,
        slots: usize,
        max_tokens: usize,
        backend: impl FnOnce() -> Result<B>,
    ) -> Result<Engine<B>> {
        let refuse = |found: String, remedy: String| Err(Error::invalid("rollout engine", found, remedy));
        if slots == 0 || max_tokens == 0 {
            return refuse(format!("{slots} slots of {max_tokens} tokens"), "both are at least 1".into());
        }
        if max_tokens > config.longest_sequence() {
            let remedy = format!("the model has {} positions", config.longest_sequence());
            return refuse(format!("slots of {max_tokens} tokens"), remedy);
        }
        Ok(Engine {
            config: config.clone(),
            limits: Limits { max_tokens, vocab_size: config.vocab_size },
            backend: backend()?,
            weights: None,
            slots: (0..slots).map(|_| None).collect(),
            waiting: VecDeque::new(),
            finished: Vec::new(),
        })
    }

    /// Samples from a policy version from now on. Completions that are running go on under it.
    ///
    /// # Errors
    ///
    /// The weights do not fit the engine's config, or not into memory.
    pub fn load(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.load_published(B::publish(snapshot)?)
    }

    /// The same for weights that were published for several engines.
    ///
    /// # Errors
    ///
    /// They do not fit the engine's config, or not into memory, or are those of another kind of engine.
    pub fn load_published(&mut self, weights: Published) -> Result<()> {
        let version = weights.version();
        if *weights.config() != self.config {
            let place = format!("policy version {version}");
            return Err(Error::invalid(place, "another shape than the engine's", "make an engine for its config"));
        }
        // Frees the old weights before new ones are made.
        self.weights = None;
        let Some(weights) = self.backend.receive(weights)? else {
            let found = format!("weights that are not on {}", B::PLACE);
            return Err(Error::invalid("rollout engine", found, "start a pool for this policy"));
        };
        self.weights = Some((weights, version));
        Ok(())
    }

    /// Lets go of weights and caches while there is nothing to do; nothing is sampled until new weights are loaded.
    pub fn unload(&mut self) {
        if self.is_idle() {
            self.weights = None;
            self.backend.unload();
        }
    }

    /// All completions of all requests, sorted by request and sample. Whatever the engine was at before is dropped.
    ///
    /// # Errors
    ///
    /// A request that cannot be answered, no weights, or weights that give logits that are not finite.
    pub fn generate(&mut self, requests: &[Request]) -> Result<Vec<Completion>> {
        for (number, request) in requests.iter().enumerate() {
            self.limits.check(number, request)?;
        }
        self.clear();
        self.reserve(requests.iter().map(Request::tokens).max().unwrap_or(0))?;
        let mut queue = requests.iter().cloned().enumerate();
        loop {
            while self.has_room()
                && let Some((number, request)) = queue.next()
            {
                self.take(Job::new(number, request))?;
            }
            if self.is_idle() {
                break;
            }
            self.step()?;
        }
        let mut completions = self.finished();
        completions.sort_by_key(|completion| (completion.request, completion.sample));
        Ok(completions)
    }

    /// Whether a request that came now would be begun with the next step.
    pub fn has_room(&self) -> bool {
        let waiting: usize = self.waiting.iter().map(|prompt| prompt.waiting.len()).sum();
        waiting < free(&self.slots, &self.backend).count()
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.slots.iter().all(Option::is_none)
    }

    /// Begins a request, or goes on with one, with the next step.
    ///
    /// # Errors
    ///
    /// It cannot be answered, or does not fit into memory.
    pub fn take(&mut self, job: Job) -> Result<()> {
        self.limits.check_job(&job)?;
        self.reserve(job.request.tokens())?;
        let Job { number, request, begun } = job;
        if !begun.is_empty() {
            let (tokens, alone, waiting) = (request.prompt.as_slice().into(), begun.len() == 1, begun.into());
            self.waiting.push_back(PrefixGroup { number, request, tokens, alone, waiting, read: None });
        }
        Ok(())
    }

    /// Starts completions where slots are free, and samples one more token of all that are running.
    ///
    /// # Errors
    ///
    /// No weights, or weights that give logits that are not finite.
    pub fn step(&mut self) -> Result<()> {
        // Completions that end with their first token make room for others.
        loop {
            let Some((weights, version)) = &self.weights else {
                return Err(Error::invalid("rollout engine", "no weights", "load a policy version first"));
            };
            let free = free(&self.slots, &self.backend).collect();
            let started = start(&mut self.waiting, free, &mut self.slots, B::PROMPTS, *version);
            if started.is_empty() {
                break;
            }
            let drawn = self.backend.prefill(weights, &started, &mut self.slots)?;
            append(drawn, *version, &mut self.slots, &mut self.finished)?;
        }
        let Some((weights, version)) = self.weights.as_ref().filter(|_| self.slots.iter().any(Option::is_some)) else {
            return Ok(());
        };
        let drawn = self.backend.decode(weights, &mut self.slots)?;
        append(drawn, *version, &mut self.slots, &mut self.finished)
    }

    /// The completions that have ended since this was last asked.
    pub fn finished(&mut self) -> Vec<Completion> {
        std::mem::take(&mut self.finished)
    }

    /// How far everything has come that has not ended.
    pub fn begun(&self) -> Vec<PartialCompletion> {
        self.running().chain(self.waiting.iter().flat_map(|prompt| &prompt.waiting)).cloned().collect()
    }

    /// What is running, as far as it has come.
    pub fn running(&self) -> impl Iterator<Item = &PartialCompletion> {
        self.slots.iter().flatten().map(|running| &running.begun)
    }

    /// Goes on with some of what has not ended, and drops the rest, whose slots are free at once.
    pub fn retain(&mut self, wanted: impl Fn(&PartialCompletion) -> bool) {
        for slot in &mut self.slots {
            slot.take_if(|running| !wanted(&running.begun));
        }
        self.waiting.iter_mut().for_each(|prompt| prompt.waiting.retain(&wanted));
        self.waiting.retain(|prompt| !prompt.waiting.is_empty());
    }

    /// Drops all that it is at.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(|running| *running = None);
        self.waiting.clear();
        self.finished.clear();
    }

    /// Makes room for requests of so many tokens with their completions.
    fn reserve(&mut self, tokens: usize) -> Result<()> {
        if tokens > self.backend.capacity() {
            self.backend.grow(tokens.next_multiple_of(STRIDE).min(self.limits.max_tokens))
        } else {
            Ok(())
        }
    }
}

/// A request whose completions are being started.
struct PrefixGroup {
    number: usize,
    request: Request,
    tokens: Arc<[u32]>,
    /// Whether it has one completion only: then the prompt is read into its slot.
    alone: bool,
    waiting: VecDeque<PartialCompletion>,
    /// The slot that holds its keys and values, and the version of the policy that read it.
    read: Option<(usize, u64)>,
}

/// Slots that a completion may be put into.
fn free<B: Backend>(slots: &[Option<Running>], backend: &B) -> impl Iterator<Item = usize> {
    let taken = slots.iter().flatten().count();
    (0..slots.len()).filter(|slot| slots[*slot].is_none()).take(backend.most_slots().saturating_sub(taken))
}

/// Puts completions into free slots, of as many prompts as can be held at once.
fn start(
    waiting: &mut VecDeque<PrefixGroup>,
    mut free: VecDeque<usize>,
    slots: &mut [Option<Running>],
    prompts: usize,
    version: u64,
) -> Vec<StartedSlot> {
    let mut prompt_slots: Vec<usize> = (slots.len()..slots.len() + prompts).rev().collect();
    prompt_slots.retain(|slot| waiting.iter().all(|prompt| prompt.read.is_none_or(|(taken, _)| taken != *slot)));
    let mut started = Vec::new();
    for prompt in waiting.iter_mut() {
        while let (Some(slot), false) = (free.front().copied(), prompt.waiting.is_empty()) {
            let (prompt_slot, unread) = match prompt.read {
                None if prompt.alone => (slot, true),
                Some((prompt_slot, by)) => (prompt_slot, by != version),
                None => match prompt_slots.pop() {
                    Some(prompt_slot) => (prompt_slot, true),
                    None => break,
                },
            };
            let (Some(slot), Some(begun)) = (free.pop_front(), prompt.waiting.pop_front()) else { break };
            prompt.read = Some((prompt_slot, version));
            slots[slot] = Some(Running::new(prompt.number, &prompt.request, begun));
            started.push(StartedSlot { slot, prompt: prompt.tokens.clone(), prompt_slot, unread });
        }
    }
    waiting.retain(|prompt| !prompt.waiting.is_empty());
    started
}

/// Appends tokens to their completions; those that have ended leave their slots.
fn append(
    drawn: Vec<Drawn>,
    version: u64,
    slots: &mut [Option<Running>],
    finished: &mut Vec<Completion>,
) -> Result<()> {
    for (slot, draw) in drawn {
        let Some(running) = &mut slots[slot] else { continue };
        if let Some(finish) = running.append(draw, version)?
            && let Some(Running { begun, .. }) = slots[slot].take()
        {
            finished.push(begun.end(finish));
        }
    }
    Ok(())
}
