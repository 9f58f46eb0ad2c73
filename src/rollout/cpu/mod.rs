//! Sampling on the processor: one thread, packed weights and a static cache; no tensor library stands in the way of a
//! token, and no memory is allocated for one.

mod adapters;
mod attention;
mod buffers;
mod cache;
mod forward;
mod linear;
mod source;
mod weights;

use std::sync::Arc;

pub use weights::PackedWeights;

use self::cache::CpuCache;
use self::forward::Forward;
use super::backend::{Backend, Drawn, Slots, StartedSlot};
use super::engine::Engine;
use super::places::{TokenPlace, places};
use super::published::Published;
use crate::Result;
use crate::policy::{ModelConfig, Snapshot, room_beside};

/// Fewest and most slots of an engine that pay. Fewer rows leave registers of a product empty; of more, one step takes so
/// long that reading the weights is no longer seen in it.
const FEWEST: usize = 8;
const MOST: usize = 32;

/// Tokens of a usual prompt with its completion.
const USUAL: usize = 128;

/// Slots of an engine that pay for a model. A step reads the weights once for all slots, and the keys and values of every
/// slot: as many as make the latter as much as the former. With more, a small model's would no longer fit the processor's
/// cache.
pub fn slots(config: &ModelConfig) -> usize {
    let read_by_each = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * USUAL;
    (config.parameter_count() / read_by_each.max(1)).next_multiple_of(FEWEST).clamp(FEWEST, MOST)
}

/// Rows that a step holds at least, so that prompts are read in long pieces even when slots are few.
const PIECE: usize = 64;

/// The processor. Memory is taken for what is asked, not for what could be: real models have positions for far longer
/// texts.
pub struct Cpu {
    /// Bytes that keys and values may take.
    room: usize,
    forward: Forward,
    cache: CpuCache,
    /// After the last token of the prompt that is held.
    prompt_logits: Vec<f32>,
    /// Scratch of a step.
    places: Vec<TokenPlace>,
    /// Scratch of the sampler.
    weights: Vec<f32>,
}

/// Samples completions on the processor.
pub type CpuEngine = Engine<Cpu>;

impl Engine<Cpu> {
    /// An engine of `slots` completions at once, each of at most `max_tokens_per_slot` tokens with its prompt. Results do
    /// not depend on `slots`; speed does, see [`slots`](fn@slots).
    ///
    /// # Errors
    ///
    /// A config that no model has, no slots, or more tokens than the model has positions.
    pub fn new(config: &ModelConfig, slots: usize, max_tokens_per_slot: usize) -> Result<CpuEngine> {
        config.check("model config")?;
        Engine::with_backend(config, slots, max_tokens_per_slot, || {
            Ok(Cpu {
                // Every worker has an engine: half of what the activations of one may take.
                room: room_beside(config) / 2,
                forward: Forward::new(config, slots.max(PIECE.min(max_tokens_per_slot))),
                cache: CpuCache::new(config, slots + Cpu::PROMPTS, 0),
                prompt_logits: Vec::new(),
                places: Vec::with_capacity(slots),
                weights: Vec::new(),
            })
        })
    }

    /// Positions that went through the model so far: those of a request's prompt once, whatever its samples, and those
    /// of sampled tokens but for the last of each completion.
    pub fn positions(&self) -> u64 {
        self.backend.forward.positions()
    }
}

impl Backend for Cpu {
    type Weights = Arc<PackedWeights>;

    const PROMPTS: usize = 1;
    const PLACE: &'static str = "the processor";

    fn publish(snapshot: &Snapshot) -> Result<Published> {
        Ok(Published::Packed(Arc::new(PackedWeights::pack(snapshot, None, 1)?)))
    }

    fn receive(&mut self, weights: Published) -> Result<Option<Arc<PackedWeights>>> {
        Ok(match weights {
            Published::Packed(weights) => Some(weights),
            Published::OnCard(_) => None,
        })
    }

    fn unload(&mut self) {
        self.cache.clear();
    }

    fn capacity(&self) -> usize {
        self.cache.positions()
    }

    /// As many as there is room for keys and values: of long sequences few are enough.
    fn most_slots(&self) -> usize {
        (self.room / self.cache.slot_bytes().max(1)).max(FEWEST)
    }

    fn grow(&mut self, tokens: usize) -> Result<()> {
        self.cache.grow(tokens);
        self.forward.grow(tokens);
        Ok(())
    }

    /// Draws the first token of every one: from the logits after its prompt, which all samples of a group share, or
    /// after what it had said before.
    fn prefill(&mut self, weights: &Self::Weights, started: &[StartedSlot], slots: &mut Slots) -> Result<Vec<Drawn>> {
        let mut drawn = Vec::with_capacity(started.len());
        for StartedSlot { slot, prompt, prompt_slot, unread } in started {
            if *unread {
                let places: Vec<TokenPlace> = places(prompt.iter(), *prompt_slot, 0).collect();
                self.prompt_logits = self.logits_after(weights, &places)?;
            }
            if prompt_slot != slot {
                self.cache.copy(*prompt_slot, *slot, prompt.len());
            }
            let Some(running) = &mut slots[*slot] else { continue };
            let said: Vec<TokenPlace> = places(&running.begun.tokens, *slot, prompt.len()).collect();
            let after = if said.is_empty() { None } else { Some(self.logits_after(weights, &said)?) };
            let logits = after.as_ref().unwrap_or(&self.prompt_logits);
            drawn.push((*slot, running.draw(logits, &mut self.weights)));
        }
        Ok(drawn)
    }

    fn decode(&mut self, weights: &Self::Weights, slots: &mut Slots) -> Result<Vec<Drawn>> {
        self.places.clear();
        self.places.extend(slots.iter().enumerate().filter_map(|(slot, running)| Some(running.as_ref()?.newest(slot))));
        self.forward.read(weights, &mut self.cache, &self.places)?;
        self.forward.predict(weights, self.places.len());
        let mut drawn = Vec::with_capacity(self.places.len());
        for (row, TokenPlace { slot, .. }) in self.places.iter().enumerate() {
            let Some(running) = &mut slots[*slot] else { continue };
            drawn.push((*slot, running.draw(self.forward.logits(row), &mut self.weights)));
        }
        Ok(drawn)
    }
}

impl Cpu {
    /// Reads tokens that follow one another in one slot, and gives the logits after the last.
    fn logits_after(&mut self, weights: &PackedWeights, places: &[TokenPlace]) -> Result<Vec<f32>> {
        let mut last = 0;
        for piece in places.chunks(self.forward.capacity()) {
            self.forward.read(weights, &mut self.cache, piece)?;
            last = piece.len() - 1;
        }
        self.forward.keep_only(last);
        self.forward.predict(weights, 1);
        Ok(self.forward.logits(0).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Family;
    use crate::rollout::tests::{mixture, request, snapshot, tiny};
    use crate::rollout::{Job, Request};

    #[test]
    fn few_slots_are_in_use_where_sequences_are_long_and_growing_keeps_what_they_hold() {
        const LONG: usize = 120_000;
        let snapshot = snapshot(&ModelConfig { max_position_embeddings: 1 << 17, ..tiny(Family::Llama) }, 3);
        // It may become long, and ends when one of 37 tokens is drawn.
        let long = Request { max_new_tokens: LONG, ..request(&[1, 2, 5], 20, 1.5, 99) };
        let mut requests: Vec<Request> = mixture(6);
        requests.push(long);
        let mut engine = Engine::new(&snapshot.config, 20, LONG + 3).unwrap();
        engine.load(&snapshot).unwrap();
        let mut alone = Vec::new();
        for (number, request) in requests.iter().enumerate() {
            let completions = engine.generate(std::slice::from_ref(request)).unwrap();
            alone.extend(completions.into_iter().map(|completion| (number, completion.tokens)));
        }
        let mut engine = Engine::new(&snapshot.config, 20, LONG + 3).unwrap();
        engine.load(&snapshot).unwrap();
        // Short ones are on their way when the long one comes.
        for (number, request) in requests[..6].iter().enumerate() {
            engine.take(Job::new(number, request.clone())).unwrap();
        }
        let before = engine.backend.most_slots();
        engine.step().unwrap();
        let short = engine.running().count();
        engine.take(Job::new(6, requests[6].clone())).unwrap();
        assert!(before >= 20 && engine.backend.most_slots() == FEWEST);
        while !engine.is_idle() {
            engine.step().unwrap();
            assert!(engine.running().count() <= FEWEST.max(short));
        }
        let mut together: Vec<(usize, Vec<u32>)> =
            engine.finished().into_iter().map(|completion| (completion.request, completion.tokens)).collect();
        together.sort();
        alone.sort();
        assert_eq!(together, alone);
    }
}
