//! The numbers of a weight, and what they have to be.

use std::collections::BTreeMap;

use candle_core::{Device, Var};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One weight matrix or vector, row-major f32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    pub shape: Vec<usize>,
    #[serde(with = "as_bytes")]
    pub values: Vec<f32>,
}

/// Weights that do not go with their config.
pub(super) fn foreign(place: &str, found: String) -> Error {
    Error::invalid(place, found, "the weights have to be those of the config that stands beside them")
}

/// Weights of exactly these names and shapes, to be trained.
pub(super) fn variables(
    place: &str,
    shapes: &BTreeMap<String, Vec<usize>>,
    weights: BTreeMap<String, Weight>,
) -> Result<BTreeMap<String, Var>> {
    if let Some(name) = shapes.keys().find(|name| !weights.contains_key(*name)) {
        return Err(foreign(place, format!("{name} is missing")));
    }
    let variable = |(name, weight): (String, Weight)| {
        check_shape(place, shapes, &name, &weight.shape)?;
        check_finite(place, &name, &weight.values)?;
        Ok((name, Var::from_vec(weight.values, weight.shape, &Device::Cpu)?))
    };
    weights.into_iter().map(variable).collect()
}

/// Refuses a weight that a model of these shapes does not have, or not like that.
pub(super) fn check_shape(
    place: &str,
    shapes: &BTreeMap<String, Vec<usize>>,
    name: &str,
    shape: &[usize],
) -> Result<()> {
    match shapes.get(name) {
        None => Err(foreign(place, format!("{name} is no weight of this model"))),
        Some(wanted) if wanted != shape => Err(foreign(place, format!("{name} has shape {shape:?}, not {wanted:?}"))),
        Some(_) => Ok(()),
    }
}

/// Refuses a weight with a number in it that is none.
pub(super) fn check_finite(place: &str, name: &str, values: &[f32]) -> Result<()> {
    let Some(at) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let found = format!("{name} holds a number that is not finite ({} at index {at})", values[at]);
    let remedy = "the file is damaged or its training diverged: fetch it again, or take an earlier checkpoint";
    Err(Error::invalid(place, found, remedy))
}

/// Many numbers go into a message at once, and not one by one.
mod as_bytes {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        serializer.serialize_bytes(&bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<f32>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("four bytes for each number")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<f32>, E> {
                let (numbers, rest) = bytes.as_chunks();
                match rest {
                    [] => Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()),
                    _ => Err(E::invalid_length(bytes.len(), &self)),
                }
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
