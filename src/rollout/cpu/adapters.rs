//! Adapters beside the packed weights: `y += (x A^T) (scale B)^T`. Two thin products a step; nothing is merged, so a new
//! version of the adapters costs nothing but itself.

use super::buffers::ActivationRows;
use super::linear::{PackedLinear, Store};
use super::source::SnapshotWeights;
use crate::Result;
use crate::policy::AdapterSpec;
use crate::policy::architecture::FusedLinear;

/// The adapters of layers whose outputs stand side by side.
pub(super) struct PackedAdapter {
    /// A of all of them, one below the other.
    down: PackedLinear,
    /// B of each in the rows of its layer and the columns of its A, times the scale.
    up: PackedLinear,
}

impl PackedAdapter {
    /// None where no layer has one.
    pub(super) fn pack(
        layers: &FusedLinear,
        adapters: &[AdapterSpec],
        weights: &SnapshotWeights,
    ) -> Result<Option<PackedAdapter>> {
        let ranks: usize = adapters.iter().map(|adapter| adapter.a.shape[0]).sum();
        if ranks == 0 {
            return Ok(None);
        }
        let (mut down, mut up) = (Vec::with_capacity(ranks * layers.inputs), vec![0.0; layers.outputs() * ranks]);
        let mut first = 0;
        for AdapterSpec { column, a, b, scale } in adapters {
            let rank = a.shape[0];
            down.extend_from_slice(&weights.get(a)?);
            let rows = up[column * ranks..].chunks_exact_mut(ranks);
            for (to, row) in rows.zip(weights.get(b)?.chunks_exact(rank)) {
                to[first..][..rank].iter_mut().zip(row).for_each(|(to, b)| *to = scale * b);
            }
            first += rank;
        }
        // Thin: not worth a second thread.
        Ok(Some(PackedAdapter {
            down: PackedLinear::stack(layers.inputs, &[&down], &[], 1)?,
            up: PackedLinear::stack(ranks, &[&up], &[], 1)?,
        }))
    }

    /// Adds what the adapters make of the first `rows` rows of `input`. `scratch` holds the rows between the two
    /// products.
    pub(super) fn add(
        &self,
        input: &ActivationRows,
        rows: usize,
        scratch: &mut ActivationRows,
        output: &mut ActivationRows,
    ) {
        scratch.reshape(rows, self.down.outputs());
        self.down.product(input, rows, scratch, Store::Replace);
        self.up.product(scratch, rows, output, Store::Add);
    }
}
