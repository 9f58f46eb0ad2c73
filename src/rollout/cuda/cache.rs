//! Keys and values of every slot in the memory of a card.

use candle_core::{DType, Tensor};

use crate::kernels::Precision;
use crate::kernels::cuda::{Address, Argument, CudaDevice, Grid, address};
use crate::policy::ModelConfig;
use crate::{Error, Result};

/// Static cache: keys and values, `[layer, slot, key head, position, dim]` each, in the type of activations.
pub(super) struct CudaCache {
    card: CudaDevice,
    keys: Tensor,
    values: Tensor,
    slots: usize,
    key_heads: usize,
    layers: usize,
    dim: usize,
    capacity: usize,
    real: DType,
}

impl CudaCache {
    /// `slots` slots, those of prompts included, without room for a token.
    pub(super) fn new(
        card: &CudaDevice,
        config: &ModelConfig,
        precision: Precision,
        slots: usize,
    ) -> Result<CudaCache> {
        let (layers, key_heads, dim) = (config.num_hidden_layers, config.num_key_value_heads, config.head_dim);
        let (real, card) = (precision.real(), card.clone());
        // A card allocates nothing of no size.
        let (keys, values) = (card.zeros(1, real)?, card.zeros(1, real)?);
        Ok(CudaCache { card, keys, values, slots, key_heads, layers, dim, capacity: 0, real })
    }

    /// Makes room for more tokens in every slot; what is in them stays.
    pub(super) fn grow(&mut self, capacity: usize) -> Result<()> {
        let old = self.capacity;
        let stretches = self.layers * self.slots * self.key_heads;
        let longer = |values: &Tensor| -> Result<Tensor> {
            let longer = self.card.zeros((stretches, capacity, self.dim), self.real)?;
            if old > 0 {
                longer.slice_set(&values.reshape((stretches, old, self.dim))?, 1, 0)?;
            }
            Ok(longer)
        };
        self.check(capacity)?;
        let (keys, values) = (longer(&self.keys)?, longer(&self.values)?);
        (self.keys, self.values, self.capacity) = (keys, values, capacity);
        Ok(())
    }

    /// Refuses what does not fit into the memory that is free.
    fn check(&self, capacity: usize) -> Result<()> {
        let (slots, elements) = (self.slots, self.layers * self.slots * self.key_heads * capacity * self.dim);
        let (bytes, free) = (2 * elements * self.real.size_in_bytes(), self.card.free_memory()?);
        if bytes <= free {
            return Ok(());
        }
        let found =
            format!("{} MB for {slots} slots of {capacity} tokens, and {} MB are free", bytes >> 20, free >> 20);
        let remedy = "ask for fewer new tokens or shorter prompts, or set run.precision to \"bf16\"";
        Err(Error::invalid("keys and values on the card", found, remedy))
    }

    /// Tokens that a slot holds.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Where keys and values of a layer begin.
    pub(super) fn layer(&self, layer: usize) -> Result<[Address; 2]> {
        let values = layer * self.slots * self.key_heads * self.capacity * self.dim;
        let bytes = (values * self.real.size_in_bytes()) as u64;
        Ok([Address(address(&self.keys)?.0 + bytes), Address(address(&self.values)?.0 + bytes)])
    }

    /// Gives slots the first positions of others: (from, to, how many).
    pub(super) fn copy(&self, copies: &[(usize, usize, usize)]) -> Result<()> {
        let copies: Vec<_> = copies.iter().filter(|(_, _, count)| *count > 0).collect();
        if copies.is_empty() {
            return Ok(());
        }
        let list = |part: fn(&(usize, usize, usize)) -> usize| {
            self.card.upload(&copies.iter().map(|copy| part(copy) as u32).collect::<Vec<_>>())
        };
        let lists = [list(|copy| copy.0)?, list(|copy| copy.1)?, list(|copy| copy.2)?];
        for cache in [&self.keys, &self.values] {
            let mut arguments: Vec<Argument> = vec![address(cache)?.into()];
            for list in &lists {
                arguments.push(address(list)?.into());
            }
            arguments.extend([self.slots, self.key_heads, self.capacity, self.dim].map(Argument::from));
            let grid = Grid::new([copies.len(), self.layers * self.key_heads], 128);
            self.card.launch(self.real, "copy_slots", grid, &arguments)?;
        }
        Ok(())
    }
}
