//! What an [`Engine`](super::Engine) needs of the hardware that it samples on.

use std::sync::Arc;

use super::published::Published;
use super::running::Running;
use super::sampler::Draw;
use crate::Result;
use crate::policy::Snapshot;

/// Weights, the cache of keys and values, and the forward pass, in the memory of the processor or of a card.
///
/// # Errors
///
/// Of every method: the device fails, or has too little memory.
pub trait Backend {
    /// One policy version.
    type Weights;

    /// Prompts that are held at once for the samples of their groups. Their slots follow those of the completions.
    const PROMPTS: usize;

    /// Where it computes, for messages.
    const PLACE: &'static str;

    /// What is handed to the engines of this kind.
    ///
    /// # Errors
    ///
    /// A weight is missing or has another shape than the config says.
    fn publish(snapshot: &Snapshot) -> Result<Published>;

    /// Takes weights over; none if they were published for another kind of engine. Older ones are gone by now.
    fn receive(&mut self, weights: Published) -> Result<Option<Self::Weights>>;

    /// Gives back what it holds for completions beside the weights, where that is much. Nothing is running.
    fn unload(&mut self) {}

    /// Tokens that a slot holds.
    fn capacity(&self) -> usize;

    /// Slots that may be in use at once, where there is room for long sequences in each.
    fn most_slots(&self) -> usize {
        usize::MAX
    }

    /// Makes room for more tokens in every slot; what is in them stays.
    fn grow(&mut self, tokens: usize) -> Result<()>;

    /// Reads what completions that have just got slots go on from. May draw a token of some of them at once.
    fn prefill(&mut self, weights: &Self::Weights, started: &[StartedSlot], slots: &mut Slots) -> Result<Vec<Drawn>>;

    /// Reads the last token of every completion that has a slot, and draws the next.
    fn decode(&mut self, weights: &Self::Weights, slots: &mut Slots) -> Result<Vec<Drawn>>;
}

/// The completions that are running.
pub type Slots = [Option<Running>];

/// A slot and the token that was drawn for it. No token means that its logits were not finite.
pub type Drawn = (usize, Option<Draw>);

/// A completion that has just got a slot.
pub struct StartedSlot {
    pub(super) slot: usize,
    pub(super) prompt: Arc<[u32]>,
    /// The slot that holds keys and values of its prompt.
    pub(super) prompt_slot: usize,
    /// The prompt has to be read into that slot first.
    pub(super) unread: bool,
}
