//! One step of the decoder over rows of tokens: one of every slot, or many of prompts.

use candle_core::{DType, Tensor};

use super::cache::CudaCache;
use super::weights::{CudaLinear, CudaWeights};
use crate::Result;
use crate::kernels::cuda::{Address, Argument, CudaDevice, CudaMatrix, Grid, Recording, address, count};
use crate::kernels::matrix::Write;
use crate::kernels::{Heads, Precision, Rotary};
use crate::policy::ModelConfig;
use crate::policy::architecture::ForwardPass;
use crate::rollout::places::TokenPlace;
use crate::rollout::sampler::Draw;

/// What one row of a step reads, and how the next token is drawn.
#[derive(Clone, Copy)]
pub(super) struct SlotRow {
    pub(super) place: TokenPlace,
    pub(super) temperature: f32,
    /// Where in [0, 1) the next token is drawn.
    pub(super) uniform: f64,
}

impl SlotRow {
    /// A token of a prompt, after which nothing is drawn.
    pub(super) fn reading(place: TokenPlace) -> SlotRow {
        SlotRow { place, temperature: 0.0, uniform: 0.0 }
    }
}

/// Numbers of four bytes that a row is handed to the card in.
const WORDS: usize = 6;

/// Query heads of one key head that a block of attention computes.
const BESIDE: usize = 2;

/// The position of a row without a token.
const EMPTY: u32 = u32::MAX;

/// The buffers of a step, allocated once.
pub(super) struct CudaStep {
    card: CudaDevice,
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
    /// The newest activations, and those that come next: the two change places with every operation. A step has an even
    /// number of these in every layer.
    activations: [Tensor; 2],
    /// Of slots, in f32.
    logits: Tensor,
    /// Between the two products of an adapter, of the largest rank so far.
    low: Option<Tensor>,
    /// The launches of a step of all slots.
    recording: Option<Box<dyn Recording>>,
    /// Such a step has run, so that all that is made once is there.
    warm: bool,
}

impl CudaStep {
    /// Buffers for a step of `slots` slots and of up to `capacity` rows of prompts.
    pub(super) fn new(
        card: &CudaDevice,
        config: &ModelConfig,
        precision: Precision,
        slots: usize,
        capacity: usize,
    ) -> Result<CudaStep> {
        let (heads, real) = (config.heads(), precision.real());
        let widest = config.hidden_size.max(heads.width()).max(2 * config.intermediate_size);
        let Rotary { frequencies, attention_factor } = config.rotary();
        Ok(CudaStep {
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
            hidden: card.zeros((capacity, config.hidden_size), DType::F32)?,
            activations: [card.zeros(capacity * widest, real)?, card.zeros(capacity * widest, real)?],
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
    pub(super) fn read(&mut self, weights: &CudaWeights, cache: &CudaCache, rows: &[SlotRow]) -> Result<()> {
        self.make_room(weights)?;
        let all = rows.iter().copied().map(Some).chain(std::iter::repeat(None)).take(self.capacity);
        self.hand_in(all.collect())?;
        // Always as many rows, and so always the same sums.
        self.decode(weights, cache, self.capacity).map(drop)
    }

    /// One step of all slots: a row, or none, for each. Gives what was drawn, none where logits are not finite.
    pub(super) fn sample(
        &mut self,
        weights: &CudaWeights,
        cache: &CudaCache,
        rows: Vec<Option<SlotRow>>,
    ) -> Result<Vec<Option<Draw>>> {
        self.make_room(weights)?;
        self.hand_in(rows)?;
        if self.recording.is_none() && self.warm {
            self.recording = self.card.record(&mut || self.predict(weights, cache))?;
        }
        match &self.recording {
            Some(recording) => recording.repeat()?,
            None => self.predict(weights, cache)?,
        }
        self.warm = true;
        let drawn = self.drawn.to_vec2::<u32>()?;
        let draw = |(token, bits): (&u32, &u32)| (*token != EMPTY).then(|| Draw::new(*token, f32::from_bits(*bits)));
        Ok(drawn[0].iter().zip(&drawn[1]).map(draw).collect())
    }

    /// What the last step predicts in a slot, on the host.
    pub(super) fn logits(&self, slot: usize) -> Result<Vec<f32>> {
        Ok(self.logits.get(slot)?.to_vec1()?)
    }

    fn make_room(&mut self, weights: &CudaWeights) -> Result<()> {
        let rank = weights.largest_rank()?;
        let there = self.low.as_ref().map_or(0, |low| low.elem_count() / self.capacity);
        if rank > there {
            self.low = Some(self.card.zeros((self.capacity, rank), self.real)?);
            self.forget();
        }
        Ok(())
    }

    fn hand_in(&self, rows: Vec<Option<SlotRow>>) -> Result<()> {
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
            let Some(SlotRow { place: TokenPlace { slot, position, token }, temperature, uniform }) = row else {
                continue;
            };
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

    fn predict(&self, weights: &CudaWeights, cache: &CudaCache) -> Result<()> {
        let mut pass = self.decode(weights, cache, self.slots)?;
        pass.norm(&weights.norm)?;
        let (logits, head) = (CudaMatrix::view(&self.logits)?, CudaMatrix::view(&weights.head)?.transposed());
        self.card.multiply(&logits, &pass.newest(self.hidden_size)?, &head, 1.0, Write::Replace)?;
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
    fn decode<'a>(&'a self, weights: &CudaWeights, cache: &'a CudaCache, rows: usize) -> Result<CudaPass<'a>> {
        let d = self.hidden_size;
        let arguments = [
            address(&self.hidden)?.into(),
            address(&weights.embedding)?.into(),
            self.input(2)?.into(),
            count(rows),
            d.into(),
        ];
        self.card.launch(DType::F32, "gather_rows", Grid::over(rows * d), &arguments)?;
        let mut pass = CudaPass { step: self, cache, rows, newest: 0 };
        weights.layers.iter().enumerate().try_for_each(|(number, layer)| layer.forward(number, &mut pass))?;
        Ok(pass)
    }

    /// `output = layers(input)` or `output += layers(input)`.
    fn product(&self, layers: &CudaLinear, input: &CudaMatrix, output: &CudaMatrix, write: Write) -> Result<()> {
        self.card.multiply(output, input, &CudaMatrix::view(&layers.weight)?.transposed(), 1.0, write)?;
        if let Some(bias) = &layers.bias {
            let elements = output.rows * output.columns;
            let arguments = [output.start.into(), address(bias)?.into(), count(elements), output.columns.into()];
            self.card.launch(output.dtype, "add_bias", Grid::over(elements), &arguments)?;
        }
        for adapter in &layers.adapters {
            let (outputs, rank) = adapter.b.dims2()?;
            let Some(low) = &self.low else { continue };
            let low = CudaMatrix::view(low)?.rows(0, output.rows).columns(0, rank);
            self.card.multiply(
                &low,
                input,
                &CudaMatrix::view(&adapter.a)?.transposed(),
                adapter.scale,
                Write::Replace,
            )?;
            let out = output.columns(adapter.column, outputs);
            self.card.multiply(&out, &low, &CudaMatrix::view(&adapter.b)?.transposed(), 1.0, Write::Add)?;
        }
        Ok(())
    }
}

/// The first rows of a step on their way through the layers.
struct CudaPass<'a> {
    step: &'a CudaStep,
    cache: &'a CudaCache,
    rows: usize,
    /// Which of the buffers holds the newest activations.
    newest: usize,
}

impl CudaPass<'_> {
    fn buffer(&self, which: usize, columns: usize) -> Result<CudaMatrix> {
        let buffer = &self.step.activations[which];
        let (start, dtype) = (address(buffer)?, buffer.dtype());
        Ok(CudaMatrix { start, dtype, rows: self.rows, columns, step: columns, transposed: false })
    }

    /// The newest activations, which have so many columns.
    fn newest(&self, columns: usize) -> Result<CudaMatrix> {
        self.buffer(self.newest, columns)
    }

    /// Where those go that come next.
    fn next(&self, columns: usize) -> Result<CudaMatrix> {
        self.buffer(1 - self.newest, columns)
    }

    /// The residual stream.
    fn hidden(&self) -> Result<CudaMatrix> {
        Ok(CudaMatrix::view(&self.step.hidden)?.rows(0, self.rows))
    }
}

impl ForwardPass for CudaPass<'_> {
    type Linear = CudaLinear;
    type Norm = Tensor;

    fn norm(&mut self, norm: &Tensor) -> Result<()> {
        let CudaStep { card, real, hidden_size, epsilon, .. } = self.step;
        let arguments = [
            self.newest(*hidden_size)?.start.into(),
            self.hidden()?.start.into(),
            self.rows.into(),
            (*hidden_size).into(),
            address(norm)?.into(),
            (*epsilon).into(),
        ];
        card.launch(*real, "rms_norm_residual", Grid::warps(self.rows, 4), &arguments)
    }

    fn linear(&mut self, layers: &CudaLinear) -> Result<()> {
        let (outputs, inputs) = layers.weight.dims2()?;
        self.step.product(layers, &self.newest(inputs)?, &self.next(outputs)?, Write::Replace)?;
        self.newest = 1 - self.newest;
        Ok(())
    }

    fn add_linear(&mut self, layers: &CudaLinear) -> Result<()> {
        let inputs = layers.weight.dim(1)?;
        self.step.product(layers, &self.newest(inputs)?, &self.hidden()?, Write::Add)
    }

    fn attention(&mut self, layer: usize, head_norms: Option<&[Tensor; 2]>) -> Result<()> {
        let CudaStep { card, real, epsilon, frequencies, attention_factor, .. } = self.step;
        let Heads { query, key, dim } = self.step.heads;
        let (rows, width) = (self.rows, self.step.heads.width());
        let (qkv, attended) = (self.newest(width)?.start, self.next(query * dim)?.start);
        if let Some([query_norm, key_norm]) = head_norms {
            let arguments = [
                qkv.into(),
                qkv.into(),
                rows.into(),
                width.into(),
                address(query_norm)?.into(),
                query.into(),
                address(key_norm)?.into(),
                key.into(),
                dim.into(),
                (*epsilon).into(),
            ];
            card.launch(*real, "rms_norm", Grid::warps(rows * (query + key + 1), 4), &arguments)?;
        }
        let ([keys, values], capacity) = (self.cache.layer(layer)?, self.cache.capacity());
        let (slots, positions) = (self.step.input(3)?, self.step.input(4)?);
        let mut arguments: Vec<Argument> =
            [qkv, keys, values, slots, positions, address(frequencies)?].map(Argument::from).to_vec();
        arguments.extend([rows, query, key, dim, capacity].map(Argument::from));
        arguments.push((*attention_factor).into());
        card.launch(*real, "keep", Grid::over(rows * (query + key) * dim / 2), &arguments)?;
        let tensors = [attended, qkv, keys, values, slots, positions];
        let mut arguments = tensors.map(Argument::from).to_vec();
        arguments.extend([query, key, dim, capacity].map(Argument::from));
        arguments.push((1.0 / (dim as f32).sqrt()).into());
        let blocks = key * (query / key).div_ceil(BESIDE);
        card.launch(*real, "decode_attention", Grid::new([rows, blocks], 128), &arguments)?;
        self.newest = 1 - self.newest;
        Ok(())
    }

    fn swiglu(&mut self) -> Result<()> {
        let (CudaStep { card, real, .. }, f) = (self.step, self.step.inner_size);
        let arguments = [self.next(f)?.start.into(), self.newest(2 * f)?.start.into(), f.into()];
        card.launch(*real, "swiglu", Grid::rows(self.rows, f), &arguments)?;
        self.newest = 1 - self.newest;
        Ok(())
    }
}
