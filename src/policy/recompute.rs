//! What the backward pass computes once more instead of keeping it.

use super::ModelConfig;
use crate::kernels::Precision;

/// Whether the backward pass computes the activations of a layer once more instead of keeping them (Chen et al., 2016):
/// a third more work for a small part of the memory. The gradient is the same to the last bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// On a card where keeping them would take more than half of its free memory.
    #[default]
    Auto,
    Always,
    Never,
}

/// Below so many bytes nobody misses them.
const NOT_MISSED: usize = 1 << 29;
/// With fewer tokens products are slow.
const LEAST_TOKENS: usize = 256;

/// Bytes that activations, or keys and values, may take beside a model's weights before fewer tokens are taken at once: as
/// much as the weights twice.
pub fn room_beside(config: &ModelConfig) -> usize {
    NOT_MISSED.max(2 * size_of::<f32>() * config.parameter_count())
}

/// Tokens in one micro-batch on the processor: as many as usual, or fewer of a model whose activations would take more
/// room, on each thread.
pub fn micro_batch(config: &ModelConfig, usual: usize) -> usize {
    let room = room_beside(config);
    let each = activation_bytes(config, Precision::F32);
    let mut tokens = usual;
    while tokens > LEAST_TOKENS && tokens.saturating_mul(each) > room {
        tokens /= 2;
    }
    tokens
}

/// Bytes that the layers of a model keep for each token: about, and without what is recomputed.
pub(super) fn activation_bytes(config: &ModelConfig, precision: Precision) -> usize {
    let (hidden, inner, heads) = (config.hidden_size, config.intermediate_size, config.heads());
    // Both norms and both sums; their copies for products, heads before and after norm and rotation, outputs.
    let floats = 4 * hidden;
    let reals = 4 * hidden + 3 * heads.width() + heads.query * heads.dim + 3 * inner;
    config.num_hidden_layers * (4 * floats + precision.real().size_in_bytes() * reals)
}
