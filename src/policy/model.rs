//! A policy: the weights of a transformer, and what can be asked of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Tensor, Var};

use super::weight::{Weight, variables};
use super::{LoraLayers, ModelConfig, Recompute, ValueHead};
use crate::Result;
use crate::kernels::Precision;

/// A decoder-only transformer whose weights are trained. Any number of threads may run it at once; whoever changes
/// the weights does so while none of them runs.
#[derive(Clone, Debug)]
pub struct Policy {
    pub config: Arc<ModelConfig>,
    /// What is trained: all weights by Hugging Face name (`model.layers.0.self_attn.q_proj.weight`, …), or with
    /// adapters these alone (`model.layers.0.self_attn.q_proj.lora_A.weight`, …).
    pub variables: BTreeMap<String, Var>,
    /// Weights that stay as they are while adapters are trained. Nobody writes to them, so copies of the policy and
    /// its snapshots share them.
    pub frozen: Arc<BTreeMap<String, Tensor>>,
    /// What adapters there are.
    pub lora: Option<Arc<LoraLayers>>,
    /// Of the products with weights.
    pub precision: Precision,
    /// Logits are divided by this before they become log-probabilities.
    pub temperature: f32,
    /// Whether the backward pass computes activations once more.
    pub recompute: Recompute,
    /// The folder that the weights were read from, for adapters to name.
    pub origin: Option<PathBuf>,
    /// What foretells rewards, where the algorithm wants it: trained with the policy, unknown to the sampler.
    pub value_head: Option<ValueHead>,
}

impl Policy {
    /// A policy with these weights. `place` (a file, a stage) begins the message when one is missing, unknown,
    /// misshapen or not finite.
    pub fn new(place: &str, config: Arc<ModelConfig>, weights: BTreeMap<String, Weight>) -> Result<Policy> {
        config.check(place)?;
        let variables = variables(place, &config.weight_shapes(), weights)?;
        Ok(Policy {
            config,
            variables,
            frozen: Arc::default(),
            lora: None,
            precision: Precision::F32,
            temperature: 1.0,
            recompute: Recompute::default(),
            origin: None,
            value_head: None,
        })
    }

    /// The same policy, whose products have operands of this precision.
    pub fn with_precision(self, precision: Precision) -> Policy {
        Policy { precision, ..self }
    }

    /// The same policy, whose log-probabilities and entropies are those of sampling at a temperature.
    pub fn with_temperature(self, temperature: f32) -> Policy {
        Policy { temperature, ..self }
    }

    /// The same policy with the value head that lies in a folder, or with a fresh one, whose first values are all 0.
    ///
    /// # Errors
    ///
    /// The head in the folder cannot be read, or is that of another model.
    pub fn with_value_head(self, folder: &Path, trunk: bool) -> Result<Policy> {
        let head = ValueHead::load(folder, self.config.hidden_size, trunk)?;
        Ok(Policy { value_head: Some(head), ..self })
    }

    /// A copy of what is trained, by name: all weights, or the adapters.
    pub fn weights(&self) -> Result<BTreeMap<String, Weight>> {
        let copy = |(name, variable): (&String, &Var)| {
            let weight = Weight { shape: variable.dims().to_vec(), values: variable.flatten_all()?.to_vec1()? };
            Ok((name.clone(), weight))
        };
        self.variables.iter().map(copy).collect()
    }

    /// The variable of this name: a weight that is trained, or one of the value head.
    pub fn variable(&self, name: &str) -> Option<&Var> {
        self.variables.get(name).or_else(|| self.value_head.as_ref()?.variable(name))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kernels::rotary::tests::YARN;
    use crate::kernels::testing::random;
    use crate::kernels::{Layout, RopeScaling};
    use crate::policy::config::tests::tiny;
    use crate::policy::{Family, PackedBatch};

    /// Every weight drawn, norms and biases too, so that nothing is 0 or 1 by accident.
    pub(crate) fn random_policy(config: &ModelConfig, seed: u64) -> Policy {
        let mut weights = BTreeMap::new();
        for (i, (name, shape)) in config.weight_shapes().into_iter().enumerate() {
            let mut values = random(shape.iter().product(), seed * 1000 + i as u64);
            values.iter_mut().for_each(|v| *v = if name.contains("norm") { 1.0 + 0.5 * *v } else { 0.5 * *v });
            weights.insert(name, Weight { shape, values });
        }
        Policy::new("test", Arc::new(config.clone()), weights).unwrap()
    }

    pub(crate) fn batch() -> PackedBatch {
        let mut batch = PackedBatch::default();
        for length in [2usize, 9, 5, 1, 14] {
            let tokens: Vec<u32> = (0..length as u32).map(|i| (i * 7 + length as u32) % 23).collect();
            let weights: Vec<f32> = (0..length).map(|i| if i % 4 == 3 { 0.0 } else { 0.5 + i as f32 / 10.0 }).collect();
            batch.push(&tokens, &weights).unwrap();
        }
        batch
    }

    fn loss(log_prob: &Tensor, weights: &[f32]) -> Result<Tensor> {
        let weights = Tensor::new(weights, log_prob.device())?;
        Ok((log_prob * weights)?.sum_all()?.neg()?)
    }

    #[test]
    fn every_variable_gets_the_gradient_that_differences_see() {
        for (family, tied, temperature) in
            [(Family::Llama, false, 1.0), (Family::Qwen2, true, 0.7), (Family::Qwen3, false, 1.0)]
        {
            // Cosines and sines that are multiplied by something.
            let rope_scaling = (family == Family::Qwen3).then_some(RopeScaling::Yarn(YARN));
            let config = ModelConfig { rope_scaling, ..tiny(family, tied) };
            let policy = random_policy(&config, 3).with_temperature(temperature);
            let batch = batch();
            let with_entropy = |l: &Tensor, entropy: &Tensor, _: Option<&Tensor>| {
                Ok((loss(l, &batch.weights)? + (entropy.sum_all()? * 0.5)?)?)
            };
            let (_, gradients) = policy.log_probs(&batch).unwrap().backward(with_entropy).unwrap();
            assert!(gradients.iter().map(|(name, _)| name).eq(policy.variables.keys().map(String::as_str)));
            let value = |policy: &Policy| -> f64 {
                let scored = policy.score(&batch).unwrap();
                let [log_probs, entropies] = [&scored.log_prob, &scored.entropy].map(|t| t.to_vec1::<f32>().unwrap());
                let of_log_probs = log_probs.iter().zip(&batch.weights).map(|(l, w)| -f64::from(l * w)).sum::<f64>();
                of_log_probs + 0.5 * entropies.iter().map(|entropy| f64::from(*entropy)).sum::<f64>()
            };
            for (name, gradient) in gradients.iter() {
                // Along the gradient itself: the slope is its squared length.
                let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
                let length = gradient.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
                assert!(length > 1e-3, "{name} has no gradient");
                let moved = |by: f64| {
                    let mut weights = policy.weights().unwrap();
                    let weight = weights.get_mut(name).unwrap();
                    let step = by / length;
                    weight.values.iter_mut().zip(&gradient).for_each(|(w, g)| *w += (step * f64::from(*g)) as f32);
                    value(&Policy::new("test", policy.config.clone(), weights).unwrap().with_temperature(temperature))
                };
                let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!(
                    (slope - length).abs() < 2e-2 * length.max(0.05),
                    "{family:?} {name}: {slope} against {length}"
                );
            }
        }
    }

    #[test]
    fn bf16_products_point_the_gradient_the_same_way() {
        let batch = batch();
        let run = |precision| {
            let policy = random_policy(&tiny(Family::Qwen3, true), 3).with_precision(precision);
            let log_probs = policy.log_probs(&batch).unwrap();
            let scored = log_probs.log_prob.to_vec1::<f32>().unwrap();
            let gradients = log_probs.backward_from(batch.weights.clone()).unwrap();
            let flat = |(_, g): (&str, &Tensor)| g.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            (scored, gradients.iter().flat_map(flat).collect::<Vec<f32>>())
        };
        let ((exact, gradient), (rounded, rounded_gradient)) = (run(Precision::F32), run(Precision::Bf16));
        assert!(exact.iter().zip(&rounded).all(|(a, b)| (a - b).abs() < 0.1));
        assert_eq!(exact != rounded, Precision::Bf16.rounds());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let lengths = (dot(&gradient, &gradient) * dot(&rounded_gradient, &rounded_gradient)).sqrt();
        assert!(dot(&gradient, &rounded_gradient) / lengths > 0.999);
    }

    #[test]
    fn log_probs_are_those_of_the_logits_and_do_not_depend_on_the_packing() {
        let policy = random_policy(&tiny(Family::Qwen3, true), 5);
        let batch = batch();
        let whole = policy.score(&batch).unwrap();
        let whole_log_probs = whole.log_prob.to_vec1::<f32>().unwrap();
        let entropies = whole.entropy.to_vec1::<f32>().unwrap();
        let logits = policy.logits(&batch.tokens, &batch.layout).unwrap().to_vec2::<f32>().unwrap();
        for (i, (row, target)) in batch.rows.iter().zip(&batch.targets).enumerate() {
            let row = &logits[*row as usize];
            let log_sum = row.iter().map(|l| l.exp()).sum::<f32>().ln();
            assert!((whole_log_probs[i] - (row[*target as usize] - log_sum)).abs() < 1e-5);
            let entropy: f32 = row.iter().map(|l| (log_sum - l) * (l - log_sum).exp()).sum();
            assert!((entropies[i] - entropy).abs() < 1e-5);
        }
        let hot = policy.clone().with_temperature(2.0).score(&batch).unwrap().log_prob.to_vec1::<f32>().unwrap();
        for (i, (row, target)) in batch.rows.iter().zip(&batch.targets).enumerate() {
            let row: Vec<f32> = logits[*row as usize].iter().map(|logit| logit / 2.0).collect();
            let log_sum = row.iter().map(|l| l.exp()).sum::<f32>().ln();
            assert!((hot[i] - (row[*target as usize] - log_sum)).abs() < 1e-5);
        }
        let parts = batch
            .split(10)
            .iter()
            .flat_map(|part| policy.score(part).unwrap().log_prob.to_vec1::<f32>().unwrap())
            .collect::<Vec<_>>();
        assert!(
            parts.len() == whole_log_probs.len()
                && parts.iter().zip(&whole_log_probs).all(|(a, b)| (a - b).abs() < 1e-5)
        );
    }

    #[test]
    fn threads_share_the_variables_and_get_the_same_bits_as_one() {
        let policy = random_policy(&tiny(Family::Qwen2, false), 7);
        let batch = batch();
        let run = || {
            let gradients = policy.log_probs(&batch).unwrap().backward_from(batch.weights.clone()).unwrap();
            gradients.iter().map(|(_, g)| g.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect::<Vec<_>>()
        };
        let alone = run();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
            workers.into_iter().for_each(|worker| assert_eq!(worker.join().unwrap(), alone));
        });
    }

    #[test]
    fn bad_input_is_one_clear_line() {
        let config = tiny(Family::Llama, true);
        let policy = random_policy(&config, 1);
        let message = |tokens: &[u32], length: usize| {
            policy.hidden(tokens, &[length].into_iter().collect()).unwrap_err().to_string()
        };
        assert!(message(&[1, 23], 2).contains("23 in a vocabulary of 23"));
        assert!(message(&[1, 2], 1).contains("a layout of 1 rows for 2 tokens"));
        assert!(message(&[1; 65], 65).contains("65 tokens for 64 positions"));
        assert_eq!(policy.hidden(&[], &Layout::default()).unwrap().dims(), [0, 12]);
        assert_eq!(policy.hidden(&[], &[0].into_iter().collect()).unwrap().dims(), [0, 12]);
        let refused = |change: fn(&mut BTreeMap<String, Weight>)| {
            let mut weights = policy.weights().unwrap();
            change(&mut weights);
            Policy::new("here", Arc::new(config.clone()), weights).unwrap_err().to_string()
        };
        assert!(refused(|w| drop(w.remove("model.norm.weight"))).contains("here: model.norm.weight is missing"));
        assert!(refused(|w| w.get_mut("model.norm.weight").unwrap().shape = vec![3, 4]).contains("[3, 4], not [12]"));
        assert!(refused(|w| w.get_mut("model.norm.weight").unwrap().values[0] = f32::NAN).contains("not finite"));
        assert!(refused(|w| drop(w.insert("x".into(), w["model.norm.weight"].clone()))).contains("x is no weight"));
    }
}
