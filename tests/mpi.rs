//! Several processes leave what threads leave, bit for bit, and one that dies is named and costs nothing that was done.
//! Skipped without the feature `mpi` (`cargo test --release --features mpi --test mpi`) or without `mpirun`.
#![cfg(unix)]

#[path = "support/home.rs"]
mod home;
#[path = "support/left.rs"]
mod left;
#[path = "support/program.rs"]
mod program;
#[path = "support/tiny.rs"]
mod tiny;

use program::recollect;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use home::{Home, finish, interrupt};
use left::{left_by, same};

/// A command on three ranks, with more of them than cores if need be.
fn mpirun(options: &[&str], arguments: &[String]) -> Command {
    mpirun_of(3, options, arguments)
}

fn mpirun_of(ranks: usize, options: &[&str], arguments: &[String]) -> Command {
    let mut mpirun = launcher();
    mpirun.args(["-np", &ranks.to_string()]).args(options).arg(env!("CARGO_BIN_EXE_recollect")).args(arguments);
    mpirun
}

/// The same on three ranks of which rank 0 alone is in the directory of the files, as if the others were on machines that
/// have none of them.
fn apart(home: &Path, elsewhere: &Path, arguments: &[&str]) -> Command {
    let mut mpirun = launcher();
    mpirun.current_dir(home);
    mpirun.args(["-np", "1", env!("CARGO_BIN_EXE_recollect")]).args(arguments);
    mpirun.args([":", "-np", "2", "-wdir"]).arg(elsewhere).arg(env!("CARGO_BIN_EXE_recollect")).args(arguments);
    mpirun
}

fn launcher() -> Command {
    let mut mpirun = Command::new("mpirun");
    // In containers tests are run by root.
    mpirun
        .env("RECOLLECT_CACHE", "off")
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .arg("--oversubscribe");
    mpirun.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    mpirun
}

/// Whether there is anything to test. Says so where there is not.
fn available() -> bool {
    let found = Command::new("mpirun").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match (cfg!(feature = "mpi"), found.is_ok()) {
        (false, _) => println!("skipped: built without --features mpi"),
        (true, false) => println!("skipped: no mpirun here; on Debian, apt-get install openmpi-bin libopenmpi-dev"),
        (true, true) => return true,
    }
    false
}

/// The process of a rank among the children of `mpirun`.
fn process_of(mpirun: u32, rank: usize) -> Option<i32> {
    let rank = format!("OMPI_COMM_WORLD_RANK={rank}");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    let of_run = |number: &i32| {
        let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
        let environment = fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
        let is_rank = environment.split(|byte| *byte == 0).any(|variable| variable == rank.as_bytes());
        is_rank && status.lines().any(|line| line == format!("PPid:\t{mpirun}"))
    };
    { numbers }.find(of_run)
}

/// Waits until a run has done so many steps.
fn wait_for_step(run: &Path, steps: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let done = || fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default().lines().count();
    while done() < steps {
        assert!(Instant::now() < deadline, "step {steps} is not reached");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn three_ranks_leave_what_threads_leave() {
    if !available() {
        return;
    }
    let home = Home::new(&[]);
    home.finished("threads");
    let output = finish(mpirun(&[], &home.arguments("run", "ranks")).spawn().unwrap());
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    same(&left_by(&home.path("threads")), &left_by(&home.path("ranks")), "three ranks");
    assert!(said.contains("rank 0 learns, ranks 1 to 2 sample"), "{said}");
    assert_eq!(said.matches("rollouts per step").count(), 1, "only rank 0 prints: {said}");
}

#[test]
fn the_quickstart_on_three_ranks_is_the_quickstart() {
    if !available() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let arguments = |name: &str| -> Vec<String> {
        let run = format!("run.dir={}", dir.path().join(name).display());
        // As it ships but for its length, which is no part of what is tested.
        let short = ["run.workers=1", "finetune.steps=40", "train.steps=3", "train.evaluate_every=0"];
        let mut arguments = vec!["train".to_owned(), "configs/quickstart.toml".to_owned()];
        short.iter().copied().chain([run.as_str()]).for_each(|set| arguments.extend(["--set".into(), set.into()]));
        arguments
    };
    let mut threads = recollect();
    assert!(threads.args(arguments("threads")).output().unwrap().status.success());
    let output = finish(mpirun(&[], &arguments("ranks")).spawn().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    same(&left_by(&dir.path().join("threads")), &left_by(&dir.path().join("ranks")), "the quickstart on three ranks");
}

#[test]
fn ranks_share_the_gradient_of_every_objective_and_change_no_bit_of_it() {
    if !available() {
        return;
    }
    // Steps and rehearsals of several parts each.
    let home = Home::new(&["run.workers=1", "train.group_size=32", "train.steps=3", "train.replay_tokens=4096"]);
    let everything =
        "{ preset = 'dapo', inner_epochs = 3, tis_cap = 2.0, kl = 0.1, entropy = 0.01, filter.keep = 'all' }";
    let cases = [
        ("plain", vec![]),
        ("everything", vec![format!("train.algorithm={everything}")]),
        ("head", vec!["train.algorithm={ preset = 'ppo', inner_epochs = 2, value.trunk = true }".to_owned()]),
        ("adapters", vec!["lora.rank=4".to_owned(), "train.algorithm.kl=0.1".to_owned()]),
        ("rounded", vec!["run.precision=bf16".to_owned(), "train.temperature=0.8".to_owned()]),
    ];
    for (case, set) in cases {
        let arguments = |name: &str| {
            let set = set.iter().flat_map(|change| ["--set".to_owned(), change.clone()]);
            home.arguments("train", name).into_iter().chain(set).collect::<Vec<_>>()
        };
        let threads = recollect().args(arguments(case)).output().unwrap();
        assert!(threads.status.success(), "{case}: {}", String::from_utf8_lossy(&threads.stderr));
        let expected = left_by(&home.path(case));
        for ranks in [2, 3] {
            let name = format!("{case}-{ranks}");
            let output = finish(mpirun_of(ranks, &[], &arguments(&name)).spawn().unwrap());
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            same(&expected, &left_by(&home.path(&name)), &name);
            let shared = learned_elsewhere(&home.path(&name));
            println!("{name}: other ranks computed {:.0}% of the gradient", 100.0 * shared);
            assert!(shared > 0.0, "{name}: no other rank helped");
        }
    }
}

/// The share of a run's tokens that other ranks learned from.
fn learned_elsewhere(run: &Path) -> f64 {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().map(|line| line["time"]["learned_elsewhere"].as_f64().unwrap()).sum::<f64>() / lines.len() as f64
}

#[test]
fn ranks_sample_ahead_of_the_learner() {
    if !available() {
        return;
    }
    let home = Home::new(&["train.max_off_policy_steps=2", "train.algorithm.tis_cap=2.0", "train.steps=12"]);
    let output = finish(mpirun(&[], &home.arguments("train", "ahead")).spawn().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metrics = fs::read_to_string(home.path("ahead/metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 12);
    let behind: f64 = lines.iter().map(|line| 1.0 - line["staleness/0"].as_f64().unwrap()).sum();
    assert!(behind > 0.0, "nothing was sampled ahead: {metrics}");
}

#[test]
fn only_rank_0_needs_the_files_of_a_run() {
    if !available() {
        return;
    }
    let home = Home::new(&["train.steps=30"]);
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(home.recollect("train", "alone").output().unwrap().status.success());
    let child = home.recollect("train", "ranks").spawn().unwrap();
    wait_for_step(&home.path("ranks"), 3);
    let (output, ended) = interrupt(child, libc::SIGTERM, Duration::ZERO);
    assert!(!ended && output.status.code() == Some(130), "it was too late to stop the run");
    let on_ranks = |arguments: &[&str]| {
        let output = finish(apart(&home.path(""), elsewhere.path(), arguments).spawn().unwrap());
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (done, errors) = on_ranks(&["train", "ranks", "--resume"]);
    assert!(done, "{errors}");
    let ranks = left_by(&home.path("ranks"));
    same(&left_by(&home.path("alone")), &ranks, "resumed on ranks");

    let (done, errors) = on_ranks(&["train", "ranks", "--from", "29"]);
    assert!(done, "{errors}");
    let branch = left_by(&home.path("ranks-from-29"));
    assert_eq!(branch["step-000030.jsonl"], ranks["step-000030.jsonl"]);
    // What is wrong is told by one of them, once, and ends all.
    let (done, errors) = on_ranks(&["train", "nowhere", "--resume"]);
    assert!(!done && errors.matches("error: ").count() == 1 && errors.contains("nowhere"), "{errors}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "a rank that samples wrote something");
}

#[test]
fn a_rank_that_dies_is_named_in_seconds_and_the_run_goes_on_from_there() {
    if !available() {
        return;
    }
    // Other ranks have parts of a gradient most of the time.
    let sizes = ["train.group_size=16", "train.replay_tokens=2048", "run.workers=1"];
    let home = Home::new(&[&sizes[..], &["train.steps=30", "train.checkpoint_every=10"]].concat());
    home.finished("threads");
    let expected = left_by(&home.path("threads"));
    // With MPI's own way to end a run, in which all others are killed a second later, and with that of recollect.
    for (name, options) in [("aborted", &[][..]), ("recovered", &["--enable-recovery"])] {
        let child = mpirun(options, &home.arguments("run", name)).spawn().unwrap();
        wait_for_step(&home.path(name), 5);
        let victim = process_of(child.id(), 2).expect("rank 2 is there");
        // SAFETY: it was a child of our own mpirun a moment ago.
        unsafe { libc::kill(victim, libc::SIGKILL) };
        let killed = Instant::now();
        assert!(learned_elsewhere(&home.path(name)) > 0.0, "{name}: no other rank helped to learn");
        let output = finish(child);
        let took = killed.elapsed();
        let errors = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        // With `--enable-recovery` mpirun itself is content, whatever happened.
        assert!(
            (name == "recovered" || !output.status.success()) && took < Duration::from_secs(40),
            "{took:?}: {errors}"
        );
        assert!(format!("{said}{errors}").contains("rank 2"), "{name}: {said}{errors}");
        if name == "recovered" {
            let words = ["error: rank 2 (on ", "its process or its machine has died", "start the same command again"];
            assert!(words.iter().all(|words| errors.contains(words)), "{errors}");
        }
        println!("{name}: over {took:.1?} after rank 2 was killed");
        // Threads can go on with what ranks have begun.
        home.finished(name);
        same(&expected, &left_by(&home.path(name)), name);
    }
}
