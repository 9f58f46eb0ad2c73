//! One step of the decoder over rows of tokens: one of every slot, or many of prompts.

use candle_core::{DType, Tensor};

use super::cache::Cache;
use super::weights::{Decoder, Layer, Linear};
use crate::Result;
use crate::kernels::cuda::{Address, Argument, Card, Grid, Matrix, Recording, address, count};
use crate::kernels::product::Write;
use crate::kernels::{Heads, Precision, Rotary};
use crate::policy::ModelConfig;
use crate::rollout::sampler::Draw;

/// What one row of a step reads, and how the next token is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) token: u32,
    pub(super) slot: usize,
    pub(super) position: usize,
    pub(super) temperature: f32,
    /// Where in [0, 1) the next token is drawn.
    pub(super) uniform: f64,
}

impl Row {
    /// A token of a prompt, after which nothing is drawn.
    pub(super) fn reading(token: u32, slot: usize, position: usize) -> Row {
        Row { token, slot, position, temperature: 0.0, uniform: 0.0 }
    }
}

/// Numbers of four bytes that a row is handed to the card in.
const WORDS: usize = 6;

/// Query heads of one key head that a block of attention computes.
const BESIDE: usize = 2;

/// The position of a row without a token.
const EMPTY: u32 = u32::MAX;

/// The buffers of a step, allocated once.
pub(super) struct Step {
    card: Card,
    heads: Heads,
    hidden_size: usize,
    inner_size: usize,
    vocabulary: usize,
    epsilon: f32,
    real: DType,
    slots: usize,
    capacity: usize,
    /// `[WORDS, capacity]`: draws in two words, tokens, slots, positions, temperatures.
    inputs: Tensor,
    /// `[2, slots]`: tokens, and log-probabilities as bits.
    drawn: Tensor,
    /// Radians per position, `[dim / 2]`, and what cosines and sines are multiplied by.
    frequencies: Tensor,
    attention_factor: f32,
    /// The residual stream, in f32.
    hidden: Tensor,
    normed: Tensor,
    /// Query, key and value heads.
    qkv: Tensor,
    attended: Tensor,
    gate_up: Tensor,
    inner: Tensor,
    /// Of slots, in f32.
    logits: Tensor,
    /// Between the two products of an adapter, of the largest rank so far.
    low: Option<Tensor>,
    /// The launches of a step of all slots.
    recording: Option<Recording>,
    /// Such a step has run, so that all that is made once is there.
    warm: bool,
}

impl Step {
    /// Buffers for a step of `slots` slots and of up to `capacity` rows of prompts.
    pub(super) fn new(
        card: &Card,
        config: &ModelConfig,
        precision: Precision,
        slots: usize,
        capacity: usize,
    ) -> Result<Step> {
        let (heads, real) = (config.heads(), precision.real());
        let rows = |width: usize, dtype| card.zeros((capacity, width), dtype);
        let Rotary { frequencies, attention_factor } = config.rotary();
        Ok(Step {
            card: card.clone(),
            heads,
            hidden_size: config.hidden_size,
            inner_size: config.intermediate_size,
            vocabulary: config.vocab_size,
            epsilon: config.rms_norm_eps as f32,
            real,
            slots,
            capacity,
            inputs: card.zeros(WORDS * capacity, DType::U32)?,
            drawn: card.zeros((2, slots), DType::U32)?,
            frequencies: card.upload(&frequencies)?,
            attention_factor,
            hidden: rows(config.hidden_size, DType::F32)?,
            normed: rows(config.hidden_size, real)?,
            qkv: rows(heads.width(), real)?,
            attended: rows(heads.query * heads.dim, real)?,
            gate_up: rows(2 * config.intermediate_size, real)?,
            inner: rows(config.intermediate_size, real)?,
            logits: card.zeros((slots, config.vocab_size), DType::F32)?,
            low: None,
            recording: None,
            warm: false,
        })
    }

    /// Rows of prompts that fit into one step.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Weights or cache are about to change: what was recorded is about the old ones.
    pub(super) fn forget(&mut self) {
        self.recording = None;
        self.warm = false;
    }

    /// Reads tokens of prompts into the cache; those of one slot in rising order.
    pub(super) fn read(&mut self, decoder: &Decoder, cache: &Cache, rows: &[Row]) -> Result<()> {
        self.make_room(decoder)?;
        let all = rows.iter().copied().map(Some).chain(std::iter::repeat(None)).take(self.capacity);
        self.hand_in(all.collect())?;
        // Always as many rows, and so always the same sums.
        self.decode(decoder, cache, self.capacity)
    }

    /// One step of all slots: a row, or none, for each. Gives what was drawn, none where logits are not finite.
    pub(super) fn sample(
        &mut self,
        decoder: &Decoder,
        cache: &Cache,
        rows: Vec<Option<Row>>,
    ) -> Result<Vec<Option<Draw>>> {
        self.make_room(decoder)?;
        self.hand_in(rows)?;
        if self.recording.is_none() && self.warm {
            self.recording = self.card.record(|| self.predict(decoder, cache))?;
        }
        match &self.recording {
            Some(recording) => recording.repeat()?,
            None => self.predict(decoder, cache)?,
        }
        self.warm = true;
        let drawn = self.drawn.to_vec2::<u32>()?;
        let draw = |(token, bits): (&u32, &u32)| {
            (*token != EMPTY).then(|| Draw { token: *token, log_prob: f32::from_bits(*bits) })
        };
        Ok(drawn[0].iter().zip(&drawn[1]).map(draw).collect())
    }

    fn make_room(&mut self, decoder: &Decoder) -> Result<()> {
        let rank = decoder.largest_rank()?;
        let there = self.low.as_ref().map_or(0, |low| low.elem_count() / self.capacity);
        if rank > there {
            self.low = Some(self.card.zeros((self.capacity, rank), self.real)?);
            self.forget();
        }
        Ok(())
    }

    fn hand_in(&self, rows: Vec<Option<Row>>) -> Result<()> {
        let mut words = vec![0; WORDS * self.capacity];
        let (draws, rest) = words.split_at_mut(2 * self.capacity);
        let mut columns = rest.chunks_exact_mut(self.capacity);
        let (Some(tokens), Some(slots), Some(positions), Some(temperatures)) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            return Ok(());
        };
        positions.fill(EMPTY);
        for (at, row) in rows.into_iter().enumerate() {
            let Some(Row { token, slot, position, temperature, uniform }) = row else { continue };
            let bits = uniform.to_bits();
            // As a little-endian machine, which every card is, reads a number of eight bytes.
            (draws[2 * at], draws[2 * at + 1]) = (bits as u32, (bits >> 32) as u32);
            (tokens[at], slots[at], positions[at]) = (token, slot as u32, position as u32);
            temperatures[at] = temperature.to_bits();
        }
        self.card.overwrite(&self.inputs, &words)
    }

    /// Where a column of the inputs begins.
    fn input(&self, word: usize) -> Result<Address> {
        Ok(Address(address(&self.inputs)?.0 + (4 * word * self.capacity) as u64))
    }

    fn predict(&self, decoder: &Decoder, cache: &Cache) -> Result<()> {
        self.decode(decoder, cache, self.slots)?;
        self.norm(&decoder.norm, self.slots)?;
        let normed = Matrix::of(&self.normed)?.rows(0, self.slots);
        let (logits, head) = (Matrix::of(&self.logits)?, Matrix::of(&decoder.head)?.transposed());
        self.card.multiply(&logits, &normed, &head, 1.0, Write::Replace)?;
        let drawn = address(&self.drawn)?;
        let arguments = [
            drawn.into(),
            Address(drawn.0 + 4 * self.slots as u64).into(),
            address(&self.logits)?.into(),
            self.input(5)?.into(),
            self.input(0)?.into(),
            self.input(4)?.into(),
            self.vocabulary.into(),
        ];
        self.card.launch(DType::F32, "sample", Grid::new([self.slots, 1], 1024), &arguments)
    }

    /// Takes the first `rows` rows through all layers.
    fn decode(&self, decoder: &Decoder, cache: &Cache, rows: usize) -> Result<()> {
        let d = self.hidden_size;
        let arguments = [
            address(&self.hidden)?.into(),
            address(&decoder.embedding)?.into(),
            self.input(2)?.into(),
            count(rows),
            d.into(),
        ];
        self.card.launch(DType::F32, "gather_rows", Grid::over(rows * d), &arguments)?;
        for (index, layer) in decoder.layers.iter().enumerate() {
            self.norm(&layer.input_norm, rows)?;
            self.linear(&layer.attention_in, &self.normed, &self.qkv, rows, Write::Replace)?;
            self.attend(layer, cache.layer(index)?, cache.capacity(), rows)?;
            self.linear(&layer.attention_out, &self.attended, &self.hidden, rows, Write::Add)?;
            self.norm(&layer.post_norm, rows)?;
            self.linear(&layer.gate_up, &self.normed, &self.gate_up, rows, Write::Replace)?;
            let f = self.inner_size;
            let arguments = [address(&self.inner)?.into(), address(&self.gate_up)?.into(), f.into()];
            self.card.launch(self.real, "swiglu", Grid::rows(rows, f), &arguments)?;
            self.linear(&layer.down, &self.inner, &self.hidden, rows, Write::Add)?;
        }
        Ok(())
    }

    /// Norms the residual stream into activations.
    fn norm(&self, weight: &Tensor, rows: usize) -> Result<()> {
        let arguments = [
            address(&self.normed)?.into(),
            address(&self.hidden)?.into(),
            rows.into(),
            self.hidden_size.into(),
            address(weight)?.into(),
            self.epsilon.into(),
        ];
        self.card.launch(self.real, "rms_norm_residual", Grid::warps(rows, 4), &arguments)
    }

    /// `output = layers(input)` or `output += layers(input)`.
    fn linear(&self, layers: &Linear, input: &Tensor, output: &Tensor, rows: usize, write: Write) -> Result<()> {
        let input = Matrix::of(input)?.rows(0, rows);
        let out = Matrix::of(output)?.rows(0, rows);
        self.card.multiply(&out, &input, &Matrix::of(&layers.weight)?.transposed(), 1.0, write)?;
        if let Some(bias) = &layers.bias {
            let elements = rows * out.columns;
            let arguments = [address(output)?.into(), address(bias)?.into(), count(elements), out.columns.into()];
            self.card.launch(output.dtype(), "add_bias", Grid::over(elements), &arguments)?;
        }
        for adapter in &layers.adapters {
            let (outputs, rank) = adapter.b.dims2()?;
            let Some(low) = &self.low else { continue };
            let low = Matrix::of(low)?.rows(0, rows).columns(0, rank);
            self.card.multiply(&low, &input, &Matrix::of(&adapter.a)?.transposed(), adapter.scale, Write::Replace)?;
            let out = out.columns(adapter.column, outputs);
            self.card.multiply(&out, &low, &Matrix::of(&adapter.b)?.transposed(), 1.0, Write::Add)?;
        }
        Ok(())
    }

    fn attend(&self, layer: &Layer, [keys, values]: [Address; 2], capacity: usize, rows: usize) -> Result<()> {
        let Heads { query, key, dim } = self.heads;
        let qkv = address(&self.qkv)?;
        if let Some([query_norm, key_norm]) = &layer.head_norms {
            let arguments = [
                qkv.into(),
                qkv.into(),
                rows.into(),
                self.heads.width().into(),
                address(query_norm)?.into(),
                query.into(),
                address(key_norm)?.into(),
                key.into(),
                dim.into(),
                self.epsilon.into(),
            ];
            self.card.launch(self.real, "rms_norm", Grid::warps(rows * (query + key + 1), 4), &arguments)?;
        }
        let (slots, positions) = (self.input(3)?, self.input(4)?);
        let mut arguments: Vec<Argument> =
            [qkv, keys, values, slots, positions, address(&self.frequencies)?].map(Argument::from).to_vec();
        arguments.extend([rows, query, key, dim, capacity].map(Argument::from));
        arguments.push(self.attention_factor.into());
        self.card.launch(self.real, "keep", Grid::over(rows * (query + key) * dim / 2), &arguments)?;
        let tensors = [address(&self.attended)?, qkv, keys, values, slots, positions];
        let mut arguments = tensors.map(Argument::from).to_vec();
        arguments.extend([query, key, dim, capacity].map(Argument::from));
        arguments.push((1.0 / (dim as f32).sqrt()).into());
        let blocks = key * (query / key).div_ceil(BESIDE);
        self.card.launch(self.real, "decode_attention", Grid::new([rows, blocks], 128), &arguments)
    }
}
