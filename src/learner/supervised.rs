//! Maximum likelihood: the weighted mean of `-log p(token)` over the words of lessons.

use super::{Optimizer, parallel};
use crate::Result;
use crate::kernels::Gradients;
use crate::knowledge::curriculum::TrainingSequence;
use crate::policy::{PackedBatch, Policy};

/// Tokens in one micro-batch: small enough to stay in a core's cache, large enough to fill its products.
pub const MICRO_BATCH: usize = 1024;

/// What one step did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fit {
    /// Weighted mean of `-log p` in nats.
    pub loss: f64,
    /// Tokens that went through the model.
    pub tokens: usize,
    pub gradient_norm: f64,
}

/// The gradient of `scale * (sum of w * -log p) / normaliser` over the lessons, and the loss (unscaled). The
/// normaliser is the sum of all weights, so that neither packing nor who works on which part matters.
pub fn gradients(
    policy: &Policy,
    lessons: &[TrainingSequence],
    scale: f64,
    workers: usize,
) -> Result<(Gradients, Fit)> {
    let mut packed = PackedBatch::default();
    for lesson in lessons {
        packed.push(&lesson.tokens, &lesson.weights)?;
    }
    let normaliser: f64 = packed.weights.iter().map(|w| f64::from(*w)).sum();
    let parts = packed.split(policy.micro_batch(MICRO_BATCH));
    let (sum, losses) = parallel::gradients(&parts, policy.workers(workers), |part| {
        let log_probs = policy.log_probs(part)?;
        let values = log_probs.log_prob.to_vec1::<f32>()?;
        let loss: f64 = values.iter().zip(&part.weights).map(|(l, w)| -f64::from(l * w) / normaliser).sum();
        let slope = part.weights.iter().map(|w| (-f64::from(*w) * scale / normaliser) as f32).collect();
        Ok((log_probs.backward_from(slope)?, loss))
    })?;
    Ok((sum, Fit { loss: losses.iter().sum(), tokens: packed.tokens.len(), gradient_norm: 0.0 }))
}

/// One optimizer step on lessons.
pub fn fit(
    policy: &Policy,
    optimizer: &mut Optimizer,
    lessons: &[TrainingSequence],
    learning_rate: f64,
    workers: usize,
) -> Result<Fit> {
    let (gradients, fit) = gradients(policy, lessons, 1.0, workers)?;
    let gradient_norm = optimizer.step(policy, &gradients, learning_rate, workers)?;
    Ok(Fit { gradient_norm, ..fit })
}
