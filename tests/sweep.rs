//! A sweep goes on where it was stopped, shares what can be shared, judges by questions that no training asked, and asks
//! about B when the winner is known.

#[path = "support/program.rs"]
mod program;
#[path = "support/stop_at.rs"]
mod stop_at;
#[path = "support/tiny.rs"]
mod tiny;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use program::recollect;
use recollect::Error;
use recollect::config::Config;
use recollect::evaluation::{Answered, SweepSummary};
use recollect::experiment::{self, Experiment};
use recollect::interrupt::Interrupt;
use recollect::knowledge::Set;
use recollect::reward::Record;
use recollect::sweep::{self, Sweep, Swept};
use recollect::telemetry::{Progress, Silent};
use stop_at::StopAt;
use tiny::TINY;

/// Four cells, two seeds.
const FOUR: &str = "
base = 'tiny.toml'
seeds = [0, 3]
[set]
train.steps = 4
train.held_out = 0.5
[axes]
train.learning_rate = [1e-4, 1e-3]
reward.term.truncated.weight = [-1.0, -0.5]
";

/// A directory with a config, a base and a sweep. The program runs inside of it.
struct Home(tempfile::TempDir);

impl Home {
    fn with(sweep: &str) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        let root = home.path("");
        fs::write(root.join("sweep.toml"), sweep).unwrap();
        // So small a model is never right; that some of its completions end is enough to learn from.
        fs::write(root.join("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
        let paths = format!("[base]\npath = '{0}/base'\n{TINY}", root.display());
        fs::write(root.join("tiny.toml"), paths).unwrap();
        let set = [format!("run.dir={}/made", root.display()), format!("train.reward={}/reward.toml", root.display())];
        let config = Config::parse(TINY, "tiny", "tiny", &set).unwrap();
        let experiment = Experiment::open(config, Interrupt::default(), Box::new(Silent)).unwrap();
        fs::rename(experiment::pretrain(&experiment).unwrap(), root.join("base")).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = recollect();
        command
            .args(["sweep", "sweep.toml", "--set", "train.reward=reward.toml"])
            .args(more)
            .current_dir(self.path(""));
        command
    }

    fn recollect(&self, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }

    /// The sweep in this process, where it can be stopped at will.
    fn sweep(&self, dir: &str) -> Sweep {
        let text = fs::read_to_string(self.path("sweep.toml")).unwrap();
        let file = self.path("here.toml");
        fs::write(&file, text.replace("'tiny.toml'", &format!("'{}'", self.path("tiny.toml").display()))).unwrap();
        let set = [
            format!("train.reward={}", self.path("reward.toml").display()),
            format!("run.dir={}", self.path(dir).display()),
        ];
        Sweep::load(&file, &set).unwrap()
    }

    fn run(&self, dir: &str) -> Swept {
        self.sweep(dir).run(&Interrupt::default(), Arc::new(Silent)).unwrap()
    }
}

/// Stages in a directory by their names, with the bytes of their markers, which tell when a stage was made again.
fn finished(stages: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(stages) else { return BTreeMap::new() };
    let marker = |dir: PathBuf| {
        let name = dir.file_name()?.to_str()?.to_string();
        Some((name, fs::read(dir.join("complete.json")).ok()?))
    };
    let all = entries.filter_map(|entry| marker(entry.unwrap().path()));
    // What was being finished when the process was killed does not count.
    all.filter(|(name, _)| !name.ends_with(".partial")).collect()
}

fn count(stages: &BTreeMap<String, Vec<u8>>, name: &str) -> usize {
    stages.keys().filter(|stage| stage.rsplit_once('-').is_some_and(|(of, _)| of == name)).count()
}

/// What a sweep is compared by: all but times and places.
fn told(dir: &Path) -> Vec<(usize, String, usize, f64)> {
    let text = fs::read_to_string(dir.join("sweep.json")).unwrap();
    let summary: SweepSummary = serde_json::from_str(&text).unwrap();
    let on_b = summary.b.unwrap();
    let mut told: Vec<_> = summary
        .ranking
        .iter()
        .map(|cell| (cell.cell, format!("{:?}", cell.settings), cell.score.correct, cell.score.accuracy))
        .collect();
    told.push((0, "b".into(), on_b.after.correct, on_b.after.accuracy));
    told
}

fn answers(stages: &Path, name: &str) -> Vec<Answered> {
    let of = |stage: String| fs::read_to_string(stages.join(stage).join("answers.jsonl")).unwrap();
    let texts = finished(stages).into_keys().filter(|stage| stage.starts_with(name)).map(of);
    texts.flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()).collect()
}

#[test]
fn a_sweep_that_is_killed_goes_on_and_what_is_finished_is_not_made_again() {
    let home = Home::with(FOUR);
    let stages = home.path("runs/sweep/stages");
    let mut child = home.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while count(&finished(&stages), "held-out") < 3 && start.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = finished(&stages);
    assert!((3..8).contains(&count(&before, "held-out")), "it was to be killed in the middle: {:?}", before.keys());
    assert!(!home.path("runs/sweep/sweep.json").exists());

    let output = home.recollect(&[]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    let after = finished(&stages);
    assert!(before.iter().all(|(stage, marker)| after.get(stage) == Some(marker)), "a finished stage was made again");
    let counts = ["finetune", "train", "held-out", "baseline-on-b", "winner-on-b"].map(|name| count(&after, name));
    assert_eq!(counts, [2, 8, 8, 2, 2], "fine-tuned once for each seed, B for the winner alone: {:?}", after.keys());
    assert_eq!(after.len(), 22, "{:?}", after.keys());
    assert!(stdout.contains("winner is ahead by") && stdout.contains("wrote runs/sweep/sweep.html"), "{stdout}");
    let started: Vec<&str> = stderr.lines().filter(|line| line.starts_with("cell ")).collect();
    assert_eq!(started.len(), 8 - count(&before, "held-out"), "{stderr}");

    // The same as if it had never been killed.
    home.run("whole");
    assert_eq!(told(&home.path("runs/sweep")), told(&home.path("whole")));
    // And once more: there is nothing to do.
    let output = home.recollect(&[]);
    assert!(!String::from_utf8_lossy(&output.stderr).lines().any(|line| line.starts_with("cell ")));
    assert_eq!(finished(&stages), after);
}

#[test]
fn what_judges_was_not_trained_on_and_nothing_of_b_is_asked_on_the_way() {
    let home = Home::with(FOUR);
    let swept = home.run("runs");
    let stages = home.path("runs/stages");
    let judging = answers(&stages, "held-out");
    assert!(!judging.is_empty() && judging.iter().all(|answer| answer.set == Set::A));
    let held_out: BTreeSet<u64> = judging.iter().map(|answer| answer.question).collect();
    let mut trained = BTreeSet::new();
    for cell in &swept.summary.ranking {
        // The two seeds hold out different questions.
        for seed in ["seed-0", "seed-3"] {
            let dir = Path::new(&cell.dir).join(seed);
            let mut asked = BTreeSet::new();
            for entry in fs::read_dir(dir.join("rollouts")).unwrap() {
                let text = fs::read_to_string(entry.unwrap().path()).unwrap();
                let records = text.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
                asked.extend(records.map(|record| (record.set == Set::A, record.prompt.clone(), record.question)));
            }
            assert!(asked.iter().all(|(of_a, ..)| *of_a));
            trained.insert((seed, asked.into_iter().map(|(.., question)| question).collect::<Vec<_>>()));
            let metrics = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
            assert_eq!(metrics.lines().count(), 4);
        }
    }
    let sweep = home.sweep("runs");
    for (seed, asked) in trained {
        let number = seed.strip_prefix("seed-").unwrap().parse().unwrap();
        let config = sweep.cells[0].config(&sweep.root, number, 4).unwrap();
        let experiment = Experiment::open(config, Interrupt::default(), Box::new(Silent)).unwrap();
        let judged = sweep::find_judged(&experiment, &sweep.file.base.train.forms).unwrap().unwrap();
        assert!(judged.answers.iter().all(|answer| !asked.contains(&answer.question)), "{seed}");
        assert!(judged.answers.iter().all(|answer| held_out.contains(&answer.question)));
    }
    let on_b: BTreeSet<Set> = answers(&stages, "winner-on-b").iter().map(|answer| answer.set).collect();
    assert_eq!(on_b, BTreeSet::from([Set::B]));
}

#[test]
fn an_interruption_loses_no_step() {
    let home = Home::with(FOUR);
    let interrupt = Interrupt::default();
    let progress: Arc<dyn Progress> =
        Arc::new(StopAt { interrupt: interrupt.clone(), work: "reinforcement learning", done: 3 });
    let stopped = home.sweep("stopped").run(&interrupt, progress);
    assert!(matches!(stopped, Err(Error::Interrupted(_))), "{:?}", stopped.err());
    let first = &home.sweep("stopped").cells[0];
    let checkpoints = first.dir(&home.path("stopped"), 4).unwrap().join("seed-0/checkpoints");
    let saved: Vec<_> = fs::read_dir(&checkpoints).unwrap().flatten().collect();
    assert_eq!(saved.len(), 1, "the run that was going on is saved");
    home.run("stopped");
    home.run("whole");
    assert_eq!(told(&home.path("stopped")), told(&home.path("whole")));
}

#[test]
fn a_cell_that_cannot_be_trained_is_named_and_the_others_are_ranked() {
    // What is within its range may still be too much: this decay multiplies all weights by some thousands in each step.
    let decays = FOUR.replace("train.steps = 4", "train.steps = 20\ntrain.weight_decay = 100.0");
    let home = Home::with(&decays.replace("[1e-4, 1e-3]", "[1e-4, 100.0]"));
    let summary = home.run("runs").summary;
    let failed: Vec<usize> = summary.failed.iter().map(|cell| cell.cell).collect();
    assert_eq!((summary.ranking.len(), failed), (2, vec![2, 4]), "{:?}", summary.failed);
    assert!(summary.failed.iter().all(|cell| !cell.error.is_empty()));
    assert!(summary.ranking.iter().all(|cell| cell.settings[1].text == "1e-4"), "{:?}", summary.ranking);
}

#[test]
fn halving_trains_the_best_for_longer() {
    let halving = "kind = 'halving'\neta = 2\nrungs = 3\n[set]";
    let home =
        Home::with(&FOUR.replace("seeds = [0, 3]", "seeds = [0]").replace("[set]", &format!("[search]\n{halving}")));
    let summary = home.run("runs").summary;
    assert!(summary.failed.is_empty(), "{:?}", summary.failed);
    let told: Vec<(usize, usize)> = summary.ranking.iter().map(|cell| (cell.rung, cell.steps)).collect();
    assert_eq!(told, [(2, 4), (1, 2), (0, 1), (0, 1)]);
    assert_eq!(count(&finished(&home.path("runs/stages")), "train"), 4 + 2 + 1);
}

#[test]
fn another_value_makes_only_what_is_new() {
    let home = Home::with(FOUR);
    home.run("runs");
    let before = finished(&home.path("runs/stages"));
    fs::write(home.path("sweep.toml"), FOUR.replace("[1e-4, 1e-3]", "[1e-5, 1e-4, 1e-3]")).unwrap();
    let summary = home.run("runs").summary;
    let after = finished(&home.path("runs/stages"));
    assert_eq!(summary.ranking.len(), 6);
    assert_eq!((count(&before, "train"), count(&after, "train")), (8, 12));
}

#[test]
fn sweeps_share_what_comes_before_reinforcement_learning_with_all_runs_of_the_machine() {
    let home = Home::with(&FOUR.replace("seeds = [0, 3]", "seeds = [0]"));
    let shared = home.path("cache");
    let swept = |dir: &str, more: &[&str]| {
        let mut command = home.command(&["--set", &format!("run.dir={dir}")]);
        let output = command.args(more).env("RECOLLECT_CACHE", &shared).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    // A marker holds how long its stage took to make.
    let tuned = |stages: PathBuf| -> Vec<Vec<u8>> {
        finished(&stages)
            .into_iter()
            .filter(|(name, _)| name.starts_with("finetune-"))
            .map(|(_, marker)| marker)
            .collect()
    };
    let first = swept("one", &[]);
    assert!(first.contains("fine-tuning: ") && !swept("two", &[]).contains("fine-tuning: "), "{first}");
    assert_eq!(tuned(home.path("one/stages")).len(), 1);
    assert_eq!(tuned(home.path("two/stages")), tuned(home.path("one/stages")));
    // Another order of steps, so that nothing of it is there; and its own cache is shared with nobody.
    swept("three", &["--set", "run.cache=own", "--set", "finetune.steps=3"]);
    assert_eq!((tuned(shared).len(), tuned(home.path("own")).len()), (1, 1));
    assert_eq!(told(&home.path("one")), told(&home.path("two")));
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    let home = Home::with(FOUR);
    let refused = |sweep: &str, more: &[&str]| -> Vec<String> {
        fs::write(home.path("sweep.toml"), sweep).unwrap();
        let output = home.recollect(more);
        assert_eq!(output.status.code(), Some(1), "{sweep}");
        assert!(output.stdout.is_empty() && !home.path("runs").exists(), "{sweep}");
        String::from_utf8(output.stderr).unwrap().lines().map(String::from).collect()
    };
    let with_axes = |axes: &str| format!("base = 'tiny.toml'\n[axes]\n{axes}");
    for (sweep, expected) in [
        ("base = 'tiny.toml'\nseed = [1]\n[axes]\nb = [1]".to_string(), "seed: unknown key; did you mean seeds?"),
        ("base = 'tiny.toml'".to_string(), "axes: no cells: no key has values to try; write [axes] and"),
        ("[axes]\ntrain.steps = [1]".to_string(), "base: missing; give it a value"),
        (format!("seeds = [2, 2]\n{}", with_axes("train.steps = [1]")), "seeds: found 2 twice; take one of them away"),
        (format!("seeds = []\n{}", with_axes("train.steps = [1]")), "seeds: none; give at least one"),
        (with_axes("train.steps = [2, 3, 2]"), "axes.train.steps: found 2 twice; take one of them away"),
        (with_axes("train.stpes = [2]"), "cell 1 (stpes 2): axes: train.stpes: unknown key; did you mean train.steps?"),
        (
            with_axes("train.group_size = [4, 1]\ntrain.steps = [1, 2]"),
            "cell 3 (group_size 1, steps 1): axes: train.group_size: found 1; allowed is 2 or more",
        ),
        (
            with_axes("reward.term.truncatde.weight = [1.0]"),
            "cell 1 (truncatde.weight 1.0): reward.toml: term.truncatde.weight: no term is called \"truncatde\"; did you \
             mean truncated?",
        ),
        (with_axes("reward.term.truncated.weight = [0.0]"), "no term is worth anything; give at least one"),
        (
            with_axes("world.seed = [1]"),
            "axes.world.seed: no key to search; the seeds of a sweep are listed in `seeds`",
        ),
        (with_axes("evaluation.seed = [1]"), "no key to search; every cell has to answer the same questions"),
        (with_axes("train.learning_rate = { from = 1e-5, to = 1e-3 }"), "a range in a grid; list its values"),
        (
            format!("[search]\nkind = 'halvign'\n[axes]\n{}", "a = [1]"),
            "allowed are grid, random, halving (did you mean",
        ),
    ] {
        let lines = refused(&sweep, &[]);
        assert!(
            lines.iter().any(|line| line.starts_with("error: sweep.toml: ") && line.contains(expected)),
            "{lines:#?}"
        );
    }
    // What a run refuses, its sweep refuses: every cell is looked at, also where the first one is as it should be.
    for (axes, expected) in [
        (
            "train.max_new_tokens = [32, 400]",
            "cell 2 (max_new_tokens 400), seed 0: max_position_embeddings of the model",
        ),
        ("base.path = ['base', 'no/base']", ", seed 0: no/base: no such directory; base.path names it"),
        (
            "train.algorithm = ['gspo', { preset = 'gspo', aggregation = 'token' }]",
            ", seed 0: train.algorithm: aggregation: found \"token\" with ratio",
        ),
        (
            "reward.normalise = ['terms']\ntrain.algorithm = ['grpo', 'ppo']",
            ", seed 0: reward.toml: normalise = \"terms\" with train.algorithm.advantage = \"gae\"",
        ),
    ] {
        let sweep = format!("seeds = [0, 3]\n{}", with_axes(axes));
        for more in [&["--dry-run"][..], &[]] {
            let lines = refused(&sweep, more);
            // A line for each seed where the worlds of the seeds differ.
            assert!(lines[0].contains(expected), "{lines:#?}");
            assert!(lines.iter().all(|line| line.starts_with("error: sweep.toml: cell 2 (")), "{lines:#?}");
        }
    }
    let lines = refused(FOUR, &["--set", "train.learning_rate=1"]);
    let expected = "error: --set train.learning_rate=1: train.learning_rate is an axis of the sweep; change the axis, or take it \
                    away";
    assert_eq!(lines, [expected]);
    let lines = refused(FOUR, &["--set", "train.stpes=1"]);
    assert_eq!(lines, ["error: --set train.stpes=1: train.stpes: unknown key; did you mean train.steps?"]);
    let lines = refused(&with_axes("train.group_size = [1]\ntrain.steps = [1, 2, 3]"), &[]);
    assert_eq!(lines.len(), 1, "what several cells have in common is said once: {lines:#?}");
}

#[test]
fn a_dry_run_lists_the_cells_and_writes_nothing() {
    let home = Home::with(FOUR);
    let output = home.recollect(&["--dry-run"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !home.path("runs").exists());
    assert!(text.contains("# cell   4  truncated.weight -0.5, learning_rate 1e-3"), "{text}");
    assert!(text.contains("a grid of 4 cells, trained for 4 steps, with seeds 0, 3"), "{text}");
    // Four cells, two seeds, four steps of six questions with four completions each.
    assert!(text.contains("# 8 runs, 768 rollouts at most"), "{text}");
}
