//! The transformer: token ids to hidden states, logits and log-probabilities, with gradients.

use std::collections::BTreeMap;
use std::sync::Arc;

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor, Var};

use super::{LoraLayers, ModelConfig, Packed, Recompute, ValueHead, Weight};
use crate::kernels::{self, Gradients, Layout, LowRank, Positions, Precision, Value};
use crate::{Error, Result};

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

/// Log-probabilities of the targets of a batch, on the host wherever the policy is, and the way back from them to the
/// weights.
pub struct LogProbs {
    /// One per row of the batch, `[rows]`.
    pub log_prob: Tensor,
    /// Entropy in nats of each row's distribution, `[rows]`.
    pub entropy: Tensor,
    /// What the value head expects at each row, `[rows]`, where it was asked.
    pub values: Option<Tensor>,
    value: Value,
    of_head: Option<Value>,
}

impl LogProbs {
    /// A loss and its gradients: `loss` computes a scalar from log-probabilities, entropies and values (where there are
    /// any) with candle's operations.
    pub fn backward<L>(self, loss: L) -> Result<(f64, Gradients)>
    where
        L: FnOnce(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor>,
    {
        let (log_prob, entropy) = (Var::from_tensor(&self.log_prob)?, Var::from_tensor(&self.entropy)?);
        let values = self.values.as_ref().map(Var::from_tensor).transpose()?;
        let loss = loss(log_prob.as_tensor(), entropy.as_tensor(), values.as_deref())?;
        let mut gradients = loss.backward()?;
        let Some(of_log_prob) = gradients.remove(&log_prob) else {
            let remedy = "compute it with operations that candle differentiates";
            return Err(Error::invalid("loss", "it does not depend on the log-probabilities", remedy));
        };
        // A loss without entropy bonus.
        let of_entropy = gradients.remove(&entropy).map_or_else(|| self.entropy.zeros_like(), Ok)?;
        let loss = f64::from(loss.to_dtype(DType::F32)?.to_scalar::<f32>()?);
        let of_values = values.and_then(|values| gradients.remove(&values));
        let ends = [(self.value, Tensor::stack(&[of_log_prob, of_entropy], 0)?)];
        let ends = ends.into_iter().chain(self.of_head.zip(of_values)).map(|(value, gradient)| {
            // To where the policy is.
            let gradient = gradient.to_device(value.tensor().device())?;
            Ok((value, gradient))
        });
        Ok((loss, Value::backward_all(ends.collect::<Result<Vec<_>>>()?)?))
    }

    /// The same where the derivative of the loss by each log-probability is known already, and entropies have no part
    /// in it.
    pub fn backward_from(self, gradient: Vec<f32>) -> Result<Gradients> {
        let rows = gradient.len();
        let both = [gradient, vec![0.0; rows]].concat();
        let gradient = Tensor::from_vec(both, (2, rows), self.value.tensor().device())?;
        self.value.backward(gradient)
    }
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

    /// Log-probabilities that a loss can be differentiated by.
    pub fn log_probs(&self, batch: &Packed) -> Result<LogProbs> {
        self.pass(true).log_probs(batch, false)
    }

    /// The same with the values that the value head reads off the same states.
    pub fn log_probs_and_values(&self, batch: &Packed) -> Result<LogProbs> {
        self.pass(true).log_probs(batch, true)
    }

    /// The values alone, `[rows]`, on the host and without the way back.
    pub fn values(&self, batch: &Packed) -> Result<Tensor> {
        let pass = self.pass(false);
        let values = pass.values(&pass.hidden(&batch.tokens, &batch.layout)?, &batch.rows)?;
        Ok(values.tensor().to_device(&Device::Cpu)?)
    }

    /// The same numbers without the way back: keeps no activations.
    pub fn score(&self, batch: &Packed) -> Result<LogProbs> {
        self.pass(false).log_probs(batch, false)
    }

    /// States after the final norm, `[tokens, hidden_size]`, without gradients.
    pub fn hidden(&self, tokens: &[u32], layout: &Layout) -> Result<Tensor> {
        Ok(self.pass(false).hidden(tokens, layout)?.tensor().clone())
    }

    /// All logits, `[tokens, vocab_size]` in f32, without gradients: for tests and small uses only.
    pub fn logits(&self, tokens: &[u32], layout: &Layout) -> Result<Tensor> {
        let pass = self.pass(false);
        let hidden = pass.hidden(tokens, layout)?;
        let logits = kernels::linear(&hidden, &[&pass.weight(self.head_name())?], &[], self.precision)?;
        Ok(logits.tensor().to_dtype(DType::F32)?)
    }

    fn head_name(&self) -> &'static str {
        if self.config.tie_word_embeddings { "model.embed_tokens.weight" } else { "lm_head.weight" }
    }

    fn pass(&self, differentiable: bool) -> Pass<'_> {
        Pass { policy: self, differentiable }
    }
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

/// One forward pass.
struct Pass<'a> {
    policy: &'a Policy,
    differentiable: bool,
}

impl Pass<'_> {
    fn log_probs(&self, batch: &Packed, with_values: bool) -> Result<LogProbs> {
        let mut hidden = self.hidden(&batch.tokens, &batch.layout)?;
        let of_head = with_values.then(|| self.values(&hidden, &batch.rows)).transpose()?;
        if self.policy.temperature != 1.0 {
            // The head is linear: states divided by the temperature have logits divided by it.
            hidden = kernels::scale(&hidden, 1.0 / self.policy.temperature)?;
        }
        let head = self.weight(self.policy.head_name())?;
        let value = kernels::log_prob(&hidden, &head, &batch.rows, &batch.targets, self.policy.precision)?;
        let values = of_head.as_ref().map(|values| values.tensor().to_device(&Device::Cpu)).transpose()?;
        let both = value.tensor().to_device(&Device::Cpu)?;
        Ok(LogProbs { log_prob: both.get(0)?, entropy: both.get(1)?, values, value, of_head })
    }

    /// What the value head expects at these rows.
    fn values(&self, hidden: &Value, rows: &[u32]) -> Result<Value> {
        let Some(head) = &self.policy.value_head else {
            let remedy = "give it one with Policy::with_value_head";
            return Err(Error::invalid("policy", "it has no value head", remedy));
        };
        let states = if head.trunk { hidden.clone() } else { Value::constant(hidden.tensor().clone()) };
        let [weight, bias] = head.variables().map(|(name, variable)| match self.differentiable {
            true => Value::variable(name, variable),
            false => Value::constant(variable.as_detached_tensor()),
        });
        kernels::scalar_head(&states, &weight, &bias, rows)
    }

    fn hidden(&self, tokens: &[u32], layout: &Layout) -> Result<Value> {
        let config = &self.policy.config;
        let positions = self.positions(tokens, layout)?;
        let mut x = kernels::embedding(&self.weight("model.embed_tokens.weight")?, tokens)?;
        let recompute = self.differentiable && self.policy.recomputes(tokens.len())?;
        for layer in 0..config.num_hidden_layers {
            x = if recompute { self.recomputed(&x, layer, &positions)? } else { self.layer(&x, layer, &positions)? };
        }
        self.norm(&x, "model.norm")
    }

    fn layer(&self, x: &Value, layer: usize, positions: &Arc<Positions>) -> Result<Value> {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let normed = self.norm(x, &name("input_layernorm"))?;
        let x = kernels::add(x, &self.attention(&normed, &name("self_attn"), positions)?)?;
        let normed = self.norm(&x, &name("post_attention_layernorm"))?;
        kernels::add(&x, &self.feed_forward(&normed, &name("mlp"))?)
    }

    /// A layer of which only the input is kept for the backward pass.
    fn recomputed(&self, x: &Value, layer: usize, positions: &Arc<Positions>) -> Result<Value> {
        let beginning = format!("model.layers.{layer}.");
        let of_layer = self.policy.variables.iter().filter(|(name, _)| name.starts_with(&beginning));
        let variables: Vec<(&str, Value)> =
            of_layer.map(|(name, variable)| (name.as_str(), Value::variable(name, variable))).collect();
        let (policy, positions) = (self.policy.clone(), positions.clone());
        kernels::recomputed(x, &variables, move |x| policy.pass(true).layer(x, layer, &positions))
    }

    fn attention(&self, x: &Value, name: &str, positions: &Arc<Positions>) -> Result<Value> {
        let config = &self.policy.config;
        let heads = config.heads();
        let mut qkv = self.linear(x, name, &["q_proj", "k_proj", "v_proj"], config.has_query_bias())?;
        if config.family.has_head_norm() {
            let query = self.weight(&format!("{name}.q_norm.weight"))?;
            let key = self.weight(&format!("{name}.k_norm.weight"))?;
            qkv = kernels::rms_norm_heads(&qkv, &[(&query, heads.query), (&key, heads.key)], config.rms_norm_eps)?;
        }
        let mixed = kernels::attention(&qkv, heads, positions)?;
        self.linear(&mixed, name, &["o_proj"], config.attention_bias)
    }

    fn feed_forward(&self, x: &Value, name: &str) -> Result<Value> {
        let gate_up = self.linear(x, name, &["gate_proj", "up_proj"], false)?;
        self.linear(&kernels::swiglu(&gate_up)?, name, &["down_proj"], false)
    }

    /// Several layers of one block with their adapters, applied side by side.
    fn linear(&self, x: &Value, block: &str, layers: &[&str], has_bias: bool) -> Result<Value> {
        let all = |kind: &str| -> Result<Vec<Value>> {
            layers.iter().map(|layer| self.weight(&format!("{block}.{layer}.{kind}"))).collect()
        };
        let weights = all("weight")?;
        let biases = if has_bias { all("bias")? } else { Vec::new() };
        let (all, biases): (Vec<&Value>, Vec<&Value>) = (weights.iter().collect(), biases.iter().collect());
        let outputs = kernels::linear(x, &all, &biases, self.policy.precision)?;
        let Some(lora) = &self.policy.lora else { return Ok(outputs) };
        let (mut adapters, mut column) = (Vec::new(), 0);
        for (layer, weight) in layers.iter().zip(&weights) {
            if let Some(adapter) = lora.get(&format!("{block}.{layer}")) {
                let [a, b] = ["lora_A", "lora_B"].map(|part| self.weight(&format!("{block}.{layer}.{part}.weight")));
                adapters.push(LowRank { column, a: a?, b: b?, scale: adapter.scale() });
            }
            column += weight.tensor().dim(0)?;
        }
        match adapters.is_empty() {
            true => Ok(outputs),
            false => kernels::low_rank(&outputs, x, &adapters, self.policy.precision),
        }
    }

    fn norm(&self, x: &Value, name: &str) -> Result<Value> {
        kernels::rms_norm(x, &self.weight(&format!("{name}.weight"))?, self.policy.config.rms_norm_eps)
    }

    fn weight(&self, name: &str) -> Result<Value> {
        match (self.policy.variables.get(name), self.policy.frozen.get(name)) {
            (Some(variable), _) if self.differentiable => Ok(Value::variable(name, variable)),
            (Some(variable), _) => Ok(Value::constant(variable.as_detached_tensor())),
            (None, Some(frozen)) => Ok(Value::constant(frozen.clone())),
            (None, None) => {
                let remedy = "make policies with Policy::new, which checks their weights";
                Err(Error::invalid("policy", format!("{name} is missing"), remedy))
            }
        }
    }

    fn positions(&self, tokens: &[u32], layout: &Layout) -> Result<Arc<Positions>> {
        let refuse = |found: String, remedy: &str| Err(Error::invalid("packed sequences", found, remedy));
        if layout.rows() != tokens.len() {
            let found = format!("a layout of {} rows for {} tokens", layout.rows(), tokens.len());
            return refuse(found, "give one row per token");
        }
        let (config, longest) = (&self.policy.config, layout.longest());
        if longest > config.longest_sequence() {
            let found = format!("a sequence of {longest} tokens for {} positions", config.longest_sequence());
            return refuse(found, "shorten it, or take a model with more max_position_embeddings and sliding_window");
        }
        Ok(Arc::new(Positions::new(layout.clone(), config.rotary())))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kernels::RopeScaling;
    use crate::kernels::rotary::tests::YARN;
    use crate::kernels::testing::random;
    use crate::policy::Family;
    use crate::policy::config::tests::tiny;

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

    pub(crate) fn batch() -> Packed {
        let mut batch = Packed::default();
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
        assert!(exact.iter().zip(&rounded).all(|(a, b)| (a - b).abs() < 0.1) && exact != rounded);
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
