//! `recollect doctor` says of a checkpoint what is so.

#[path = "support/foreign.rs"]
mod foreign;
#[path = "support/program.rs"]
mod program;

use std::fs;
use std::path::Path;
use std::process::Output;

use program::recollect;
use recollect::base::Place;
use recollect::doctor::{Severity, examine};
use recollect::telemetry::Silent;

fn doctor(arguments: &[&str]) -> Output {
    recollect().arg("doctor").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn doctor_finds_nothing_wrong_with_the_model_that_ships() {
    let output = doctor(&["embedded", "--workers", "1"]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    for wanted in
        ["embedded: qwen2, 3 layers of 128", "ok     weights", "ok     logits", "ok     sampler", "</think> is one"]
    {
        assert!(stdout.contains(wanted), "{wanted}: {stdout}");
    }
    assert!(stdout.contains("tok/s") && stdout.contains("together") && !stdout.contains("WRONG"), "{stdout}");
}

#[test]
fn doctor_reads_a_checkpoint_from_elsewhere_and_shows_its_prompt() {
    let home = foreign::home();
    let model = home.path().join("model");
    let output = doctor(&[model.to_str().unwrap(), "--quick"]);
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", text(&output.stderr));
    assert!(stdout.contains("ok     chat template  renders"), "{stdout}");
    assert!(stdout.contains("<|im_start|>user"), "the prompt is shown: {stdout}");
    assert!(stdout.contains("ok     thoughts       </think> is spelt in several tokens"), "{stdout}");
    assert!(!stdout.contains("tok/s"), "quick: {stdout}");
}

#[test]
fn doctor_says_what_will_not_work() {
    let home = foreign::home();
    let model = home.path().join("model");
    // A template that takes no question.
    let path = model.join("tokenizer_config.json");
    let mut options: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    options["chat_template"] = "{{ raise_exception('only tools may speak') }}".into();
    fs::write(&path, options.to_string()).unwrap();
    let output = doctor(&[model.to_str().unwrap(), "--quick"]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("WRONG  chat template") && stdout.contains("only tools may speak"), "{stdout}");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{stderr}");
    // No directory at all.
    let output = doctor(&["no/such/model"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no/such/model"), "{}", text(&output.stderr));
}

/// Linear scaling of rotations is one of the things that candle-transformers does not have: then nothing is claimed.
#[test]
fn doctor_compares_only_what_the_other_implementation_has() {
    let home = foreign::home();
    let model = home.path().join("model");
    let path = model.join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["rope_scaling"] = serde_json::json!({ "rope_type": "linear", "factor": 4.0 });
    fs::write(&path, config.to_string()).unwrap();
    let logits = |dir: &Path| {
        let dir = dir.to_string_lossy();
        let diagnosis = examine(Place::from_name(&dir), &candle_core::Device::Cpu, 1, true, &Silent).unwrap();
        diagnosis.findings.into_iter().find(|finding| finding.what == "logits").unwrap()
    };
    let finding = logits(&model);
    assert_eq!(finding.verdict, Severity::Limited, "{}", finding.words);
    assert!(finding.words.contains("rope_scaling"), "{}", finding.words);
}
