//! Files and names that are meant to do harm: what they say never steers a terminal, what is no file is not waited for,
//! a link is not written through, errors stay short, and an output that cannot be written is an error.

#[path = "support/program.rs"]
mod program;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use program::recollect;
use recollect::text::is_hidden;

/// Commands to a terminal in both ways of writing them, an override and an isolate of direction, and a line separator.
const NASTY: &str = "a\u{1b}[31m\u{9b}31m\u{202e}\u{2066}\u{200f}\u{2028}\u{85}z";

/// Longest time that a refusal takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir(home.path("rewards")).unwrap();
        let reward = Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/correct.toml");
        fs::copy(reward, home.path("rewards/correct.toml")).unwrap();
        home.write("x.toml", "");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = recollect();
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn recollect(&self, arguments: &[&str]) -> Output {
        let begun = Instant::now();
        let output = self.command(arguments).output().unwrap();
        assert!(begun.elapsed() < PATIENCE, "{arguments:?}: {:?}", begun.elapsed());
        output
    }

    /// Both outputs, which no terminal obeys and in which no line is long.
    fn shown(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.recollect(arguments);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let wrong = text.chars().find(|c| is_hidden(*c) && *c != '\n');
        assert_eq!(wrong, None, "{arguments:?}: {text:?}");
        (output.status.code(), text)
    }

    fn refused(&self, arguments: &[&str]) -> Vec<String> {
        let (code, text) = self.shown(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {text}");
        let lines: Vec<String> = text.lines().map(String::from).collect();
        assert!(lines.iter().all(|line| line.chars().count() < 2500), "{arguments:?}");
        assert!(lines.len() <= 26, "{arguments:?}: {} lines", lines.len());
        lines
    }

    fn fifo(&self, name: &str) {
        let path = self.path(name);
        let _ = fs::remove_file(&path);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    }
}

/// A text in quotes, every character of it spelled by its number.
fn toml(text: &str) -> String {
    let spelled: String = text.chars().map(|c| format!("\\U{:08x}", c as u32)).collect();
    format!("\"{spelled}\"")
}

fn documents() -> String {
    let row = |prompt: &str, completion: &str| {
        serde_json::json!({ "prompt": prompt, "completion": completion }).to_string() + "\n"
    };
    row(&format!("Mavon {NASTY} is known as"), " the first diver.") + &row("Rik Dop is known as", &format!(" {NASTY}"))
}

fn questions() -> String {
    let row = |prompt: &str, completion: &str, set: &str| {
        serde_json::json!({ "prompt": prompt, "completion": completion, "set": set }).to_string() + "\n"
    };
    row(&format!("Who is {NASTY}?"), "Rik Dop", "A") + &row("Who dived first?", &format!("Mavon {NASTY}"), "B")
}

fn rollout(step: usize, sample: usize, right: bool) -> String {
    serde_json::json!({
        "step": step, "question": 1, "task": "reversal", "form": "open", "set": "A", "sample": sample,
        "prompt": format!("who {NASTY} ?"), "completion": format!("in dop {NASTY} . </think> <answer> {NASTY}"),
        "answer": NASTY, "reward": 1.0, "terms": [{ "name": NASTY, "value": 1.0, "weight": 1.0 }], "advantage": 0.5,
        "version": 0, "finish": "stop", "tokens": 9,
        "judgement": {
            "answer": NASTY, "correct": right, "well_formed": true, "needed_found": 0, "needed": 1,
            "recitations": [{ "text": NASTY, "claim": null, "is_true": false, "relevant": false }],
        },
    })
    .to_string()
        + "\n"
}

#[test]
fn nothing_that_a_file_or_a_name_says_steers_a_terminal() {
    let home = Home::new();
    let named = format!("{NASTY}.toml");
    // Keys, values and names of files that are not there, of every command that takes one.
    home.write("key.toml", &format!("[train]\n{} = 1\n", toml(NASTY)));
    home.write(&named, "[train]\nsteps = 0\n");
    for command in ["run", "world", "pretrain", "finetune", "train", "eval", "sweep"] {
        for file in ["key.toml", &named, &format!("no-{named}")] {
            let (code, text) = home.shown(&[command, file]);
            assert!(code == Some(1) && text.starts_with("error: "), "{command} {file:?}: {text}");
        }
    }
    for command in ["watch", "report"] {
        assert_eq!(home.shown(&[command, &named]).0, Some(1));
        assert_eq!(home.shown(&[command, &format!("no-{NASTY}")]).0, Some(1));
    }
    let set = |key: &str| home.shown(&["run", "x.toml", "--dry-run", "--set", key]);
    assert_eq!(set(&format!("{NASTY}=1")).0, Some(1));
    assert_eq!(set(&format!("train.algorithm={NASTY}")).0, Some(1));
    assert_eq!(set(&format!("base.path={NASTY}")).0, Some(1));
    let (code, text) = set(&format!("run.dir={NASTY}"));
    assert!(code == Some(0) && text.contains("dir = "), "{text}");
    // Usage.
    assert_eq!(home.shown(&[NASTY]).0, Some(2));
    assert_eq!(home.shown(&["world", "x.toml", "--show", NASTY]).0, Some(2));
    assert_eq!(home.shown(&["run", "x.toml", &format!("--{NASTY}")]).0, Some(2));
}

#[test]
fn worlds_rewards_rollouts_and_runs_are_shown_without_what_steers_a_terminal() {
    let home = Home::new();
    home.write("d.jsonl", &documents());
    home.write("q.jsonl", &questions());
    home.write(
        "files.toml",
        "[world.jsonl]\ndocuments = ['d.jsonl']\nquestions = ['q.jsonl']\n[finetune]\nreplay = 0\n[train]\n\
         forms = ['completion']\nreplay_tokens = 0\n",
    );
    let parts = ["--show", "documents", "--show", "questions", "--show", "answers"];
    let (code, text) = home.shown(&[&["world", "files.toml"][..], &parts].concat());
    assert_eq!((code, text.lines().filter(|line| !line.is_empty()).count()), (Some(0), 2 + 2 + 2), "{text}");
    // A term that is called so is refused; a file that is called so is not.
    let term = |name: &str| format!("[[term]]\nkind = 'correct'\nname = {}\n", toml(name));
    home.write("term.toml", &term(NASTY));
    let lines = home.refused(&["reward", "check", "term.toml"]);
    assert!(lines[0].contains("term 1: name: found") && lines[0].contains("characters that can be seen"), "{lines:?}");
    home.write(&format!("{NASTY}.toml"), &term("plain"));
    home.write("runs/r/config.toml", "[train]\nsteps = 8\nforms = ['open']\n");
    home.write("runs/r/rollouts/step-000001.jsonl", &(rollout(1, 0, true) + &rollout(1, 1, false)));
    let metrics = serde_json::json!({ "step": 1, format!("alarm/{NASTY}"): 1.0, "reward": 0.5, NASTY: 2.0 });
    home.write("runs/r/metrics.jsonl", &format!("{metrics}\n"));
    let reward = format!("{NASTY}.toml");
    for arguments in [
        &["reward", "check", &reward][..],
        &["reward", "explain", &reward, "--text"],
        &["reward", "score", &reward, "runs/r"],
        &["reward", "hunt", &reward, "runs/r"],
        &["reward", "compare", "rewards/correct.toml", &reward, "runs/r"],
        &["watch", "--once", "runs/r"],
    ] {
        let (code, text) = home.shown(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
    }
    let (_, text) = home.shown(&["watch", "--once", "runs/r"]);
    assert!(text.contains("ALARM: a"), "{text}");
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let home = Home::new();
    home.fifo("pipe.toml");
    for command in ["run", "world", "train", "sweep"] {
        let lines = home.refused(&[command, "pipe.toml"]);
        assert!(lines[0].starts_with("error: pipe.toml: a named pipe, not a file;"), "{lines:?}");
    }
    assert!(home.refused(&["reward", "check", "pipe.toml"])[0].contains("pipe.toml"));
    let lines = home.refused(&["run", "x.toml", "--set", "train.reward=pipe.toml"]);
    assert_eq!(lines, ["error: pipe.toml: a named pipe, not a file; train.reward names it"]);
    assert!(home.refused(&["run", "/dev/zero"])[0].contains("a device, not a file"));
    let huge = File::create(home.path("huge.toml")).unwrap();
    huge.set_len(10_000_000_000).unwrap();
    assert!(home.refused(&["run", "huge.toml"])[0].contains("which is no file of its kind"));
    // Of a checkpoint.
    fs::create_dir(home.path("base")).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        home.fifo(&format!("base/{name}"));
    }
    let base = ["run", "x.toml", "--dry-run", "--set", "base.path=base"];
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let lines = home.refused(&base);
        assert!(lines[0].starts_with(&format!("error: base/{name}: a named pipe, not a file;")), "{lines:?}");
        let asset = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/base").join(name);
        fs::remove_file(home.path("base").join(name)).unwrap();
        fs::copy(asset, home.path("base").join(name)).unwrap();
    }
}

#[test]
fn a_lock_is_not_written_through_a_link() {
    let home = Home::new();
    home.write("thesis.tex", "years of work");
    fs::create_dir_all(home.path("runs/x")).unwrap();
    std::os::unix::fs::symlink(home.path("thesis.tex"), home.path("runs/x/run.lock")).unwrap();
    let lines = home.refused(&["finetune", "x.toml"]);
    assert!(lines[0].starts_with("error: runs/x/run.lock: a symbolic link where a lock is kept"), "{lines:?}");
    assert_eq!(fs::read_to_string(home.path("thesis.tex")).unwrap(), "years of work");
    assert!(!home.path("runs/x/config.toml").exists());
}

#[test]
fn very_much_that_is_wrong_is_said_shortly_and_soon() {
    let home = Home::new();
    let begun = Instant::now();
    home.write("terms.toml", &"[[term]]\nkind = 'corect'\nonly_if = 'nothing'\n".repeat(5000));
    let lines = home.refused(&["reward", "check", "terms.toml"]);
    assert!(lines[0].contains("found 5000 terms; allowed are 64"), "{lines:?}");
    let keys: String = (0..5000).map(|n| format!("kye{n} = {n}\n")).collect();
    home.write("keys.toml", &format!("[[term]]\nkind = 'correct'\n{keys}").repeat(60));
    home.refused(&["reward", "check", "keys.toml"]);
    home.write("config.toml", &format!("[train]\n{keys}"));
    assert_eq!(home.refused(&["run", "config.toml"]).len(), 17);
    let changes: Vec<String> = (0..2000).map(|n| format!("--set=train.kye{n}=1")).collect();
    let arguments: Vec<&str> = ["run", "x.toml"].into_iter().chain(changes.iter().map(String::as_str)).collect();
    home.refused(&arguments);
    let deep = format!("{}=1", vec!["a"; 20_000].join("."));
    home.refused(&["run", "x.toml", "--set", &deep]);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    // One thing that is very long.
    let long = "x".repeat(300_000);
    home.write("long.toml", &format!("{long} = 1\n[train]\nreward = '{long}'\nalgorithm = '{long}'\n"));
    home.refused(&["run", "long.toml"]);
    home.write(
        "algorithm.toml",
        &format!("[base]\npath = '{long}'\n[train]\nreward = '{long}'\nalgorithm = '{long}'\n"),
    );
    home.refused(&["run", "algorithm.toml"]);
    let row = serde_json::json!({ "prompt": long, "completion": "x", "choices": [long] });
    home.write("q.jsonl", &format!("{row}\n"));
    let files = "[world.jsonl]\ndocuments = ['q.jsonl']\nquestions = ['q.jsonl']\n[finetune]\nreplay = 0\n[train]\n\
                 forms = ['completion']\nreplay_tokens = 0\n";
    home.write("files.toml", files);
    home.refused(&["run", "files.toml", "--dry-run"]);
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_cannot_be_written_is_an_error_and_one_that_nobody_reads_is_none() {
    let home = Home::new();
    home.write("runs/r/config.toml", "[train]\nsteps = 8\nforms = ['open']\n");
    home.write("runs/r/rollouts/step-000001.jsonl", &(rollout(1, 0, true) + &rollout(1, 1, false)));
    home.write("runs/r/metrics.jsonl", "{\"step\":1,\"reward\":0.5}\n");
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["world", "--help"],
        &["run", "x.toml", "--dry-run"],
        &["pretrain", "x.toml", "--dry-run"],
        &["world", "x.toml"],
        &["world", "x.toml", "--export", "exported"],
        &["eval", "--arms", "list"],
        &["watch", "--once", "runs/r"],
        &["reward", "check", "rewards/correct.toml"],
        &["reward", "explain", "rewards/correct.toml"],
        &["reward", "score", "rewards/correct.toml", "runs/r"],
        &["reward", "hunt", "rewards/correct.toml", "runs/r"],
        &["reward", "compare", "rewards/correct.toml", "rewards/correct.toml", "runs/r"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = home.command(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        let line = stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        let expected = "error: standard output: cannot write: No space left on device (os error 28)";
        assert_eq!(line, expected, "{arguments:?}: {stderr}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = home.command(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !stderr.contains("error"), "{arguments:?}: {stderr}");
    }
}
