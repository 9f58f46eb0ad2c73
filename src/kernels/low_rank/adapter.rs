//! What stands beside a linear layer.

use crate::kernels::graph::Value;

/// The adapter of one of several layers whose outputs stand side by side.
pub struct LowRank {
    /// First column of the layer's output.
    pub column: usize,
    /// `[rank, inputs]`
    pub a: Value,
    /// `[outputs, rank]`
    pub b: Value,
    /// What the product is multiplied by.
    pub scale: f32,
}
