//! Sampling on the processor: packed weights and a static cache, on one thread or, where no cache holds the weights, on
//! several that share every product; no tensor library stands in the way of a token.

mod adapters;
mod attention;
mod buffers;
mod cache;
mod engine_layout;
mod fork_join;
mod forward;
mod linear;
mod source;
mod weights;

use std::sync::Arc;

pub use engine_layout::EngineLayout;
pub use weights::PackedWeights;

use self::cache::CpuCache;
use self::fork_join::ForkJoin;
use self::forward::Forward;
use super::backend::{Backend, Drawn, Slots, StartedSlot};
use super::engine::Engine;
use super::places::{TokenPlace, places};
use super::published::Published;
use super::running::Running;
use crate::Result;
use crate::policy::{ModelConfig, Snapshot};

/// Rows that a step holds at least, so that prompts are read in long pieces even when slots are few.
const PIECE: usize = 64;

/// The processor. Memory is taken for what is asked, not for what could be: real models have positions for far longer
/// texts.
pub struct Cpu {
    fork_join: ForkJoin,
    forward: Forward,
    cache: CpuCache,
    /// After the last token of the prompt that is held.
    prompt_logits: Vec<f32>,
    /// Scratch of a step.
    places: Vec<TokenPlace>,
}

/// Samples completions on the processor.
pub type CpuEngine = Engine<Cpu>;

impl Engine<Cpu> {
    /// An engine on one thread, of `slots` completions at once, each of at most `max_tokens_per_slot` tokens with its
    /// prompt. Results do not depend on `slots`; speed does, see [`EngineLayout`].
    ///
    /// # Errors
    ///
    /// A config that no model has, no slots, or more tokens than the model has positions.
    pub fn new(config: &ModelConfig, slots: usize, max_tokens_per_slot: usize) -> Result<CpuEngine> {
        Engine::on_threads(config, 1, slots, max_tokens_per_slot)
    }

    /// The same on several threads, on which results do not depend either.
    ///
    /// # Errors
    ///
    /// As above, or a thread that cannot be started.
    pub fn on_threads(
        config: &ModelConfig,
        threads: usize,
        slots: usize,
        max_tokens_per_slot: usize,
    ) -> Result<CpuEngine> {
        config.check("model config")?;
        Engine::with_backend(config, slots, max_tokens_per_slot, || {
            Ok(Cpu {
                fork_join: ForkJoin::new(threads)?,
                forward: Forward::new(config, slots.max(PIECE.min(max_tokens_per_slot))),
                cache: CpuCache::new(config, slots + Cpu::PROMPTS, 0),
                prompt_logits: Vec::new(),
                places: Vec::with_capacity(slots),
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
            drawn.push((*slot, running.draw(logits, &mut Vec::new())));
        }
        Ok(drawn)
    }

    fn decode(&mut self, weights: &Self::Weights, slots: &mut Slots) -> Result<Vec<Drawn>> {
        self.places.clear();
        self.places.extend(slots.iter().enumerate().filter_map(|(slot, running)| Some(running.as_ref()?.newest(slot))));
        let Cpu { fork_join, forward, cache, places, .. } = self;
        fork_join.run(|| {
            forward.read(fork_join, weights, cache, places)?;
            forward.predict(fork_join, weights, places.len());
            Ok(draw(fork_join, forward, slots))
        })
    }
}

/// Draws a token of everything that is running, from the row of its logits: in the order of the slots.
fn draw(fork_join: &ForkJoin, forward: &Forward, slots: &mut Slots) -> Vec<Drawn> {
    let running = slots.iter_mut().enumerate().filter_map(|(slot, running)| Some((running.as_mut()?, (slot, None))));
    let mut rows: Vec<(usize, (&mut Running, Drawn))> = running.enumerate().collect();
    fork_join.each(&mut rows[..], |rows| {
        let mut weights = Vec::new();
        for (row, (running, (_, drawn))) in rows {
            *drawn = running.draw(forward.logits(*row), &mut weights);
        }
    });
    rows.into_iter().map(|(_, (_, drawn))| drawn).collect()
}

impl Cpu {
    /// Reads tokens that follow one another in one slot, and gives the logits after the last.
    fn logits_after(&mut self, weights: &PackedWeights, places: &[TokenPlace]) -> Result<Vec<f32>> {
        let Cpu { fork_join, forward, cache, .. } = self;
        fork_join.run(|| {
            let mut last = 0;
            for piece in places.chunks(forward.capacity()) {
                forward.read(fork_join, weights, cache, piece)?;
                last = piece.len() - 1;
            }
            forward.keep_only(last);
            forward.predict(fork_join, weights, 1);
            Ok(forward.logits(0).to_vec())
        })
    }
}
