//! An experiment of a fraction of a second, and what two runs of it are compared by.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Everything that the real experiment has, as small as it can be.
pub const TINY: &str = "
[known]
persons = 120
creatures = 150
towns = 24
terms = 160
facts = 10
chains = 4

[world]
a = { facts = 10, chains = 8, documents = 90 }
b = { facts = 10, chains = 4, documents = 60 }

[model]
hidden_size = 32
intermediate_size = 48
num_hidden_layers = 2
num_attention_heads = 2
num_key_value_heads = 2
head_dim = 16
max_position_embeddings = 256

[pretrain]
tokens_per_step = 512
warmup_steps = 2
init = { embedding_std = 0.1, matrix_gain = 0.5 }
phases = [{ steps = 30 }]
scales = {}

[finetune]
steps = 12
tokens_per_step = 512
scales = {}

[train]
steps = 6
questions_per_step = 6
group_size = 4
max_new_tokens = 32
replay_tokens = 256
evaluate_every = 2
checkpoint_every = 4
scales = {}

[evaluation]
max_new_tokens = 32
questions_during_training = 3
";

/// What a run is compared by: metrics without times, every rollout, and the content of every stage.
pub fn left_by(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let metrics = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line.as_object_mut().unwrap().remove("time").is_some());
        line.to_string()
    });
    all.insert("metrics.jsonl".into(), lines.collect::<Vec<_>>().join("\n").into_bytes());
    for entry in fs::read_dir(root.join("rollouts")).unwrap() {
        let path = entry.unwrap().path();
        all.insert(path.file_name().unwrap().to_string_lossy().into(), fs::read(path).unwrap());
    }
    for entry in fs::read_dir(root.join("stages")).unwrap() {
        let stage = entry.unwrap();
        let name = stage.file_name().to_string_lossy().into_owned();
        for file in ["model.safetensors", "answers.jsonl"] {
            if let Ok(bytes) = fs::read(stage.path().join(file)) {
                all.insert(format!("{name}/{file}"), bytes);
            }
        }
    }
    all
}

/// Fails where two runs left different things.
pub fn same(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>, which: &str) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{which}");
    let differing: Vec<&String> = expected.keys().filter(|name| expected[*name] != found[*name]).collect();
    assert!(differing.is_empty(), "{which}: {differing:?} differ");
}
