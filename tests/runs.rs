//! What becomes of a run: moved, asked at any step, beside runs of other seeds.

#[path = "support/program.rs"]
mod program;
#[path = "support/tiny.rs"]
mod tiny;
#[path = "support/tiny_home.rs"]
mod tiny_home;

use std::collections::BTreeSet;
use std::fs;

use recollect::evaluation::{Arm, Summary};
use serde_json::Value;
use tiny_home::Home;

#[test]
fn a_run_answers_wherever_it_is_and_without_what_only_training_needs() {
    let home = Home::new();
    home.does(&["run", "tiny.toml"]);
    let kept = home.report("runs/tiny");
    fs::remove_dir_all(home.path("rewards")).unwrap();
    home.does(&["eval", "runs/tiny", "--arms", "filler"]);
    // The run alone, then its base beside it, from wherever.
    fs::create_dir_all(home.path("else/where")).unwrap();
    fs::rename(home.path("runs/tiny"), home.path("else/moved")).unwrap();
    let does = |folder: &str, arguments: &[&str]| {
        let output = home.recollect_in(folder, arguments);
        assert!(output.status.success(), "{folder} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    does("", &["eval", "else/moved"]);
    does("else/where", &["eval", "../moved", "--arms", "retrieval-while-thinking,after-rl"]);
    does("else/where", &["report", "../moved"]);
    assert_eq!(home.report("else/moved").arms, kept.arms);
    does("else", &["eval", "moved", "--against", "moved@0"]);
    fs::create_dir_all(home.path("new/place/runs")).unwrap();
    fs::rename(home.path("else/moved"), home.path("new/place/runs/tiny")).unwrap();
    fs::rename(home.path("base"), home.path("new/place/base")).unwrap();
    does("else", &["eval", "../new/place/runs/tiny", "--set", "evaluation.samples=3"]);
    does("new", &["eval", "place/runs/tiny", "--arms", "augmented-a"]);
    assert_eq!(home.stages("new/place/runs/tiny", "train-").len(), 1);

    // Another base under the same name is none of this run.
    fs::remove_file(home.path("new/place/base/complete.json")).unwrap();
    let weights = home.path("new/place/base/model.safetensors");
    let mut edited = fs::read(&weights).unwrap();
    *edited.last_mut().unwrap() ^= 1;
    fs::write(&weights, edited).unwrap();
    let error = home.fails(&["eval", "new/place/runs/tiny"]);
    assert!(error.contains("not what this run began with (base.path: model.safetensors was SHA-256 "), "{error}");
}

#[test]
fn a_run_that_was_only_trained_is_asked_at_any_step() {
    let home = Home::new();
    home.does(&["train", "tiny.toml"]);
    let error = home.fails(&["report", "runs/tiny"]);
    assert!(error.contains("was not evaluated yet") && error.contains("recollect eval"), "{error}");
    let error = home.fails(&["eval", "runs/tiny@5"]);
    assert!(error.contains("no checkpoint of step 5"), "{error}");
    let at = |run: &str| home.report(&home.place(&home.does(&["eval", run, "--arms", "direct-after-rl"])));
    let (begun, on_the_way) = (at("runs/tiny@0"), at("runs/tiny@4"));
    let of = |summary: &Summary, arm: Arm| -> Vec<(usize, u64)> {
        summary.arms.iter().filter(|row| row.arm == arm).map(|row| (row.correct, row.step)).collect()
    };
    assert_eq!(of(&begun, Arm::DirectAfterRl), of(&begun, Arm::FineTuned), "it is the fine-tuned policy");
    assert!(of(&on_the_way, Arm::DirectAfterRl).iter().all(|(_, step)| *step == 4));
    home.does(&["eval", "runs/tiny@4", "--against", "runs/tiny@0"]);
    // Its own evaluation trains nothing, though the reward is gone.
    fs::remove_dir_all(home.path("rewards")).unwrap();
    assert_eq!(home.place(&home.does(&["eval", "runs/tiny"])), "runs/tiny");
    assert_eq!(home.stages("runs/tiny", "train-").len(), 1);
    assert_eq!(home.report("runs/tiny").arms.iter().map(|row| row.arm).collect::<BTreeSet<_>>().len(), 7);
}

#[test]
fn runs_that_differ_in_seeds_go_together_and_others_do_not() {
    let home = Home::new();
    for (seed, dir) in [("0", "runs/zero"), ("1", "runs/one")] {
        let set = [format!("world.seed={seed}"), format!("run.seed={seed}"), format!("run.dir={dir}")];
        let set: Vec<&str> = set.iter().flat_map(|change| ["--set", change]).collect();
        home.does(&[&["eval", "tiny.toml", "--arms", "baseline,in-context"][..], &set[..]].concat());
    }
    let said = home.does(&["report", "runs/zero", "runs/one", "--into", "runs/both"]);
    let words: Vec<&str> = said.split_whitespace().collect();
    assert!(words.join(" ").contains("the mean over 2 runs") && said.contains("context"), "{said}");
    let json: Value = serde_json::from_str(&fs::read_to_string(home.path("runs/both/report.json")).unwrap()).unwrap();
    let rows = json["arms"].as_array().unwrap();
    assert!(rows.len() == 2 * 4 * 2 && rows.iter().all(|row| row["in_runs"].as_array().unwrap().len() == 2));
    assert_eq!(json["run"]["seeds"]["world in one"], 1);
    assert!(fs::read_to_string(home.path("runs/both/report.html")).unwrap().contains("over 2 runs"));
    home.does(&["eval", "tiny.toml", "--arms", "baseline", "--set", "finetune.steps=3", "--set", "run.dir=runs/other"]);
    let error = home.fails(&["report", "runs/zero", "runs/other"]);
    assert!(error.contains("finetune.steps is not what it is in runs/zero"), "{error}");
    let error = home.fails(&["report", "runs/zero", "runs/one", "--require", "in-context.B.reversal > 0.99"]);
    assert!(error.contains("does not hold"), "{error}");
}

#[test]
fn one_command_makes_a_run_for_each_seed_and_puts_them_together() {
    let home = Home::new();
    let shorter = ["run", "tiny.toml", "--set", "arms.ask=[\"fine-tuned\",\"after-rl\"]", "--set", "run.dir=runs/all"];
    home.does(&[&shorter[..], &["--set", "run.seeds=[0]"]].concat());
    let first = fs::read(home.path("runs/all/seed-0/metrics.jsonl")).unwrap();
    let said = home.does(&[&shorter[..], &["--set", "run.seeds=[0,5]"]].concat());
    assert!(said.contains("# runs ") && said.contains("over 2 runs"), "{said}");
    assert_eq!(
        fs::read(home.path("runs/all/seed-0/metrics.jsonl")).unwrap(),
        first,
        "what is finished is not made again"
    );
    let report = |path: &str| -> Value { serde_json::from_slice(&fs::read(home.path(path)).unwrap()).unwrap() };
    let all = report("runs/all/report.json");
    assert_eq!(all["run"]["runs"], serde_json::json!(["seed-0", "seed-5"]));
    assert_eq!(report("runs/all/seed-5/report.json")["run"]["seeds"]["world"], 5);
    let again = home.does(&["report", "runs/all"]);
    assert!(again.contains("over 2 runs") && report("runs/all/report.json") == all, "{again}");
    let error = home.fails(&["train", "runs/all"]);
    assert!(error.contains("run.seeds") && error.contains("runs/all/seed-5"), "{error}");
    assert_eq!(home.fails(&["watch", "runs/all"]), error);
}

#[test]
fn a_run_can_make_its_base_first() {
    let home = Home::new();
    let tuned = |dir: &str, base: &str| -> Vec<u8> {
        let set = [format!("run.dir={dir}"), format!("base.path={base}")];
        home.does(&["finetune", "tiny.toml", "--set", &set[0], "--set", &set[1]]);
        let stages = fs::read_dir(home.path(dir).join("stages")).unwrap().map(|entry| entry.unwrap().path());
        let mut stages = stages.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("finetune-"));
        fs::read(stages.next().unwrap().join("model.safetensors")).unwrap()
    };
    assert!(tuned("runs/made", "pretrain") == tuned("runs/given", "base"), "the same base, made by the same config");
    let error = home.fails(&["world", "tiny.toml", "--set", "base.path=pretrained"]);
    assert!(error.contains("pretrained"), "{error}");
}
