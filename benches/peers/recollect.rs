//! Our side of the comparison with peers: `recollect-side FIGURE`, where `compare.py` lists the figures. It prepares
//! and warms up, says `ready`, measures once for every line that it reads and answers with the seconds; at the end of
//! its input it says how much memory it held at most, in MiB.

use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Arc;
use std::time::Instant;

use recollect::exchange::WorkerPool;
use recollect::kernels::{self, Precision};
use recollect::knowledge::curriculum::TrainingSequence;
use recollect::learner::policy_gradient::{self, Sampled};
use recollect::learner::{Algorithm, Optimizer, OptimizerConfig, supervised};
use recollect::policy::{Family, InitConfig, ModelConfig, Policy};
use recollect::rollout::{Request, SamplingParams, slots};
use recollect::telemetry::machine;
use recollect::{Error, Result};

const WORKERS: usize = 2;
const LEARNING_RATE: f64 = 1e-4;

/// No token ends a completion: all are of one length.
const NEVER: u32 = u32::MAX;

#[global_allocator]
static ALLOCATOR: kernels::Allocator = kernels::Allocator;

fn main() -> Result<()> {
    kernels::keep_freed_memory();
    let figure = std::env::args().nth(1).unwrap_or_default();
    match figure.as_str() {
        "train-quickstart-f32" => training(quickstart(), 32, Precision::F32),
        "train-quickstart-bf16" => training(quickstart(), 32, Precision::Bf16),
        "train-4m-f32" => training(four_million(), 32, Precision::F32),
        "train-4m-bf16" => training(four_million(), 32, Precision::Bf16),
        "train-135m-f32" => training(smollm2(), 8, Precision::F32),
        "decode-quickstart" => decoding(quickstart(), 64, 128),
        "decode-4m" => decoding(four_million(), 64, 128),
        "decode-135m-16" => decoding(smollm2(), 16, 64),
        "decode-135m-64" => decoding(smollm2(), 64, 64),
        "grpo-0.85m-f32" => reinforcement(one_million(), 46, Precision::F32),
        "grpo-0.85m-bf16" => reinforcement(one_million(), 46, Precision::Bf16),
        "grpo-135m-f32" => reinforcement(smollm2(), 96, Precision::F32),
        _ => Err(Error::invalid("figure", figure, "one of those in compare.py")),
    }
}

/// The shape of `configs/quickstart.toml`.
fn quickstart() -> ModelConfig {
    ModelConfig {
        family: Family::Qwen2,
        vocab_size: 1060,
        hidden_size: 128,
        intermediate_size: 256,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        head_dim: 32,
        rms_norm_eps: 1e-6,
        rope_theta: 1e5,
        rope_scaling: None,
        max_position_embeddings: 512,
        sliding_window: None,
        attention_bias: false,
        tie_word_embeddings: true,
    }
}

/// 4.26 million parameters.
fn four_million() -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: 2048,
        hidden_size: 256,
        intermediate_size: 704,
        num_hidden_layers: 4,
        head_dim: 64,
        tie_word_embeddings: false,
        ..quickstart()
    }
}

/// SmolLM2-135M.
fn smollm2() -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: 49152,
        hidden_size: 576,
        intermediate_size: 1536,
        num_hidden_layers: 30,
        num_attention_heads: 9,
        num_key_value_heads: 3,
        head_dim: 64,
        ..quickstart()
    }
}

/// 0.85 million parameters.
fn one_million() -> ModelConfig {
    ModelConfig {
        family: Family::Qwen3,
        vocab_size: 512,
        intermediate_size: 336,
        num_hidden_layers: 4,
        tie_word_embeddings: true,
        ..quickstart()
    }
}

/// One measurement for every line of the input.
fn answer(mut measure: impl FnMut() -> Result<()>) -> Result<()> {
    let say = |line: String| {
        writeln!(stdout(), "{line}").map_err(|source| Error::invalid("stdout", source.to_string(), "keep it open"))
    };
    say("ready".into())?;
    for _ in stdin().lock().lines() {
        let started = Instant::now();
        measure()?;
        say(started.elapsed().as_secs_f64().to_string())?;
    }
    say((machine::peak_resident().unwrap_or_default() >> 20).to_string())
}

fn policy(config: ModelConfig) -> Result<Policy> {
    Policy::initialise(Arc::new(config), &InitConfig { embedding_std: 0.02, matrix_gain: 0.5, structured: None }, 0)
}

fn optimizer() -> Optimizer {
    Optimizer::new(OptimizerConfig::default())
}

/// `count` rows of `length` token ids, the same on every side.
fn rows(config: &ModelConfig, count: usize, length: usize) -> Vec<Vec<u32>> {
    let token = |row: usize, at: usize| ((row * 7919 + at * 104_729) % config.vocab_size) as u32;
    (0..count).map(|row| (0..length).map(|at| token(row, at)).collect()).collect()
}

/// Forward, backward and AdamW on `batch` sequences of 128 tokens.
fn training(config: ModelConfig, batch: usize, precision: Precision) -> Result<()> {
    let lesson = |tokens: Vec<u32>| {
        let weights = (0..tokens.len()).map(|at| f32::from(u8::from(at > 0))).collect();
        TrainingSequence { tokens, weights }
    };
    let lessons: Vec<TrainingSequence> = rows(&config, batch, 128).into_iter().map(lesson).collect();
    let (policy, mut optimizer) = (policy(config)?.with_precision(precision), optimizer());
    let mut step = || supervised::fit(&policy, &mut optimizer, &lessons, LEARNING_RATE, WORKERS).map(drop);
    step()?;
    answer(step)
}

fn requests(prompts: &[Vec<u32>], samples: usize, max_new_tokens: usize, step: u64) -> Vec<Request> {
    let request = |(number, prompt): (usize, &Vec<u32>)| Request {
        prompt: prompt.clone(),
        samples,
        sampling: SamplingParams::at(1.0),
        max_new_tokens,
        stop: vec![NEVER],
        seed: 0,
        key: [step, number as u64],
    };
    prompts.iter().enumerate().map(request).collect()
}

/// `new` tokens after each of `batch` prompts of 16.
fn decoding(config: ModelConfig, batch: usize, new: usize) -> Result<()> {
    let requests = requests(&rows(&config, batch, 16), 1, new, 0);
    let mut pool = WorkerPool::start(WORKERS, &config, slots(&config), 16 + new)?;
    pool.publish(&policy(config)?.snapshot(0)?)?;
    let mut sample = || pool.generate(requests.clone()).map(drop);
    sample()?;
    answer(sample)
}

/// GRPO: 8 prompts of 24 tokens, groups of 8, completions of `new` tokens; the reward is the share of even tokens.
fn reinforcement(config: ModelConfig, new: usize, precision: Precision) -> Result<()> {
    const PROMPT: usize = 24;
    const GROUP: usize = 8;
    let prompts = rows(&config, 8, PROMPT);
    let mut pool = WorkerPool::start(WORKERS, &config, slots(&config), PROMPT + new)?;
    let (policy, mut optimizer) = (policy(config)?.with_precision(precision), optimizer());
    let algorithm = Algorithm::grpo();
    let mut step = 0;
    answer(|| {
        pool.publish(&policy.snapshot(step)?)?;
        let completions = pool.generate(requests(&prompts, GROUP, new, step))?;
        pool.unload();
        step += 1;
        let even = |tokens: &[u32]| tokens.iter().filter(|token| *token % 2 == 0).count() as f64 / tokens.len() as f64;
        let scores: Vec<Option<f64>> = completions.iter().map(|completion| Some(even(&completion.tokens))).collect();
        let groups: Vec<Vec<Option<f64>>> = scores.chunks(GROUP).map(<[_]>::to_vec).collect();
        let advantages =
            algorithm.advantage.compute(&groups, algorithm.filter.tolerance).values.concat().into_iter().flatten();
        let sampled: Vec<Sampled> = completions
            .iter()
            .zip(advantages)
            .map(|(completion, advantage)| Sampled {
                prompt: &prompts[completion.request],
                tokens: &completion.tokens,
                sampler_logprobs: &completion.log_probs,
                sampling_mask: &completion.sampling_mask,
                old_logprobs: None,
                advantage,
                gae: None,
                kept: true,
            })
            .collect();
        let weights = policy_gradient::token_weights(&algorithm, &sampled, &|_| None, new);
        let learned = policy_gradient::gradients(&policy, None, &algorithm, &sampled, &weights, WORKERS)?;
        if let Some((gradients, _)) = learned {
            optimizer.step(&policy, &gradients, LEARNING_RATE, WORKERS)?;
        }
        Ok(())
    })
}
