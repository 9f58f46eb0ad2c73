//! One step of the decoder over any rows: one new token of every slot, or many tokens of one prompt.
//!
//! Nothing in it mixes rows except attention, and attention reads only the row's own slot up to its own position.

use super::adapters::Adapters;
use super::arithmetic::{rms_norm, rms_norm_in_place, rotate, swiglu};
use super::attention::{Attend, Place};
use super::cache::Cache;
use super::matrix::Store;
use super::panels::{Layer, Panels};
use super::rows::{Aligned, LINE, PANEL, Rows};
use super::simd::{Kernel, Lanes, dispatch};
use crate::kernels::Rope;
use crate::policy::ModelConfig;

/// The buffers of a step. Those of rows are allocated once; the others grow with what is asked.
pub(super) struct Forward {
    hidden: Rows,
    normed: Rows,
    /// Query, key and value heads.
    heads: Rows,
    attended: Rows,
    gate_up: Rows,
    inner: Rows,
    /// Of as many rows as were ever predicted at once.
    logits: Rows,
    /// Of adapters.
    scratch: Vec<Rows>,
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
        let (queries, shared) =
            (config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim);
        Forward {
            hidden: Rows::zeros(rows, config.hidden_size),
            normed: Rows::zeros(rows, config.hidden_size),
            heads: Rows::zeros(rows, queries + 2 * shared),
            attended: Rows::zeros(rows, queries),
            gate_up: Rows::zeros(rows, 2 * config.intermediate_size),
            inner: Rows::zeros(rows, config.intermediate_size),
            logits: Rows::zeros(0, config.vocab_size),
            scratch: Vec::new(),
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
        self.hidden.capacity()
    }

    /// Positions read so far.
    pub(super) fn positions(&self) -> u64 {
        self.positions
    }

    /// Reads the tokens at their places into the cache. Several rows of one slot must be in ascending order.
    pub(super) fn read(&mut self, panels: &Panels, cache: &mut Cache, places: &[Place]) {
        self.positions += places.len() as u64;
        for (row, place) in places.iter().enumerate() {
            panels.decoder.embed(place.token, self.hidden.row_mut(row));
        }
        for (index, layer) in panels.decoder.layers.iter().enumerate() {
            let adapters = panels.adapters.get(index);
            self.attention(&panels.config, index, layer, adapters, cache, places);
            self.mlp(&panels.config, layer, adapters, places.len());
        }
    }

    /// Computes the logits after the first `rows` rows of the last [`Forward::read`].
    pub(super) fn predict(&mut self, panels: &Panels, rows: usize) {
        if rows > self.logits.capacity() {
            self.logits = Rows::zeros(rows, panels.config.vocab_size);
        }
        let epsilon = panels.config.rms_norm_eps as f32;
        dispatch(Norm { input: &self.hidden, weight: &panels.decoder.norm, epsilon, rows, output: &mut self.normed });
        panels.decoder.head.product(&self.normed, rows, &mut self.logits, Store::Replace);
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

    fn attention(
        &mut self,
        config: &ModelConfig,
        index: usize,
        layer: &Layer,
        adapters: Option<&Adapters>,
        cache: &mut Cache,
        places: &[Place],
    ) {
        let (rows, epsilon) = (places.len(), config.rms_norm_eps as f32);
        let (input, output) = (&self.hidden, &mut self.normed);
        dispatch(Norm { input, weight: &layer.input_norm, epsilon, rows, output });
        layer.attention_in.product(&self.normed, rows, &mut self.heads, Store::Replace);
        if let Some(adapter) = adapters.and_then(|adapters| adapters.attention_in.as_ref()) {
            adapter.add(&self.normed, rows, &mut self.scratch, &mut self.heads);
        }
        let (heads, rope) = (&mut self.heads, &self.rope);
        dispatch(Position { config, index, norms: layer.head_norms.as_ref(), places, rope, heads, cache });
        dispatch(Attend {
            places,
            layer: index,
            heads: config.num_attention_heads,
            group: config.num_attention_heads / config.num_key_value_heads,
            head_dim: config.head_dim,
            queries: &self.heads,
            cache,
            scores: &mut self.scores,
            mixed: &mut self.mixed,
            output: &mut self.attended,
        });
        layer.attention_out.product(&self.attended, rows, &mut self.hidden, Store::Add);
        if let Some(adapter) = adapters.and_then(|adapters| adapters.attention_out.as_ref()) {
            adapter.add(&self.attended, rows, &mut self.scratch, &mut self.hidden);
        }
    }

    fn mlp(&mut self, config: &ModelConfig, layer: &Layer, adapters: Option<&Adapters>, rows: usize) {
        let epsilon = config.rms_norm_eps as f32;
        let (input, output) = (&self.hidden, &mut self.normed);
        dispatch(Norm { input, weight: &layer.post_norm, epsilon, rows, output });
        layer.gate_up.product(&self.normed, rows, &mut self.gate_up, Store::Replace);
        if let Some(adapter) = adapters.and_then(|adapters| adapters.gate_up.as_ref()) {
            adapter.add(&self.normed, rows, &mut self.scratch, &mut self.gate_up);
        }
        dispatch(Gate { input: &self.gate_up, rows, output: &mut self.inner });
        layer.down.product(&self.inner, rows, &mut self.hidden, Store::Add);
        if let Some(adapter) = adapters.and_then(|adapters| adapters.down.as_ref()) {
            adapter.add(&self.inner, rows, &mut self.scratch, &mut self.hidden);
        }
    }
}

/// RMSNorm of the first `rows` rows.
struct Norm<'a> {
    input: &'a Rows,
    weight: &'a [f32],
    epsilon: f32,
    rows: usize,
    output: &'a mut Rows,
}

impl Kernel for Norm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for row in 0..self.rows {
            rms_norm(self.input.row(row), self.weight, self.epsilon, self.output.row_mut(row));
        }
    }
}

/// SwiGLU of the first `rows` rows.
struct Gate<'a> {
    input: &'a Rows,
    rows: usize,
    output: &'a mut Rows,
}

impl Kernel for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for row in 0..self.rows {
            swiglu(self.input.row(row), self.output.row_mut(row));
        }
    }
}

/// Norms (Qwen3) and rotates query and key heads, scales the queries, and keeps keys and values in the cache.
struct Position<'a> {
    config: &'a ModelConfig,
    index: usize,
    norms: Option<&'a [Vec<f32>; 2]>,
    places: &'a [Place],
    rope: &'a Rope,
    heads: &'a mut Rows,
    cache: &'a mut Cache,
}

impl Kernel for Position<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let ModelConfig { head_dim, num_attention_heads, num_key_value_heads, rms_norm_eps, .. } = *self.config;
        let scale = 1.0 / (head_dim as f32).sqrt();
        for (row, place) in self.places.iter().enumerate() {
            let (cos, sin) = self.rope.at(place.position);
            let (queries, rest) = self.heads.row_mut(row).split_at_mut(num_attention_heads * head_dim);
            let (keys, values) = rest.split_at_mut(num_key_value_heads * head_dim);
            for query in queries.chunks_exact_mut(head_dim) {
                if let Some([norm, _]) = self.norms {
                    rms_norm_in_place(query, norm, rms_norm_eps as f32);
                }
                rotate(query, cos, sin);
                for x in query {
                    *x *= scale;
                }
            }
            for (head, (key, value)) in keys.chunks_exact_mut(head_dim).zip(values.chunks_exact(head_dim)).enumerate() {
                if let Some([_, norm]) = self.norms {
                    rms_norm_in_place(key, norm, rms_norm_eps as f32);
                }
                rotate(key, cos, sin);
                self.cache.put([place.slot, self.index, head], place.position, key, value);
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
        let panels = Panels::pack(&snapshot(&config, 1)).unwrap();
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
