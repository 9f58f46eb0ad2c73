//! How fast a model samples and learns on this machine: measured, on as little as says something.

use std::time::{Duration, Instant};

use candle_core::Device;

use crate::Result;
use crate::exchange::WorkerPool;
use crate::knowledge::curriculum::TrainingSequence;
use crate::learner::{Optimizer, OptimizerConfig, supervised};
use crate::policy::{LoraConfig, Policy};
use crate::rollout::{Request, SamplingParams, slots};

/// A measurement that took so long says enough.
const ENOUGH: Duration = Duration::from_millis(1500);
/// Tokens of the first try, and of the last.
const TOKENS: [usize; 2] = [32, 4096];
/// Of a completion, where the model has positions for as many.
const COMPLETION: usize = 64;
const PROMPT: usize = 32;

/// Tokens a second, all workers together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Sampled tokens, prompts not counted.
    pub sampling: f64,
    /// Tokens that go forward, backward and into AdamW when all weights are trained; none where that does not fit into
    /// memory.
    pub full: Option<f64>,
    /// The same with adapters.
    pub adapters: f64,
}

/// Measures a policy on a device with so many workers; `fits` says whether training all weights
/// does. `begin` is told of each part before it is measured.
///
/// # Errors
///
/// Whatever sampling and learning fail with.
pub fn measure(
    policy: &Policy,
    device: &Device,
    workers: usize,
    fits: bool,
    begin: &mut dyn FnMut(&str),
) -> Result<Speed> {
    begin("speed of sampling");
    let sampling = sampling(&policy.on(device)?, workers)?;
    begin("speed of training adapters");
    let adapters = learning(&policy.clone().with_lora(&LoraConfig::default(), 0)?.on(device)?, workers)?;
    begin("speed of training all weights");
    // A copy, because it is changed.
    let full =
        fits.then(|| learning(&Policy::from_snapshot(&policy.snapshot(0)?)?.on(device)?, workers)).transpose()?;
    Ok(Speed { sampling, full, adapters })
}

/// Repeats something of growing size until it takes long enough, and gives the speed of the last.
fn rate(mut work: impl FnMut(usize) -> Result<usize>) -> Result<f64> {
    let [mut tokens, most] = TOKENS;
    loop {
        let began = Instant::now();
        let done = work(tokens)?;
        let took = began.elapsed();
        if took >= ENOUGH || tokens >= most {
            return Ok(done as f64 / took.as_secs_f64().max(1e-9));
        }
        tokens *= 4;
    }
}

fn sampling(policy: &Policy, workers: usize) -> Result<f64> {
    let longest = policy.config.longest_sequence();
    let (prompt, completion) = (PROMPT.min(longest / 2), COMPLETION.min(longest / 2).max(1));
    let mut pool = WorkerPool::for_policy(policy, workers, prompt + completion)?;
    pool.publish(&policy.snapshot(0)?)?;
    let (words, slots) = (policy.config.vocab_size, slots(&policy.config));
    rate(|tokens| {
        let new = (tokens / slots).clamp(1, completion);
        let request = |index: usize| Request {
            prompt: (0..prompt).map(|at| ((index * 97 + at * 31) % words) as u32).collect(),
            samples: slots,
            sampling: SamplingParams::at(1.0),
            max_new_tokens: new,
            // No token has this id: all completions are of one length.
            stop: vec![u32::MAX],
            seed: 0,
            key: [0, index as u64],
        };
        let groups = (tokens / (slots * new)).max(workers);
        pool.generate((0..groups).map(request).collect())?;
        Ok(groups * slots * new)
    })
}

fn learning(policy: &Policy, workers: usize) -> Result<f64> {
    let length = (PROMPT + COMPLETION).min(policy.config.longest_sequence());
    let mut optimizer = Optimizer::new(OptimizerConfig { weight_decay: 0.0, ..OptimizerConfig::default() });
    let words = policy.config.vocab_size;
    rate(|tokens| {
        let sequence = |index: usize| TrainingSequence {
            tokens: (0..length).map(|at| ((index * 89 + at * 37) % words) as u32).collect(),
            weights: vec![1.0; length],
        };
        let sequences: Vec<TrainingSequence> = (0..(tokens / length).max(workers)).map(sequence).collect();
        Ok(supervised::fit(policy, &mut optimizer, &sequences, 1e-6, workers)?.tokens)
    })
}
