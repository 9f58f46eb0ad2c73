//! Sampling that goes on while the policy learns: no token is older than the config allows, and no finished rollout is
//! lost, whatever happens. `RECOLLECT_CASES=50` says at how many instants a run is killed.
#![cfg(unix)]

#[path = "support/home.rs"]
mod home;
#[path = "support/program.rs"]
mod program;
#[path = "support/tiny.rs"]
mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use home::{Home, interrupt};

const STALENESS: u64 = 2;
const STEPS: u64 = 6;

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Versions of a rollout's tokens.
fn versions(rollout: &Value) -> Vec<u64> {
    match &rollout["version"] {
        Value::Array(runs) => runs.iter().map(|run| run[0].as_u64().unwrap()).collect(),
        version => vec![version.as_u64().unwrap()],
    }
}

/// Checks what every run has to leave, and gives how many tokens were how many versions old.
fn check(run: &Path) -> Vec<f64> {
    let metrics = lines(&run.join("metrics.jsonl"));
    assert_eq!(metrics.len() as u64, STEPS);
    let mut ages = vec![0.0; STALENESS as usize + 1];
    for (step, line) in metrics.iter().enumerate() {
        assert_eq!(line["step"], step + 1);
        let shares: Vec<f64> = (0..=STALENESS).map(|age| line[format!("staleness/{age}")].as_f64().unwrap()).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{line}");
        ages.iter_mut().zip(shares).for_each(|(age, share)| *age += share);
        assert!(line["time"]["wait_for_batch"].is_number() && line["time"]["wait_for_weights"].is_number(), "{line}");
        assert!(line["queue/finished"].is_number() && line["loss"].is_number(), "{line}");
    }
    for step in 1..=STEPS {
        let rollouts = lines(&run.join(format!("rollouts/step-{step:06}.jsonl")));
        assert_eq!(rollouts.len(), 24, "step {step}");
        for rollout in &rollouts {
            let versions = versions(rollout);
            assert!(versions.is_sorted() && *versions.last().unwrap() < step, "step {step}: {rollout}");
            assert!(step - 1 - versions[0] <= STALENESS, "step {step}: {rollout}");
        }
    }
    ages
}

/// The notes of the newest checkpoint of a run, if there is one.
fn notes(run: &Path) -> Option<Value> {
    let stages = fs::read_dir(run.join("checkpoints")).ok()?.map(|entry| entry.unwrap().path());
    let training = stages.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("train-"));
    let all = training.flat_map(|stage| fs::read_dir(stage).unwrap().map(|entry| entry.unwrap().path()));
    let whole: Vec<PathBuf> = all.filter(|path| path.join("complete.json").exists()).collect();
    let newest = whole.into_iter().max()?;
    serde_json::from_str(&fs::read_to_string(newest.join("notes.json")).unwrap()).unwrap()
}

/// How many completions a checkpoint holds, finished and begun; and the tokens of those that are finished by step.
fn underway(notes: &Value) -> (usize, usize, BTreeMap<u64, Vec<u64>>) {
    let (mut finished, mut begun, mut tokens) = (0, 0, BTreeMap::new());
    for (step, underway) in notes["underway"].as_object().into_iter().flatten() {
        let count = |key: &str| underway[key].as_array().unwrap().len();
        (finished, begun) = (finished + count("finished"), begun + count("begun"));
        let lengths = underway["finished"].as_array().unwrap().iter();
        let mut lengths: Vec<u64> = lengths.map(|one| one["tokens"].as_array().unwrap().len() as u64).collect();
        lengths.sort();
        tokens.insert(step.parse().unwrap(), lengths);
    }
    (finished, begun, tokens)
}

#[test]
fn a_run_that_is_killed_at_any_instant_goes_on_and_loses_nothing() {
    let home = Home::new(&["train.max_off_policy_steps=2", "train.algorithm.tis_cap=2.0"]);
    let started = Instant::now();
    home.finished("alone");
    // At most; one that ends before its instant says that the machine has become faster.
    let mut whole = started.elapsed();
    let ages = check(&home.path("alone"));
    assert!(ages[1..].iter().sum::<f64>() > 0.0, "nothing was sampled ahead: {ages:?}");

    let mut random = StdRng::seed_from_u64(6);
    let cases = std::env::var("RECOLLECT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8);
    let (mut killed, mut kept_finished, mut kept_begun) = (0, 0, 0);
    for case in 0..cases {
        let name = format!("case-{case}");
        let signal = if case % 2 == 0 { libc::SIGTERM } else { libc::SIGKILL };
        let after = whole.mul_f64(random.random_range(0.3..1.0));
        let (output, ended) = interrupt(home.recollect("run", &name).spawn().unwrap(), signal, after);
        killed += usize::from(!ended);
        whole = if ended { after } else { whole };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{said}");
        let kept = notes(&home.path(&name)).filter(|_| !ended);
        home.finished(&name);
        check(&home.path(&name));
        let Some((finished, begun, tokens)) = kept.as_ref().map(underway) else { continue };
        (kept_finished, kept_begun) = (kept_finished + finished, kept_begun + begun);
        // Every rollout that was finished is among those that were learned from.
        for (step, lengths) in tokens {
            let rollouts = lines(&home.path(&name).join(format!("rollouts/step-{:06}.jsonl", step + 1)));
            let mut there: Vec<u64> = rollouts.iter().map(|rollout| rollout["tokens"].as_u64().unwrap()).collect();
            for length in lengths {
                let at = there.iter().position(|other| *other == length);
                there.swap_remove(at.unwrap_or_else(|| panic!("step {step}: a rollout of {length} tokens was lost")));
            }
        }
        fs::remove_dir_all(home.path(&name)).unwrap();
    }
    println!("interrupted {killed} times; checkpoints kept {kept_finished} finished and {kept_begun} begun rollouts");
    assert!(killed > 0 && kept_finished > 0, "{killed} interruptions, {kept_finished} rollouts kept");
}
