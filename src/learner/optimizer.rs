//! AdamW over all variables of a policy, with the norm of the whole gradient clipped; and its learning rate over a run.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Tensor, Var};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::parallel;
use crate::kernels::{AdamW, Gradients, Moments, State, squares};
use crate::policy::{Policy, value_head};
use crate::text::excerpt;
use crate::{Error, Result, files};

/// Constants of the optimizer that do not change during a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerConfig {
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Taken off matrices only; norms and biases keep their size.
    pub weight_decay: f64,
    /// Longest step that a gradient may make: longer ones are scaled down to this norm.
    pub max_gradient_norm: f64,
}

impl Default for OptimizerConfig {
    /// What reinforcement learning takes unless told.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.01, max_gradient_norm: 1.0 }
    }
}

/// AdamW's state for one policy.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    moments: BTreeMap<String, State>,
    steps: u64,
    scales: Scales,
}

/// Learning rates of some variables, as shares of that of all others: by the beginning of their names, the longest
/// that fits.
pub type Scales = BTreeMap<String, f64>;

impl Optimizer {
    pub fn new(config: OptimizerConfig) -> Self {
        Self { config, moments: BTreeMap::new(), steps: 0, scales: Scales::new() }
    }

    /// The same with other learning rates for some variables.
    pub fn with_scales(self, scales: &Scales) -> Self {
        Self { scales: scales.clone(), ..self }
    }

    /// One step against the gradient, shared out among threads; gives its norm before clipping. A gradient
    /// that is not finite changes nothing, and its norm is given back for the caller to see. The gradient of a value head
    /// is clipped by itself and has no part in the norm, unless it is not finite: how wrong the head is must not decide
    /// how far the policy goes.
    pub fn step(&mut self, policy: &Policy, gradients: &Gradients, learning_rate: f64, workers: usize) -> Result<f64> {
        let workers = policy.workers(workers);
        let squares = squares(&gradients.iter().map(|(_, gradient)| gradient).collect::<Vec<_>>(), workers)?;
        let of_head: Vec<bool> = gradients.iter().map(|(name, _)| name.starts_with(value_head::PREFIX)).collect();
        let norm_of = |head: bool| {
            let squares = squares.iter().zip(&of_head).filter(|(_, of_head)| **of_head == head);
            squares.map(|(square, _)| square).sum::<f64>().sqrt()
        };
        let (norm, head_norm) = (norm_of(false), norm_of(true));
        if !(norm.is_finite() && head_norm.is_finite()) {
            return Ok(norm + head_norm);
        }
        let Self { config, moments, steps, scales } = self;
        *steps += 1;
        for (name, gradient) in gradients.iter() {
            let numbers = gradient.elem_count();
            let state = moments.entry(name.to_owned()).or_insert_with(|| State::zeros(numbers));
            if state.numbers() != 2 * numbers {
                let found =
                    format!("the moments of {name} have {} numbers, its gradient {numbers}", state.numbers() / 2);
                return Err(Error::invalid(
                    "optimizer",
                    found,
                    "they are another model's: begin without this checkpoint",
                ));
            }
        }
        let clip_to = |norm: f64| (config.max_gradient_norm / norm).min(1.0);
        let updates = moments
            .iter_mut()
            .filter_map(|(name, moments)| Some((name, policy.variable(name)?, gradients.get(name)?, moments)));
        let (large, small): (Vec<_>, Vec<_>) = updates.partition(|(_, variable, ..)| AdamW::is_split(variable));
        let update = |threads: usize, (name, variable, gradient, moments): (&String, &Var, &Tensor, &mut State)| {
            let is_matrix = variable.dims().len() > 1;
            let adamw = AdamW {
                learning_rate: learning_rate * scale(scales, name),
                beta1: config.beta1,
                beta2: config.beta2,
                epsilon: config.epsilon,
                weight_decay: if is_matrix { config.weight_decay } else { 0.0 },
            };
            let norm = if name.starts_with(value_head::PREFIX) { head_norm } else { norm };
            adamw.step_variable(variable, gradient, moments, *steps, clip_to(norm), threads)
        };
        large.into_iter().try_for_each(|one| update(workers, one))?;
        parallel::each(small, workers, |one| update(1, one))?;
        Ok(norm)
    }

    /// Bytes of the moments.
    pub fn size(&self) -> u64 {
        let numbers: usize = self.moments.values().map(State::numbers).sum();
        (numbers * size_of::<f32>()) as u64
    }

    /// Writes moments and step count to a safetensors file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
        let mut all: Vec<(String, Vec<u8>)> = Vec::with_capacity(2 * self.moments.len());
        for (name, state) in &self.moments {
            let Moments { first, second } = state.moments()?;
            all.extend([(format!("{name}.first"), bytes(&first)), (format!("{name}.second"), bytes(&second))]);
        }
        let broken = |error: safetensors::SafeTensorError| {
            Error::invalid(path.display().to_string(), error.to_string(), "the optimizer's state cannot be written")
        };
        let mut views = Vec::with_capacity(all.len());
        for (name, bytes) in &all {
            views.push((name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).map_err(broken)?));
        }
        let metadata = HashMap::from([("steps".to_string(), self.steps.to_string())]);
        files::write_atomic(path, &safetensors::serialize(views, Some(metadata)).map_err(broken)?)
    }

    /// Reads what [`Optimizer::save`] wrote.
    pub fn load(path: &Path, config: OptimizerConfig) -> Result<Self> {
        let bytes = files::read_bytes(path)?;
        let broken = |found: String| {
            Error::invalid(
                path.display().to_string(),
                found,
                "remove this checkpoint; training goes on from the one before",
            )
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
        let steps = metadata.metadata().as_ref().and_then(|m| m.get("steps")?.parse().ok());
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| broken(error.to_string()))?;
        let values = |data: &[u8]| -> Vec<f32> { data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect() };
        let mut optimizer = Self::new(config);
        optimizer.steps = steps.ok_or_else(|| broken("no count of steps".into()))?;
        for (name, view) in tensors.iter() {
            let Some(variable) = name.strip_suffix(".first") else { continue };
            let second = tensors.tensor(&format!("{variable}.second")).map_err(|error| broken(error.to_string()))?;
            if [&view, &second].iter().any(|one| one.dtype() != Dtype::F32) || view.shape() != second.shape() {
                return Err(broken(format!("the moments of {} are not f32, or of two shapes", excerpt(variable))));
            }
            let moments = Moments { first: values(view.data()), second: values(second.data()) };
            optimizer.moments.insert(variable.to_string(), State::Host(moments));
        }
        Ok(optimizer)
    }
}

/// The share of the learning rate that a variable gets.
fn scale(scales: &Scales, name: &str) -> f64 {
    let fitting = scales.iter().filter(|(beginning, _)| name.starts_with(beginning.as_str()));
    fitting.max_by_key(|(beginning, _)| beginning.len()).map_or(1.0, |(_, scale)| *scale)
}

/// Rises linearly to the peak, stays, and falls linearly towards zero. All counts are optimizer steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub peak: f64,
    /// Steps of the rise; the first of them is taken at `peak / warmup`.
    pub warmup: usize,
    /// Steps of the fall, at the end of the run; the last of them is taken at `peak / (decay + 1)`.
    pub decay: usize,
    /// Steps of the run.
    pub total: usize,
}

impl Schedule {
    /// The schedule of a run that falls over its last share of the steps.
    pub fn over(total: usize, peak: f64, warmup: usize, decay_share: f64) -> Schedule {
        Schedule { peak, warmup, decay: (decay_share * total as f64) as usize, total }
    }

    /// The rate of a step, `0..total`; zero beyond.
    pub fn rate(&self, step: usize) -> f64 {
        let rise = (step + 1) as f64 / self.warmup.max(1) as f64;
        let fall = self.total.saturating_sub(step) as f64 / (self.decay + 1) as f64;
        self.peak * rise.min(fall).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_stays_and_falls() {
        let rates = |peak, warmup, decay, total| {
            let schedule = Schedule { peak, warmup, decay, total };
            (0..total + 1).map(|step| schedule.rate(step)).collect::<Vec<f64>>()
        };
        assert_eq!(rates(8.0, 4, 3, 10), [2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0, 6.0, 4.0, 2.0, 0.0]);
        assert_eq!(rates(0.5, 0, 0, 3), [0.5, 0.5, 0.5, 0.0], "without rise and fall");
        assert_eq!(rates(1.0, 4, 3, 4), [0.25, 0.5, 0.5, 0.25, 0.0], "they meet below the peak");
    }
}
