//! The same config gives the same bytes: with any number of workers, and after any interruption.

mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use recollect::experiment::stages::{self, Reported};
use recollect::experiment::{Config, Experiment, Interrupt};
use recollect::kernels::Precision;
use recollect::telemetry::Silent;
use recollect::{Error, Result};
use tiny::{StopAt, TINY};

fn config(root: &Path, name: &str, workers: usize) -> Config {
    let base = root.join("base");
    let set = [
        format!("base.path={}", if base.exists() { base.display().to_string() } else { "embedded".into() }),
        format!("train.reward={}", root.join("reward.toml").display()),
        format!("run.dir={}", root.join(name).display()),
        format!("run.workers={workers}"),
    ];
    Config::parse(TINY, "tiny", "tiny", &set).unwrap()
}

fn run(config: Config) -> Result<Reported> {
    stages::run(&Experiment::open(config, Interrupt::default(), Box::new(Silent))?)
}

/// Stops the run there, and checks that it did.
fn run_until(config: Config, work: &'static str, done: u64) {
    let interrupt = Interrupt::default();
    let progress = StopAt { interrupt: interrupt.clone(), work, done };
    let stopped =
        Experiment::open(config, interrupt, Box::new(progress)).and_then(|experiment| stages::run(&experiment));
    assert!(matches!(stopped, Err(Error::Interrupted(_))), "{work} was not stopped at {done}");
}

/// What a run is compared by: metrics without times, every rollout, and the content of every stage.
fn left_by(root: &Path) -> BTreeMap<String, Vec<u8>> {
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

#[test]
fn the_same_seed_gives_the_same_bytes_with_any_number_of_workers_and_after_interruptions() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    // So small a model is never right; that some of its completions end is enough to learn from.
    fs::write(root.join("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
    // The same base for all, made twice to see that it is the same.
    let made = [("made", 1), ("again", 3)].map(|(name, workers)| {
        let experiment = Experiment::open(config(root, name, workers), Interrupt::default(), Box::new(Silent)).unwrap();
        stages::pretrain(&experiment).unwrap()
    });
    let weights = made.each_ref().map(|dir| fs::read(dir.join("model.safetensors")).unwrap());
    assert!(weights[0] == weights[1], "pretraining depends on the number of workers");
    let rounded = [("rounded", 2), ("rounded-again", 1)].map(|(name, workers)| {
        let mut config = config(root, name, workers);
        config.run.precision = Precision::Bf16;
        let experiment = Experiment::open(config, Interrupt::default(), Box::new(Silent)).unwrap();
        fs::read(stages::pretrain(&experiment).unwrap().join("model.safetensors")).unwrap()
    });
    assert!(rounded[0] == rounded[1], "pretraining in bf16 depends on the number of workers");
    assert!(rounded[0] != weights[0], "the precision has to matter");
    fs::rename(&made[0], root.join("base")).unwrap();

    run(config(root, "one", 1)).unwrap();
    let expected = left_by(&root.join("one"));
    let names: Vec<&String> = expected.keys().collect();
    let metrics = String::from_utf8_lossy(&expected["metrics.jsonl"]);
    assert_eq!(metrics.lines().count(), 6);
    assert!(metrics.lines().all(|line| line.contains("\"loss\":")), "no step learned from its rewards: {metrics}");
    assert_eq!(names.iter().filter(|name| name.starts_with("step-")).count(), 6, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with("model.safetensors")).count(), 2, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with("answers.jsonl")).count(), 2, "{names:?}");

    run(config(root, "three", 3)).unwrap();
    same(&expected, &left_by(&root.join("three")), "three workers");

    // Stopped in the middle of each stage, one after the other, with another number of workers each time.
    let stopped = |workers| config(root, "stopped", workers);
    run_until(stopped(2), "fine-tuning", 5);
    run_until(stopped(1), "answering (baseline)", 1);
    run_until(stopped(3), "reinforcement learning", 3);
    // A run that is killed leaves steps behind that are later than its last checkpoint: these are done again.
    let rollouts = root.join("stopped/rollouts");
    fs::write(rollouts.join("step-000004.jsonl"), "half a li").unwrap();
    let metrics = root.join("stopped/metrics.jsonl");
    let text = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, format!("{text}{{\"step\":4,\"reward\":9.0,\"time\":{{}}}}\n{{\"step\":5,")).unwrap();
    run_until(stopped(1), "reinforcement learning", 5);
    run(stopped(2)).unwrap();
    same(&expected, &left_by(&root.join("stopped")), "stopped and continued");

    let mut other = config(root, "other", 1);
    other.run.seed = 1;
    run(other).unwrap();
    assert_ne!(left_by(&root.join("other"))["metrics.jsonl"], expected["metrics.jsonl"], "the seed has to matter");
}

fn same(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>, which: &str) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{which}");
    let differing: Vec<&String> = expected.keys().filter(|name| expected[*name] != found[*name]).collect();
    assert!(differing.is_empty(), "{which}: {differing:?} differ");
}
