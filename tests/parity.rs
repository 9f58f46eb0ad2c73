//! The policy computes what the reference implementations compute: transformers and PEFT (recorded by `make_checkpoint_golden.py`) and
//! candle-transformers (run here).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand::Rng;
use recollect::doctor::Peer;
use recollect::policy::{Family, ModelConfig, Policy, Weight};
use recollect::random;
use recollect::rollout::{Engine, Request, SamplingParams};
use strum::VariantArray;

const TOLERANCE: f32 = 1e-4;

fn close(place: &str, found: &[f32], truth: &[f32]) {
    assert_eq!(found.len(), truth.len(), "{place}");
    for (i, (found, truth)) in found.iter().zip(truth).enumerate() {
        assert!((found - truth).abs() < TOLERANCE, "{place}, token {i}: {found} against {truth}");
    }
}

/// What transformers computes from a checkpoint.
#[derive(serde::Deserialize)]
struct Golden {
    sequences: Vec<Vec<u32>>,
    logits: Vec<Vec<Vec<f32>>>,
    /// The likeliest tokens after each sequence.
    continuations: Vec<Vec<u32>>,
}

/// Every recorded checkpoint, and every recorded adapter on its checkpoint, with its name.
fn recorded() -> Vec<(String, Policy, Golden)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let read = |entry: std::fs::DirEntry| {
        let golden = serde_json::from_slice(&std::fs::read(entry.path().join("logits.json")).unwrap()).unwrap();
        (entry.file_name().to_string_lossy().into_owned(), Policy::load(&entry.path()).unwrap(), golden)
    };
    let folders = ["golden", "golden-adapters"].map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let all: Vec<_> = folders.into_iter().flatten().map(|entry| read(entry.unwrap())).collect();
    assert_eq!(all.len(), 12 + 3);
    all
}

#[test]
fn logits_are_those_of_transformers() {
    for (place, policy, golden) in recorded() {
        // All sequences packed into one pass: what the reference computed one by one.
        let layout = golden.sequences.iter().map(Vec::len).collect();
        let logits: Vec<Vec<f32>> = policy.logits(&golden.sequences.concat(), &layout).unwrap().to_vec2().unwrap();
        for (found, truth) in logits.iter().zip(golden.logits.concat()) {
            close(&place, found, &truth);
        }
        // Saved and loaded, it is the same model.
        let copy = tempfile::tempdir().unwrap();
        policy.save(copy.path()).unwrap();
        let again = Policy::load(copy.path()).unwrap();
        assert_eq!(again.config, policy.config);
        assert_eq!(again.weights().unwrap(), policy.weights().unwrap());
    }
}

#[test]
fn greedy_continuations_are_those_of_transformers() {
    for (place, policy, golden) in recorded() {
        let mut engine = Engine::new(&policy.config, 2, policy.config.longest_sequence()).unwrap();
        engine.load(&policy.snapshot(0).unwrap()).unwrap();
        let requests = golden.sequences.iter().zip(&golden.continuations).map(|(prompt, continuation)| Request {
            prompt: prompt.clone(),
            samples: 1,
            sampling: SamplingParams::greedy(),
            max_new_tokens: continuation.len(),
            stop: Vec::new(),
            seed: 0,
            key: [0, 0],
        });
        let completions = engine.generate(&requests.collect::<Vec<_>>()).unwrap();
        let said: Vec<Vec<u32>> = completions.into_iter().map(|completion| completion.tokens).collect();
        assert_eq!(said, golden.continuations, "{place}");
    }
}

fn model(family: Family, key_heads: usize, tied: bool) -> ModelConfig {
    ModelConfig {
        family,
        vocab_size: 37,
        hidden_size: 32,
        intermediate_size: 44,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: key_heads,
        head_dim: if family == Family::Qwen3 { 10 } else { 8 },
        rms_norm_eps: 1e-6,
        rope_theta: 5e4,
        rope_scaling: None,
        max_position_embeddings: 128,
        sliding_window: None,
        attention_bias: false,
        tie_word_embeddings: tied,
    }
}

/// Every weight drawn, norms around 1 and everything else around 0.
fn policy(config: ModelConfig) -> Policy {
    let mut weights = BTreeMap::new();
    for (name, shape) in config.weight_shapes() {
        let mut stream = random::named(5, &name);
        let middle = if name.contains("norm") { 1.0 } else { 0.0 };
        let values = (0..shape.iter().product()).map(|_| middle + stream.random_range(-0.4..0.4f32)).collect();
        weights.insert(name, Weight { shape, values });
    }
    Policy::new("test", Arc::new(config), weights).unwrap()
}

#[test]
fn logits_are_those_of_candle_transformers() {
    for family in Family::VARIANTS.iter().copied() {
        for key_heads in [1, 2, 4] {
            // candle's Mistral has a head of its own in any case.
            for tied in [false, true].into_iter().filter(|tied| !(*tied && family == Family::Mistral)) {
                let policy = policy(model(family, key_heads, tied));
                // From the files that it saves, as others would read them.
                let folder = tempfile::tempdir().unwrap();
                policy.save(folder.path()).unwrap();
                let mut peer = Peer::new(&Policy::load(folder.path()).unwrap()).unwrap();
                for length in [1usize, 2, 23, 90] {
                    let tokens: Vec<u32> = (0..length as u32).map(|i| (i * 11 + 3) % 37).collect();
                    let logits = policy.logits(&tokens, &[length].into_iter().collect()).unwrap();
                    let logits = logits.to_vec2::<f32>().unwrap();
                    let place = format!("{family:?}, {key_heads} key heads, tied {tied}, {length} tokens");
                    close(&place, &logits[length - 1], &peer.logits(&tokens).unwrap());
                }
            }
        }
    }
}
