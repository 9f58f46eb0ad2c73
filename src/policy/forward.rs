//! The forward pass of the learner: token ids to hidden states and log-probabilities, with gradients.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};

use super::architecture::{Architecture, ForwardPass, FusedLinear, WeightSpec};
use super::{PackedBatch, Policy};
use crate::kernels::{self, Gradients, Layout, LowRank, Positions, Value};
use crate::{Error, Result};

/// Logits that are held at once where all of them are wanted (16 MB).
const LOGITS_AT_ONCE: usize = 1 << 22;

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
    /// Log-probabilities that a loss can be differentiated by.
    pub fn log_probs(&self, batch: &PackedBatch) -> Result<LogProbs> {
        self.pass(true).log_probs(batch, false)
    }

    /// The same with the values that the value head reads off the same states.
    pub fn log_probs_and_values(&self, batch: &PackedBatch) -> Result<LogProbs> {
        self.pass(true).log_probs(batch, true)
    }

    /// The values alone, `[rows]`, on the host and without the way back.
    pub fn values(&self, batch: &PackedBatch) -> Result<Tensor> {
        let pass = self.pass(false);
        let values = pass.values(&pass.hidden(&batch.tokens, &batch.layout)?, &batch.rows)?;
        Ok(values.tensor().to_device(&Device::Cpu)?)
    }

    /// The same numbers without the way back: keeps no activations.
    pub fn score(&self, batch: &PackedBatch) -> Result<LogProbs> {
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
        let logits = kernels::linear(&hidden, &[&pass.head()?], &[], self.precision)?;
        Ok(logits.tensor().to_dtype(DType::F32)?)
    }

    /// For each token of a text but the first, its log-probability after those before it, and those of the `count` likeliest in
    /// its place, falling. Logits are held for a few tokens at a time.
    ///
    /// # Errors
    ///
    /// More tokens than the model has positions.
    pub fn likeliest(&self, tokens: &[u32], count: usize) -> Result<Vec<Vec<(u32, f32)>>> {
        let pass = self.pass(false);
        let states = pass.hidden(tokens, &[tokens.len()].into_iter().collect())?.tensor().clone();
        let head = pass.head()?;
        let rows = (LOGITS_AT_ONCE / self.config.vocab_size).max(1);
        let mut all = Vec::with_capacity(tokens.len());
        for start in (0..tokens.len().saturating_sub(1)).step_by(rows) {
            let length = rows.min(tokens.len() - 1 - start);
            let some = Value::constant(states.narrow(0, start, length)?.contiguous()?);
            let logits = kernels::linear(&some, &[&head], &[], self.precision)?;
            let logits = logits.tensor().to_dtype(DType::F32)?.to_vec2::<f32>()?;
            let targets = &tokens[start + 1..];
            all.extend(logits.iter().zip(targets).map(|(row, token)| kernels::log_prob::likeliest(row, *token, count)));
        }
        Ok(all)
    }

    fn pass(&self, differentiable: bool) -> LearnerPass<'_> {
        LearnerPass::new(self, differentiable)
    }
}

/// One forward pass.
pub(super) struct LearnerPass<'a> {
    policy: &'a Policy,
    architecture: Architecture,
    differentiable: bool,
}

impl<'a> LearnerPass<'a> {
    pub(super) fn new(policy: &'a Policy, differentiable: bool) -> LearnerPass<'a> {
        LearnerPass { policy, architecture: policy.config.architecture(), differentiable }
    }

    pub(super) fn log_probs(&self, batch: &PackedBatch, with_values: bool) -> Result<LogProbs> {
        let mut hidden = self.hidden(&batch.tokens, &batch.layout)?;
        let of_head = with_values.then(|| self.values(&hidden, &batch.rows)).transpose()?;
        if self.policy.temperature != 1.0 {
            // The head is linear: states divided by the temperature have logits divided by it.
            hidden = kernels::scale(&hidden, 1.0 / self.policy.temperature)?;
        }
        let value = kernels::log_prob(&hidden, &self.head()?, batch.predicted(), self.policy.precision)?;
        let values = of_head.as_ref().map(|values| values.tensor().to_device(&Device::Cpu)).transpose()?;
        let both = value.tensor().to_device(&Device::Cpu)?;
        Ok(LogProbs { log_prob: both.get(0)?, entropy: both.get(1)?, values, value, of_head })
    }

    /// What the value head expects at these rows.
    pub(super) fn values(&self, hidden: &Value, rows: &[u32]) -> Result<Value> {
        let Some(head) = &self.policy.value_head else {
            let remedy = "give it one with Policy::with_value_head";
            return Err(Error::invalid("policy", "it has no value head", remedy));
        };
        let states = if head.trunk { hidden.clone() } else { Value::constant(hidden.tensor().clone()) };
        let [weight, bias] = head.variables().map(|(name, variable)| {
            if self.differentiable {
                Value::variable(name, variable)
            } else {
                Value::constant(variable.as_detached_tensor())
            }
        });
        kernels::scalar_head(&states, &weight, &bias, rows)
    }

    /// States after the final norm.
    pub(super) fn hidden(&self, tokens: &[u32], layout: &Layout) -> Result<Value> {
        let positions = self.positions(tokens, layout)?;
        let mut x = kernels::embedding(&self.weight(&self.architecture.embedding.name)?, tokens)?;
        let recompute = self.differentiable && self.policy.recomputes(tokens.len())?;
        for layer in 0..self.architecture.layers.len() {
            x = if recompute { self.recomputed(&x, layer, &positions)? } else { self.layer(&x, layer, &positions)? };
        }
        self.norm(&x, &self.architecture.norm)
    }

    /// The output layer.
    pub(super) fn head(&self) -> Result<Value> {
        self.weight(&self.architecture.head.name)
    }

    fn layer(&self, x: &Value, layer: usize, positions: &Arc<Positions>) -> Result<Value> {
        let mut state = LayerState { pass: self, positions, residual: x.clone(), activations: x.clone() };
        self.architecture.layers[layer].forward(layer, &mut state)?;
        Ok(state.residual)
    }

    /// A layer of which only the input is kept for the backward pass.
    fn recomputed(&self, x: &Value, layer: usize, positions: &Arc<Positions>) -> Result<Value> {
        let beginning = format!("model.layers.{layer}.");
        let of_layer = self.policy.variables.iter().filter(|(name, _)| name.starts_with(&beginning));
        let variables: Vec<(&str, Value)> =
            of_layer.map(|(name, variable)| (name.as_str(), Value::variable(name, variable))).collect();
        let (policy, positions) = (self.policy.clone(), positions.clone());
        kernels::recomputed(x, &variables, move |x| LearnerPass::new(&policy, true).layer(x, layer, &positions))
    }

    fn norm(&self, x: &Value, norm: &WeightSpec) -> Result<Value> {
        kernels::rms_norm(x, &self.weight(&norm.name)?, self.policy.config.rms_norm_eps)
    }

    /// Several layers with their adapters, applied side by side.
    fn linear(&self, x: &Value, layers: &FusedLinear) -> Result<Value> {
        let all = |specs: &mut dyn Iterator<Item = WeightSpec>| -> Result<Vec<Value>> {
            specs.map(|spec| self.weight(&spec.name)).collect()
        };
        let (weights, biases) = (all(&mut layers.weights())?, all(&mut layers.biases())?);
        let (all, biases): (Vec<&Value>, Vec<&Value>) = (weights.iter().collect(), biases.iter().collect());
        let outputs = kernels::linear(x, &all, &biases, self.policy.precision)?;
        let adapters = self.policy.lora.iter().flat_map(|lora| lora.beside(layers)).map(|adapter| {
            let (a, b) = (self.weight(&adapter.a.name)?, self.weight(&adapter.b.name)?);
            Ok(LowRank { column: adapter.column, a, b, scale: adapter.scale })
        });
        let adapters = adapters.collect::<Result<Vec<LowRank>>>()?;
        if adapters.is_empty() { Ok(outputs) } else { kernels::low_rank(&outputs, x, &adapters, self.policy.precision) }
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

/// How far a layer has come.
struct LayerState<'a> {
    pass: &'a LearnerPass<'a>,
    positions: &'a Arc<Positions>,
    residual: Value,
    activations: Value,
}

impl ForwardPass for LayerState<'_> {
    type Linear = FusedLinear;
    type Norm = WeightSpec;

    fn norm(&mut self, norm: &WeightSpec) -> Result<()> {
        self.activations = self.pass.norm(&self.residual, norm)?;
        Ok(())
    }

    fn linear(&mut self, layers: &FusedLinear) -> Result<()> {
        self.activations = self.pass.linear(&self.activations, layers)?;
        Ok(())
    }

    fn add_linear(&mut self, layers: &FusedLinear) -> Result<()> {
        self.residual = kernels::add(&self.residual, &self.pass.linear(&self.activations, layers)?)?;
        Ok(())
    }

    fn attention(&mut self, _: usize, head_norms: Option<&[WeightSpec; 2]>) -> Result<()> {
        let config = &self.pass.policy.config;
        let heads = config.heads();
        if let Some([query, key]) = head_norms {
            let (query, key) = (self.pass.weight(&query.name)?, self.pass.weight(&key.name)?);
            let parts = [(&query, heads.query), (&key, heads.key)];
            self.activations = kernels::rms_norm_heads(&self.activations, &parts, config.rms_norm_eps)?;
        }
        self.activations = kernels::attention(&self.activations, heads, self.positions)?;
        Ok(())
    }

    fn swiglu(&mut self) -> Result<()> {
        self.activations = kernels::swiglu(&self.activations)?;
        Ok(())
    }
}
