//! Commands that judge, in runs of their own: what they cost, and that none is left of them, however a run ends.
#![cfg(unix)]

#[path = "support/home.rs"]
mod home;
#[path = "support/program.rs"]
mod program;
#[path = "support/tiny.rs"]
mod tiny;

use program::recollect;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use home::{Home, finish};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// A home whose reward asks a judge: a shell script, in which `$id` is the id of a line.
fn judged(script: &str, keys: &str) -> Home {
    let short = [
        "train.steps=2",
        "train.evaluate_every=0",
        "train.max_new_tokens=8",
        "train.replay_tokens=16",
        "finetune.steps=1",
        "pretrain.phases=[{ steps = 1 }]",
    ];
    let home = Home::new(&short);
    let path = home.path("judge.sh");
    fs::write(&path, script).unwrap();
    let term = format!("[[term]]\nkind = 'external'\nname = 'judge'\ncommand = ['sh', '{}']\n{keys}\n", path.display());
    fs::write(home.path("reward.toml"), format!("[[term]]\nkind = 'truncated'\nweight = -1.0\n{term}")).unwrap();
    home
}

/// A judge that does this with each line.
fn each(deed: &str) -> String {
    format!("while read -r line; do id=${{line#*:}}; id=${{id%%,*}}\n{deed}\ndone\n")
}

/// Waits until something is so.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(5));
    }
}

fn lives(process: i32) -> bool {
    // One that has ended and that nobody has asked about is a zombie, and has ended.
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the child has not been waited for, so its number is its own.
    unsafe { libc::kill(child.id() as i32, signal) };
}

fn json_lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_slow_judge_is_asked_about_many_completions_at_once() {
    let log = tempfile::tempdir().unwrap();
    let log = log.path().join("log");
    let at_once = |home: &Home| {
        fs::write(&log, "").unwrap();
        home.finished("run");
        let (mut now, mut most) = (0, 0);
        for line in fs::read_to_string(&log).unwrap().lines() {
            now += if line == "begin" { 1 } else { -1 };
            most = most.max(now);
        }
        for (line, step) in json_lines(&home.path("run/metrics.jsonl")).iter().zip(1..) {
            let rollouts = json_lines(&home.path(&format!("run/rollouts/step-{step:06}.jsonl")));
            assert_eq!(rollouts.len(), 24);
            assert!(rollouts.iter().all(|line| line["terms"][1]["value"] == 1.0), "{rollouts:?}");
            // One after another they take 4.8 seconds, and eight at once 0.6.
            let seconds = line["time"]["judge"].as_f64().unwrap();
            assert!(seconds < 2.4, "step {step} waited {seconds} s for its judge");
        }
        most
    };
    let deed = format!(
        "echo begin >> {log}; sleep 0.2; echo end >> {log}; echo '{{\"id\":'$id',\"value\":1}}'",
        log = log.display()
    );
    // One process that judges many lines at once, and many that judge one line after another.
    assert_eq!(at_once(&judged(&each(&format!("({deed}) &")), "in_flight = 8")), 8);
    assert_eq!(at_once(&judged(&each(&deed), "processes = 8")), 8);
}

#[test]
fn a_completion_that_is_not_judged_is_no_member_of_its_group() {
    // Every third is declined, and every fifth dies; where few are left nothing is learned.
    let deed = "[ $((id % 5)) = 0 ] && exit 1; v=1; [ $((id % 3)) = 0 ] && v=null; [ $((id % 2)) = 0 ] && v=0.25; \
                echo '{\"id\":'$id',\"value\":'$v'}'";
    let home = judged(&each(deed), "weight = -1.0");
    let output = home.finished("run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("they are taken out of their groups, and metrics.jsonl counts them"), "{said}");
    // Also where completions are sampled ahead of their turn.
    let ahead = home.recollect("train", "ahead").args(["--set", "train.max_off_policy_steps=1"]).spawn().unwrap();
    assert!(finish(ahead).status.success());
    for (run, step) in [("run", 1), ("run", 2), ("ahead", 1), ("ahead", 2)] {
        let metrics = &json_lines(&home.path(&format!("{run}/metrics.jsonl")))[step - 1];
        let rollouts = json_lines(&home.path(&format!("{run}/rollouts/step-{step:06}.jsonl")));
        let unjudged = rollouts.iter().filter(|line| line["reward"].is_null()).count();
        assert!(unjudged > 4 && metrics["completions/unjudged"] == unjudged as f64, "{metrics}");
        let counted = ["declined", "died"].map(|why| metrics[&format!("rewards/judge/{why}")].as_f64().unwrap_or(0.0));
        assert_eq!(counted.iter().sum::<f64>(), unjudged as f64, "{metrics}");
        let mut sum = 0.0;
        for line in &rollouts {
            let value = &line["terms"][1]["value"];
            assert_eq!(line["reward"].is_null(), value.is_null(), "{line}");
            assert_eq!(line["reward"].is_null(), line["advantage"].is_null(), "{line}");
            sum += line["reward"].as_f64().unwrap_or(0.0);
        }
        let judged = (rollouts.len() - unjudged) as f64;
        assert!((metrics["reward"].as_f64().unwrap() - sum / judged).abs() < 1e-9, "{metrics}");
        // Advantages of a group are those of its judged members: they add up to nothing.
        for group in rollouts.chunk_by(|a, b| a["question"] == b["question"]) {
            let sum: f64 = group.iter().filter_map(|line| line["advantage"].as_f64()).sum();
            assert!(sum.abs() < 1e-4, "{group:?}");
        }
    }
    // What was recorded can be scored again, and read by whoever reads rollouts.
    let reward = home.path("reward.toml").display().to_string();
    let run = home.path("run").display().to_string();
    let recollect = |arguments: &[&str]| {
        let output = recollect().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = recollect(&["reward", "score", &reward, &run]);
    assert!(text.contains("were not judged and are left out of all numbers"), "{text}");
    let text = recollect(&["reward", "hunt", &reward, &run]);
    assert!(!text.contains("not judged:"), "what is shown was judged: {text}");
    recollect(&["reward", "compare", &reward, &reward, &run]);
    assert!(recollect(&["reward", "explain", &reward]).contains("gave no value"));
    recollect(&["watch", &run, "--once"]);
}

#[test]
fn a_judge_is_asked_about_the_forms_of_its_term_alone() {
    let log = tempfile::tempdir().unwrap();
    let log = log.path().join("log");
    let home = judged(
        &each(&format!("echo $id >> {}\necho '{{\"id\":'$id',\"value\":1}}'", log.display())),
        "forms = ['open']",
    );
    home.finished("run");
    let rollouts = [1, 2].map(|step| json_lines(&home.path(&format!("run/rollouts/step-{step:06}.jsonl")))).concat();
    let open = rollouts.iter().filter(|line| line["form"] == "open").count();
    assert!(open > 0 && open < rollouts.len());
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), open);
    for line in &rollouts {
        assert_eq!(line["terms"][1]["value"], if line["form"] == "open" { 1.0 } else { 0.0 }, "{line}");
    }
}

#[test]
fn what_is_sampled_ahead_is_judged_as_it_ends() {
    // It says what it was sent, and answers when it is told to.
    let waits = |value: &str| {
        let reply = format!("while [ ! -e ${{at}}go ]; do sleep 0.2; done; echo '{{\"id\":'$id',\"value\":{value}}}'");
        each(&format!("at=${{0%judge*.sh}}; echo $id >> ${{at}}sent{value}; ({reply}) &"))
    };
    let home = judged(&waits("0.25"), "timeout_s = 3600\nin_flight = 64");
    let sent = |value: &str| {
        let sent = fs::read_to_string(home.path(&format!("sent{value}"))).unwrap_or_default();
        sent.lines().count()
    };
    let ahead =
        ["train.max_off_policy_steps=1", "train.reload_reward=true", "train.steps=3"].map(|change| ["--set", change]);
    let child = home.recollect("train", "run").args(ahead.iter().flatten()).spawn().unwrap();
    // While the first step waits for its judge, the second one's completions are there as well.
    wait_for("what was sampled ahead is not judged", || sent("0.25") == 48);
    // Who paid for the step before does not pay for this one.
    fs::write(home.path("judge2.sh"), waits("0.75")).unwrap();
    let reward = fs::read_to_string(home.path("reward.toml")).unwrap();
    fs::write(home.path("reward.toml"), reward.replace("judge.sh", "judge2.sh")).unwrap();
    fs::write(home.path("go"), "").unwrap();
    let output = finish(child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sent("0.75"), 48);
    for (step, value) in [(1, 0.25), (2, 0.75), (3, 0.75)] {
        let rollouts = json_lines(&home.path(&format!("run/rollouts/step-{step:06}.jsonl")));
        assert_eq!(rollouts.len(), 24);
        assert!(rollouts.iter().all(|line| line["terms"][1]["value"] == value), "{step}: {rollouts:?}");
    }
}

#[test]
fn a_judge_whose_replies_come_late_and_in_any_order_leaves_the_same_bytes() {
    // What is judged is how many tokens there are: the last number of a line.
    let reply = "t=${line##*:}; t=${t%\\}}; echo '{\"id\":'$id',\"value\":0.'$((t % 7))'}'";
    let prompt = judged(&each(reply), "in_flight = 1");
    prompt.finished("run");
    let late = judged(&each(&format!("(sleep 0.0$((9 - id % 10)); {reply}) &")), "processes = 2");
    late.finished("run");
    for step in 1..=2 {
        let read = |home: &Home| fs::read(home.path(&format!("run/rollouts/step-{step:06}.jsonl"))).unwrap();
        assert!(read(&prompt) == read(&late), "step {step}");
    }
}

#[test]
fn nothing_is_executed_before_there_is_something_to_judge() {
    let home = judged("touch \"${0%judge.sh}ran\"; exit 1\n", "");
    let reward = home.path("reward.toml").display().to_string();
    let check = || recollect().args(["reward", "check", &reward]).output().unwrap();
    let output = check();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("judge would run ") && said.contains("was not started"), "{said}");
    let dry_run = || home.recollect("run", "run").arg("--dry-run").output().unwrap();
    assert!(dry_run().status.success());
    let mut finetune = home.recollect("finetune", "run");
    assert!(finish(finetune.spawn().unwrap()).status.success());
    sleep(Duration::from_millis(100));
    assert!(!home.path("ran").exists());
    home.finished("run");
    assert!(home.path("ran").exists());

    let text = fs::read_to_string(&reward).unwrap().replace("'sh'", "'no-such-judge'");
    fs::write(&reward, text).unwrap();
    for output in [check(), dry_run()] {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(
            said.contains("reward term judge: command: cannot start \"no-such-judge\" (not on the PATH)"),
            "{said}"
        );
    }
}

/// A judge that never answers, whose script has a child and a daemon: all three note their processes.
fn family(home: &Home) -> Vec<PathBuf> {
    ["judge", "child", "daemon"].iter().map(|name| home.path(name)).collect()
}

const FAMILY: &str = "at=${0%judge.sh}\n\
    (sleep 600 & echo $! > ${at}child.tmp; mv ${at}child.tmp ${at}child; wait) &\n\
    setsid sh -c \"(sh -c 'echo \\$\\$ > ${at}daemon.tmp; mv ${at}daemon.tmp ${at}daemon; exec sleep 600' &)\" < /dev/null > /dev/null 2>&1\n\
    echo $$ > ${at}judge.tmp; mv ${at}judge.tmp ${at}judge\n";

fn processes(home: &Home) -> Vec<i32> {
    let files = family(home);
    wait_for("the judge does not start", || files.iter().all(|path| path.exists()));
    files.iter().map(|path| fs::read_to_string(path).unwrap().trim().parse().unwrap()).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn no_child_outlives_a_run_whatever_ends_it() {
    let waiting = format!("{FAMILY}{}", each("sleep 600"));
    for (what, number) in [("killed", libc::SIGKILL), ("interrupted", libc::SIGINT), ("terminated", libc::SIGTERM)] {
        let home = judged(&waiting, "timeout_s = 3600");
        let mut child = home.recollect("train", "run").spawn().unwrap();
        let processes = processes(&home);
        assert!(processes.iter().all(|process| lives(*process)), "{what}");
        // It waits for its judge, and would for an hour.
        sleep(Duration::from_millis(500));
        assert!(child.try_wait().unwrap().is_none());
        let began = Instant::now();
        signal(&child, number);
        let output = finish(child);
        assert!(began.elapsed() < Duration::from_secs(20), "{what} after {:?}", began.elapsed());
        if number != libc::SIGKILL {
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(130), "{said}");
            assert!(said.contains("error: interrupted; reinforcement learning is saved at step 0"), "{said}");
        }
        wait_for(what, || !processes.iter().any(|process| lives(*process)));
    }
    // One that comes to its end.
    let home = judged(&format!("{FAMILY}{}", each("echo '{\"id\":'$id',\"value\":1}'")), "");
    let child = home.recollect("train", "run").spawn().unwrap();
    let processes = processes(&home);
    assert!(finish(child).status.success());
    wait_for("finished", || !processes.iter().any(|process| lives(*process)));
}

#[test]
fn what_was_sampled_before_the_judge_was_waited_for_is_kept() {
    let home =
        judged(&each("[ -e \"${0%judge.sh}go\" ] || sleep 600; echo '{\"id\":'$id',\"value\":1}'"), "timeout_s = 3600");
    let child = home.recollect("train", "run").spawn().unwrap();
    let rollouts = home.path("run/rollouts");
    wait_for("no run", || home.path("run/metrics.jsonl").exists());
    sleep(Duration::from_secs(2));
    signal(&child, libc::SIGTERM);
    assert_eq!(finish(child).status.code(), Some(130));
    assert!(fs::read_dir(&rollouts).map_or(0, Iterator::count) == 0, "nothing was judged");
    fs::write(home.path("go"), "").unwrap();
    assert!(finish(home.recollect("train", "run").spawn().unwrap()).status.success());
    assert!(finish(home.recollect("train", "alone").spawn().unwrap()).status.success());
    for step in 1..=2 {
        let read = |name: &str| fs::read(home.path(&format!("{name}/rollouts/step-{step:06}.jsonl"))).unwrap();
        assert!(read("run") == read("alone"), "step {step}");
    }
}

/// A run that was started so that it ignores a signal.
fn ignoring(home: &Home, name: &str, number: i32) -> Child {
    let mut command = home.recollect("train", name);
    // SAFETY: allowed between fork and exec, and touches nothing of this process.
    unsafe {
        command.pre_exec(move || {
            libc::signal(number, libc::SIG_IGN);
            Ok(())
        });
    }
    command.spawn().unwrap()
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let home = judged(&each("sleep 0.05; echo '{\"id\":'$id',\"value\":1}'"), "in_flight = 1");
    for number in [libc::SIGHUP, libc::SIGINT] {
        let child = ignoring(&home, &format!("ignored-{number}"), number);
        wait_for("no run", || home.path(&format!("ignored-{number}/metrics.jsonl")).exists());
        // As a terminal that is closed under `nohup`, and Ctrl-C at a shell without job control.
        signal(&child, number);
        signal(&child, number);
        let output = finish(child);
        assert!(output.status.success(), "{number}: {}", String::from_utf8_lossy(&output.stderr));
        // The others are heeded.
        let child = ignoring(&home, &format!("heeded-{number}"), number);
        wait_for("no run", || home.path(&format!("heeded-{number}/metrics.jsonl")).exists());
        signal(&child, libc::SIGTERM);
        assert_eq!(finish(child).status.code(), Some(130));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new(&[]);
    let mut child = home.recollect("world", "run").args(["--show", "documents"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = finish(child);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("panicked"), "{said}");
}

#[test]
fn the_judge_of_the_documentation_judges() {
    let readme = include_str!("../rewards/README.md");
    let (_, example) = readme.split_once("```python\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: no python3");
        return;
    }
    let home = judged("", "");
    fs::write(home.path("judge.py"), example).unwrap();
    let text = fs::read_to_string(home.path("reward.toml")).unwrap();
    fs::write(home.path("reward.toml"), text.replace("'sh'", "'python3'").replace("judge.sh", "judge.py")).unwrap();
    home.finished("run");
    for step in 1..=2 {
        let rollouts = json_lines(&home.path(&format!("run/rollouts/step-{step:06}.jsonl")));
        assert!(rollouts.iter().all(|line| line["terms"][1]["value"].is_number()), "{rollouts:?}");
    }
}
