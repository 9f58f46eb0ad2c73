//! Going on with a run: with more steps, from another place, after its files were damaged, and not after its inputs
//! became others.

#[path = "support/home.rs"]
mod home;
#[path = "support/left.rs"]
mod left;
#[path = "support/program.rs"]
mod program;
#[path = "support/tiny.rs"]
mod tiny;

use program::recollect;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use home::Home;
use left::{left_by, same};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// Runs the program in a directory.
fn does(dir: &Path, arguments: &[&str]) -> String {
    let output = recollect().args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// The last line of stderr of what must fail.
fn fails(dir: &Path, arguments: &[&str]) -> String {
    let output = recollect().args(arguments).current_dir(dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stderr).unwrap().trim_end().lines().last().unwrap().to_owned()
}

/// Trains for so many steps, as a run of this name.
fn train(home: &Home, name: &str, steps: usize, set: &[&str]) -> String {
    let mut command = home.recollect("train", name);
    command.args(["--set", &format!("train.steps={steps}")]);
    command.args(set.iter().flat_map(|change| ["--set", change]));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {}", said(&output));
    said(&output)
}

/// Everything that is expected is there, bit for bit; of a run that had fewer steps there are more stages.
fn holds(expected: &BTreeMap<String, Vec<u8>>, mut found: BTreeMap<String, Vec<u8>>, which: &str) {
    found.retain(|name, _| expected.contains_key(name));
    same(expected, &found, which);
}

#[test]
fn a_finished_run_goes_on_when_its_steps_are_raised_and_says_so() {
    let home = Home::new(&[]);
    train(&home, "alone", 6, &[]);
    let expected = left_by(&home.path("alone"));
    train(&home, "raised", 3, &[]);
    let dir = home.path("raised");
    let run = dir.to_str().unwrap();
    let first = fs::read(dir.join("rollouts/step-000001.jsonl")).unwrap();
    let words = does(home.path("").as_path(), &["train", run, "--resume"]);
    assert!(words.contains("is finished: all 3 steps (train.steps) are done"), "{words}");
    assert!(words.contains(&format!("`recollect train {run} --resume --set train.steps=6`")), "{words}");
    let newest = dir.join("checkpoints").read_dir().unwrap().next().unwrap().unwrap().path().join("step-000003");
    assert!(newest.join("optimizer.safetensors").exists(), "the last step keeps a checkpoint with its optimizer");

    let words = does(home.path("").as_path(), &["train", run, "--resume", "--set", "train.steps=6"]);
    assert!(!words.contains("is finished"), "{words}");
    assert_eq!(fs::read(dir.join("rollouts/step-000001.jsonl")).unwrap(), first);
    holds(&expected, left_by(&dir), "raised");
    // Steps that were done are not undone.
    let words = fails(home.path("").as_path(), &["train", run, "--resume", "--set", "train.steps=5"]);
    assert!(words.contains("train.steps is 6 there and 5 here"), "{words}");
}

#[test]
fn a_branch_from_step_0_begins_with_the_fine_tuned_policy() {
    let home = Home::new(&[]);
    train(&home, "trunk", 3, &[]);
    let trunk = home.path("trunk");
    let here = home.path("");
    does(&here, &["train", trunk.to_str().unwrap(), "--from", "0"]);
    same(&left_by(&trunk), &left_by(&home.path("trunk-from-0")), "branch");
    let other = home.path("other");
    let set = format!("run.dir={}", other.display());
    let from = ["train", trunk.to_str().unwrap(), "--from", "0", "--set", &set, "--set", "finetune.seed=9"];
    let words = fails(&here, &from);
    assert!(words.contains("it began with another fine-tuned policy than this run"), "{words}");
    let words = fails(&here, &["train", trunk.to_str().unwrap(), "--from", "nowhere@0"]);
    assert!(words.starts_with("error: nowhere"), "{words}");
}

#[test]
fn a_branch_goes_on_when_the_checkpoint_that_it_left_is_gone() {
    let home = Home::new(&[]);
    train(&home, "trunk", 3, &[]);
    train(&home, "alone", 5, &[]);
    let (trunk, branch, here) = (home.path("trunk"), home.path("trunk-from-2"), home.path(""));
    does(&here, &["train", trunk.to_str().unwrap(), "--from", "2"]);
    fs::remove_dir_all(trunk).unwrap();
    does(&here, &["train", branch.to_str().unwrap(), "--resume", "--set", "train.steps=5"]);
    let metrics = |left: &BTreeMap<String, Vec<u8>>| String::from_utf8(left["metrics.jsonl"].clone()).unwrap();
    let (alone, branch) = (left_by(&home.path("alone")), left_by(&branch));
    assert_eq!(metrics(&branch).lines().collect::<Vec<_>>(), metrics(&alone).lines().skip(2).collect::<Vec<_>>());
    assert!(branch["step-000005.jsonl"] == alone["step-000005.jsonl"]);
}

#[test]
fn a_cache_is_remembered_however_the_run_is_gone_on_with() {
    let home = Home::new(&[]);
    let cache = home.path("cache");
    train(&home, "run", 2, &[&format!("run.cache={}", cache.display())]);
    let stages = || cache.read_dir().unwrap().count();
    let before = stages();
    assert!(before >= 2);
    // By its config, which says nothing of a cache; and then by its directory.
    train(&home, "run", 2, &[]);
    does(&home.path(""), &["train", home.path("run").to_str().unwrap(), "--resume"]);
    assert!(!home.path("run/stages").exists(), "everything was made once more");
    assert_eq!(stages(), before);
}

#[test]
fn a_run_that_was_moved_goes_on_from_any_working_directory() {
    let home = Home::new(&[]);
    train(&home, "alone", 6, &[]);
    let expected = left_by(&home.path("alone"));
    let (here, elsewhere) = (home.path(""), home.path("else/where"));
    fs::create_dir_all(&elsewhere).unwrap();
    // A file that has the same name over there is another one.
    fs::write(elsewhere.join("reward.toml"), "[[term]]\nkind = 'correct'\n").unwrap();
    let set = ["base.path=base", "train.reward=reward.toml", "run.dir=runs/a", "run.cache=cache", "run.workers=2"];
    let mut begin = vec!["train", "tiny.toml", "--set", "train.steps=3"];
    set.iter().for_each(|change| begin.extend(["--set", change]));
    does(&here, &begin);
    fs::rename(home.path("runs/a"), elsewhere.join("b")).unwrap();
    does(&elsewhere, &["train", "b", "--resume", "--set", "train.steps=6", "--set", "run.workers=1"]);
    assert!(!elsewhere.join("b/stages").exists(), "everything was made once more");
    let moved = left_by_moved(&elsewhere.join("b"), &home.path("cache"));
    holds(&expected, moved, "moved");
    // And once more, where nothing of it has ever been.
    let other = tempfile::tempdir().unwrap();
    let words = does(other.path(), &["train", elsewhere.join("b").to_str().unwrap(), "--resume"]);
    assert!(words.contains("is finished: all 6 steps"), "{words}");
    assert!(!home.path("runs/a").exists() && !elsewhere.join("cache").exists() && !other.path().join("cache").exists());
}

#[test]
fn a_copy_of_a_run_is_evaluated_from_any_working_directory_and_leaves_the_run_alone() {
    let home = Home::new(&[]);
    let (here, elsewhere) = (home.path(""), home.path("else/where"));
    fs::create_dir_all(&elsewhere).unwrap();
    let set = ["base.path=base", "train.reward=reward.toml", "run.dir=runs/a", "train.steps=2", "run.workers=2"];
    let train: Vec<&str> =
        ["train", "tiny.toml"].into_iter().chain(set.iter().flat_map(|set| ["--set", set])).collect();
    does(&here, &train);
    let (run, copied) = (home.path("runs/a"), home.path("else/b"));
    for (path, bytes) in everything(&run) {
        let to = copied.join(Path::new(&path).strip_prefix(&run).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
    let before = everything(&run);
    let eval = ["eval", "../b", "--arms", "direct-after-rl", "--set", "run.workers=1"];
    let words = does(&elsewhere, &eval);
    let place = words.lines().find_map(|line| line.strip_prefix("wrote ")).unwrap_or_else(|| panic!("{words}"));
    assert!(elsewhere.join(place).canonicalize().unwrap().starts_with(copied.canonicalize().unwrap()), "{place}");
    assert!(everything(&run) == before, "something of the run was changed");
}

/// What is left by a run whose stages are in a cache.
fn left_by_moved(run: &Path, cache: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::rename(cache, run.join("stages")).unwrap();
    let left = left_by(run);
    fs::rename(run.join("stages"), cache).unwrap();
    left
}

#[test]
fn damage_to_what_was_written_is_told_and_put_right_from_the_checkpoint() {
    let home = Home::new(&[]);
    train(&home, "run", 4, &[]);
    let run = home.path("run");
    let (metrics, evaluations) = (run.join("metrics.jsonl"), run.join("evaluations.json"));
    let rollouts = run.join("rollouts/step-000004.jsonl");
    let whole = [&metrics, &evaluations].map(|path| fs::read_to_string(path).unwrap());
    let lines: Vec<&str> = whole[0].lines().collect();
    fs::write(&metrics, [lines[0], lines[1], lines[1], lines[2], lines[3], ""].join("\n")).unwrap();
    fs::write(&evaluations, whole[1].replacen("\"correct\":", "\"correct\":1", 1)).unwrap();
    let recorded = fs::read_to_string(&rollouts).unwrap();
    fs::write(&rollouts, recorded.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();

    // Whoever reads is told.
    let (here, dir) = (home.path(""), run.to_str().unwrap());
    let expected = ["metrics.jsonl: step 2 has 2 lines", "step-000004.jsonl: the rollouts of step 4 were changed"];
    let words = does(&here, &["watch", dir, "--once"]);
    assert!(expected.iter().all(|expected| words.contains(expected)), "{words}");
    assert!(words.contains("evaluations.json: the evaluation of step 0 is not what it was"), "{words}");
    for of_rollouts in [dir, rollouts.to_str().unwrap()] {
        let words = does(&here, &["reward", "score", "reward.toml", of_rollouts]);
        assert!(words.contains(expected[1]) && !words.contains(expected[0]), "{words}");
    }
    let third = run.join("rollouts/step-000003.jsonl");
    assert!(!does(&here, &["reward", "score", "reward.toml", third.to_str().unwrap()]).contains("warning"));
    assert_ne!(fs::read_to_string(&metrics).unwrap(), whole[0], "a reader writes nothing");

    // Whoever goes on puts right what can be.
    let words = does(&here, &["train", dir, "--resume", "--set", "train.steps=5"]);
    assert!(expected.iter().all(|expected| words.contains(expected)), "{words}");
    assert_eq!(words.matches("it was restored from the newest checkpoint").count(), 2, "{words}");
    assert_eq!(words.matches("no checkpoint keeps rollouts").count(), 2, "when it goes on, and at the end: {words}");
    let now = fs::read_to_string(&metrics).unwrap();
    assert!(now.starts_with(&whole[0]) && now.lines().count() == 5, "{now}");

    // A finished run that is asked to do nothing is looked at as well.
    fs::write(&rollouts, recorded).unwrap();
    fs::remove_file(&metrics).unwrap();
    let words = does(&here, &["train", dir, "--resume"]);
    assert!(words.contains("metrics.jsonl: it is gone; it was restored") && words.contains("is finished"), "{words}");
    assert_eq!(fs::read_to_string(&metrics).unwrap(), now);
    let words = does(&here, &["train", dir, "--resume"]);
    assert!(!words.contains("warning"), "{words}");
}

/// Everything below a directory, by its path.
fn everything(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("run.lock") => {}
                false => drop(all.insert(path.display().to_string(), fs::read(path).unwrap())),
            }
        }
    }
    all
}

/// Changes a file, expects a refusal that names it and both contents, and puts it back.
fn refused_while_changed(home: &Home, file: &str, key: &str, run: &str) {
    let path = home.path(file);
    let bytes = fs::read(&path).unwrap();
    let before = everything(&home.path(run));
    // Weights stay weights, and a reward pays for something more; in every other file a line end more says nothing.
    let other = match file.rsplit_once('.') {
        Some((_, "safetensors")) => [&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 1]].concat(),
        Some((_, "toml")) => [&bytes[..], b"[[term]]\nkind = 'correct'\n"].concat(),
        _ => [&bytes[..], b"\n"].concat(),
    };
    fs::write(&path, &other).unwrap();
    let output = home.recollect("run", run).output().unwrap();
    let words = said(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    let line = words.lines().find(|line| line.starts_with("error: ")).unwrap();
    let digests = [&bytes, &other].map(|bytes| recollect::files::digest(bytes)[..16].to_owned());
    let expected = format!(
        "{file}: not what this run began with ({key} was SHA-256 {}… then and is SHA-256 {}… now); put it back{}, or use \
         another run.dir",
        digests[0],
        digests[1],
        if key == "train.reward" { ", set train.reload_reward = true" } else { "" }
    );
    assert!(line.ends_with(&expected), "{line}");
    assert_eq!(everything(&home.path(run)), before, "something was written");
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_base_that_became_another_one_under_the_same_name_is_refused() {
    let home = Home::new(&[]);
    home.finished("run");
    for file in ["model.safetensors", "tokenizer.json", "config.json", "known.json"] {
        refused_while_changed(&home, &format!("base/{file}"), &format!("base.path: {file}"), "run");
    }
    home.finished("run");
    fs::write(home.path("base/special_tokens_map.json"), "{}").unwrap();
    let output = home.recollect("run", "run").output().unwrap();
    assert!(said(&output).contains("special_tokens_map.json was none then"), "{}", said(&output));
}

#[test]
fn a_reward_that_became_another_one_is_refused_in_the_same_words() {
    let home = Home::new(&[]);
    home.finished("run");
    refused_while_changed(&home, "reward.toml", "train.reward", "run");
    // What pays the same is the same reward, and its file is told by what it is now.
    let text = fs::read_to_string(home.path("reward.toml")).unwrap();
    fs::write(home.path("reward.toml"), format!("# A comment.\n{text}")).unwrap();
    let steps = home.with(&["train.steps=7"]);
    steps.finished("run");
    refused_while_changed(&steps, "reward.toml", "train.reward", "run");
}

#[test]
fn documents_and_questions_that_became_others_under_the_same_name_are_refused() {
    let home = Home::new(&[]);
    let row = |at: usize| format!("{{\"prompt\": \"Person {at} lives in\", \"completion\": \" town {at}.\"}}\n");
    let asked = |at: usize| format!("{{\"prompt\": \"Who lives in town {at}?\", \"completion\": \" Person {at}.\"}}\n");
    fs::write(home.path("documents.jsonl"), (0..24).map(row).collect::<String>()).unwrap();
    fs::write(home.path("questions.jsonl"), (0..24).map(asked).collect::<String>()).unwrap();
    let files = ["documents", "questions"].map(|key| {
        let path = home.path(&format!("{key}.jsonl"));
        format!("world.jsonl.{key}=['{}']", path.display())
    });
    let plain = ["train.forms=['completion']", "train.replay_tokens=0", "finetune.replay=0", "train.steps=2"];
    let home = home.with(&plain).with(&[&files[0], &files[1], "base.path=embedded", "world.jsonl.vocabulary=300"]);
    home.finished("run");
    for key in ["documents", "questions"] {
        refused_while_changed(&home, &format!("{key}.jsonl"), &format!("world.jsonl.{key}[0]"), "run");
    }
    // Under another name the same content is the same run.
    fs::rename(home.path("documents.jsonl"), home.path("renamed.jsonl")).unwrap();
    let renamed = format!("world.jsonl.documents=['{}']", home.path("renamed.jsonl").display());
    let before = fs::read(home.path("run/metrics.jsonl")).unwrap();
    home.with(&[&renamed]).finished("run");
    assert!(before == fs::read(home.path("run/metrics.jsonl")).unwrap(), "it was trained anew");
}
