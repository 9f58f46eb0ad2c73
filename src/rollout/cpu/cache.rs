//! Keys and values of every slot, allocated once.

use super::buffers::{Aligned, LINE, PANEL};
use crate::policy::ModelConfig;
use crate::rollout::places::TokenPlace;

/// Static key/value cache.
///
/// Keys lie in blocks of sixteen positions, `[block][depth][position]`, so that one query meets sixteen positions in
/// one register; values lie as `[position][depth]`, so that a weighted sum of them does.
pub(super) struct CpuCache {
    slots: usize,
    layers: usize,
    heads: usize,
    /// Positions of a slot, a multiple of sixteen.
    positions: usize,
    /// Positions that each slot holds.
    held: Vec<usize>,
    /// Head size.
    pub(super) key_depth: usize,
    /// Head size, padded to two of the widest registers.
    pub(super) value_depth: usize,
    /// `[slot, layer, head, block, key_depth, 16]`
    keys: Aligned,
    /// `[slot, layer, head, position, value_depth]`, zero beyond the head's size.
    values: Aligned,
}

impl CpuCache {
    pub(super) fn new(config: &ModelConfig, slots: usize, tokens: usize) -> CpuCache {
        let positions = tokens.next_multiple_of(LINE);
        let (key_depth, value_depth) = (config.head_dim, config.head_dim.next_multiple_of(PANEL));
        let (layers, heads) = (config.num_hidden_layers, config.num_key_value_heads);
        let all = slots * layers * heads * positions;
        CpuCache {
            slots,
            layers,
            heads,
            positions,
            held: vec![0; slots],
            key_depth,
            value_depth,
            keys: Aligned::zeros(all * key_depth),
            values: Aligned::zeros(all * value_depth),
        }
    }

    /// What a slot takes when it is full.
    pub(super) fn slot_bytes(&self) -> usize {
        self.layers * self.heads * self.positions * (self.key_depth + self.value_depth) * size_of::<f32>()
    }

    /// Makes room for `tokens` in every slot. What the slots hold stays; nothing else is touched, because memory is only
    /// taken when it is.
    pub(super) fn grow(&mut self, tokens: usize) {
        let (before, positions) = (self.positions, tokens.next_multiple_of(LINE).max(self.positions));
        let stretches = self.layers * self.heads;
        let longer = |values: &Aligned, depth: usize| {
            let mut longer = Aligned::zeros(self.slots * stretches * positions * depth);
            for (slot, held) in self.held.iter().enumerate().filter(|(_, held)| **held > 0) {
                let size = held.next_multiple_of(LINE) * depth;
                for stretch in slot * stretches..(slot + 1) * stretches {
                    let old = &values[stretch * before * depth..][..size];
                    longer[stretch * positions * depth..][..size].copy_from_slice(old);
                }
            }
            longer
        };
        (self.keys, self.values) = (longer(&self.keys, self.key_depth), longer(&self.values, self.value_depth));
        self.positions = positions;
    }

    /// Gives its memory back. What the slots held is lost.
    pub(super) fn clear(&mut self) {
        (self.keys, self.values, self.positions) = (Aligned::zeros(0), Aligned::zeros(0), 0);
        self.held.fill(0);
    }

    /// Tokens that a slot holds.
    pub(super) fn positions(&self) -> usize {
        self.positions
    }

    /// Which stretch of `positions` belongs to a head of a layer of a slot.
    #[inline(always)]
    fn stretch(&self, slot: usize, layer: usize, head: usize) -> usize {
        ((slot * self.layers + layer) * self.heads + head) * self.positions
    }

    /// Keys of one head of one layer: `[block, key_depth, 16]`.
    #[inline(always)]
    pub(super) fn keys(&self, slot: usize, layer: usize, head: usize) -> &[f32] {
        let size = self.positions * self.key_depth;
        &self.keys[self.stretch(slot, layer, head) * self.key_depth..][..size]
    }

    /// Values of one head of one layer: `[position, value_depth]`.
    #[inline(always)]
    pub(super) fn values(&self, slot: usize, layer: usize, head: usize) -> &[f32] {
        let size = self.positions * self.value_depth;
        &self.values[self.stretch(slot, layer, head) * self.value_depth..][..size]
    }

    /// What will be kept: the newest position of a slot stands behind all that it holds.
    pub(super) fn hold(&mut self, places: &[TokenPlace]) {
        for place in places {
            self.held[place.slot] = place.position + 1;
        }
    }

    /// Keeps the key and the value (`[head_dim]` each) of a position.
    // Not part of any kernel: compiled for AVX-512, the strided stores become a scatter, which is slower.
    #[inline(never)]
    pub(super) fn put(&mut self, [slot, layer, head]: [usize; 3], position: usize, key: &[f32], value: &[f32]) {
        let stretch = self.stretch(slot, layer, head);
        let block = (stretch + position / LINE * LINE) * self.key_depth;
        let block = &mut self.keys[block..][..LINE * self.key_depth];
        for (line, number) in block.chunks_exact_mut(LINE).zip(key) {
            line[position % LINE] = *number;
        }
        self.values[(stretch + position) * self.value_depth..][..value.len()].copy_from_slice(value);
    }

    /// Gives a slot the first `tokens` positions of another.
    pub(super) fn copy(&mut self, from: usize, to: usize, tokens: usize) {
        self.held[to] = tokens;
        let (keys, values) = (tokens.next_multiple_of(LINE) * self.key_depth, tokens * self.value_depth);
        for layer in 0..self.layers {
            for head in 0..self.heads {
                let (from, to) = (self.stretch(from, layer, head), self.stretch(to, layer, head));
                let start = from * self.key_depth;
                self.keys.copy_within(start..start + keys, to * self.key_depth);
                let start = from * self.value_depth;
                self.values.copy_within(start..start + values, to * self.value_depth);
            }
        }
    }
}
