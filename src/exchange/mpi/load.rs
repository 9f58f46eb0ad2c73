//! The weights of a policy version on their way to another rank, and how messages become bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::kernels::cuda::as_type;
use crate::policy::{LoraLayers, ModelConfig, Snapshot, Weight};
use crate::{Error, Result};

/// The weights of a policy version.
#[derive(Serialize, Deserialize)]
pub(super) struct Load<'a> {
    version: u64,
    weights: Cow<'a, BTreeMap<String, Weight>>,
    /// Tensors of the snapshot, as f32; and whether those that are missing are what they were.
    tensors: BTreeMap<String, Weight>,
    others_stay: bool,
    lora: Option<String>,
}

impl<'a> Load<'a> {
    /// What an actor needs of a snapshot that comes after `before`.
    pub fn new(snapshot: &'a Snapshot, before: Option<&Snapshot>) -> Result<Load<'a>> {
        let before = before.filter(|before| before.frozen.keys().eq(snapshot.frozen.keys()));
        let is_new = |(name, tensor): &(&String, &Tensor)| {
            before.and_then(|before| before.frozen.get(*name)).is_none_or(|before| before.id() != tensor.id())
        };
        let weight = |(name, tensor): (&String, &Tensor)| -> Result<(String, Weight)> {
            let values = as_type(tensor, DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            Ok((name.clone(), Weight { shape: tensor.dims().to_vec(), values }))
        };
        let tensors = snapshot.frozen.iter().filter(is_new).map(weight).collect::<Result<_>>()?;
        let lora = snapshot.lora.as_deref().map(json).transpose()?;
        let weights = Cow::Borrowed(snapshot.weights.as_ref());
        Ok(Load { version: snapshot.version, weights, tensors, others_stay: before.is_some(), lora })
    }

    /// The snapshot again, on the processor.
    pub fn snapshot(self, config: &Arc<ModelConfig>, before: Option<&Snapshot>) -> Result<Snapshot> {
        let before = before.filter(|_| self.others_stay);
        let mut frozen = before.map(|before| before.frozen.clone()).unwrap_or_default();
        for (name, Weight { shape, values }) in self.tensors {
            Arc::make_mut(&mut frozen).insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
        }
        let lora = self.lora.as_deref().map(of_json::<LoraLayers>).transpose()?.map(Arc::new);
        let weights = Arc::new(self.weights.into_owned());
        Ok(Snapshot { version: self.version, config: config.clone(), weights, frozen, lora })
    }
}

/// Some values leave fields out or are told apart by their content, which only a format that names its fields can carry.
pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| unreadable(error.to_string()))
}

pub(super) fn of_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))
}

/// A message as bytes.
pub(super) fn pack(message: &impl Serialize) -> Result<Arc<[u8]>> {
    postcard::to_allocvec(message).map(Arc::from).map_err(|error| unreadable(error.to_string()))
}

/// A message from bytes.
pub(super) fn unpack<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| unreadable(error.to_string()))
}

pub(super) fn unreadable(error: String) -> Error {
    Error::invalid("message between ranks", error, "run the same version of recollect on every rank")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Precision;
    use crate::kernels::cuda::emulated::on_card;
    use crate::policy::lora::tests::adapted;
    use crate::policy::{Family, Policy, Target};
    use crate::rollout::CudaEngine;
    use crate::rollout::tests::{request, snapshot, tiny};

    fn there_and_back(policy: &Snapshot, before: Option<(&Snapshot, &Snapshot)>) -> Snapshot {
        let bytes = pack(&Load::new(policy, before.map(|(here, _)| here)).unwrap()).unwrap();
        let load: Load = unpack(&bytes).unwrap();
        load.snapshot(&policy.config, before.map(|(_, there)| there)).unwrap()
    }

    fn values(policy: &Snapshot) -> Vec<(String, Vec<f32>)> {
        let frozen =
            |(name, tensor): (&String, &Tensor)| (name.clone(), tensor.flatten_all().unwrap().to_vec1().unwrap());
        let own = policy.weights.iter().map(|(name, weight)| (name.clone(), weight.values.clone()));
        own.chain(policy.frozen.iter().map(frozen)).collect()
    }

    #[test]
    fn weights_arrive_as_they_were_and_frozen_ones_travel_once() {
        let full = snapshot(&tiny(Family::Qwen3), 3);
        assert_eq!(values(&there_and_back(&full, None)), values(&full));
        let policy: Policy = adapted(Family::Qwen2, &[Target::UpProj]);
        let (first, second) = (policy.snapshot(1).unwrap(), policy.snapshot(2).unwrap());
        let there = there_and_back(&first, None);
        assert_eq!(values(&there), values(&first));
        assert!(Load::new(&second, Some(&first)).unwrap().tensors.is_empty());
        let again = there_and_back(&second, Some((&first, &there)));
        assert_eq!(values(&again), values(&second));
        assert!(Arc::ptr_eq(&again.frozen, &there.frozen) && again.lora == second.lora && again.version == 2);
    }

    #[test]
    fn what_is_on_a_card_is_sampled_on_another_as_on_the_first() {
        on_card(|| {
            for policy in [
                Policy::from_snapshot(&snapshot(&tiny(Family::Qwen3), 3)).unwrap(),
                adapted(Family::Qwen2, &[Target::UpProj]),
            ] {
                let policy = policy.with_precision(Precision::Bf16).on(&Device::Cpu).unwrap();
                let (first, second) = (policy.snapshot(1).unwrap(), policy.snapshot(2).unwrap());
                let there = there_and_back(&first, None);
                let sampled = |snapshot: &Snapshot| {
                    let config = &policy.config;
                    let mut engine = CudaEngine::on_device(&Device::Cpu, config, Precision::Bf16, 5, 64).unwrap();
                    engine.load(snapshot).unwrap();
                    engine.generate(&[request(&[1, 2, 3], 4, 1.0, 5)]).unwrap()
                };
                assert_eq!(sampled(&there), sampled(&first));
                assert_eq!(sampled(&there_and_back(&second, Some((&first, &there)))), sampled(&second));
                // What is not trained has been there since.
                assert_eq!(Load::new(&second, Some(&first)).unwrap().tensors.len(), policy.variables.len());
            }
        });
    }
}
