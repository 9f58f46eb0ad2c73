//! Speed on the quickstart's shapes: `cargo bench`, under two minutes. The weights are random, which costs the same
//! as any others.
//!
//! | figure | one iteration | counted |
//! |---|---|---|
//! | `pretraining` | one optimizer step: forward, backward and AdamW on lessons of 2,048 tokens | tokens that go through the model |
//! | `sampling` | 192 completions of 48 tokens: 12 prompts of 12 tokens, groups of 16 | sampled tokens, prompts not counted |
//! | `reinforcement learning` | publish weights, sample as above, judge, score, advantages, gradients, AdamW | sampled tokens |
//!
//! The number after the slash is that of worker threads. The last line is the most memory that the process held, all
//! figures together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};

use recollect::config::{KnownSection, ModelSection};
use recollect::exchange::WorkerPool;
use recollect::knowledge::curriculum::{CotStyle, Curriculum, Mixture, TrainingSequence};
use recollect::knowledge::{Question, Set, World, WorldConfig};
use recollect::language::{Opening, Tokenizer, prompt};
use recollect::learner::policy_gradient::{self, Sampled};
use recollect::learner::{Algorithm, Optimizer, OptimizerConfig, supervised};
use recollect::policy::{InitConfig, ModelConfig, Policy};
use recollect::reward::{Reward, TermInput};
use recollect::rollout::{Completion, Request, SamplingParams, slots};
use recollect::telemetry::machine;
use recollect::verifier::judge;
use recollect::{Result, kernels, random};

const TOKENS_PER_STEP: usize = 2048;
const GROUPS: usize = 12;
const GROUP_SIZE: usize = 16;
const PROMPT: usize = 12;
const NEW_TOKENS: usize = 48;
const SAMPLED: u64 = (GROUPS * GROUP_SIZE * NEW_TOKENS) as u64;

/// No token ends a completion: all are of one length.
const NEVER: u32 = u32::MAX;

const WORKERS: [usize; 2] = [1, 2];

#[global_allocator]
static ALLOCATOR: kernels::Allocator = kernels::Allocator;

fn main() -> Result<()> {
    kernels::keep_freed_memory();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let world = World::new(&KnownSection::default().known(), &WorldConfig::default())?;
    pretraining(&mut criterion, &world)?;
    sampling(&mut criterion, &world)?;
    reinforcement_learning(&mut criterion, &world)?;
    criterion.final_summary();
    if let Some(bytes) = machine::peak_resident() {
        println!("peak memory: {} MiB", bytes >> 20);
    }
    Ok(())
}

fn model(world: &World) -> ModelConfig {
    ModelSection { num_hidden_layers: 4, ..ModelSection::default() }.with_vocabulary(world.grammar.lexicon.size())
}

fn policy(world: &World) -> Result<Policy> {
    let init = InitConfig { embedding_std: 0.1, matrix_gain: 0.5, structured: None };
    Policy::initialise(Arc::new(model(world)), &init, 0)
}

fn optimizer() -> Optimizer {
    Optimizer::new(OptimizerConfig { beta2: 0.98, ..OptimizerConfig::default() })
}

fn pretraining(criterion: &mut Criterion, world: &World) -> Result<()> {
    let cot_style = CotStyle::default();
    let curriculum = Curriculum::new(world, &cot_style);
    let mut random = random::stream(0, &[]);
    let mut lessons: Vec<TrainingSequence> = Vec::new();
    while lessons.iter().map(|lesson| lesson.tokens.len()).sum::<usize>() < TOKENS_PER_STEP {
        lessons.push(curriculum.lesson(&Mixture::default(), &mut random));
    }
    let mut group = criterion.benchmark_group("pretraining");
    for workers in WORKERS {
        let (policy, mut optimizer) = (policy(world)?, optimizer());
        let mut step = || supervised::fit(&policy, &mut optimizer, &lessons, 1e-4, workers);
        group.throughput(Throughput::Elements(step()?.tokens as u64));
        group.bench_function(workers.to_string(), |bencher| bencher.iter(|| step().unwrap()));
    }
    group.finish();
    Ok(())
}

fn sampling(criterion: &mut Criterion, world: &World) -> Result<()> {
    let snapshot = policy(world)?.snapshot(0)?;
    let words = snapshot.config.vocab_size as u32;
    let prompt = |index: u32| (0..PROMPT as u32).map(|at| (index * 97 + at * 31) % words).collect();
    let requests = requests((0..GROUPS as u32).map(prompt));
    let mut group = criterion.benchmark_group("sampling");
    group.throughput(Throughput::Elements(SAMPLED));
    for workers in WORKERS {
        let mut pool = pool(world, workers)?;
        pool.publish(&snapshot)?;
        group.bench_function(workers.to_string(), |bencher| {
            bencher.iter(|| pool.generate(requests.clone()).unwrap());
        });
    }
    group.finish();
    Ok(())
}

fn pool(world: &World, workers: usize) -> Result<WorkerPool> {
    WorkerPool::start(workers, &model(world), slots(&model(world)), 2 * PROMPT + NEW_TOKENS)
}

fn requests(prompts: impl Iterator<Item = Vec<u32>>) -> Vec<Request> {
    let request = |(index, prompt)| Request {
        prompt,
        samples: GROUP_SIZE,
        sampling: SamplingParams::at(1.0),
        max_new_tokens: NEW_TOKENS,
        stop: vec![NEVER],
        seed: 0,
        key: [0, index as u64],
    };
    prompts.enumerate().map(request).collect()
}

fn reinforcement_learning(criterion: &mut Criterion, world: &World) -> Result<()> {
    let mut group = criterion.benchmark_group("reinforcement learning");
    group.throughput(Throughput::Elements(SAMPLED));
    for workers in WORKERS {
        let mut lab = Lab::open(world, workers)?;
        group.bench_function(workers.to_string(), |bencher| bencher.iter(|| lab.step().unwrap()));
    }
    group.finish();
    Ok(())
}

/// Everything that a step of reinforcement learning needs.
struct Lab<'a> {
    world: &'a World,
    tokenizer: Tokenizer,
    questions: Vec<Question>,
    requests: Vec<Request>,
    reward: Reward,
    pool: WorkerPool,
    policy: Policy,
    optimizer: Optimizer,
    workers: usize,
}

impl<'a> Lab<'a> {
    fn open(world: &'a World, workers: usize) -> Result<Self> {
        let tokenizer = Tokenizer::from_words(world.grammar.lexicon.words())?;
        let all = world.questions(Set::A);
        let questions: Vec<Question> = all.iter().step_by(all.len() / GROUPS).take(GROUPS).cloned().collect();
        let encode = |question: &Question| tokenizer.encode(&prompt(&[], &question.text, Opening::Think));
        let prompts = questions.iter().map(encode).collect::<Result<Vec<_>>>()?;
        let reward = Reward::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/correct.toml"))?;
        Ok(Self {
            requests: requests(prompts.into_iter()),
            pool: pool(world, workers)?,
            policy: policy(world)?,
            optimizer: optimizer(),
            world,
            tokenizer,
            questions,
            reward,
            workers,
        })
    }

    fn step(&mut self) -> Result<()> {
        self.pool.publish(&self.policy.snapshot(0)?)?;
        let completions = self.pool.generate(self.requests.clone())?;
        let scores = completions.iter().map(|completion| self.score(completion)).collect::<Result<Vec<_>>>()?;
        let groups: Vec<Vec<Option<f64>>> = scores.chunks(GROUP_SIZE).map(<[_]>::to_vec).collect();
        let algorithm = Algorithm::grpo();
        let advantages =
            algorithm.advantage.compute(&groups, algorithm.filter.tolerance).values.concat().into_iter().flatten();
        let sampled: Vec<Sampled> = completions
            .iter()
            .zip(advantages)
            .map(|(completion, advantage)| Sampled {
                prompt: &self.requests[completion.request].prompt,
                tokens: &completion.tokens,
                sampler_logprobs: &completion.log_probs,
                sampling_mask: &completion.sampling_mask,
                old_logprobs: None,
                advantage,
                gae: None,
                kept: true,
            })
            .collect();
        let trace = |tokens: &[u32]| self.tokenizer.trace_length(tokens);
        let weights = policy_gradient::token_weights(&algorithm, &sampled, &trace, NEW_TOKENS);
        let learned = policy_gradient::gradients(&self.policy, None, &algorithm, &sampled, &weights, self.workers)?;
        if let Some((gradients, _)) = learned {
            self.optimizer.step(&self.policy, &gradients, 1e-4, self.workers)?;
        }
        Ok(())
    }

    /// The reward, and a coin: random weights are never right, and a group without spread would cost nothing.
    fn score(&self, completion: &Completion) -> Result<Option<f64>> {
        let text = self.tokenizer.decode(&completion.tokens)?;
        let judgement = judge(self.world, &self.questions[completion.request], Opening::Think, &text, false);
        let evidence = TermInput {
            judgement: &judgement,
            prompt: &self.questions[completion.request].text,
            completion: &text,
            given: "",
            expected: &self.questions[completion.request].answer,
            aliases: &[],
            matching: self.questions[completion.request].matching,
            form: self.questions[completion.request].form,
            tokens: completion.tokens.len(),
            finished: false,
            step: 1,
        };
        let coin = random::mix(completion.sample as u64) % 2;
        Ok(self.reward.score(&evidence, &mut std::iter::empty()).total.map(|total| total + coin as f64))
    }
}
