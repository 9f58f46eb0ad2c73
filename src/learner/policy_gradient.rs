//! The gradient of a step of reinforcement learning: sampled completions and their advantages in, gradient out.

use candle_core::{Device, Tensor};

use super::supervised::MICRO_BATCH;
use super::{Algorithm, Statistics, Tokens, parallel, policy_loss};
use crate::kernels::Gradients;
use crate::policy::{Packed, Policy};
use crate::{Error, Result};

/// One completion to learn from.
#[derive(Clone, Copy, Debug)]
pub struct Sampled<'a> {
    pub prompt: &'a [u32],
    /// Sampled token ids.
    pub tokens: &'a [u32],
    /// Log-probability of each token when it was sampled.
    pub log_probs: &'a [f32],
    pub advantage: f32,
}

/// What a step's gradient was made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Learned {
    pub loss: f64,
    /// Over the tokens that were learned from.
    pub statistics: Statistics,
    /// Mean entropy of the policy at those tokens, in nats.
    pub entropy: f64,
    /// Tokens that went through the model.
    pub tokens: usize,
}

/// The gradient of the algorithm's loss over all completions of a step. Those of one prompt stand side by side: it is
/// read once for all of them that fit into a micro-batch. `trace_end` closes a chain of thought, and
/// `max_new_tokens` is the longest completion allowed. `reference` is the frozen policy that `algorithm.kl` holds to.
/// Completions without advantage count in the normaliser and cost nothing. `None` if no completion has any.
pub fn gradients(
    policy: &Policy,
    reference: Option<&Policy>,
    algorithm: &Algorithm,
    completions: &[Sampled],
    trace_end: u32,
    max_new_tokens: usize,
    workers: usize,
) -> Result<Option<(Gradients, Learned)>> {
    if algorithm.entropy != 0.0 || algorithm.inner_epochs != 1 {
        let found = "entropy or inner_epochs";
        return Err(Error::invalid("train.algorithm", found, "leave them at 0 and 1: this version has no more"));
    }
    let masks: Vec<Vec<bool>> = completions.iter().map(|c| algorithm.gradient_on.mask(c.tokens, trace_end)).collect();
    let weights = algorithm.aggregation.weigh(&masks, max_new_tokens);
    let mut packed = Packed::default();
    let (mut sampled, mut advantages) = (Vec::new(), Vec::new());
    let weighed: Vec<(&Sampled, &[f32])> = completions.iter().zip(weights.tokens.iter().map(Vec::as_slice)).collect();
    for group in weighed.chunk_by(|(a, _), (b, _)| a.prompt == b.prompt) {
        let telling = || group.iter().filter(|(completion, _)| completion.advantage != 0.0);
        if telling().next().is_some() {
            packed
                .push_group(group[0].0.prompt, telling().map(|(completion, weights)| (completion.tokens, *weights)))?;
        }
        for (completion, weights) in telling() {
            for (log_prob, _) in completion.log_probs.iter().zip(*weights).filter(|(_, weight)| **weight != 0.0) {
                sampled.push(*log_prob);
                advantages.push(completion.advantage);
            }
        }
    }
    if packed.rows.is_empty() {
        return Ok(None);
    }
    let mut row = 0;
    let parts: Vec<(Packed, &[f32], &[f32])> = packed
        .split(MICRO_BATCH)
        .into_iter()
        .map(|part| {
            let rows = row..row + part.rows.len();
            row = rows.end;
            (part, &sampled[rows.clone()], &advantages[rows])
        })
        .collect();
    let (gradients, learned) = parallel::gradients(&parts, workers, |(part, sampled, advantages)| {
        let log_probs = policy.log_probs(part)?;
        let entropy: f64 = log_probs.entropy.iter().map(|e| f64::from(*e)).sum();
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu);
        let (sampled, advantage, weight) = (tensor(sampled)?, tensor(advantages)?, tensor(&part.weights)?);
        let held = match reference {
            Some(reference) if algorithm.kl != 0.0 => Some(reference.score(part)?.log_prob),
            _ => None,
        };
        let mut statistics = Statistics::default();
        let (loss, gradients) = log_probs.backward(|log_prob| {
            let tokens = Tokens {
                log_prob,
                sampled: &sampled,
                advantage: &advantage,
                weight: &weight,
                reference: held.as_ref(),
                entropy: None,
            };
            let loss = policy_loss(algorithm, &tokens, weights.normaliser)?;
            statistics = loss.statistics;
            Ok(loss.value)
        })?;
        Ok((gradients, Learned { loss, statistics, entropy, tokens: part.tokens.len() }))
    })?;
    let mut sum = Learned::default();
    for part in learned {
        sum.loss += part.loss;
        sum.statistics += part.statistics;
        sum.entropy += part.entropy;
        sum.tokens += part.tokens;
    }
    sum.entropy /= packed.rows.len() as f64;
    Ok(Some((gradients, sum)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Family;
    use crate::policy::config::tests::tiny;
    use crate::policy::model::tests::random_policy;

    #[test]
    fn a_prompt_that_is_read_once_gives_the_gradient_of_one_that_is_read_for_each_completion() {
        let policy = random_policy(&tiny(Family::Qwen3, true), 3);
        let prompts: [&[u32]; 3] = [&[1, 5, 9, 2], &[4], &[7, 7, 3]];
        let token = |i: usize| (i as u32 * 5 + 2) % 23;
        let completions: Vec<Vec<u32>> = (0..15).map(|i| (0..1 + i % 5).map(|j| token(i * 7 + j)).collect()).collect();
        let log_probs: Vec<Vec<f32>> = completions.iter().map(|tokens| vec![-2.5; tokens.len()]).collect();
        let sampled = |i: usize| Sampled {
            prompt: prompts[i % 3],
            tokens: &completions[i],
            log_probs: &log_probs[i],
            advantage: [0.7, -0.4, 0.0, 1.3][i % 4],
        };
        // Side by side a prompt's completions share it; apart they do not.
        let mut beside: Vec<Sampled> = (0..15).map(sampled).collect();
        let run = |completions: &[Sampled]| {
            let learned = gradients(&policy, None, &Algorithm::grpo(), completions, 99, 8, 2).unwrap();
            learned.unwrap()
        };
        let (apart, whole) = run(&beside);
        beside.sort_by_key(|completion| completion.prompt);
        let (shared, learned) = run(&beside);
        // Eleven completions tell something; of the prompts' inputs each has its last token and, once, the others.
        let own: usize = beside.iter().filter(|c| c.advantage != 0.0).map(|c| c.tokens.len()).sum();
        assert_eq!((whole.tokens - own, learned.tokens - own), (18, 5));
        assert!((whole.loss - learned.loss).abs() < 1e-6);
        for (name, gradient) in shared.iter() {
            let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let (a, b) = (values(gradient), values(apart.get(name).unwrap()));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
        }
    }
}
