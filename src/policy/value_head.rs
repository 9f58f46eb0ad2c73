//! A number beside the next token: what a policy expects of a completion from here on, read off its last hidden state.
//!
//! It is trained with the policy and lies in a file of its own beside it, so that the checkpoint stays one that other
//! programs load; the sampler knows nothing of it.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};

use super::weight::{Weight, check_finite, check_shape};
use super::weight_files::{self, StoredPrecision, decode, map, parse};
use crate::{Error, Result};

/// How the names of a head's variables begin.
pub const PREFIX: &str = "value_head.";
const WEIGHT: &str = "value_head.weight";
const BIAS: &str = "value_head.bias";
/// The file beside a policy's own.
pub const FILE: &str = "value_head.safetensors";

/// Whether a tensor of a checkpoint belongs to the value head that TRL saves with a model. It has no part in what the
/// model says, and training here begins with a head of its own.
pub(super) fn is_of_trl(name: &str) -> bool {
    name.starts_with("v_head.")
}

/// A linear layer from the states after the final norm to one number.
#[derive(Clone, Debug)]
pub struct ValueHead {
    /// `[1, hidden_size]`
    pub weight: Var,
    /// `[1]`
    pub bias: Var,
    /// Whether its gradient goes on into the policy; otherwise the head learns to read states that others make.
    pub trunk: bool,
}

impl ValueHead {
    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<&Var> {
        match name {
            WEIGHT => Some(&self.weight),
            BIAS => Some(&self.bias),
            _ => None,
        }
    }

    /// Its variables with their names.
    pub fn variables(&self) -> [(&'static str, &Var); 2] {
        [(WEIGHT, &self.weight), (BIAS, &self.bias)]
    }

    /// Raises every value by the same. What is foretold on the average is known without learning; left to the gradient,
    /// the weights race to make it up, and tell states apart that are worth the same.
    pub fn raise(&self, by: f32) -> Result<()> {
        Ok(self.bias.set(&(self.bias.as_detached_tensor() + f64::from(by))?)?)
    }

    /// The head that lies in a folder, or a fresh one, whose first values are all 0.
    pub(super) fn load(folder: &Path, hidden_size: usize, trunk: bool) -> Result<ValueHead> {
        let shapes = BTreeMap::from([(WEIGHT.into(), vec![1, hidden_size]), (BIAS.into(), vec![1])]);
        let path = folder.join(FILE);
        if !path.exists() {
            let zeros = |name: &str| {
                Var::from_tensor(&Tensor::zeros(&shapes[name][..], candle_core::DType::F32, &Device::Cpu)?)
            };
            return Ok(ValueHead { weight: zeros(WEIGHT)?, bias: zeros(BIAS)?, trunk });
        }
        let place = path.display().to_string();
        let map = map(&path)?;
        let tensors = parse(&place, &map)?;
        let read = |name: &str| -> Result<Var> {
            let Ok(view) = tensors.tensor(name) else {
                return Err(Error::invalid(&place, format!("{name} is missing"), "use another checkpoint"));
            };
            check_shape(&place, &shapes, name, view.shape())?;
            let Weight { shape, values } = decode(&place, name, &view)?;
            check_finite(&place, name, &values)?;
            Ok(Var::from_vec(values, shape, &Device::Cpu)?)
        };
        Ok(ValueHead { weight: read(WEIGHT)?, bias: read(BIAS)?, trunk })
    }

    /// Writes it into the folder of its policy; the file is whole or not there.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let mut weights = BTreeMap::new();
        for (name, variable) in self.variables() {
            let values = variable.flatten_all()?.to_vec1()?;
            weights.insert(name.to_owned(), Weight { shape: variable.dims().to_vec(), values });
        }
        weight_files::write(&folder.join(FILE), &weights, StoredPrecision::F32)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kernels::Precision;
    use crate::kernels::testing::random_tensor;
    use crate::policy::Policy;
    use crate::policy::config::tests::tiny;
    use crate::policy::lora::tests::adapted;
    use crate::policy::model::tests::{batch, random_policy};
    use crate::policy::{Family, Target};

    /// The policy with a head whose weights are drawn.
    pub(crate) fn with_head(policy: Policy, trunk: bool) -> Policy {
        let policy = policy.with_value_head(Path::new("no/such/folder"), trunk).unwrap();
        let head = policy.value_head.as_ref().unwrap();
        for ((_, variable), seed) in head.variables().into_iter().zip(1..) {
            variable.set(&random_tensor(variable.dims(), seed)).unwrap();
        }
        policy
    }

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn values_are_read_off_the_state_before_each_token_and_a_fresh_head_says_0() {
        let policy = with_head(random_policy(&tiny(Family::Qwen3, true), 3), false).with_temperature(0.5);
        let batch = batch();
        let values = flat(&policy.values(&batch).unwrap());
        let states = policy.hidden(&batch.tokens, &batch.layout).unwrap().to_vec2::<f32>().unwrap();
        let head = policy.value_head.as_ref().unwrap();
        let (weight, bias) = (flat(&head.weight), flat(&head.bias)[0]);
        assert_eq!(values.len(), batch.rows.len());
        for (row, found) in batch.rows.iter().zip(&values) {
            let truth = states[*row as usize].iter().zip(&weight).map(|(x, w)| x * w).sum::<f32>() + bias;
            assert!((found - truth).abs() < 1e-5, "{found} for {truth}");
        }
        let differentiable = flat(policy.log_probs_and_values(&batch).unwrap().values.as_ref().unwrap());
        assert!(differentiable.iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-5));
        let fresh = random_policy(&tiny(Family::Qwen3, true), 3).with_value_head(Path::new("none"), true).unwrap();
        assert!(flat(&fresh.values(&batch).unwrap()).iter().all(|value| *value == 0.0));
        let head = fresh.value_head.as_ref().unwrap();
        [0.75, -0.25].into_iter().for_each(|by| head.raise(by).unwrap());
        assert!(flat(&fresh.values(&batch).unwrap()).iter().all(|value| *value == 0.5));
        let without = random_policy(&tiny(Family::Qwen3, true), 3);
        assert!(without.values(&batch).unwrap_err().to_string().contains("value head"));
    }

    /// Gradients of the sum of all log-probs and of half the squares of all values.
    fn gradients(policy: &Policy) -> (f64, crate::kernels::Gradients) {
        let log_probs = policy.log_probs_and_values(&batch()).unwrap();
        let loss = |log_prob: &Tensor, _: &Tensor, values: Option<&Tensor>| {
            Ok((log_prob.sum_all()? + (values.unwrap().sqr()?.sum_all()? * 0.5)?)?)
        };
        log_probs.backward(loss).unwrap()
    }

    #[test]
    fn every_variable_gets_the_gradient_that_differences_see() {
        let adapters = adapted(Family::Qwen2, &[Target::QProj, Target::DownProj]);
        for policy in [random_policy(&tiny(Family::Llama, true), 3), adapters] {
            let policy = with_head(policy, true);
            let (_, gradients) = gradients(&policy);
            let head = policy.value_head.as_ref().unwrap().variables();
            let all = policy.variables.iter().map(|(name, v)| (name.as_str(), v)).chain(head);
            for (name, variable) in all {
                let gradient = gradients.get(name).unwrap();
                let length = flat(gradient).iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
                assert!(length > 1e-3, "{name} has no gradient");
                let kept = variable.as_tensor().copy().unwrap();
                let moved = |by: f64| {
                    variable.set(&(&kept + (gradient * (by / length)).unwrap()).unwrap()).unwrap();
                    self::gradients(&policy).0
                };
                let slope = (moved(5e-3) - moved(-5e-3)) / 1e-2;
                variable.set(&kept).unwrap();
                assert!((slope - length).abs() < 3e-2 * length.max(0.05), "{name}: {slope} against {length}");
            }
        }
    }

    #[test]
    fn without_the_trunk_the_policy_learns_nothing_from_values() {
        for precision in [Precision::F32, Precision::Bf16] {
            let plain = random_policy(&tiny(Family::Qwen3, true), 3).with_precision(precision);
            let log_probs = plain.log_probs(&batch()).unwrap();
            let rows = log_probs.log_prob.elem_count();
            let truth = log_probs.backward_from(vec![1.0; rows]).unwrap();
            let found = gradients(&with_head(plain.clone(), false)).1;
            for (name, gradient) in truth.iter() {
                assert_eq!(flat(gradient), flat(found.get(name).unwrap()), "{name}");
            }
            assert_eq!(found.iter().count(), truth.iter().count() + 2);
            let into = gradients(&with_head(plain, true)).1;
            assert!(truth.iter().any(|(name, gradient)| flat(gradient) != flat(into.get(name).unwrap())));
        }
    }

    #[test]
    fn it_is_saved_beside_its_policy_and_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let policy = with_head(random_policy(&tiny(Family::Qwen3, true), 3), true);
        policy.save(folder.path()).unwrap();
        let loaded = Policy::load(folder.path()).unwrap();
        assert!(loaded.value_head.is_none(), "who does not ask for it does not get it");
        let loaded = loaded.with_value_head(folder.path(), true).unwrap();
        let values = |policy: &Policy| flat(&policy.values(&batch()).unwrap());
        assert_eq!(values(&loaded), values(&policy));
        let wide = random_policy(&crate::policy::ModelConfig { hidden_size: 16, ..tiny(Family::Qwen3, true) }, 3);
        let message = wide.with_value_head(folder.path(), true).unwrap_err().to_string();
        assert!(message.contains("value_head.weight has shape [1, 12], not [1, 16]"), "{message}");
    }
}
