//! Every command in a `sh` block of the documentation runs, in the order in which they stand there, in a directory with
//! the configs that ship, made small. What needs more than that says so behind a `#` ("needs a card") and is skipped with
//! a line; of `cargo` only the names that it is given are looked at.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use recollect::experiment::Config;
use recollect::reward::Reward;
use tempfile::TempDir;
use toml::{Table, Value};

use super::markdown::{Page, pages, root};

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

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Runs a line as a shell does that finds recollect.
    fn run(&self, line: &str) {
        let line = SMALLER.iter().fold(line.to_string(), |line, (big, small)| line.replace(big, small));
        let program = Path::new(env!("CARGO_BIN_EXE_recollect"));
        let paths = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(self.0.path()).env("PATH", paths).stdin(Stdio::null());
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

/// What runs of a page: TOML and scripts that name their file in the first line are written, commands are run.
fn follow(page: &Page, place: &Place) -> usize {
    let mut count = 0;
    for block in page.blocks() {
        let named =
            block.text.lines().next().and_then(|line| line.strip_prefix("# ")).filter(|name| !name.contains(' '));
        match (block.kind.as_str(), named) {
            ("toml" | "python", Some(name)) if name.contains('.') => {
                let path = place.path(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let text = if name.starts_with("configs/") { small(&block.text) } else { block.text.clone() };
                fs::write(path, text).unwrap();
            }
            ("toml", _) => {
                let config = Config::parse(&block.text, "config", "name", &[]);
                let is_reward = Reward::parse(&block.text, "reward").is_ok();
                assert!(
                    is_reward || config.is_ok(),
                    "{}: neither a config nor a reward:\n{}",
                    page.path.display(),
                    block.text
                );
            }
            ("sh", _) => {
                for line in block.text.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty()) {
                    let (line, comment) = line.split_once(" #").unwrap_or((line, ""));
                    let line = line
                        .trim()
                        .replace("cargo run --release --", "recollect")
                        .replace("target/release/recollect", "recollect");
                    count += 1;
                    match comment.trim().strip_prefix("needs ") {
                        Some(what) => println!("{}: {line}: skipped, it needs {what}", page.path.display()),
                        None if line.starts_with("recollect ") => place.run(&line),
                        None if line.starts_with("cargo ") => {}
                        None => panic!(
                            "{}: {line}: this is neither run here, nor does it say what it needs",
                            page.path.display()
                        ),
                    }
                    names(&line);
                }
            }
            ("text" | "json" | "python" | "rust", _) => {}
            (kind, _) => {
                panic!("{}: a block of kind {kind:?}; sh, toml, python, rust, json or text", page.path.display())
            }
        }
    }
    count
}

#[test]
fn every_command_of_the_documentation_runs() {
    let place = Place::new();
    let count: usize = pages().iter().map(|page| follow(page, &place)).sum();
    assert!(count > 40, "{count} commands: are these all?");
}
