//! AdamW over all variables of a policy, with the norm of the whole gradient clipped.

use std::collections::BTreeMap;

use crate::Result;
use crate::kernels::{AdamW, Gradients, Moments};
use crate::policy::Policy;

/// Constants of the optimizer that do not change during a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerConfig {
    pub beta1: f64,
    pub beta2: f64,
    /// Taken off matrices only; norms and biases keep their size.
    pub weight_decay: f64,
    /// Longest step that a gradient may make: longer ones are scaled down to this norm.
    pub max_gradient_norm: f64,
}

/// AdamW's state for one policy.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    moments: BTreeMap<String, Moments>,
    steps: u64,
}

impl Optimizer {
    pub fn new(config: OptimizerConfig) -> Self {
        Self { config, moments: BTreeMap::new(), steps: 0 }
    }

    /// One step against the gradient; gives its norm before clipping. A gradient that is not finite changes
    /// nothing, and its norm is given back for the caller to see.
    pub fn step(&mut self, policy: &Policy, gradients: &Gradients, learning_rate: f64) -> Result<f64> {
        let norm = gradients.norm()?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        self.steps += 1;
        let scale = (self.config.max_gradient_norm / norm).min(1.0);
        for (name, variable) in &policy.variables {
            let Some(gradient) = gradients.get(name) else { continue };
            let is_matrix = variable.dims().len() > 1;
            let adamw = AdamW {
                learning_rate,
                beta1: self.config.beta1,
                beta2: self.config.beta2,
                epsilon: 1e-8,
                weight_decay: if is_matrix { self.config.weight_decay } else { 0.0 },
            };
            let length = variable.elem_count();
            let moments = self.moments.entry(name.clone()).or_insert_with(|| Moments::zeros(length));
            adamw.step_variable(variable, gradient, moments, self.steps, scale)?;
        }
        Ok(norm)
    }
}
