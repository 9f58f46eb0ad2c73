//! Sampling on a card: weights, cache and sampler in its memory.
//!
//! A step computes all slots, whether a completion is in them or not: its shapes never change, so that its launches
//! can be recorded once and repeated, and a completion does not depend on what goes on beside it. Prompts are read but
//! for their last token, which is the first that a slot reads; so only slots need logits.

mod cache;
mod step;
mod weights;

use candle_core::Device;

use self::cache::CudaCache;
use self::step::{CudaStep, SlotRow};
use self::weights::CudaWeights;
use super::backend::{Backend, Drawn, Slots, StartedSlot};
use super::engine::Engine;
use super::places::places;
use super::published::Published;
use crate::kernels::Precision;
use crate::kernels::attention::WIDEST_ON_CARD;
use crate::kernels::cuda::CudaDevice;
use crate::policy::{ModelConfig, Policy, Snapshot};
use crate::{Error, Result};

/// Completions at once. A card reads all weights for every step, whatever it computes with them.
pub const SLOTS_ON_CARD: usize = 256;

/// Rows of prompts that are read at once.
const PIECE: usize = 256;

/// A card, through a queue of its own: what it does meanwhile waits for no one, and no one for it.
pub struct Cuda {
    card: CudaDevice,
    precision: Precision,
    step: CudaStep,
    /// Slots of completions, then those of prompts.
    cache: CudaCache,
    /// Scratch of the sampler, for what is drawn on the host.
    weights: Vec<f32>,
}

/// Samples completions on a card.
pub type CudaEngine = Engine<Cuda>;

impl Engine<Cuda> {
    /// An engine where a policy lives, of slots that hold `max_tokens` tokens; none if it lives on the processor.
    ///
    /// # Errors
    ///
    /// More tokens than the model has positions, heads that are too wide, or too little memory.
    pub fn for_policy(policy: &Policy, max_tokens: usize) -> Result<Option<CudaEngine>> {
        CudaEngine::with_slots(policy, SLOTS_ON_CARD, max_tokens)
    }

    /// The same with a number of slots that is not the usual one.
    ///
    /// # Errors
    ///
    /// As [`for_policy`](Engine::for_policy); and no slots.
    pub fn with_slots(policy: &Policy, slots: usize, max_tokens: usize) -> Result<Option<CudaEngine>> {
        if !policy.is_on_card() {
            return Ok(None);
        }
        CudaEngine::on_device(&policy.device(), &policy.config, policy.precision, slots, max_tokens).map(Some)
    }

    /// An engine on a card, for a model that may be somewhere else.
    ///
    /// # Errors
    ///
    /// As [`with_slots`](Engine::with_slots); and a device that is no card.
    pub fn on_device(
        device: &Device,
        config: &ModelConfig,
        precision: Precision,
        slots: usize,
        max_tokens: usize,
    ) -> Result<CudaEngine> {
        let Some(card) = CudaDevice::at(device) else {
            return Err(Error::invalid("rollout engine", "no card", "set run.device to \"cpu\""));
        };
        let backend = || {
            if config.head_dim > WIDEST_ON_CARD {
                let found = format!("heads of {} dimensions", config.head_dim);
                let remedy = format!("on a card at most {WIDEST_ON_CARD} are supported; set run.device to \"cpu\"");
                return Err(Error::invalid("rollout engine", found, remedy));
            }
            let card = card.sibling()?;
            let step = CudaStep::new(&card, config, precision, slots, slots.max(PIECE))?;
            let cache = CudaCache::new(&card, config, precision, slots + Cuda::PROMPTS)?;
            Ok(Cuda { card, precision, step, cache, weights: Vec::new() })
        };
        Engine::with_backend(config, slots, max_tokens, backend)
    }
}

impl Backend for Cuda {
    type Weights = CudaWeights;

    const PROMPTS: usize = 8;
    const PLACE: &'static str = "a card";

    fn publish(snapshot: &Snapshot) -> Result<Published> {
        Ok(Published::OnCard(snapshot.clone()))
    }

    fn receive(&mut self, weights: Published) -> Result<Option<CudaWeights>> {
        self.step.forget();
        match weights {
            Published::OnCard(snapshot) => CudaWeights::new(&self.card, &snapshot, self.precision).map(Some),
            Published::Packed(_) => Ok(None),
        }
    }

    fn capacity(&self) -> usize {
        self.cache.capacity()
    }

    fn grow(&mut self, tokens: usize) -> Result<()> {
        // What was recorded is about the old one.
        self.step.forget();
        self.cache.grow(tokens)
    }

    /// All prompts are read together, and so is what completions had said before. Draws nothing.
    fn prefill(&mut self, weights: &CudaWeights, started: &[StartedSlot], slots: &mut Slots) -> Result<Vec<Drawn>> {
        let (mut prompts, mut copies, mut said) = (Vec::new(), Vec::new(), Vec::new());
        for StartedSlot { slot, prompt, prompt_slot, unread } in started {
            let Some((last, prefix)) = prompt.split_last() else { continue };
            if *unread {
                prompts.extend(places(prefix, *prompt_slot, 0).map(SlotRow::reading));
            }
            if slot != prompt_slot {
                copies.push((*prompt_slot, *slot, prefix.len()));
            }
            // All but its last token, which the next step reads.
            if let Some((_, before)) = slots[*slot].as_ref().and_then(|running| running.begun.tokens.split_last()) {
                said.extend(places([last].into_iter().chain(before), *slot, prefix.len()).map(SlotRow::reading));
            }
        }
        let mut read = |rows: &[SlotRow]| -> Result<()> {
            rows.chunks(self.step.capacity()).try_for_each(|piece| self.step.read(weights, &self.cache, piece))
        };
        read(&prompts)?;
        self.cache.copy(&copies)?;
        read(&said)?;
        Ok(Vec::new())
    }

    fn decode(&mut self, weights: &CudaWeights, slots: &mut Slots) -> Result<Vec<Drawn>> {
        let rows = slots.iter_mut().enumerate().map(|(slot, running)| {
            let running = running.as_mut()?;
            let reading = SlotRow::reading(running.newest(slot));
            // The card knows temperatures alone; what takes more is drawn on the host.
            Some(if running.needs_logits() {
                reading
            } else {
                SlotRow { temperature: running.sampling.temperature, uniform: running.uniform(), ..reading }
            })
        });
        let rows: Vec<Option<SlotRow>> = rows.collect();
        let running: Vec<usize> = (0..rows.len()).filter(|slot| rows[*slot].is_some()).collect();
        let mut drawn = self.step.sample(weights, &self.cache, rows)?;
        let draw = |slot: usize| {
            let on_host = slots[slot].as_mut().filter(|running| running.needs_logits());
            let drawn = match on_host {
                Some(running) => running.draw(&self.step.logits(slot)?, &mut self.weights),
                None => drawn[slot].take(),
            };
            Ok((slot, drawn))
        };
        running.into_iter().map(draw).collect()
    }
}

#[cfg(test)]
mod tests;
