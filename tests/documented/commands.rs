//! Every command in a `sh` block of the documentation runs, in the order in which they stand there, in a directory with
//! the configs that ship, made small. What needs more says so behind a `#` ("needs a card") and is skipped with a line;
//! what "needs time" is run with `--dry-run`. Of `cargo` only the names that it is given are looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use recollect::config::Config;
use recollect::reward::Reward;
use tempfile::TempDir;
use toml::{Table, Value};

use super::markdown::{Block, Page, pages, root};

/// A whole run in a second or two.
const SMALL: &str = "
world.a = { facts = 20, chains = 16, documents = 300 }
world.b = { facts = 10, chains = 8, documents = 300 }
pretrain.warmup_steps = 1
finetune.steps = 3
finetune.tokens_per_step = 512
train.steps = 4
train.questions_per_step = 8
train.group_size = 4
train.max_new_tokens = 32
train.replay_tokens = 256
train.evaluate_every = 2
train.checkpoint_every = 1
train.keep_last = 9
evaluation.max_new_tokens = 32
evaluation.questions_during_training = 3
";
/// A sweep of few and short runs.
const SMALL_SWEEP: &str = "
seeds = [0]
set.train.steps = 2
axes.train.learning_rate = [1e-4]
axes.train.group_size = [2, 4]
";
/// What commands name that a small run does not have.
const SMALLER: [(&str, &str); 8] = [
    ("train.steps=400", "train.steps=6"),
    ("train.steps=120", "train.steps=2"),
    ("--from 200", "--from 2"),
    ("@200", "@2"),
    ("@100", "@1"),
    ("step-000020", "step-000002"),
    (">= 0.9", ">= 0.0"),
    ("[0,1,2]", "[0]"),
];

/// A directory in which the commands are run.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for folder in ["configs", "rewards"] {
            fs::create_dir(place.path(folder)).unwrap();
            for entry in fs::read_dir(root().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let to = place.path(folder).join(path.file_name().unwrap());
                match (folder, path.extension().is_some_and(|extension| extension == "toml")) {
                    ("configs", true) => fs::write(to, small(&fs::read_to_string(path).unwrap())).unwrap(),
                    _ => drop(fs::copy(path, to).unwrap()),
                }
            }
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a line as a shell does that finds recollect.
    fn run(&self, line: &str) {
        let line = SMALLER.iter().fold(line.to_string(), |line, (big, small)| line.replace(big, small));
        let program = Path::new(env!("CARGO_BIN_EXE_recollect"));
        let paths = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &line])
            .current_dir(self.0.path())
            .env("PATH", paths)
            .env("RECOLLECT_CACHE", "off")
            .stdin(Stdio::null());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A config or a sweep that ships, with less to do.
fn small(text: &str) -> String {
    let mut table: Table = text.parse().unwrap();
    let changes = if table.contains_key("axes") { SMALL_SWEEP } else { SMALL };
    merge(&mut table, changes.parse().unwrap());
    let pretrain = table.get_mut("pretrain").and_then(Value::as_table_mut);
    let phases = pretrain.and_then(|pretrain| pretrain.get_mut("phases")?.as_array_mut());
    for phase in phases.into_iter().flatten() {
        phase.as_table_mut().unwrap().insert("steps".into(), 2.into());
    }
    // Free text has no lessons to replay.
    if table.get("world").is_some_and(|world| world.get("language").is_some()) {
        table.get_mut("train").and_then(|train| train.as_table_mut()?.remove("replay_tokens"));
    }
    // A few of what a world has, and none of what it has not.
    for (key, few) in [("codes", 4), ("families", 4)] {
        for set in ["a", "b"] {
            let set = table.get_mut("world").and_then(|world| world.get_mut(set)?.as_table_mut());
            if let Some(count) = set.and_then(|set| set.get_mut(key)) {
                *count = few.into();
            }
        }
    }
    if let Some(seeds) = table.get_mut("run").and_then(|run| run.get_mut("seeds")) {
        *seeds = vec![0].into();
    }
    toml::to_string(&table).unwrap()
}

fn merge(table: &mut Table, changes: Table) {
    for (key, value) in changes {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(changes)) => merge(inner, changes),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// Looks whether cargo would find what it is told to build.
fn names(line: &str) {
    let manifest: Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    for pair in words.windows(2) {
        let there = match pair[0] {
            "--features" => manifest["features"].get(pair[1]).is_some(),
            "--bench" => root().join(format!("benches/{}.rs", pair[1])).exists(),
            "--test" => ["", "/main"].iter().any(|end| root().join(format!("tests/{}{end}.rs", pair[1])).exists()),
            "--example" => {
                manifest["example"].as_array().unwrap().iter().any(|it| it["name"].as_str() == Some(pair[1]))
            }
            _ => true,
        };
        assert!(there, "{line}: there is no {}", pair[1]);
    }
}

/// Runs a line of a `sh` block, unless it says what it needs.
fn follow(line: &str, place: &Place) {
    let (line, comment) = line.split_once(" #").unwrap_or((line, ""));
    let line = ["cargo run --release --", "target/release/recollect"]
        .iter()
        .fold(line.trim().to_string(), |line, program| line.replace(program, "recollect"));
    match comment.trim().strip_prefix("needs ") {
        Some(what) if what.starts_with("time") && line.starts_with("recollect ") => {
            println!("{line}: only looked at, it needs {what}");
            place.run(&format!("{line} --dry-run"));
        }
        Some(what) => println!("{line}: skipped, it needs {what}"),
        None if line.starts_with("recollect ") => place.run(&line),
        None => assert!(line.starts_with("cargo "), "{line}: neither run here, nor does it say what it needs"),
    }
    names(&line);
}

/// Writes the files that a page shows and runs its commands; gives how many there are.
fn follow_page(page: &Page, place: &Place) -> usize {
    let mut count = 0;
    for Block { kind, text } in page.blocks() {
        let first = text.lines().next().and_then(|line| line.strip_prefix("# "));
        match (kind.as_str(), first.filter(|name| name.contains('.') && !name.contains(' '))) {
            ("toml", Some(name)) => fs::write(place.path(name), text).unwrap(),
            ("toml", None) => {
                let is_config = Config::parse(&text, "config", "name", &[]).is_ok();
                let valid = is_config || Reward::parse(&text, "reward").is_ok();
                assert!(valid, "{}: neither a config nor a reward:\n{text}", page.path.display());
            }
            ("sh", _) => {
                let lines = text.replace("\\\n", " ");
                for line in lines.lines().filter(|line| !line.trim().is_empty()) {
                    count += 1;
                    follow(line, place);
                }
            }
            ("text" | "json" | "python" | "rust", _) => {}
            _ => panic!("{}: a block of kind {kind:?}; sh, toml, python, rust, json or text", page.path.display()),
        }
    }
    count
}

#[test]
fn every_command_of_the_documentation_runs() {
    let place = Place::new();
    let count: usize = pages().iter().map(|page| follow_page(page, &place)).sum();
    assert!(count > 40, "{count} commands: are these all?");
}
