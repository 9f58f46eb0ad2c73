//! The generation engine: continuous batching over fixed slots.
//!
//! A request's prompt is read once, into a slot of its own that no completion uses; each of its samples starts from a
//! copy of those keys and values and of the logits after the prompt's last token. A slot whose completion ends is
//! refilled before the next step, with the next sample or the next request. What a completion says depends on its
//! request and the weights alone: neither the slot, nor its neighbours, nor the order of arrival matters. Weights may
//! change between two steps: what is running goes on with its keys and values under the new ones.

use std::collections::VecDeque;
use std::sync::Arc;

use super::attention::Place;
use super::cache::Cache;
use super::forward::Forward;
use super::panels::{self, Panels};
use super::request::{Begun, Completion, Job, Limits, Request};
use super::running::Running;
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

/// Samples completions with a key/value cache of fixed slots, which grow only when longer requests come than any before.
/// One thread, no allocation per token.
///
/// [`Engine::generate`] does everything for a list of requests. Whoever has requests coming in all the time hands over
/// one ([`Engine::take`]) whenever there is [room](Engine::has_room), and calls [`Engine::step`] until it is
/// [idle](Engine::is_idle).
pub struct Engine {
    config: ModelConfig,
    limits: Limits,
    panels: Option<Arc<Panels>>,
    forward: Forward,
    /// One slot more than completions use: the last holds the prompt that is being handed out.
    cache: Cache,
    slots: Vec<Option<Running>>,
    /// The request whose completions are being started.
    prompt: Option<Prompt>,
    finished: Vec<Completion>,
    /// Scratch of a step.
    places: Vec<Place>,
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
            panels: None,
            forward: Forward::new(config, slots.max(PIECE.min(max_tokens_per_slot))),
            cache: Cache::new(config, slots + 1, 0),
            slots: (0..slots).map(|_| None).collect(),
            prompt: None,
            finished: Vec::new(),
            places: Vec::with_capacity(slots),
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

    /// The same for weights that are packed already: workers share them. Completions that are running go on under them.
    pub fn load_packed(&mut self, panels: Arc<Panels>) -> Result<()> {
        if panels.config != self.config {
            let place = format!("policy version {}", panels.version);
            return Err(Error::invalid(place, "another shape than the engine's", "make an engine for its config"));
        }
        self.panels = Some(panels);
        Ok(())
    }

    /// All completions of all requests, sorted by request and sample. Whatever the engine was at before is dropped.
    pub fn generate(&mut self, requests: &[Request]) -> Result<Vec<Completion>> {
        for (number, request) in requests.iter().enumerate() {
            self.limits.check(number, request)?;
        }
        self.clear();
        self.reserve(requests.iter().map(Request::tokens).max().unwrap_or(0));
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

    /// Whether a request that came now would be begun at once.
    pub fn has_room(&self) -> bool {
        self.prompt.is_none() && self.slots.iter().any(Option::is_none)
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.prompt.is_none() && self.slots.iter().all(Option::is_none)
    }

    /// Begins a request, or goes on with one: reads its prompt once and starts as many of its completions as there are
    /// free slots, the others when slots become free. For an engine that has room.
    pub fn take(&mut self, job: Job) -> Result<()> {
        self.limits.check_job(&job)?;
        self.reserve(job.request.tokens());
        let Job { number, request, begun } = job;
        self.prompt = Some(Prompt { number, request, waiting: begun.into(), version: None, logits: Vec::new() });
        self.fill()
    }

    /// Samples one more token of every completion that is running, and starts others where some have ended.
    pub fn step(&mut self) -> Result<()> {
        let Some(panels) = self.panels.clone() else { return Err(no_weights()) };
        self.places.clear();
        self.places.extend(self.slots.iter().enumerate().filter_map(|(slot, running)| {
            let Running { position, begun, .. } = running.as_ref()?;
            Some(Place { slot, position: *position, token: *begun.tokens.last()? })
        }));
        if !self.places.is_empty() {
            self.forward.read(&panels, &mut self.cache, &self.places);
            self.forward.predict(&panels, self.places.len());
        }
        for (row, Place { slot, .. }) in self.places.iter().enumerate() {
            let Some(running) = &mut self.slots[*slot] else { continue };
            running.position += 1;
            if let Some(finish) = running.draw(self.forward.logits(row), panels.version, &mut self.weights)?
                && let Some(Running { begun, .. }) = self.slots[*slot].take()
            {
                self.finished.push(begun.end(finish));
            }
        }
        self.fill()
    }

    /// The completions that have ended since this was last asked.
    pub fn finished(&mut self) -> Vec<Completion> {
        std::mem::take(&mut self.finished)
    }

    /// How far everything has come that has not ended.
    pub fn begun(&self) -> Vec<Begun> {
        let running = self.slots.iter().flatten().map(|running| &running.begun);
        running.chain(self.prompt.iter().flat_map(|prompt| &prompt.waiting)).cloned().collect()
    }

    /// Drops all that it is at.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(|running| *running = None);
        self.prompt = None;
        self.finished.clear();
    }

    /// Makes room for requests of so many tokens with their completions.
    fn reserve(&mut self, tokens: usize) {
        if tokens > self.cache.positions() {
            let tokens = tokens.next_multiple_of(STRIDE).min(self.limits.max_tokens);
            self.cache.grow(tokens);
            self.forward.grow(tokens);
        }
    }

    /// Starts completions of the current request in the slots that are free.
    fn fill(&mut self) -> Result<()> {
        let Some(mut prompt) = self.prompt.take() else { return Ok(()) };
        let Some(panels) = self.panels.clone() else { return Err(no_weights()) };
        for slot in 0..self.slots.len() {
            while self.slots[slot].is_none()
                && let Some(begun) = prompt.waiting.pop_front()
            {
                if prompt.version != Some(panels.version) {
                    self.read(&panels, &mut prompt);
                }
                self.start(slot, &panels, &prompt, begun)?;
            }
        }
        if !prompt.waiting.is_empty() {
            self.prompt = Some(prompt);
        }
        Ok(())
    }

    /// Samples the next token of a completion in a free slot, which it keeps unless it ends with that.
    fn start(&mut self, slot: usize, panels: &Panels, prompt: &Prompt, begun: Begun) -> Result<()> {
        let at = prompt.request.prompt.len();
        let places: Vec<Place> =
            begun.tokens.iter().zip(at..).map(|(token, position)| Place { slot, position, token: *token }).collect();
        self.cache.copy(self.slots.len(), slot, at);
        let after;
        let logits = if places.is_empty() {
            &prompt.logits
        } else {
            after = self.logits_after(panels, &places);
            &after
        };
        let mut running = Running::new(prompt.number, &prompt.request, begun);
        match running.draw(logits, panels.version, &mut self.weights)? {
            Some(finish) => self.finished.push(running.begun.end(finish)),
            None => self.slots[slot] = Some(running),
        }
        Ok(())
    }

    /// Reads a prompt into the slot for prompts.
    fn read(&mut self, panels: &Panels, prompt: &mut Prompt) {
        let slot = self.slots.len();
        let places = prompt.request.prompt.iter().enumerate();
        let places: Vec<Place> = places.map(|(position, token)| Place { slot, position, token: *token }).collect();
        prompt.logits = self.logits_after(panels, &places);
        prompt.version = Some(panels.version);
    }

    /// Reads tokens that follow one another in one slot, and gives the logits after the last.
    fn logits_after(&mut self, panels: &Panels, places: &[Place]) -> Vec<f32> {
        let mut last = 0;
        for piece in places.chunks(self.forward.capacity()) {
            self.forward.read(panels, &mut self.cache, piece);
            last = piece.len() - 1;
        }
        self.forward.keep_only(last);
        self.forward.predict(panels, 1);
        self.forward.logits(0).to_vec()
    }
}

fn no_weights() -> Error {
    Error::invalid("rollout engine", "no weights", "load a policy version first")
}

/// A prompt whose completions are being started.
struct Prompt {
    number: usize,
    request: Request,
    waiting: VecDeque<Begun>,
    /// Of the policy that read it. None before it has been read.
    version: Option<u64>,
    /// After its last token.
    logits: Vec<f32>,
}
