//! Where a policy lives: on the processor, or on a card together with its activations.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Var};

use super::recompute::{activation_bytes, micro_batch};
use super::{Policy, Recompute, ValueHead};
use crate::Result;
use crate::kernels::cuda::{CudaDevice, as_type};

/// Tokens in one micro-batch on a card: enough to fill it.
const MICRO_BATCH: usize = 16 << 10;

impl Policy {
    /// The same policy on a device, with the precision that it has now: what is trained in f32; what is not, on a card,
    /// in the type of the products. Shares what is there already.
    pub fn on(&self, device: &Device) -> Result<Policy> {
        let card = CudaDevice::at(device);
        let there = |variable: &Var| -> Result<Var> {
            if variable.device().same_device(device) {
                Ok(variable.clone())
            } else {
                Ok(Var::from_tensor(&variable.as_detached_tensor().to_device(device)?)?)
            }
        };
        let mut variables = BTreeMap::new();
        for (name, variable) in &self.variables {
            variables.insert(name.clone(), there(variable)?);
        }
        let value_head = match &self.value_head {
            Some(head) => Some(ValueHead { weight: there(&head.weight)?, bias: there(&head.bias)?, ..head.clone() }),
            None => None,
        };
        let mut frozen = BTreeMap::new();
        for (name, tensor) in self.frozen.iter() {
            let dtype = match card {
                Some(_) if tensor.dims().len() > 1 => self.precision.real(),
                _ => DType::F32,
            };
            frozen.insert(name.clone(), as_type(&tensor.to_device(device)?, dtype)?);
        }
        let frozen = if self.frozen.is_empty() { self.frozen.clone() } else { Arc::new(frozen) };
        Ok(Policy { variables, frozen, value_head, ..self.clone() })
    }

    /// Whether weights and activations are on a card.
    pub fn is_on_card(&self) -> bool {
        self.card().is_some()
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.variables.values().next().map_or(Device::Cpu, |variable| variable.device().clone())
    }

    pub(crate) fn card(&self) -> Option<CudaDevice> {
        CudaDevice::at(&self.device())
    }

    /// Threads that may work on it at once, of `workers`: what happens on a card happens in one order.
    pub fn workers(&self, workers: usize) -> usize {
        if self.is_on_card() { 1 } else { workers }
    }

    /// Tokens in one micro-batch, where the processor works best on `usual` if it has room for what they leave.
    pub fn micro_batch(&self, usual: usize) -> usize {
        if self.is_on_card() { MICRO_BATCH } else { micro_batch(&self.config, usual) }
    }

    /// Whether the backward pass of a batch of so many tokens computes activations once more.
    pub(super) fn recomputes(&self, tokens: usize) -> Result<bool> {
        match (self.recompute, self.card()) {
            (Recompute::Always, _) => Ok(true),
            (Recompute::Auto, Some(card)) => {
                Ok(2 * tokens * activation_bytes(&self.config, self.precision) > card.free_memory()?)
            }
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cuda::emulated::on_card;
    use crate::kernels::{Gradients, Precision};
    use crate::learner::{Optimizer, OptimizerConfig};
    use crate::policy::config::tests::tiny;
    use crate::policy::lora::tests::adapted;
    use crate::policy::model::tests::{batch, random_policy};
    use crate::policy::{Family, ModelConfig, PackedBatch, Target};

    use std::collections::BTreeSet;

    /// A prompt with its completions, and sequences that share nothing.
    fn mixed() -> PackedBatch {
        let mut batch = batch();
        let ones = [1.0; 6];
        let completions: [&[u32]; 4] = [&[4, 5, 6, 7, 8, 9], &[1], &[2, 2, 2], &[]];
        batch.push_group(&[3, 1, 4, 1, 5], completions.map(|tokens| (tokens, &ones[..tokens.len()]))).unwrap();
        // Of some rows only a few tokens could be drawn.
        let few = |target: u32| (0..6).chain([target]).collect::<BTreeSet<u32>>().into_iter().collect();
        let mask = |(at, target): (usize, &u32)| if at % 3 == 0 { Vec::new() } else { few(*target) };
        batch.masks = batch.targets.iter().enumerate().map(mask).collect();
        batch
    }

    fn policies() -> Vec<Policy> {
        let qwen3 = random_policy(&tiny(Family::Qwen3, true), 3).with_temperature(0.7);
        let llama = ModelConfig { attention_bias: true, ..tiny(Family::Llama, false) };
        let all = [Target::QProj, Target::VProj, Target::OProj, Target::GateProj, Target::DownProj];
        vec![
            qwen3,
            random_policy(&llama, 4),
            random_policy(&tiny(Family::Qwen2, true), 5),
            adapted(Family::Qwen3, &all),
            adapted(Family::Llama, &[Target::KProj]),
        ]
    }

    fn results(policy: &Policy) -> (Vec<f32>, Gradients) {
        let batch = mixed();
        let log_probs = policy.log_probs(&batch).unwrap();
        let both = [&log_probs.log_prob, &log_probs.entropy].map(|t| t.to_vec1::<f32>().unwrap()).concat();
        assert_eq!(policy.score(&batch).unwrap().log_prob.to_vec1::<f32>().unwrap(), both[..both.len() / 2]);
        let weights = candle_core::Tensor::new(&batch.weights[..], &Device::Cpu).unwrap();
        let (_, gradients) = log_probs
            .backward(|log_prob, entropy, _| {
                let loss = ((log_prob * &weights)?.sum_all()? + (entropy * 0.3)?.sum_all()?)?;
                Ok((loss * 0.1)?)
            })
            .unwrap();
        (both, gradients)
    }

    /// How far two lists are apart, relative to the second.
    fn apart(found: &[f32], truth: &[f32]) -> f64 {
        assert_eq!(found.len(), truth.len());
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        norm(&mut found.iter().zip(truth).map(|(a, b)| a - b)) / norm(&mut truth.iter().copied()).max(1e-6)
    }

    fn flat(gradients: &Gradients, name: &str) -> Vec<f32> {
        gradients.get(name).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    fn all(gradients: &Gradients) -> Vec<f32> {
        gradients.iter().flat_map(|(name, _)| flat(gradients, name)).collect()
    }

    #[test]
    fn a_card_computes_the_log_probs_and_every_gradient_that_the_processor_does() {
        for policy in policies() {
            let (truth, gradients) = results(&policy);
            on_card(|| {
                let policy = policy.on(&Device::Cpu).unwrap();
                assert!(policy.is_on_card() && policy.workers(8) == 1);
                let (found, on_card) = results(&policy);
                assert!(apart(&found, &truth) < 1e-5, "{}", apart(&found, &truth));
                for name in policy.variables.keys() {
                    let far = apart(&flat(&on_card, name), &flat(&gradients, name));
                    assert!(far < 1e-4, "{name}: {far}");
                }
            });
        }
    }

    #[test]
    fn in_bf16_log_probs_and_gradients_move_a_little() {
        // Sums over a dozen columns average little out; models of real sizes stay within 2e-2.
        for policy in policies() {
            let (truth, gradients) = results(&policy);
            on_card(|| {
                let narrow = policy.clone().with_precision(Precision::Bf16).on(&Device::Cpu).unwrap();
                let (found, on_card) = results(&narrow);
                let far = [apart(&found, &truth), apart(&all(&on_card), &all(&gradients))];
                assert!(far[0] > 1e-5 && far[0] < 2e-2 && far[1] < 6e-2, "{far:?}");
                assert!(on_card.iter().all(|(_, gradient)| gradient.dtype() == DType::F32));
            });
        }
    }

    #[test]
    fn recomputing_changes_no_bit() {
        for policy in policies() {
            let again = Policy { recompute: Recompute::Always, ..policy.clone() };
            let same = || {
                let ((kept, gradients), (computed, others)) = (results(&policy), results(&again));
                assert_eq!(kept, computed);
                assert_eq!(all(&gradients), all(&others));
            };
            same();
            on_card(same);
        }
    }

    #[test]
    fn an_optimizer_step_on_a_card_changes_the_weights_as_one_on_the_processor_does() {
        let config = OptimizerConfig { weight_decay: 0.1, max_gradient_norm: 0.5, ..OptimizerConfig::default() };
        let steps = || {
            let policy = random_policy(&tiny(Family::Qwen3, true), 3);
            let mut optimizer = Optimizer::new(config);
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut norm = 0.0;
            for _ in 0..3 {
                norm = optimizer.step(&policy, &results(&policy).1, 1e-2, 2).unwrap();
                // What was saved goes on as if it had not been.
                optimizer.save(file.path()).unwrap();
                optimizer = Optimizer::load(file.path(), config).unwrap();
            }
            let weights = policy.weights().unwrap().into_values().flat_map(|weight| weight.values);
            (norm, weights.collect::<Vec<f32>>())
        };
        let (norm, weights) = steps();
        on_card(|| {
            let (found, moved) = steps();
            assert!((found / norm - 1.0).abs() < 1e-4);
            assert!(apart(&moved, &weights) < 1e-5, "{}", apart(&moved, &weights));
        });
    }
}
