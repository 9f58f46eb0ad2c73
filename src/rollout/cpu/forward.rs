//! One step of the decoder over any rows: one new token of every slot, or many tokens of one prompt.
//!
//! Nothing in it mixes rows except attention, and attention reads only the row's own slot up to its own position.

use super::attention::{Attend, attend};
use super::buffers::{ActivationRows, Aligned, LINE, PANEL};
use super::cache::CpuCache;
use super::linear::Store;
use super::weights::{AdaptedLinear, PackedWeights};
use crate::Result;
use crate::kernels::Rope;
use crate::kernels::simd::vectorised;
use crate::policy::ModelConfig;
use crate::policy::architecture::ForwardPass;
use crate::rollout::arithmetic::{rms_norm, rms_norm_in_place, swiglu};
use crate::rollout::places::TokenPlace;

/// The buffers of a step, allocated once but for those that grow with what is asked.
pub(super) struct Forward {
    /// How many rows fit into one step.
    capacity: usize,
    /// The residual stream.
    hidden: ActivationRows,
    /// The newest activations, and those that come next: the two change places.
    activations: ActivationRows,
    next: ActivationRows,
    /// Of as many rows as were ever predicted at once.
    logits: ActivationRows,
    /// Of adapters.
    low_rank: ActivationRows,
    /// Of the longest sequence so far, as the rotary table.
    scores: Aligned,
    mixed: Aligned,
    rope: Rope,
    /// Positions read so far.
    positions: u64,
}

impl Forward {
    /// Buffers for `rows` rows at once, of sequences without a token: see [`Forward::grow`].
    pub(super) fn new(config: &ModelConfig, rows: usize) -> Forward {
        let widest = config.hidden_size.max(config.heads().width()).max(2 * config.intermediate_size);
        Forward {
            capacity: rows,
            hidden: ActivationRows::zeros(rows, config.hidden_size),
            activations: ActivationRows::zeros(rows, widest),
            next: ActivationRows::zeros(rows, widest),
            logits: ActivationRows::zeros(0, config.vocab_size),
            low_rank: ActivationRows::zeros(0, 0),
            scores: Aligned::zeros(0),
            mixed: Aligned::zeros(config.head_dim.next_multiple_of(PANEL)),
            rope: Rope::new(config.rotary(), 0),
            positions: 0,
        }
    }

    /// Makes room for sequences of so many tokens.
    pub(super) fn grow(&mut self, tokens: usize) {
        self.rope.grow(tokens);
        if tokens > self.scores.len() {
            self.scores = Aligned::zeros(tokens.next_multiple_of(LINE));
        }
    }

    /// How many rows fit into one step.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Positions read so far.
    pub(super) fn positions(&self) -> u64 {
        self.positions
    }

    /// Reads the tokens at their places into the cache. Several rows of one slot must be in ascending order.
    pub(super) fn read(&mut self, weights: &PackedWeights, cache: &mut CpuCache, places: &[TokenPlace]) -> Result<()> {
        self.positions += places.len() as u64;
        cache.hold(places);
        for (row, place) in places.iter().enumerate() {
            weights.embed(place.token, self.hidden.row_mut(row));
        }
        let mut step = CpuPass { config: &weights.config, buffers: self, cache, places };
        weights.layers.iter().enumerate().try_for_each(|(number, layer)| layer.forward(number, &mut step))
    }

    /// Computes the logits after the first `rows` rows of the last [`Forward::read`].
    pub(super) fn predict(&mut self, weights: &PackedWeights, rows: usize) {
        self.norm(&weights.norm, &weights.config, rows);
        self.logits.reshape(rows, weights.config.vocab_size);
        weights.head.product(&self.activations, rows, &mut self.logits, Store::Replace);
    }

    /// Makes one row the first, so that a prompt needs logits after its last token only.
    pub(super) fn keep_only(&mut self, row: usize) {
        let values = self.hidden.row(row).to_vec();
        self.hidden.row_mut(0).copy_from_slice(&values);
    }

    /// Logits `[vocab]` of a row, after [`Forward::predict`].
    pub(super) fn logits(&self, row: usize) -> &[f32] {
        self.logits.row(row)
    }

    fn norm(&mut self, weight: &[f32], config: &ModelConfig, rows: usize) {
        self.activations.reshape(rows, config.hidden_size);
        let (input, output, epsilon) = (&self.hidden, &mut self.activations, config.rms_norm_eps as f32);
        norm(input, weight, epsilon, rows, output);
    }

    /// The next activations have become the newest.
    fn advance(&mut self) {
        std::mem::swap(&mut self.activations, &mut self.next);
    }
}

/// The rows of a step on their way through the layers.
struct CpuPass<'a> {
    config: &'a ModelConfig,
    buffers: &'a mut Forward,
    cache: &'a mut CpuCache,
    places: &'a [TokenPlace],
}

impl ForwardPass for CpuPass<'_> {
    type Linear = AdaptedLinear;
    type Norm = Vec<f32>;

    fn norm(&mut self, norm: &Vec<f32>) -> Result<()> {
        self.buffers.norm(norm, self.config, self.places.len());
        Ok(())
    }

    fn linear(&mut self, layers: &AdaptedLinear) -> Result<()> {
        let (rows, Forward { activations, next, low_rank, .. }) = (self.places.len(), &mut *self.buffers);
        next.reshape(rows, layers.weights.outputs());
        layers.product(activations, rows, low_rank, next, Store::Replace);
        self.buffers.advance();
        Ok(())
    }

    fn add_linear(&mut self, layers: &AdaptedLinear) -> Result<()> {
        let (rows, Forward { activations, hidden, low_rank, .. }) = (self.places.len(), &mut *self.buffers);
        layers.product(activations, rows, low_rank, hidden, Store::Add);
        Ok(())
    }

    fn attention(&mut self, layer: usize, head_norms: Option<&[Vec<f32>; 2]>) -> Result<()> {
        let CpuPass { config, buffers, cache, places } = self;
        let Forward { activations, next, rope, scores, mixed, .. } = &mut **buffers;
        position(config, layer, head_norms, places, rope, activations, cache);
        next.reshape(places.len(), config.num_attention_heads * config.head_dim);
        attend(Attend {
            places,
            layer,
            heads: config.num_attention_heads,
            group: config.num_attention_heads / config.num_key_value_heads,
            head_dim: config.head_dim,
            queries: activations,
            cache,
            scores,
            mixed,
            output: next,
        });
        buffers.advance();
        Ok(())
    }

    fn swiglu(&mut self) -> Result<()> {
        let (rows, Forward { activations, next, .. }) = (self.places.len(), &mut *self.buffers);
        next.reshape(rows, self.config.intermediate_size);
        gate(activations, rows, next);
        self.buffers.advance();
        Ok(())
    }
}

impl AdaptedLinear {
    /// What the layers and their adapters make of the first `rows` rows.
    fn product(
        &self,
        input: &ActivationRows,
        rows: usize,
        low_rank: &mut ActivationRows,
        output: &mut ActivationRows,
        store: Store,
    ) {
        self.weights.product(input, rows, output, store);
        if let Some(adapter) = &self.adapter {
            adapter.add(input, rows, low_rank, output);
        }
    }
}

vectorised! {
    /// RMSNorm of the first `rows` rows.
    fn norm(input: &ActivationRows, weight: &[f32], epsilon: f32, rows: usize, output: &mut ActivationRows) {
        for row in 0..rows {
            rms_norm(input.row(row), weight, epsilon, output.row_mut(row));
        }
    }
}

vectorised! {
    /// SwiGLU of the first `rows` rows.
    fn gate(input: &ActivationRows, rows: usize, output: &mut ActivationRows) {
        for row in 0..rows {
            swiglu(input.row(row), output.row_mut(row));
        }
    }
}

vectorised! {
    /// Norms and rotates query and key heads, scales the queries, and keeps keys and values in the cache.
    fn position(
        config: &ModelConfig,
        layer: usize,
        norms: Option<&[Vec<f32>; 2]>,
        places: &[TokenPlace],
        rope: &Rope,
        heads: &mut ActivationRows,
        cache: &mut CpuCache,
    ) {
        let ModelConfig { head_dim, num_attention_heads, num_key_value_heads, rms_norm_eps, .. } = *config;
        let scale = 1.0 / (head_dim as f32).sqrt();
        for (row, place) in places.iter().enumerate() {
            let (queries, rest) = heads.row_mut(row).split_at_mut(num_attention_heads * head_dim);
            let (keys, values) = rest.split_at_mut(num_key_value_heads * head_dim);
            for query in queries.chunks_exact_mut(head_dim) {
                if let Some([norm, _]) = norms {
                    rms_norm_in_place(query, norm, rms_norm_eps as f32);
                }
                rope.turn_head(place.position, query, scale);
            }
            for (head, (key, value)) in keys.chunks_exact_mut(head_dim).zip(values.chunks_exact(head_dim)).enumerate() {
                if let Some([_, norm]) = norms {
                    rms_norm_in_place(key, norm, rms_norm_eps as f32);
                }
                rope.turn_head(place.position, key, 1.0);
                cache.put([place.slot, layer, head], place.position, key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Family;
    use crate::rollout::tests::{snapshot, tiny};

    #[test]
    fn tables_and_logits_are_as_long_as_was_asked() {
        let config = ModelConfig { max_position_embeddings: 1_000_000_000, ..tiny(Family::Llama) };
        let panels = PackedWeights::pack(&snapshot(&config, 1), None, 1).unwrap();
        let mut forward = Forward::new(&config, 64);
        let sizes = |forward: &Forward| (forward.logits.capacity(), forward.rope.positions(), forward.scores.len());
        assert_eq!(sizes(&forward), (0, 0, 0));
        forward.grow(20);
        forward.predict(&panels, 3);
        assert_eq!(sizes(&forward), (3, 20, 32));
        // What is there is kept.
        forward.grow(7);
        forward.predict(&panels, 1);
        assert_eq!(sizes(&forward), (3, 20, 32));
    }
}
