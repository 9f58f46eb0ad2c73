//! Our side of the measurements on a card: `recollect-cuda check|decode|learn|grpo …`, one or more of them, which
//! `measure.py` runs. Every figure is one JSON object on a line of its own; `check` ends with an error where a card and
//! the processor disagree.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use recollect::exchange::WorkerPool;
use recollect::kernels::device::{peak_memory, reset_peak_memory};
use recollect::kernels::{self, DeviceChoice, Gradients, Precision};
use recollect::knowledge::curriculum::TrainingSequence;
use recollect::learner::policy_gradient::{self, Sampled};
use recollect::learner::{Algorithm, Optimizer, OptimizerConfig, supervised};
use recollect::policy::{Family, InitConfig, LoraConfig, ModelConfig, PackedBatch, Policy, Recompute};
use recollect::rollout::{CudaEngine, Engine, Request, SamplingParams, slots};
use recollect::{Error, Result};
use serde_json::json;

/// No token ends a completion: all are of one length.
const NEVER: u32 = u32::MAX;

/// Of decoding: so many completions at once, after prompts of 128 tokens.
const BATCHES: [usize; 4] = [1, 16, 64, 256];
const PROMPT: usize = 128;
const NEW: usize = 128;

/// Of learning: 16,384 tokens.
const SEQUENCES: usize = 32;
const LENGTH: usize = 512;

/// Of a GRPO step: 16 prompts of 128 tokens, 16 completions of 256 each.
const QUESTIONS: usize = 16;
const GROUP: usize = 16;
const COMPLETION: usize = 256;

#[global_allocator]
static ALLOCATOR: kernels::Allocator = kernels::Allocator;

fn main() -> ExitCode {
    kernels::keep_freed_memory();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let device = DeviceChoice::Cuda(0).open()?;
    // Making random weights takes longer than measuring what is done with them.
    let base = LazyCell::new(|| policy(qwen3()).map(|policy| policy.with_precision(Precision::Bf16)));
    let base = || base.as_ref().map_err(|error| Error::Refused(error.to_string()));
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() {
        return Err(usage("nothing"));
    }
    for word in &words {
        match word.as_str() {
            "check" => check(&device)?,
            "decode" => BATCHES.into_iter().try_for_each(|batch| decode(base()?, &device, batch))?,
            "learn" => {
                for (lora, recompute) in [(false, false), (false, true), (true, false), (true, true)] {
                    learn(base()?, &device, lora, recompute)?;
                }
            }
            "grpo" => [false, true].into_iter().try_for_each(|lora| grpo(base()?, &device, lora))?,
            other => return Err(usage(other)),
        }
    }
    Ok(())
}

fn usage(found: &str) -> Error {
    Error::invalid("arguments", format!("found {found}"), "allowed are check, decode, learn and grpo")
}

/// The shape of Qwen3-0.6B.
fn qwen3() -> ModelConfig {
    ModelConfig {
        family: Family::Qwen3,
        vocab_size: 151_936,
        hidden_size: 1024,
        intermediate_size: 3072,
        num_hidden_layers: 28,
        num_attention_heads: 16,
        num_key_value_heads: 8,
        head_dim: 128,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        rope_scaling: None,
        max_position_embeddings: 4096,
        sliding_window: None,
        attention_bias: false,
        tie_word_embeddings: true,
    }
}

fn policy(config: ModelConfig) -> Result<Policy> {
    Policy::initialise(Arc::new(config), &InitConfig { embedding_std: 0.02, matrix_gain: 0.5, structured: None }, 0)
}

/// A copy of the policy on the card, with adapters to be trained, or to be trained itself.
fn placed(base: &Policy, device: &Device, lora: bool) -> Result<Policy> {
    if lora { base.clone().with_lora(&LoraConfig::default(), 0)?.on(device) } else { base.on(device) }
}

fn optimizer() -> Optimizer {
    Optimizer::new(OptimizerConfig::default())
}

/// `count` rows of `length` token ids, the same on every side.
fn rows(vocabulary: usize, count: usize, length: usize) -> Vec<Vec<u32>> {
    let token = |row: usize, at: usize| ((row * 7919 + at * 104_729) % vocabulary) as u32;
    (0..count).map(|row| (0..length).map(|at| token(row, at)).collect()).collect()
}

fn requests(prompts: &[Vec<u32>], samples: usize, max_new_tokens: usize, temperature: f32, step: u64) -> Vec<Request> {
    let request = |(number, prompt): (usize, &Vec<u32>)| Request {
        prompt: prompt.clone(),
        samples,
        sampling: SamplingParams::at(temperature),
        max_new_tokens,
        stop: vec![NEVER],
        seed: 0,
        key: [step, number as u64],
    };
    prompts.iter().enumerate().map(request).collect()
}

/// Logits, log-probabilities and gradients of a card beside those of the processor, and completions.
fn check(device: &Device) -> Result<()> {
    let small = |family, hidden_size, head_dim, tied| ModelConfig {
        family,
        vocab_size: 1061,
        hidden_size,
        intermediate_size: 3 * hidden_size,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim,
        tie_word_embeddings: tied,
        ..qwen3()
    };
    let one_layer = ModelConfig { num_hidden_layers: 4, vocab_size: 4099, ..qwen3() };
    let shapes = [
        ("Llama, d 96", small(Family::Llama, 96, 20, false)),
        ("Qwen2, d 128", small(Family::Qwen2, 128, 32, true)),
        ("Qwen3, d 256", small(Family::Qwen3, 256, 64, true)),
        ("Qwen3-0.6B, 4 layers", one_layer),
    ];
    let mut wrong = 0;
    for (name, config) in shapes {
        let policy = policy(config)?;
        let batch = packed(&policy.config)?;
        let truth = results(&policy, &batch)?;
        for (precision, allowed) in [(Precision::F32, 1e-4), (Precision::Bf16, 2e-2)] {
            let on_card = policy.clone().with_precision(precision).on(device)?;
            let found = results(&on_card, &batch)?;
            let recomputed = results(&Policy { recompute: Recompute::Always, ..on_card.clone() }, &batch)?;
            let logits = apart(&found.logits, &truth.logits)?;
            let gradients = largest_gap(&found.gradients, &truth.gradients)?;
            let again = largest_gap(&recomputed.gradients, &found.gradients)?;
            let agreed = completions(&policy, &on_card)?;
            let right = logits < allowed && gradients.1 < allowed && again.1 == 0.0;
            wrong += usize::from(!right);
            say(&json!({
                "figure": "check", "model": name, "precision": precision, "logits": logits,
                "gradient": gradients.1, "of": gradients.0, "recomputed": again.1, "allowed": allowed,
                "same_tokens": agreed, "right": right,
            }));
        }
    }
    match wrong {
        0 => Ok(()),
        wrong => {
            Err(Error::Refused(format!("{wrong} comparisons of card and processor are further apart than allowed")))
        }
    }
}

/// Sequences alone, and prompts with their completions.
fn packed(config: &ModelConfig) -> Result<PackedBatch> {
    let mut batch = PackedBatch::default();
    for (tokens, length) in rows(config.vocab_size, 5, 160).iter().zip([1, 33, 160, 64, 7]) {
        batch.push(&tokens[..length], &vec![1.0; length])?;
    }
    for prompt in rows(config.vocab_size, 3, 40) {
        let completions = rows(config.vocab_size, 6, 70);
        let ones = [1.0; 70];
        let some = completions.iter().zip([70, 1, 22, 65, 0, 40]).map(|(tokens, n)| (&tokens[..n], &ones[..n]));
        batch.push_group(&prompt, some)?;
    }
    Ok(batch)
}

struct Results {
    logits: Tensor,
    gradients: Gradients,
}

fn results(policy: &Policy, batch: &PackedBatch) -> Result<Results> {
    let logits = policy.logits(&batch.tokens, &batch.layout)?;
    let slope = batch.weights.iter().zip(0..).map(|(w, i)| w * (i as f32 * 0.7).sin() / 100.0).collect();
    let gradients = policy.log_probs(batch)?.backward_from(slope)?;
    Ok(Results { logits: logits.to_device(&Device::Cpu)?, gradients })
}

/// The norm of the difference, relative to that of the truth.
fn apart(found: &Tensor, truth: &Tensor) -> Result<f64> {
    let flat =
        |tensor: &Tensor| -> Result<Vec<f32>> { Ok(tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?) };
    let (found, truth) = (flat(found)?, flat(truth)?);
    let square = |x: f32| f64::from(x) * f64::from(x);
    let far: f64 = found.iter().zip(&truth).map(|(a, b)| square(a - b)).sum();
    Ok((far / truth.iter().map(|x| square(*x)).sum::<f64>().max(1e-30)).sqrt())
}

/// The variable whose gradient is furthest off.
fn largest_gap(found: &Gradients, truth: &Gradients) -> Result<(String, f64)> {
    let mut largest = (String::new(), 0.0);
    for (name, gradient) in truth.iter() {
        let far = match found.get(name) {
            Some(found) => apart(found, gradient)?,
            None => f64::INFINITY,
        };
        if far > largest.1 || far.is_nan() {
            largest = (name.to_owned(), far);
        }
    }
    Ok(largest)
}

/// The share of sampled tokens that are the same up to the first difference of each completion.
fn completions(policy: &Policy, on_card: &Policy) -> Result<f64> {
    let requests = requests(&rows(policy.config.vocab_size, 12, 30), 3, 40, 1.0, 0);
    let mut engine = Engine::new(&policy.config, slots(&policy.config), 128)?;
    engine.load(&policy.snapshot(0)?)?;
    let truth = engine.generate(&requests)?;
    let mut engine = card_engine(on_card, 16, 128)?;
    engine.load(&on_card.snapshot(0)?)?;
    let found = engine.generate(&requests)?;
    let pairs = found.iter().zip(&truth);
    let same: usize = pairs.map(|(a, b)| a.tokens.iter().zip(&b.tokens).take_while(|(a, b)| a == b).count()).sum();
    Ok(same as f64 / truth.iter().map(|completion| completion.tokens.len()).sum::<usize>() as f64)
}

fn card_engine(policy: &Policy, slots: usize, max_tokens: usize) -> Result<CudaEngine> {
    CudaEngine::with_slots(policy, slots, max_tokens)?
        .ok_or_else(|| Error::invalid("policy", "not on a card", "this program needs one"))
}

/// `batch` completions of 128 tokens after prompts of 128, all at once.
fn decode(base: &Policy, device: &Device, batch: usize) -> Result<()> {
    let policy = placed(base, device, false)?;
    let requests = requests(&rows(policy.config.vocab_size, batch, PROMPT), 1, NEW, 1.0, 0);
    let mut engine = card_engine(&policy, batch, PROMPT + NEW)?;
    engine.load(&policy.snapshot(0)?)?;
    engine.generate(&requests)?;
    let seconds = median(3, || engine.generate(&requests).map(drop))?;
    say(&json!({ "figure": "decode", "batch": batch, "tokens_per_second": (batch * NEW) as f64 / seconds }));
    Ok(())
}

/// Forward, backward and AdamW on 32 sequences of 512 tokens.
fn learn(base: &Policy, device: &Device, lora: bool, recompute: bool) -> Result<()> {
    let recompute = if recompute { Recompute::Always } else { Recompute::Never };
    let policy = Policy { recompute, ..placed(base, device, lora)? };
    let lesson = |tokens: Vec<u32>| {
        let weights = (0..tokens.len()).map(|at| f32::from(u8::from(at > 0))).collect();
        TrainingSequence { tokens, weights }
    };
    let lessons: Vec<TrainingSequence> =
        rows(policy.config.vocab_size, SEQUENCES, LENGTH + 1).into_iter().map(lesson).collect();
    let mut optimizer = optimizer();
    let mut step = || -> Result<()> {
        supervised::fit(&policy, &mut optimizer, &lessons, 1e-5, 1)?;
        Ok(device.synchronize()?)
    };
    step()?;
    reset_peak_memory(device)?;
    let seconds = median(5, step)?;
    let tokens = (SEQUENCES * LENGTH) as f64;
    let flops = tokens * flops_per_token(&policy.config, lora);
    say(&json!({
        "figure": "learn", "adapters": lora, "recomputed": recompute == Recompute::Always,
        "tokens_per_second": tokens / seconds, "teraflops": flops / seconds / 1e12,
        "peak_gib": peak_memory(device)? as f64 / f64::from(1 << 30),
    }));
    Ok(())
}

/// Multiplications and additions for one token of 512: two for each weight of a product forward, two for the gradient
/// of its input, two for its own; and causal attention. Recomputation does not count.
fn flops_per_token(config: &ModelConfig, lora: bool) -> f64 {
    let vectors = |shape: &Vec<usize>| shape.len() < 2;
    let shapes: BTreeMap<String, Vec<usize>> = config.weight_shapes();
    let products: usize = shapes
        .iter()
        .filter(|(name, shape)| !vectors(shape) && (config.tie_word_embeddings || *name != "model.embed_tokens.weight"))
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum();
    let attention = config.num_hidden_layers * config.num_attention_heads * config.head_dim * LENGTH;
    let passes = if lora { 2.0 } else { 3.0 };
    2.0 * passes * products as f64 + 6.0 * attention as f64
}

/// Whole steps of GRPO; the reward is the share of even tokens.
fn grpo(base: &Policy, device: &Device, lora: bool) -> Result<()> {
    let policy = placed(base, device, lora)?;
    let prompts = rows(policy.config.vocab_size, QUESTIONS, PROMPT);
    let mut pool = WorkerPool::for_policy(&policy, 1, PROMPT + COMPLETION)?;
    let (mut optimizer, algorithm) = (optimizer(), Algorithm::grpo());
    let (mut step, mut sampling) = (0, Vec::new());
    let mut run = || -> Result<()> {
        let began = Instant::now();
        pool.publish(&policy.snapshot(step)?)?;
        let completions = pool.generate(requests(&prompts, GROUP, COMPLETION, 1.0, step))?;
        sampling.push(began.elapsed().as_secs_f64());
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
                old_logprobs: None,
                gae: None,
                advantage,
                kept: true,
            })
            .collect();
        let weights = policy_gradient::token_weights(&algorithm, &sampled, &|_| None, COMPLETION);
        if let Some((gradients, _)) = policy_gradient::gradients(&policy, None, &algorithm, &sampled, &weights, 1)? {
            optimizer.step(&policy, &gradients, 1e-6, 1)?;
        }
        Ok(device.synchronize()?)
    };
    run()?;
    reset_peak_memory(device)?;
    let seconds = median(3, run)?;
    let tokens = (QUESTIONS * GROUP * COMPLETION) as f64;
    say(&json!({
        "figure": "grpo", "adapters": lora, "seconds": seconds, "sampling_seconds": middle(&mut sampling[1..]),
        "tokens_per_second": tokens / seconds, "peak_gib": peak_memory(device)? as f64 / f64::from(1 << 30),
    }));
    Ok(())
}

/// The median of the seconds that `work` takes.
fn median(times: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        work()?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(middle(&mut seconds))
}

fn middle(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn say(line: &serde_json::Value) {
    println!("{line}");
}
