//! What becomes of every line, whatever a command does.

use std::fs;
use std::time::{Duration, Instant};

use super::super::{External, JudgeCommand};
use crate::reward::TermInput;
use crate::reward::term::tests::{evidence, judgement};

/// What a judge in a shell begins with: `$id` is the id of a line.
const ID: &str = "id=${line#*:}; id=${id%%,*}";

fn shell(script: &str) -> External {
    let command = ["sh", "-c", script].map(String::from).to_vec();
    External { command, timeout_s: 0.5, startup_timeout_s: 0.5, ..External::default() }
}

/// A judge that does this with each line.
fn each(deed: &str) -> External {
    shell(&format!("while read -r line; do {ID}\n{deed}\ndone"))
}

/// What came of so many completions that were asked about at once.
struct Came {
    values: Vec<Option<f64>>,
    failures: Vec<(&'static str, u64)>,
    complaint: Option<String>,
    remarks: Vec<String>,
    took: Duration,
}

fn came(external: &External, times: usize) -> Came {
    let command = JudgeCommand::start("x", external).unwrap();
    let judgement = judgement(true, &[]);
    let began = Instant::now();
    let awaited: Vec<_> = (0..times).map(|_| command.ask(&evidence(&judgement))).collect();
    let values = awaited.iter().map(|awaited| awaited.wait(&|| false).unwrap()).collect();
    let took = began.elapsed();
    let (failures, complaint) = counted(&command);
    let remarks = command.take_remarks().into_iter().map(|(_, words)| words).collect();
    Came { values, failures, complaint, remarks, took }
}

/// Its failures by name, and what it said last.
fn counted(command: &JudgeCommand) -> (Vec<(&'static str, u64)>, Option<String>) {
    let failed = command.take_failures();
    let complaint = failed.first().and_then(|one| one.complaint.clone());
    (failed.into_iter().map(|one| (one.failure.name(), one.times)).collect(), complaint)
}

/// The same, one after another: what came of them, and what was counted.
fn one_by_one(external: &External, times: usize) -> (f64, Vec<(&'static str, u64)>) {
    let command = JudgeCommand::start("x", external).unwrap();
    let judgement = judgement(true, &[]);
    let values = (0..times).filter_map(|_| command.ask(&evidence(&judgement)).wait(&|| false).unwrap());
    let sum = values.sum();
    (sum, counted(&command).0)
}

#[test]
fn a_command_that_answers_decides_the_value() {
    let judge = each("echo \"{\\\"id\\\":$id,\\\"value\\\":0.5}\"");
    assert_eq!(one_by_one(&judge, 4), (2.0, vec![]));
    let came = came(&judge, 30);
    assert_eq!((came.values, came.failures, came.remarks), (vec![Some(0.5); 30], vec![], vec![]));
}

#[test]
fn whatever_a_command_does_is_a_counted_outcome() {
    for (script, times, expected) in [
        ("exit 3", 2, vec![("died", 2)]),
        ("read line; echo no", 2, vec![("garbage", 2)]),
        ("read line; echo '{\"id\":1,\"value\":1.5}'", 1, vec![("garbage", 1)]),
        ("read line; echo '{\"id\":1,\"value\":-0.5}'", 1, vec![("garbage", 1)]),
        ("read line; echo '{\"id\":1,\"value\":NaN}'", 1, vec![("garbage", 1)]),
        ("read line; echo '{\"id\":1,\"value\":null}'", 1, vec![("declined", 1)]),
        ("read line; echo '{\"id\":9,\"value\":0.5}'", 1, vec![("garbage", 1)]),
        ("read line; echo 0.5", 1, vec![("garbage", 1)]),
        ("read line; printf '\\377\\n'", 1, vec![("garbage", 1)]),
        ("read line; sleep 60", 1, vec![("timed-out", 1)]),
        ("exec 0<&-; sleep 60", 1, vec![("died", 1)]),
        ("exec 1>&-; sleep 60", 1, vec![("died", 1)]),
        ("exit 3", 70, vec![("died", 3 + 1), ("not-asked", 64 + 2)]),
    ] {
        let (sum, counted) = one_by_one(&shell(script), times);
        // A pipe that is closed while it is written to may still take a line.
        let known = script.starts_with("exec 0") && counted == [("timed-out", 1)];
        assert!(sum == 0.0 && (known || counted == expected), "{script}: {counted:?}");
        // Lines that are sent before others are answered change nothing.
        let came = came(&shell(script), times);
        let known = script.starts_with("exec 0") && came.failures == [("timed-out", 1)];
        assert!(known || came.failures == expected, "{script}: {:?}", came.failures);
        assert_eq!(came.values, vec![None; times], "{script}");
    }
}

#[test]
fn a_reply_that_is_no_value_costs_its_own_line_alone() {
    let odd = "if [ $((id % 3)) = 0 ]; then v=null; elif [ $((id % 3)) = 1 ]; then v=2; else v=1; fi";
    let came = came(&each(&format!("{odd}; echo \"{{\\\"id\\\":$id,\\\"value\\\":$v}}\"")), 30);
    let expected: Vec<_> = (1..=30).map(|id| (id % 3 == 2).then_some(1.0)).collect();
    assert_eq!(came.values, expected);
    assert_eq!(came.failures, [("garbage", 10), ("declined", 10)], "and nobody is left alone");
    assert_eq!(came.remarks.len(), 1, "shown once: {:?}", came.remarks);
    assert!(came.remarks[0].starts_with("the command answered \"{\"id\":1,\"value\":2}\"; a value is a number from 0"));
}

/// Each line costs 0.2 seconds. The judge notes when one begins and ends.
fn slow(log: &std::path::Path, beside: &str, processes: usize, in_flight: usize) -> External {
    let deed = format!(
        "(echo begin >> {log}; sleep 0.2; echo end >> {log}; echo \"{{\\\"id\\\":$id,\\\"value\\\":1}}\") {beside}",
        log = log.display()
    );
    External { timeout_s: 20.0, processes, in_flight: Some(in_flight), ..each(&deed) }
}

/// The most lines that were judged at once.
fn at_once(log: &std::path::Path) -> i32 {
    let (mut now, mut most) = (0, 0);
    for line in fs::read_to_string(log).unwrap().lines() {
        now += if line == "begin" { 1 } else { -1 };
        most = most.max(now);
    }
    most
}

#[test]
fn as_many_lines_are_out_as_the_reward_says() {
    let folder = tempfile::tempdir().unwrap();
    for (name, beside, processes, in_flight) in [("threads", "&", 1, 8), ("pool", "", 8, 8), ("few", "&", 1, 3)] {
        let log = folder.path().join(name);
        let came = came(&slow(&log, beside, processes, in_flight), 24);
        assert_eq!((came.values, came.failures), (vec![Some(1.0); 24], vec![]), "{name}");
        assert_eq!(at_once(&log), in_flight as i32, "{name}");
        // One after another they would take 4.8 seconds.
        assert!(in_flight < 8 || came.took < Duration::from_millis(2400), "{name}: {:?}", came.took);
    }
    // One that answers a line at a time is not hurried: eight lines wait for it, each longer than its time-out.
    let log = folder.path().join("serial");
    let came = came(&External { timeout_s: 0.8, ..slow(&log, "", 1, 8) }, 10);
    assert_eq!((came.values, came.failures), (vec![Some(1.0); 10], vec![]));
    assert_eq!(at_once(&log), 1);
}

#[test]
fn a_line_that_kills_costs_itself_and_no_other_that_was_out() {
    let came = came(&each("[ $id = 4 ] && exit 1; echo \"{\\\"id\\\":$id,\\\"value\\\":1}\""), 20);
    let expected: Vec<_> = (1..=20).map(|id| (id != 4).then_some(1.0)).collect();
    assert_eq!((came.values, came.failures), (expected, vec![("died", 1)]));
}

#[test]
fn a_line_that_hangs_costs_itself_and_its_late_reply_is_not_taken_for_the_next() {
    let reply = "echo \"{\\\"id\\\":$id,\\\"value\\\":1}\"";
    let came = came(&each(&format!("[ $id = 4 ] && sleep 1; {reply}")), 20);
    let expected: Vec<_> = (1..=20).map(|id| (id != 4).then_some(1.0)).collect();
    assert_eq!((came.values, came.failures), (expected.clone(), vec![("timed-out", 1)]));
    assert!(came.took < Duration::from_secs(5), "{:?}", came.took);
    // Beside lines that go on.
    let came = super::tests::came(&each(&format!("([ $id = 4 ] && sleep 3; {reply}) &")), 20);
    assert_eq!((came.values, came.failures), (expected, vec![("timed-out", 1)]));
}

#[test]
fn a_judge_that_loads_for_long_has_a_time_of_its_own_for_its_first_answer() {
    let reply = "echo \"{\\\"id\\\":$id,\\\"value\\\":1}\"";
    let loads = |then: &str| External {
        startup_timeout_s: 30.0,
        ..shell(&format!("sleep 1.5; while read -r line; do {ID}\n{then}; {reply}; done"))
    };
    let came = came(&loads(":"), 10);
    assert_eq!((came.values, came.failures), (vec![Some(1.0); 10], vec![]));
    // After it each line has no more time than any; a process that takes its place loads as well.
    let came = super::tests::came(&loads("[ $id = 4 ] && sleep 5"), 8);
    let expected: Vec<_> = (1..=8).map(|id| (id != 4).then_some(1.0)).collect();
    assert_eq!((came.values, came.failures), (expected, vec![("timed-out", 1)]));
    assert!(came.took < Duration::from_secs(20), "{:?}", came.took);
    // One that is never ready is given up.
    let never = External { startup_timeout_s: 1.0, ..loads(":") };
    assert_eq!(super::tests::came(&never, 1).failures, [("timed-out", 1)]);
}

#[test]
fn what_is_printed_beside_replies_is_named_once_and_passed_over() {
    let reply = "echo \"{\\\"id\\\":$id,\\\"value\\\":1}\"";
    let talk = format!(
        "echo 'Loading model …'; echo; while read -r line; do {ID}; {reply}; echo \"judged $id\"; {reply}; \
         echo '{{\"id\":77,\"value\":1}}'; done"
    );
    let came = came(&shell(&talk), 12);
    assert_eq!((came.values, came.failures), (vec![Some(1.0); 12], vec![]));
    let [banner, noise, id] = &came.remarks[..] else { panic!("{:?}", came.remarks) };
    let beside = "print nothing but replies to stdout, everything else to stderr";
    assert_eq!(*banner, format!("the command printed \"Loading model …\" before it answered; {beside}"));
    assert!(noise.starts_with("the command printed \"judged ") && noise.ends_with(beside), "{noise}");
    assert!(id.contains("and no line with this id waits for an answer"), "{id}");
}

#[test]
fn one_that_answers_with_something_else_is_found_out() {
    for (script, times, words) in [
        ("while read x; do echo '\u{1b}[31mno'; done", 20, "printed \"\\u{1b}[31mno\" before it answered"),
        ("while read x; do echo 0.5; done", 20, "answered \"0.5\", which is no reply such as {\"id\": 7"),
        ("while read x; do echo '{\"score\":1}'; done", 20, "answered \"{\"score\":1}\", which is no reply"),
        ("yes | tr -d '\\n'", 20, "and more without an end of line"),
        ("yes", 20, "printed \"y\" before it answered"),
    ] {
        let came = came(&shell(script), times);
        assert_eq!(came.failures, [("garbage", 3), ("not-asked", 17)], "{script}");
        assert!(came.remarks.len() == 1 && came.remarks[0].contains(words), "{script}: {:?}", came.remarks);
        assert!(!came.remarks[0].contains('\u{1b}') && came.remarks[0].len() < 400, "{script}");
    }
}

#[test]
fn a_flood_is_one_outcome_and_neither_memory_nor_time_is_lost() {
    let start = Instant::now();
    for script in ["read line; yes | tr -d '\\n'", "yes", "read line; cat /dev/zero >&2"] {
        let (sum, counted) = one_by_one(&shell(script), 1);
        assert_eq!((sum, counted.len()), (0.0, 1), "{script}");
    }
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_command_that_does_not_read_cannot_block_the_run() {
    let command = JudgeCommand::start("x", &shell("sleep 60")).unwrap();
    let (judgement, long) = (judgement(true, &[]), "x".repeat(1 << 20));
    let awaited: Vec<_> =
        (0..4).map(|_| command.ask(&TermInput { completion: &long, ..evidence(&judgement) })).collect();
    assert!(awaited.iter().all(|awaited| awaited.wait(&|| false) == Ok(None)));
    assert_eq!(counted(&command).0, [("timed-out", 3), ("not-asked", 1)]);
}

#[test]
fn a_wait_is_broken_off_at_once() {
    let external = External { timeout_s: 3600.0, ..shell("sleep 60") };
    let command = JudgeCommand::start("x", &external).unwrap();
    let awaited = command.ask(&evidence(&judgement(true, &[])));
    let began = Instant::now();
    assert!(awaited.wait(&|| began.elapsed() > Duration::from_millis(100)).is_err());
    drop(command);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn the_last_words_of_a_command_are_kept() {
    let came = came(&shell("echo first >&2; echo 'no module named \u{1b}x' >&2; exit 1"), 1);
    assert_eq!(came.complaint.as_deref(), Some("no module named \\u{1b}x"));
}

#[test]
fn a_command_that_cannot_be_started_is_one_error() {
    let external = External { command: vec!["no/such/program".into()], ..shell("") };
    let error = JudgeCommand::start("style", &external).err().unwrap().to_string();
    assert!(error.starts_with("reward term style: command: cannot start \"no/such/program\" ("), "{error}");
    assert!(error.contains("full path") && error.lines().count() == 1);
    // Executable, but nothing that the system can run.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judge");
    fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let external = External { command: vec![path.display().to_string()], ..shell("") };
    let error = JudgeCommand::start("style", &external).err().unwrap().to_string();
    assert!(error.contains("cannot start") && error.contains("No such file"), "{error}");
}

#[test]
fn python_is_told_not_to_keep_its_replies() {
    let came = came(&each("[ \"$PYTHONUNBUFFERED\" = 1 ] && echo \"{\\\"id\\\":$id,\\\"value\\\":1}\""), 1);
    assert_eq!(came.values, [Some(1.0)]);
}
