//! Causal attention over packed sequences with prefixes and continuations.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::kernels::cuda::{Argument, CudaDevice, Grid, address, count};
use crate::kernels::graph::Value;
use crate::kernels::heads::Heads;
use crate::kernels::positions::CudaPositions;
use crate::{Error, Result};

/// Threads of a block: four warps.
const THREADS: usize = 128;

/// Dimensions that a head may have.
pub(crate) const WIDEST: usize = 256;

/// See [`attention`](crate::kernels::attention()).
pub(super) fn attention(card: &CudaDevice, qkv: &Value, heads: Heads, places: &Arc<CudaPositions>) -> Result<Value> {
    if heads.dim > WIDEST {
        let found = format!("heads of {} dimensions", heads.dim);
        let remedy = format!("on a card at most {WIDEST} are supported; set run.device to \"cpu\"");
        return Err(Error::invalid("attention", found, remedy));
    }
    let pass = CudaAttention { card: card.clone(), heads, places: places.clone(), real: qkv.tensor().dtype() };
    let n = qkv.tensor().dim(0)?;
    let rotated = pass.rotate(qkv.tensor(), 1.0)?;
    let out = card.empty((n, heads.query * heads.dim), pass.real)?;
    let log_sums = card.empty((n, heads.query), DType::F32)?;
    pass.launch("attention", n, &[&out, &log_sums, &rotated, &places.first, &places.end], heads.query)?;
    let output = out.clone();
    Ok(Value::computed(out, &[qkv], move |gradient| {
        let CudaAttention { card, heads, places, real } = &pass;
        let means = card.empty((n, heads.query), DType::F32)?;
        let pairs = n * heads.query;
        let arguments = [
            address(&means)?.into(),
            address(&output)?.into(),
            address(gradient)?.into(),
            count(pairs),
            heads.dim.into(),
        ];
        card.launch(*real, "attention_means", Grid::warps(pairs, 4), &arguments)?;
        let d_qkv = card.empty(rotated.shape(), *real)?;
        let known = [&d_qkv, &rotated, gradient, &log_sums, &means];
        let CudaPositions { first, end, .. } = places.as_ref();
        pass.launch("attention_keys_backward", n, &[&known[..], &[end]].concat(), heads.key)?;
        pass.launch("attention_queries_backward", n, &[&known[..], &[first, end]].concat(), heads.query)?;
        Ok(vec![pass.rotate(&d_qkv, -1.0)?])
    }))
}

struct CudaAttention {
    card: CudaDevice,
    heads: Heads,
    places: Arc<CudaPositions>,
    real: DType,
}

impl CudaAttention {
    /// Queries and keys turned by their positions, or back.
    fn rotate(&self, qkv: &Tensor, direction: f32) -> Result<Tensor> {
        let (n, Heads { query, key, dim }) = (qkv.dim(0)?, self.heads);
        let out = self.card.empty(qkv.shape(), self.real)?;
        let mut arguments: Vec<Argument> = Vec::with_capacity(10);
        for tensor in [&out, qkv, &self.places.positions, &self.places.frequencies] {
            arguments.push(address(tensor)?.into());
        }
        arguments.extend([n, query, key, dim].map(Argument::from));
        arguments.extend([direction, self.places.attention_factor].map(Argument::from));
        self.card.launch(self.real, "rotate", Grid::over(n * dim / 2), &arguments)?;
        Ok(out)
    }

    /// A block for each tile of rows and each of `heads` heads.
    fn launch(&self, kernel: &str, n: usize, tensors: &[&Tensor], heads: usize) -> Result<()> {
        let Heads { query, key, dim } = self.heads;
        let mut arguments: Vec<Argument> = Vec::with_capacity(tensors.len() + 5);
        for tensor in tensors {
            arguments.push(address(tensor)?.into());
        }
        arguments.extend([n, query, key, dim].map(Argument::from));
        arguments.push((1.0 / (dim as f32).sqrt()).into());
        let tile = SharedTile::new(self.real, dim);
        let grid =
            Grid { shared_bytes: tile.shared_bytes(kernel), ..Grid::new([n.div_ceil(tile.own), heads], THREADS) };
        // The narrowest of those compiled.
        let room = dim.next_power_of_two().max(64);
        self.card.launch(self.real, &format!("{kernel}_{room}"), grid, &arguments)
    }
}

/// Sizes of what the kernels keep in shared memory, as tile.cuh and attention.cu have them.
struct SharedTile {
    real_bytes: usize,
    /// Rows that a block owns.
    own: usize,
    /// Rows that it goes through meanwhile, forward and backward.
    passing: [usize; 2],
    /// Columns of a head, padded to whole tensor-core tiles.
    columns: usize,
}

impl SharedTile {
    fn new(real: DType, dim: usize) -> SharedTile {
        let (own, passing) = if real == DType::BF16 { (64, [64, 32]) } else { (32, [32, 32]) };
        SharedTile { real_bytes: real.size_in_bytes(), own, passing, columns: dim.next_multiple_of(16) }
    }

    fn shared_bytes(&self, kernel: &str) -> usize {
        let piece = |bytes: usize| bytes.next_multiple_of(128);
        let reals = |rows: usize| piece(rows * (self.columns * self.real_bytes + 16));
        let floats = |rows: usize, columns: usize| piece(rows * (columns + 4) * 4);
        let (own, [forward, backward]) = (self.own, self.passing);
        match kernel {
            "attention" => reals(own) + 2 * reals(forward) + floats(own, forward) + piece(4 * forward) + piece(4 * own),
            "attention_keys_backward" => {
                2 * reals(own)
                    + 2 * reals(backward)
                    + 2 * floats(own, backward)
                    + 2 * piece(4 * backward)
                    + piece(4 * own)
            }
            _ => 2 * reals(own) + 2 * reals(backward) + 2 * floats(own, backward) + piece(4 * backward),
        }
    }
}
