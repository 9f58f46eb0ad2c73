//! What attention has to know about a batch: which rows make up a sequence, and how positions turn heads.

use std::sync::{Arc, OnceLock};

use super::cuda::Card;
use super::cuda::attention::Places;
use super::layout::Layout;
use super::rope::Rope;
use super::rotary::Rotary;
use crate::Result;

/// Made once for a batch; all layers share it, and with it what was computed or sent to a card on its account.
pub struct Positions {
    pub(super) layout: Layout,
    rotary: Rotary,
    rope: OnceLock<Rope>,
    places: OnceLock<Arc<Places>>,
}

impl Positions {
    /// Positions of a batch, in heads that turn like this.
    pub fn new(layout: Layout, rotary: Rotary) -> Positions {
        Positions { layout, rotary, rope: OnceLock::new(), places: OnceLock::new() }
    }

    /// Cosines and sines for the longest sequence.
    pub(super) fn rope(&self) -> &Rope {
        self.rope.get_or_init(|| Rope::new(self.rotary.clone(), self.layout.longest()))
    }

    /// The same on a card.
    pub(super) fn places(&self, card: &Card) -> Result<Arc<Places>> {
        if let Some(places) = self.places.get() {
            return Ok(places.clone());
        }
        let places = Arc::new(Places::new(card, &self.layout, &self.rotary)?);
        Ok(self.places.get_or_init(|| places).clone())
    }
}
