//! What recollect saves, transformers and PEFT load, and go on with as recollect does. Needs a Python with torch,
//! transformers and peft: RECOLLECT_PYTHON names it, and without it these tests say that they are skipped.
//! With RECOLLECT_PYTHON_LIGHT it may have transformers alone, and what needs more is left out. `tests/oracle` makes both.

#[path = "support/foreign.rs"]
mod foreign;
#[path = "support/stop_at.rs"]
mod stop_at;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use recollect::config::Config;
use recollect::experiment::Experiment;
use recollect::interrupt::Interrupt;
use recollect::language::{Opening, Tokenizer};
use recollect::policy::Policy;
use recollect::rollout::{Engine, Request, SamplingParams};
use recollect::telemetry::{Progress, Silent};
use recollect::{Error, Result, rl};
use serde_json::{Value, json};
use stop_at::StopAt;

/// Runs a script of this folder on what `folders` hold, where there is a Python to run it.
fn python(script: &str, folders: &[PathBuf]) {
    let light = script == "check_generate.py" && std::env::var_os("RECOLLECT_PYTHON").is_none();
    let variable = if light { "RECOLLECT_PYTHON_LIGHT" } else { "RECOLLECT_PYTHON" };
    let Some(python) = std::env::var_os(variable) else {
        eprintln!("skipped: RECOLLECT_PYTHON names no Python with torch, transformers and peft");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let mut command = Command::new(python);
    // Nothing is to be looked for elsewhere.
    command.arg(script).args(light.then_some("--light")).args(folders).env("HF_HUB_OFFLINE", "1");
    let output = command.output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{said}{wrong}");
}

/// Loads everything that Python has recorded in a folder, saves it again and has Python compare.
fn compare(recorded: &str, count: usize) {
    let home = tempfile::tempdir().unwrap();
    let mut saved = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(recorded)).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), home.path().join(entry.unwrap().file_name()));
        // A value head beside the weights is nothing to other programs.
        Policy::load(&from).unwrap().with_value_head(&from, false).unwrap().save(&to).unwrap();
        fs::copy(from.join("logits.json"), to.join("logits.json")).unwrap();
        saved.push(to);
    }
    assert_eq!(saved.len(), count);
    python("check_saved.py", &saved);
}

#[test]
fn saved_checkpoints_give_the_same_logits_in_transformers() {
    compare("tests/golden", 12);
}

#[test]
fn saved_adapters_give_the_same_logits_in_peft() {
    compare("tests/golden-adapters", 3);
}

/// Tokens that a continuation may have.
const LIMIT: usize = 64;

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

/// Every folder below that holds weights or adapters.
fn saved_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            saved_below(&path, found);
        }
    }
    if ["model.safetensors", "adapter_model.safetensors"].iter().any(|name| folder.join(name).exists()) {
        found.push(folder.to_path_buf());
    }
}

/// Writes beside a checkpoint what recollect makes of these texts, and how it goes on from these prompts. The number of
/// those that end by themselves.
fn record(folder: &Path, texts: &[&str], prompts: &[String]) -> usize {
    let policy = Policy::load(folder).unwrap();
    let tokenizer = Tokenizer::load(&folder.join("tokenizer.json")).unwrap().within(policy.config.vocab_size).unwrap();
    let mut engine = Engine::new(&policy.config, 2, 320).unwrap();
    engine.load(&policy.snapshot(0).unwrap()).unwrap();
    let requests: Vec<Request> = prompts
        .iter()
        .map(|prompt| Request {
            prompt: tokenizer.encode(prompt).unwrap(),
            samples: 1,
            sampling: SamplingParams::greedy(),
            max_new_tokens: LIMIT,
            stop: tokenizer.ends().to_vec(),
            seed: 0,
            key: [0, 0],
        })
        .collect();
    let mut written = engine.generate(&requests).unwrap();
    written.sort_by_key(|completion| completion.request);
    let ended = |tokens: &[u32]| tokens.last().is_some_and(|last| tokenizer.ends().contains(last));
    let completions: Vec<Value> = prompts
        .iter()
        .zip(&requests)
        .zip(&written)
        .map(|((text, request), completion)| {
            let tokens = &completion.tokens;
            let said = &tokens[..tokens.len() - usize::from(ended(tokens))];
            let said = tokenizer.decode(said).unwrap();
            json!({ "text": text, "prompt": request.prompt, "tokens": tokens, "written": said, "limit": LIMIT })
        })
        .collect();
    let texts: Vec<Value> = texts.iter().map(|text| json!([text, tokenizer.encode(text).unwrap()])).collect();
    let golden = json!({ "texts": texts, "completions": completions, "ends": tokenizer.ends() });
    fs::write(folder.join("generated.json"), golden.to_string()).unwrap();
    written.iter().filter(|completion| ended(&completion.tokens)).count()
}

/// Fine-tunes and trains, after a stop in the middle of either that leaves checkpoints; all folders that are left.
fn run(config: impl Fn() -> Config, into: &mut Vec<PathBuf>) {
    let open = |interrupt: &Interrupt, progress: Box<dyn Progress>| -> Result<()> {
        rl::train(&Experiment::open(config(), interrupt.clone(), progress)?).map(drop)
    };
    let interrupt = Interrupt::default();
    let stop = Box::new(StopAt { interrupt: interrupt.clone(), work: "fine-tuning", done: 2 });
    assert!(matches!(open(&interrupt, stop), Err(Error::Interrupted(_))));
    // What is left in the middle is gone when it goes on.
    let middle = config().run.dir.with_extension("middle");
    copy(&config().run.dir, &middle);
    open(&Interrupt::default(), Box::new(Silent)).unwrap();
    let before = into.len();
    for folder in [&middle, &config().run.dir] {
        saved_below(folder, into);
    }
    // The middle of fine-tuning, both stages, and checkpoints of reinforcement learning.
    assert!(into.len() >= before + 4, "{into:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

const SHORT: &str = "
world.a = { facts = 10, chains = 8, documents = 90 }
world.b = { facts = 10, chains = 4, documents = 60 }
finetune.steps = 4
finetune.tokens_per_step = 512
train.steps = 3
train.questions_per_step = 4
train.group_size = 4
train.checkpoint_every = 1
train.evaluate_every = 0
";

fn short(text: &str, set: &[String]) -> Config {
    Config::parse(&format!("{SHORT}{text}"), "short", "short", set).unwrap()
}

#[test]
fn everything_that_is_saved_is_loaded_and_continued_as_here() {
    let words =
        ["<bos> <question> who in lintton chases sesde ? <think>", "lintton chases sesde .", "? <answer> sesde"];
    let (home, foreign) = (tempfile::tempdir().unwrap(), foreign::home());
    let mut folders = Vec::new();
    for name in ["base", "versed"] {
        copy(&assets().join(name), &home.path().join(name));
        folders.push(home.path().join(name));
    }
    // The shipped base, all of its weights trained, and adapters.
    let set = |name: &str, home: &Path| {
        fs::write(home.join("reward.toml"), "[[term]]\nkind = 'correct'\nweight = 1.0\n").unwrap();
        let (dir, reward) = (home.join(name), home.join("reward.toml"));
        vec![format!("run.dir={}", dir.display()), format!("train.reward={}", reward.display())]
    };
    let base = format!("base.path={}", home.path().join("base").display());
    run(|| short("", &set("full", home.path())), &mut folders);
    let lora = "[lora]\nrank = 2\nalpha = 4\ntarget_modules = ['q_proj', 'down_proj']";
    run(|| short(lora, &[set("lora", home.path()), vec![base.clone()]].concat()), &mut folders);
    let mut ended = BTreeMap::new();
    for folder in &folders {
        let direct = Opening::Answer;
        let prompts = [words[0].to_string(), recollect::language::prompt(&[], "who in lintton chases sesde ?", direct)];
        ended.insert(folder.clone(), record(folder, &words, &prompts));
    }
    assert!(ended.values().all(|count| *count > 0), "{ended:?}");

    // A model from elsewhere, and one that is made for files.
    let jsonl = |name: &str| {
        let at = |name: &str| foreign.path().join(name).display().to_string();
        let files = format!("world.jsonl.documents=['{}']", at("documents.jsonl"));
        let more = [files, format!("world.jsonl.questions=['{}']", at("questions.jsonl")), "finetune.replay=0".into()];
        let train =
            ["train.forms=['completion']", "train.replay_tokens=0", "train.max_new_tokens=12"].map(String::from);
        [set(name, foreign.path()), more.to_vec(), train.to_vec()].concat()
    };
    let from =
        |name: &str| [jsonl(name), vec![format!("base.path={}", foreign.path().join("model").display())]].concat();
    let before = folders.len();
    run(|| short("", &from("full")), &mut folders);
    run(|| short(lora, &from("lora")), &mut folders);
    run(|| short("", &jsonl("blank")), &mut folders);
    for folder in &folders[before..] {
        let mut texts = vec!["Who is the diver of lake 7? </think> <answer> Mavon Tal 1", "é 雪 it's 1234  x\n\ny"];
        let tokenizer = Tokenizer::load(&folder.join("tokenizer.json")).unwrap();
        if tokenizer.id("<question>").is_some() {
            texts.push("<bos> Mavon Tal 3 is <eos>");
        }
        let asked = tokenizer.prompt(&[], "Who is the diver of lake 7?", Opening::Think).unwrap();
        record(folder, &texts, &[asked, "Mavon Tal 3 is".into()]);
    }
    println!("{} folders", folders.len());
    python("check_generate.py", &folders);
}

#[test]
fn what_ships_is_what_would_be_saved() {
    for name in ["base", "versed"] {
        let (shipped, copy) = (assets().join(name), tempfile::tempdir().unwrap());
        fs::copy(shipped.join("config.json"), copy.path().join("config.json")).unwrap();
        Tokenizer::load(&shipped.join("tokenizer.json")).unwrap().save(&copy.path().join("tokenizer.json")).unwrap();
        let mut names: Vec<_> = fs::read_dir(copy.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]);
        for file in names {
            let read = |folder: &Path| fs::read_to_string(folder.join(&file)).unwrap();
            assert!(read(&shipped) == read(copy.path()), "assets/{name}/{file:?} should be\n{}", read(copy.path()));
        }
    }
}
