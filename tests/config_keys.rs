//! Every key of a config.json that transformers knows changes what it changes there, or is refused by name; and rotary
//! tables are those of transformers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use recollect::Result;
use recollect::kernels::Rope;
use recollect::policy::{Family, ModelConfig, Policy};
use recollect::rollout::{Engine, Request, SamplingParams};
use serde_json::{Map, Value, json};
use strum::VariantArray;

#[path = "support/config_golden.rs"]
mod config_golden;

use config_golden::{Entry, FAMILIES, Golden, changed, recorded};

/// Of logits, which are between -10 and 10.
const TOLERANCE: f32 = 1e-4;

/// What the documentation says of each key of a config.json.
fn documented() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n## config.json\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let row = |line: &str| -> Option<Vec<(String, String)>> {
        let (keys, effect) = line.strip_prefix("| ")?.split_once(" | ")?;
        let effect = effect.split(" | ").next()?;
        let keys = keys.split(", ").filter_map(|key| key.strip_prefix('`')?.strip_suffix('`'));
        Some(keys.map(|key| (key.to_owned(), effect.to_owned())).collect())
    };
    section.lines().filter_map(row).flatten().collect()
}

/// Logits after the last token.
fn logits(policy: &Policy, sequence: &[u32]) -> Result<Vec<f32>> {
    let all = policy.logits(sequence, &[sequence.len()].into_iter().collect())?;
    Ok(all.to_vec2::<f32>()?.pop().unwrap())
}

fn computed(folder: &Path, sequence: &[u32]) -> Result<(Policy, Vec<f32>)> {
    let policy = Policy::load(folder)?;
    let logits = logits(&policy, sequence)?;
    Ok((policy, logits))
}

fn close(found: &[f32], truth: &[f32]) -> bool {
    found.iter().zip(truth).all(|(found, truth)| (found - truth).abs() < TOLERANCE * truth.abs().max(1.0))
}

/// The sampler's log-probability of the likeliest next token is that of these logits.
fn sampled_alike(policy: &Policy, sequence: &[u32], logits: &[f32]) {
    let mut engine = Engine::new(&policy.config, 1, sequence.len() + 1).unwrap();
    engine.load(&policy.snapshot(0).unwrap()).unwrap();
    let (prompt, stop) = (sequence.to_vec(), Vec::new());
    let request = Request {
        prompt,
        samples: 1,
        sampling: SamplingParams::greedy(),
        max_new_tokens: 1,
        stop,
        seed: 0,
        key: [0, 0],
    };
    let said = &engine.generate(&[request]).unwrap()[0];
    let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
    let expected = logits[said.tokens[0] as usize] - sum.ln();
    assert!((said.log_probs[0] - expected).abs() < TOLERANCE, "{} for {expected}", said.log_probs[0]);
}

/// What became of an entry here.
#[derive(Debug, PartialEq)]
enum Outcome {
    Same,
    Changed,
    Refused,
}

fn judge(family: &str, golden: &Golden, entry: &Entry, documented: &str) -> Outcome {
    let place = format!("{family}, {}", Value::from(entry.change.clone()));
    let folder = changed(family, &entry.change);
    match computed(folder.path(), &golden.sequence) {
        Ok((policy, logits)) => {
            // Null is what is left out, where transformers stumbles over it too.
            let left_out = entry.error.is_some() && entry.change.values().all(Value::is_null);
            let truth = if entry.same || left_out { Some(&golden.logits) } else { entry.logits.as_ref() };
            match truth {
                Some(truth) => assert!(close(&logits, truth), "{place}: {logits:?} for {truth:?}"),
                // transformers ends with an error where nothing depends on it.
                None => assert!(documented == "no effect", "{place}: transformers says {:?}", entry.error),
            }
            let copy = tempfile::tempdir().unwrap();
            policy.save(copy.path()).unwrap();
            assert_eq!(Policy::load(copy.path()).unwrap().config, policy.config, "{place}");
            if close(&logits, &golden.logits) {
                return Outcome::Same;
            }
            sampled_alike(&policy, &golden.sequence, &logits);
            Outcome::Changed
        }
        Err(error) => {
            let error = error.to_string();
            let by_weights = error.contains("the weights have to be those of the config");
            let by_name = entry.change.keys().any(|key| error.contains(key.as_str()));
            assert!(by_weights || by_name, "{place}: {error}");
            assert!(documented != "no effect" && !error.contains('\n'), "{place}: {error}");
            Outcome::Refused
        }
    }
}

#[test]
fn every_key_changes_what_it_changes_in_transformers_or_is_refused_by_name() {
    let (documented, mut known, mut counts) = (documented(), BTreeSet::new(), BTreeMap::new());
    assert_eq!(json!(Family::VARIANTS), json!(FAMILIES), "a family that was not recorded");
    for family in FAMILIES {
        let golden = recorded(family);
        let folder = changed(family, &Map::new());
        assert!(close(&computed(folder.path(), &golden.sequence).unwrap().1, &golden.logits), "{family}");
        let mut outcomes: BTreeMap<&str, Vec<Outcome>> = BTreeMap::new();
        for entry in &golden.entries {
            let Some(said) = documented.get(&entry.key) else { panic!("{} is in no table", entry.key) };
            outcomes.entry(&entry.key).or_default().push(judge(family, &golden, entry, said));
        }
        for key in &golden.keys {
            assert!(outcomes.contains_key(key.as_str()), "{key} was given no other value");
            known.insert(key.clone());
        }
        for (key, outcomes) in outcomes {
            let count: &mut [usize; 3] = counts.entry(key.to_owned()).or_default();
            outcomes.iter().for_each(|outcome| match outcome {
                Outcome::Same => count[0] += 1,
                Outcome::Changed => count[1] += 1,
                Outcome::Refused => count[2] += 1,
            });
        }
    }
    assert_eq!(known, documented.keys().cloned().collect::<BTreeSet<_>>(), "the table has the keys that are known");
    for (key, said) in &documented {
        let [_, changed, refused] = counts[key];
        match said.as_str() {
            "no effect" => {}
            "honoured" => assert!(changed + refused > 0, "{key}: {said}"),
            "refused" => assert!(refused > 0, "{key}: {said}"),
            // What other files' tables are about.
            "tokenizer" => assert!(changed + refused == 0, "{key}: {said}"),
            other => panic!("{key}: {other}"),
        }
    }
    let entries: usize = counts.values().flatten().sum();
    println!("{} keys in {entries} changes", known.len());
}

#[test]
fn rotations_that_are_written_read_the_same_in_transformers() {
    let (home, mut saved) = (tempfile::tempdir().unwrap(), Vec::new());
    for family in FAMILIES {
        let golden = recorded(family);
        let rotations = golden.entries.iter().enumerate().filter(|(_, entry)| entry.key == "rope_scaling");
        for (number, entry) in rotations {
            // The others are refused.
            let Ok(policy) = Policy::load(changed(family, &entry.change).path()) else { continue };
            let logits = policy.logits(&golden.sequence, &[golden.sequence.len()].into_iter().collect()).unwrap();
            let to = home.path().join(format!("{family}-{number}"));
            policy.save(&to).unwrap();
            let logits = json!({ "sequences": [golden.sequence], "logits": [logits.to_vec2::<f32>().unwrap()] });
            std::fs::write(to.join("logits.json"), logits.to_string()).unwrap();
            saved.push(to);
        }
    }
    assert_eq!(saved.len(), 4 * 19);
    let Some(python) = std::env::var_os("RECOLLECT_PYTHON") else {
        return eprintln!("skipped: RECOLLECT_PYTHON names no Python with torch, transformers and peft");
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check_saved.py");
    let output = Command::new(python).arg(script).args(&saved).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn sizes_that_no_model_has_are_one_line_with_the_key() {
    for family in FAMILIES {
        for key in [
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
            "max_position_embeddings",
        ] {
            for size in [1_000_000_000_000_u64, u64::MAX] {
                let folder = changed(family, json!({ key: size }).as_object().unwrap());
                let error = Policy::load(folder.path()).unwrap_err().to_string();
                assert!(error.contains(&format!("config.json: {key} is {size}; ")) && !error.contains('\n'), "{error}");
            }
        }
    }
}

#[test]
fn positions_that_nobody_uses_cost_nothing() {
    let many = json!({ "max_position_embeddings": 1_000_000_000 });
    let folder = changed("llama", many.as_object().unwrap());
    let policy = Policy::load(folder.path()).unwrap();
    let Golden { sequence, logits: truth, .. } = recorded("llama");
    let found = logits(&policy, &sequence).unwrap();
    assert!(close(&found, &truth));
    let mut engine = Engine::new(&policy.config, 8, policy.config.longest_sequence()).unwrap();
    engine.load(&policy.snapshot(0).unwrap()).unwrap();
    let request = Request {
        prompt: sequence,
        samples: 2,
        sampling: SamplingParams::at(1.0),
        max_new_tokens: 5,
        stop: Vec::new(),
        seed: 0,
        key: [0, 0],
    };
    assert_eq!(engine.generate(&[request]).unwrap().len(), 2);
}

#[derive(serde::Deserialize)]
struct Rotations {
    positions: Vec<usize>,
    entries: Vec<Rotation>,
}

#[derive(serde::Deserialize)]
struct Rotation {
    rope_parameters: Map<String, Value>,
    /// Of heads with 128 dimensions.
    frequencies: Vec<f32>,
    /// At each of the positions, of heads with 16 dimensions.
    cosines: Vec<Vec<f32>>,
    sines: Vec<Vec<f32>>,
}

#[test]
fn rotary_tables_are_those_of_transformers_at_large_positions_too() {
    let text = std::fs::read_to_string(config_golden::folder().join("rotary.json")).unwrap();
    let Rotations { positions, entries } = serde_json::from_str(&text).unwrap();
    assert!(entries.len() >= 9 && positions.contains(&40_000));
    for entry in entries {
        let place = Value::from(entry.rope_parameters.clone()).to_string();
        let rotary = |head_dim: usize| {
            let change = json!({
                "head_dim": head_dim, "max_position_embeddings": 131_072, "rope_parameters": entry.rope_parameters,
            });
            let folder = changed("llama", change.as_object().unwrap());
            ModelConfig::read(&folder.path().join("config.json")).unwrap().rotary()
        };
        for (found, truth) in rotary(128).frequencies().iter().zip(&entry.frequencies) {
            assert!(found.to_bits().abs_diff(truth.to_bits()) <= 1, "{place}: {found} for {truth}");
        }
        let rope = Rope::new(rotary(16), 40_001);
        for ((position, cosines), sines) in positions.iter().zip(&entry.cosines).zip(&entry.sines) {
            let (found_cosines, found_sines) = rope.at(*position);
            let both = found_cosines.iter().zip(cosines).chain(found_sines.iter().zip(sines));
            both.for_each(|(found, truth)| {
                assert!((found - truth).abs() < 2e-6, "{place}, position {position}: {found} for {truth}")
            });
        }
    }
}
