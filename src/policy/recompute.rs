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

/// Bytes that the layers of a model keep for each token on a card: about, and without what is recomputed.
pub(super) fn activation_bytes(config: &ModelConfig, precision: Precision) -> usize {
    let (hidden, inner, heads) = (config.hidden_size, config.intermediate_size, config.heads());
    // Both norms and both sums; their copies for products, heads before and after norm and rotation, outputs.
    let floats = 4 * hidden;
    let reals = 4 * hidden + 3 * heads.width() + heads.query * heads.dim + 3 * inner;
    config.num_hidden_layers * (4 * floats + precision.real().size_in_bytes() * reals)
}
