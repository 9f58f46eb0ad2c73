//! Weights of a snapshot, from wherever it has them.

use std::ops::Deref;

use crate::kernels::memory::{Values, read};
use crate::policy::architecture::WeightSpec;
use crate::policy::{Snapshot, Weight};
use crate::{Error, Result};

/// Weights by name, with their shapes checked.
pub(super) struct SnapshotWeights<'a> {
    pub(super) snapshot: &'a Snapshot,
}

/// The numbers of a weight: copied with the snapshot, or shared with the policy.
pub(super) enum WeightValues<'a> {
    Copied(&'a [f32]),
    Shared(Values<'a>),
}

impl Deref for WeightValues<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            WeightValues::Copied(values) => values,
            WeightValues::Shared(values) => values,
        }
    }
}

impl<'a> SnapshotWeights<'a> {
    pub(super) fn get(&self, WeightSpec { name, shape }: &WeightSpec) -> Result<WeightValues<'a>> {
        let place = || format!("policy version {}, weight {name}", self.snapshot.version);
        let (found, values) = match (self.snapshot.weights.get(name), self.snapshot.frozen.get(name)) {
            (Some(Weight { shape, values }), _) => (&shape[..], WeightValues::Copied(values)),
            (None, Some(tensor)) => (tensor.dims(), WeightValues::Shared(read(tensor)?)),
            (None, None) => {
                return Err(Error::invalid(place(), "missing", format!("the config asks for one of shape {shape:?}")));
            }
        };
        if found != shape || values.len() != shape.iter().product::<usize>() {
            let found = format!("shape {found:?} with {} values", values.len());
            return Err(Error::invalid(place(), found, format!("the config asks for {shape:?}")));
        }
        Ok(values)
    }
}
