//! Speed of the generation engine on one thread: `cargo bench --bench engine`, about a minute. The weights are random,
//! which costs the same as any others.
//!
//! | figure | one iteration | counted |
//! |---|---|---|
//! | `prefill` | 16 prompts of 128 tokens are read | prompt tokens |
//! | `decode` | as many completions of 64 tokens at once as the number after the slash says | sampled tokens |
//! | `sampler` | 64 tokens are drawn by a model that is next to nothing beside its vocabulary of 8,192 words | logits |
//! | `packing` | a policy version is packed for sampling | parameters |
//!
//! `small` is the model of the quickstart, `large` one of 4.26 million parameters. The last line is the most memory
//! that the process held, all figures together.

use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};

use recollect::config::ModelSection;
use recollect::policy::{InitConfig, ModelConfig, Policy, Snapshot};
use recollect::rollout::{Engine, PackedWeights, Request, SamplingParams};
use recollect::telemetry::machine;
use recollect::{Result, kernels};

#[global_allocator]
static ALLOCATOR: kernels::Allocator = kernels::Allocator;

fn main() -> Result<()> {
    kernels::keep_freed_memory();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let (small, large) = (snapshot(ModelSection::default().with_vocabulary(1060))?, snapshot(large())?);
    for (name, snapshot) in [("small", &small), ("large", &large)] {
        prefill(criterion.benchmark_group(format!("prefill {name}")), snapshot)?;
        decode(criterion.benchmark_group(format!("decode {name}")), snapshot)?;
        packing(criterion.benchmark_group(format!("packing {name}")), snapshot);
    }
    sampler(criterion.benchmark_group("sampler"))?;
    criterion.final_summary();
    if let Some(bytes) = machine::peak_resident() {
        println!("peak memory: {} MiB", bytes >> 20);
    }
    Ok(())
}

fn large() -> ModelConfig {
    let section = ModelSection {
        hidden_size: 256,
        intermediate_size: 704,
        num_hidden_layers: 4,
        head_dim: 64,
        tie_word_embeddings: false,
        ..ModelSection::default()
    };
    section.with_vocabulary(2048)
}

fn snapshot(config: ModelConfig) -> Result<Snapshot> {
    let init = InitConfig { embedding_std: 0.1, matrix_gain: 0.5, structured: None };
    Policy::initialise(Arc::new(config), &init, 0)?.snapshot(0)
}

/// Requests of one completion each that only the budget of `new` tokens ends.
fn requests(snapshot: &Snapshot, count: usize, prompt: usize, new: usize) -> Vec<Request> {
    let word = |request: usize, at: usize| ((request * 97 + at * 31) % snapshot.config.vocab_size) as u32;
    let request = |number: usize| Request {
        prompt: (0..prompt).map(|at| word(number, at)).collect(),
        samples: 1,
        sampling: SamplingParams::at(1.0),
        max_new_tokens: new,
        stop: Vec::new(),
        seed: 0,
        key: [0, number as u64],
    };
    (0..count).map(request).collect()
}

/// Measures the answering of all requests in as many slots; `counted` of whatever the figure counts.
fn measure(
    group: &mut BenchmarkGroup<WallTime>,
    snapshot: &Snapshot,
    slots: usize,
    requests: &[Request],
    counted: usize,
) -> Result<()> {
    let longest = requests.iter().map(|request| request.prompt.len() + request.max_new_tokens).max().unwrap_or(1);
    let mut engine = Engine::new(&snapshot.config, slots, longest)?;
    engine.load(snapshot)?;
    group.throughput(Throughput::Elements(counted as u64));
    group.bench_function(BenchmarkId::from_parameter(slots), |bencher| {
        bencher.iter(|| engine.generate(requests).unwrap());
    });
    Ok(())
}

fn prefill(mut group: BenchmarkGroup<WallTime>, snapshot: &Snapshot) -> Result<()> {
    measure(&mut group, snapshot, 16, &requests(snapshot, 16, 128, 1), 16 * 128)
}

fn decode(mut group: BenchmarkGroup<WallTime>, snapshot: &Snapshot) -> Result<()> {
    for batch in [1, 8, 16, 64, 256] {
        measure(&mut group, snapshot, batch, &requests(snapshot, batch, 1, 64), batch * 64)?;
    }
    Ok(())
}

fn sampler(mut group: BenchmarkGroup<WallTime>) -> Result<()> {
    let section = ModelSection {
        hidden_size: 2,
        intermediate_size: 2,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        num_key_value_heads: 1,
        head_dim: 2,
        ..ModelSection::default()
    };
    let snapshot = snapshot(section.with_vocabulary(8192))?;
    measure(&mut group, &snapshot, 8, &requests(&snapshot, 8, 1, 8), 64 * 8192)
}

fn packing(mut group: BenchmarkGroup<WallTime>, snapshot: &Snapshot) {
    group.throughput(Throughput::Elements(snapshot.config.parameter_count() as u64));
    group.bench_function("pack", |bencher| bencher.iter(|| PackedWeights::pack(snapshot, None, 1).unwrap()));
}
