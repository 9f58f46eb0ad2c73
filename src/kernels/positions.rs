//! What attention has to know about a batch: which rows make up a sequence, and how positions turn heads.

use std::sync::{Arc, OnceLock};

use candle_core::Tensor;

use super::cuda::CudaDevice;
use super::layout::Layout;
use super::rope::Rope;
use super::rotary::Rotary;
use crate::Result;

/// Made once for a batch; all layers share it, and with it what was computed or sent to a card on its account.
pub struct Positions {
    pub(super) layout: Layout,
    rotary: Rotary,
    rope: OnceLock<Rope>,
    on_card: OnceLock<Arc<CudaPositions>>,
}

impl Positions {
    /// Positions of a batch, in heads that turn like this.
    pub fn new(layout: Layout, rotary: Rotary) -> Positions {
        Positions { layout, rotary, rope: OnceLock::new(), on_card: OnceLock::new() }
    }

    /// Cosines and sines for the longest sequence.
    pub(super) fn rope(&self) -> &Rope {
        self.rope.get_or_init(|| Rope::new(self.rotary.clone(), self.layout.longest()))
    }

    /// The same on a card.
    pub(super) fn on_card(&self, card: &CudaDevice) -> Result<Arc<CudaPositions>> {
        if let Some(places) = self.on_card.get() {
            return Ok(places.clone());
        }
        let places = Arc::new(CudaPositions::new(card, &self.layout, &self.rotary)?);
        Ok(self.on_card.get_or_init(|| places).clone())
    }
}

/// What the kernels know of a batch, one number for every row.
pub(super) struct CudaPositions {
    /// Radians per position, `[dim / 2]` in f32.
    pub(super) frequencies: Tensor,
    /// What cosines and sines are multiplied by.
    pub(super) attention_factor: f32,
    /// How far each row stands from the beginning of its sequence, prefix included.
    pub(super) positions: Tensor,
    /// The first row of its group.
    pub(super) first: Tensor,
    /// Behind the last row that may see it.
    pub(super) end: Tensor,
}

impl CudaPositions {
    fn new(card: &CudaDevice, layout: &Layout, rotary: &Rotary) -> Result<CudaPositions> {
        let (mut positions, mut first, mut end) = (Vec::new(), Vec::new(), Vec::new());
        for group in layout.prefix_groups() {
            let rows = group[0].rows.start..group[group.len() - 1].rows.end;
            for (number, sequence) in group.iter().enumerate() {
                let last = if number == 0 { rows.end } else { sequence.rows.end };
                positions.extend((sequence.prefix.len()..sequence.positions()).map(|position| position as u32));
                first.extend(vec![rows.start as u32; sequence.rows.len()]);
                end.extend(vec![last as u32; sequence.rows.len()]);
            }
        }
        Ok(CudaPositions {
            frequencies: card.upload(&rotary.frequencies)?,
            attention_factor: rotary.attention_factor,
            positions: card.upload(&positions)?,
            first: card.upload(&first)?,
            end: card.upload(&end)?,
        })
    }
}
