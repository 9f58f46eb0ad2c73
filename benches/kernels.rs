//! Every kernel and a whole training step at two shapes, and the share of the machine's product ceiling that the step
//! reaches: `cargo bench --bench kernels`, about three minutes.
//!
//! | shape | model | batch |
//! |---|---|---|
//! | `quickstart` | 3 layers, width 128, 4 heads of 32, feed-forward 256, vocabulary 1,060: 0.6 M parameters | 64 x 32 tokens |
//! | `wide` | 4 layers, width 256, 4 heads of 64, feed-forward 704, vocabulary 2,048: 3.7 M parameters | 32 x 128 tokens |
//!
//! A kernel is timed forward and backward on one thread, on one micro-batch. A step is forward, backward and AdamW on
//! the whole batch; the number after the precision of its products is that of worker threads. Every token is predicted, so nothing is saved by
//! rows that a lesson does not weigh. The ceiling is the best rate of one thread on large square products, times the
//! workers; what counts as work are the products that the mathematics asks for, not those computed a second time, and
//! of attention only what causality lets through.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use gemm::Parallelism;

use candle_core::{Device, Tensor, Var};
use recollect::Result;
use recollect::kernels::{self, AdamW, Heads, Moments, Positions, Precision, PredictedTokens, Value};
use recollect::knowledge::curriculum::TrainingSequence;
use recollect::learner::{Optimizer, OptimizerConfig, supervised};
use recollect::policy::{Family, InitConfig, ModelConfig, Policy};
use recollect::telemetry::machine;

const WORKERS: [usize; 2] = [1, 2];
const PRECISIONS: [(&str, Precision); 2] = [("f32", Precision::F32), ("bf16", Precision::Bf16)];

/// A model and the batch that it is trained on.
struct Shape {
    name: &'static str,
    config: ModelConfig,
    sequences: usize,
    length: usize,
}

#[global_allocator]
static ALLOCATOR: kernels::Allocator = kernels::Allocator;

fn main() -> Result<()> {
    kernels::keep_freed_memory();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut steps = Vec::new();
    for shape in shapes() {
        each_kernel(&mut criterion, &shape)?;
        steps.extend(training_step(&mut criterion, &shape)?);
    }
    criterion.final_summary();
    let ceiling = ceiling();
    println!("ceiling of f32 products, of which all shares are: {:.0} GFLOP/s a thread", ceiling / 1e9);
    for step in steps {
        println!("{}", step.line(ceiling));
    }
    if let Some(bytes) = machine::peak_resident() {
        println!("peak memory: {} MiB", bytes >> 20);
    }
    Ok(())
}

fn shapes() -> [Shape; 2] {
    let quickstart = ModelConfig {
        family: Family::Llama,
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
    };
    let wide = ModelConfig {
        vocab_size: 2048,
        hidden_size: 256,
        intermediate_size: 704,
        num_hidden_layers: 4,
        head_dim: 64,
        ..quickstart.clone()
    };
    [
        Shape { name: "quickstart", config: quickstart, sequences: 64, length: 32 },
        Shape { name: "wide", config: wide, sequences: 32, length: 128 },
    ]
}

impl Shape {
    fn tokens(&self) -> usize {
        self.sequences * self.length
    }

    /// Floating-point operations of one step's products: forward once, backward twice as much.
    fn work(&self) -> f64 {
        let matrices: usize =
            self.config.weight_shapes().values().filter(|shape| shape.len() == 2).map(|s| s[0] * s[1]).sum();
        let pairs = self.sequences * self.length * (self.length + 1) / 2;
        let Heads { query, dim, .. } = self.config.heads();
        let attention = 2 * self.config.num_hidden_layers * pairs * query * dim;
        6.0 * (matrices * self.tokens() + attention) as f64
    }
}

/// Medians of one figure.
struct Step {
    name: String,
    precision: &'static str,
    workers: usize,
    work: f64,
    seconds: f64,
    tokens: usize,
}

impl Step {
    fn line(&self, ceiling: f64) -> String {
        let Step { name, precision, workers, work, seconds, tokens } = self;
        format!(
            "step of {name}, {precision}, {workers} workers: median {:.1} ms, {:.0} tokens/s, {:.0} GFLOP/s: {:.0} % of the ceiling",
            seconds * 1e3,
            *tokens as f64 / seconds,
            work / seconds / 1e9,
            100.0 * work / seconds / (ceiling * *workers as f64),
        )
    }
}

fn training_step(criterion: &mut Criterion, shape: &Shape) -> Result<Vec<Step>> {
    let vocabulary = shape.config.vocab_size;
    let lesson = |sequence: usize| TrainingSequence {
        tokens: (0..=shape.length).map(|at| ((sequence * 97 + at * at * 31) % vocabulary) as u32).collect(),
        weights: vec![1.0; shape.length + 1],
    };
    let lessons: Vec<TrainingSequence> = (0..shape.sequences).map(lesson).collect();
    let init = InitConfig { embedding_std: 0.1, matrix_gain: 0.5, structured: None };
    let constants = OptimizerConfig { beta2: 0.98, ..OptimizerConfig::default() };
    let mut group = criterion.benchmark_group(format!("{}/step", shape.name));
    group.throughput(Throughput::Elements(shape.tokens() as u64));
    let mut steps = Vec::new();
    for ((precision_name, precision), workers) in PRECISIONS.into_iter().flat_map(|p| WORKERS.map(|w| (p, w))) {
        let policy = Policy::initialise(Arc::new(shape.config.clone()), &init, 0)?.with_precision(precision);
        let optimizer = RefCell::new(Optimizer::new(constants));
        let times = RefCell::new(Vec::new());
        group.bench_function(format!("{precision_name}/{workers}"), |bencher| {
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                for _ in 0..iterations {
                    supervised::fit(&policy, &mut optimizer.borrow_mut(), &lessons, 1e-4, workers).unwrap();
                }
                let elapsed = start.elapsed();
                times.borrow_mut().push(elapsed.as_secs_f64() / iterations as f64);
                elapsed
            });
        });
        let mut times = times.into_inner();
        times.sort_by(f64::total_cmp);
        if let Some(seconds) = times.get(times.len() / 2) {
            let (name, tokens) = (shape.name.to_owned(), shape.tokens());
            steps.push(Step {
                name,
                precision: precision_name,
                workers,
                work: shape.work(),
                seconds: *seconds,
                tokens,
            });
        }
    }
    group.finish();
    Ok(steps)
}

fn each_kernel(criterion: &mut Criterion, shape: &Shape) -> Result<()> {
    let config = &shape.config;
    let n = shape.tokens().min(supervised::MICRO_BATCH);
    let (d, f, heads) = (config.hidden_size, config.intermediate_size, config.heads());
    let tokens: Vec<u32> = (0..n).map(|at| (at * 31 % config.vocab_size) as u32).collect();
    let rows: Vec<u32> = (0..n as u32).collect();
    let layout = std::iter::repeat_n(shape.length, n / shape.length).collect();
    let positions = Arc::new(Positions::new(layout, config.rotary()));

    let x = leaf("x", &[n, d])?;
    let qkv = leaf("qkv", &[n, heads.width()])?;
    let mixed = leaf("mixed", &[n, heads.query * heads.dim])?;
    let gate_up = leaf("gate_up", &[n, 2 * f])?;
    let activation = leaf("activation", &[n, f])?;
    let norm = leaf("norm", &[d])?;
    let table = leaf("table", &[config.vocab_size, d])?;
    let query = leaf("query", &[heads.query * heads.dim, d])?;
    let key = leaf("key", &[heads.key * heads.dim, d])?;
    let value = leaf("value", &[heads.key * heads.dim, d])?;
    let out = leaf("out", &[d, heads.query * heads.dim])?;
    let gate = leaf("gate", &[f, d])?;
    let up = leaf("up", &[f, d])?;
    let down = leaf("down", &[d, f])?;

    let mut group = criterion.benchmark_group(shape.name);
    group.throughput(Throughput::Elements(n as u64));
    let mut time = |name: &str, run: &dyn Fn() -> Result<Value>| -> Result<()> {
        let seed = ones(run()?.tensor().dims())?;
        group.bench_function(name, |bencher| bencher.iter(|| run().unwrap().backward(seed.clone()).unwrap()));
        Ok(())
    };
    time("embedding", &|| kernels::embedding(&table, &tokens))?;
    time("rms_norm", &|| kernels::rms_norm(&x, &norm, 1e-6))?;
    time("linear qkv", &|| kernels::linear(&x, &[&query, &key, &value], &[], Precision::F32))?;
    time("attention", &|| kernels::attention(&qkv, heads, &positions))?;
    time("linear out", &|| kernels::linear(&mixed, &[&out], &[], Precision::F32))?;
    time("add", &|| kernels::add(&x, &x))?;
    time("linear gate up", &|| kernels::linear(&x, &[&gate, &up], &[], Precision::F32))?;
    time("swiglu", &|| kernels::swiglu(&gate_up))?;
    time("linear down", &|| kernels::linear(&activation, &[&down], &[], Precision::F32))?;
    time("log_prob", &|| {
        kernels::log_prob(&x, &table, PredictedTokens { rows: &rows, targets: &tokens, masks: &[] }, Precision::F32)
    })?;
    group.finish();

    let parameters: usize = config.weight_shapes().values().map(|shape| shape.iter().product::<usize>()).sum();
    let adamw = AdamW { learning_rate: 1e-4, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.01 };
    let (mut weights, gradient, mut moments) = (numbers(parameters), numbers(parameters), Moments::zeros(parameters));
    let mut group = criterion.benchmark_group(format!("{}/adamw", shape.name));
    group.throughput(Throughput::Elements(parameters as u64));
    group.bench_function("weights", |bencher| {
        bencher.iter(|| adamw.step(&mut weights, &gradient, &mut moments, 1, 1.0));
    });
    group.finish();
    Ok(())
}

/// Values in (-0.5, 0.5).
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect()
}

fn leaf(name: &str, shape: &[usize]) -> Result<Value> {
    Ok(Value::variable(name, &Var::from_vec(numbers(shape.iter().product()), shape, &Device::Cpu)?))
}

fn ones(shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(vec![1f32; shape.iter().product()], shape, &Device::Cpu)?)
}

/// The best rate of one thread, in operations per second, over square products that fill the caches well.
fn ceiling() -> f64 {
    let rate = |size: usize| {
        let (a, b, mut c) = (numbers(size * size), numbers(size * size), vec![0f32; size * size]);
        let step = size as isize;
        let mut run = || {
            let start = Instant::now();
            // SAFETY: three square matrices of `size` rows and columns, the output borrowed alone.
            unsafe {
                gemm::gemm(
                    size,
                    size,
                    size,
                    c.as_mut_ptr(),
                    1,
                    step,
                    false,
                    a.as_ptr(),
                    1,
                    step,
                    b.as_ptr(),
                    1,
                    step,
                    1.0,
                    1.0,
                    false,
                    false,
                    false,
                    Parallelism::None,
                );
            }
            2.0 * (size as f64).powi(3) / start.elapsed().as_secs_f64()
        };
        (0..20).map(|_| run()).fold(0.0, f64::max)
    };
    [512, 768, 1024].into_iter().map(rate).fold(0.0, f64::max)
}
