//! Bad input gets one clear line on stderr and an exit code that is not 0, and nothing is overwritten.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with a config, and the program run inside of it.
struct Home(tempfile::TempDir);

impl Home {
    fn with_config(text: &str) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir(home.path("rewards")).unwrap();
        let reward = Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/correct.toml");
        fs::copy(reward, home.path("rewards/correct.toml")).unwrap();
        fs::write(home.path("x.toml"), text).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn recollect(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_recollect")).args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    /// Runs what must fail, and returns the lines that it said.
    fn refused(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.recollect(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        stderr.lines().map(String::from).collect()
    }
}

#[test]
fn a_misspelt_key_in_a_file_or_an_override_is_named_with_its_nearest() {
    let home = Home::with_config("[train]\nstesp = 3\n");
    let expected = "error: x.toml: train.stesp: unknown key; did you mean train.steps?";
    assert_eq!(home.refused(&["run", "x.toml"]), [expected]);

    let home = Home::with_config("");
    let expected = "error: --set finetune.reply=0.2: finetune.reply: unknown key; did you mean finetune.replay?";
    assert_eq!(home.refused(&["run", "x.toml", "--set", "finetune.reply=0.2"]), [expected]);
    assert!(!home.path("runs").exists());
}

#[test]
fn everything_wrong_is_said_at_once() {
    let home = Home::with_config("[train]\nsteps = 0\ngroup_size = 'many'\n[tarin]\n");
    let lines = home.refused(&["run", "x.toml", "--set", "train.temperature=-1"]);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("error: ")));
}

#[test]
fn a_missing_file_is_named() {
    let home = Home::with_config("");
    assert_eq!(home.refused(&["run", "y.toml"]).len(), 1);
    assert!(home.refused(&["run", "y.toml"])[0].starts_with("error: y.toml: cannot read"));
    let lines = home.refused(&["run", "x.toml", "--set", "train.reward=rewards/no.toml"]);
    assert_eq!(lines, ["error: rewards/no.toml: no such file; train.reward names it"]);
    assert!(!home.path("runs").exists());
}

#[test]
fn a_reward_that_is_wrong_is_found_before_anything_runs() {
    let home = Home::with_config("");
    fs::write(home.path("rewards/correct.toml"), "[[term]]\nkind = 'corect'\n").unwrap();
    let lines = home.refused(&["run", "x.toml", "--dry-run"]);
    assert_eq!(lines, ["error: rewards/correct.toml: term 1: kind: unknown term \"corect\"; did you mean correct?"]);
}

#[test]
fn a_config_that_is_no_toml_or_no_text_is_one_line() {
    let home = Home::with_config("[train\nsteps = 1");
    let lines = home.refused(&["run", "x.toml"]);
    assert!(lines.len() == 1 && lines[0].starts_with("error: x.toml: line 1"), "{lines:?}");
    fs::write(home.path("x.toml"), [0xff, 0xfe, 0x00]).unwrap();
    assert_eq!(home.refused(&["run", "x.toml"]).len(), 1);
}

#[test]
fn a_run_directory_that_cannot_be_made_is_one_line() {
    let home = Home::with_config("");
    fs::write(home.path("file"), "content").unwrap();
    let lines = home.refused(&["run", "x.toml", "--set", "run.dir=file/run"]);
    assert!(lines.len() == 1 && lines[0].starts_with("error: file/run: cannot create"), "{lines:?}");
    assert_eq!(fs::read_to_string(home.path("file")).unwrap(), "content");
}

#[test]
fn a_directory_of_somebody_else_is_left_as_it_is() {
    let home = Home::with_config("");
    fs::create_dir(home.path("taken")).unwrap();
    fs::write(home.path("taken/notes.txt"), "mine").unwrap();
    let lines = home.refused(&["run", "x.toml", "--set", "run.dir=taken"]);
    assert!(lines.len() == 1 && lines[0].contains("not a run directory"), "{lines:?}");
    assert_eq!(fs::read_dir(home.path("taken")).unwrap().count(), 1);
}

#[test]
fn a_run_directory_of_another_config_is_left_as_it_is() {
    let home = Home::with_config("");
    let other = recollect::experiment::Config::parse("[train]\nsteps = 7", "other", "other", &[]).unwrap();
    let run = home.path("runs/x");
    drop(recollect::experiment::RunDir::open(&run, &other).unwrap());
    fs::write(run.join("metrics.jsonl"), "{}").unwrap();
    let before = fs::read_to_string(run.join("config.toml")).unwrap();
    let lines = home.refused(&["run", "x.toml"]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("belongs to another config (train.steps is 7 there and 300 here)"), "{lines:?}");
    assert_eq!(fs::read_to_string(run.join("config.toml")).unwrap(), before);
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap(), "{}");
}

#[test]
fn a_run_that_is_going_on_is_not_disturbed() {
    let home = Home::with_config("");
    let config = recollect::experiment::Config::parse("", "x.toml", "x", &[]).unwrap();
    let _run = recollect::experiment::RunDir::open(&home.path("runs/x"), &config).unwrap();
    let lines = home.refused(&["run", "x.toml"]);
    assert!(lines.len() == 1 && lines[0].contains("in use by process"), "{lines:?}");
}

#[test]
fn a_dry_run_prints_a_config_and_writes_nothing() {
    let home = Home::with_config("[train]\nsteps = 10\n");
    let output = home.recollect(&["run", "x.toml", "--dry-run", "--set", "train.group_size=4"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("# rollouts in all"), "{text}");
    let printed = recollect::experiment::Config::parse(&text, "printed", "printed", &[]).unwrap();
    assert_eq!((printed.train.steps, printed.train.group_size), (10, 4));
    assert!(!home.path("runs").exists());
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    let home = Home::with_config("");
    assert_eq!(home.recollect(&["rnu", "x.toml"]).status.code(), Some(2));
    assert_eq!(home.recollect(&["run"]).status.code(), Some(2));
    assert_eq!(home.recollect(&["--help"]).status.code(), Some(0));
}
