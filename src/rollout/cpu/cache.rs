//! Keys and values of every slot, allocated once.

use super::buffers::{Aligned, LINE, PANEL};
use crate::policy::ModelConfig;

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
            key_depth,
            value_depth,
            keys: Aligned::zeros(all * key_depth),
            values: Aligned::zeros(all * value_depth),
        }
    }

    /// Makes room for `tokens` in every slot. What the slots hold stays.
    pub(super) fn grow(&mut self, tokens: usize) {
        let (before, positions) = (self.positions, tokens.next_multiple_of(LINE).max(self.positions));
        let longer = |values: &Aligned, depth: usize| {
            let mut longer = Aligned::zeros(self.slots * self.layers * self.heads * positions * depth);
            if before > 0 {
                let old = values.chunks_exact(before * depth);
                old.zip(longer.chunks_exact_mut(positions * depth))
                    .for_each(|(old, new)| new[..old.len()].copy_from_slice(old));
            }
            longer
        };
        (self.keys, self.values) = (longer(&self.keys, self.key_depth), longer(&self.values, self.value_depth));
        self.positions = positions;
    }

    /// Gives its memory back. What the slots held is lost.
    pub(super) fn clear(&mut self) {
        (self.keys, self.values, self.positions) = (Aligned::zeros(0), Aligned::zeros(0), 0);
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

    /// For threads that each keep positions of their own.
    pub(super) fn writer(&mut self) -> CacheWriter<'_> {
        CacheWriter { keys: self.keys.as_mut_ptr(), values: self.values.as_mut_ptr(), cache: self }
    }

    /// Gives a slot the first `tokens` positions of another.
    pub(super) fn copy(&mut self, from: usize, to: usize, tokens: usize) {
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

/// Several threads write into a cache at once.
#[derive(Clone, Copy)]
pub(super) struct CacheWriter<'a> {
    keys: *mut f32,
    values: *mut f32,
    /// For its shape alone.
    cache: &'a CpuCache,
}

// Safety: the cache is borrowed for as long as it lives, and whoever writes promises that nobody else does so there.
unsafe impl Send for CacheWriter<'_> {}
unsafe impl Sync for CacheWriter<'_> {}

impl CacheWriter<'_> {
    /// Keeps the key and the value (`[head_dim]` each) of a position.
    ///
    /// # Safety
    /// No other thread reads or writes this position of this slot meanwhile.
    // Not part of any kernel: compiled for AVX-512, the strided stores become a scatter, which is slower.
    #[inline(never)]
    pub(super) unsafe fn put(&self, [slot, layer, head]: [usize; 3], position: usize, key: &[f32], value: &[f32]) {
        let CpuCache { slots, layers, heads, positions, key_depth, value_depth, .. } = *self.cache;
        assert!(slot < slots && layer < layers && head < heads && position < positions);
        assert!(key.len() <= key_depth && value.len() <= value_depth);
        let stretch = self.cache.stretch(slot, layer, head);
        // Safety: the position lies in the cache, which has room for as many numbers of each (asserted).
        unsafe {
            let line = self.keys.add((stretch + position / LINE * LINE) * key_depth + position % LINE);
            for (depth, number) in key.iter().enumerate() {
                *line.add(depth * LINE) = *number;
            }
            let to = self.values.add((stretch + position) * value_depth);
            std::ptr::copy_nonoverlapping(value.as_ptr(), to, value.len());
        }
    }
}
