//! A checkpoint from elsewhere, with a tokenizer and a chat template of its own, goes through the whole experiment with
//! adapters.

#[path = "support/foreign.rs"]
mod foreign;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use foreign::home;
use recollect::config::Config;
use recollect::experiment::{self, Experiment};
use recollect::interrupt::Interrupt;
use recollect::policy::Policy;
use recollect::telemetry::{Meter, Progress, Silent};
use recollect::{Error, Result, evaluate, rl};
use serde_json::Value;

const CONFIG: &str = "
[world.jsonl]
[finetune]
steps = 3
tokens_per_step = 200
replay = 0.0
scales = {}
[lora]
rank = 2
alpha = 8
target_modules = ['q_proj', 'v_proj', 'down_proj']
[train]
steps = 4
forms = ['completion']
questions_per_step = 4
group_size = 4
max_new_tokens = 12
replay_tokens = 0
learning_rate = 1e-3
evaluate_every = 2
scales = {}
algorithm = { preset = 'grpo', kl = 0.1 }
[evaluation]
max_new_tokens = 8
";

fn config(home: &Path, name: &str, workers: usize) -> Config {
    let at = |name: &str| home.join(name).display().to_string();
    let set = [
        format!("world.jsonl.documents=['{}']", at("documents.jsonl")),
        format!("world.jsonl.questions=['{}']", at("questions.jsonl")),
        format!("base.path={}", at("model")),
        format!("train.reward={}", at("reward.toml")),
        format!("run.dir={}", at(name)),
        format!("run.workers={workers}"),
    ];
    Config::parse(CONFIG, "real", "real", &set).unwrap()
}

fn open(config: Config, interrupt: Interrupt, progress: Box<dyn Progress>) -> Result<Experiment> {
    Experiment::open(config, interrupt, progress)
}

/// Where a finished stage of a run lies.
fn stage(run: &Path, name: &str) -> PathBuf {
    let stages = fs::read_dir(run.join("stages")).unwrap().map(|entry| entry.unwrap().path());
    let of_name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&format!("{name}-"));
    stages.filter(|path| path.is_dir()).find(of_name).unwrap()
}

fn trained(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &str| (name.to_string(), fs::read(stage(run, "train").join(name)).unwrap());
    ["adapter_model.safetensors", "adapter_config.json", "tokenizer_config.json"].map(read).into()
}

/// Asks to stop after the second step of reinforcement learning.
struct Stop(Interrupt);

struct Watch(Option<Interrupt>);

impl Progress for Stop {
    fn begin(&self, name: &str, _: &str, _: u64, _: u64) -> Box<dyn Meter> {
        Box::new(Watch((name == "reinforcement learning").then(|| self.0.clone())))
    }

    fn tell(&self, _: &str) {}
}

impl Meter for Watch {
    fn set(&mut self, done: u64) {
        self.0.iter().filter(|_| done == 2).for_each(Interrupt::request);
    }

    fn note(&mut self, _: &str) {}
}

#[test]
fn adapters_are_trained_on_a_checkpoint_from_elsewhere_and_nothing_else_is() {
    let home = home();
    let model = home.path().join("model");
    let before = fs::read(model.join("model.safetensors")).unwrap();
    // "completion" stands for rows of every form.
    let questions = home.path().join("questions.jsonl");
    let mut rows: Vec<Value> =
        fs::read_to_string(&questions).unwrap().lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    rows.iter_mut().enumerate().filter(|(at, _)| at % 4 > 1).for_each(|(_, row)| row["form"] = "second".into());
    fs::write(&questions, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    for (name, workers) in [("one", 1), ("two", 2)] {
        experiment::run(&open(config(home.path(), name, workers), Interrupt::default(), Box::new(Silent)).unwrap())
            .unwrap();
    }
    let one = trained(&home.path().join("one"));
    let evaluations = fs::read_to_string(home.path().join("one/evaluations.json")).unwrap();
    let evaluations: Vec<Value> = serde_json::from_str(&evaluations).unwrap();
    let mut asked: BTreeMap<&str, u64> = BTreeMap::new();
    for row in evaluations.iter().filter(|row| row["step"] == 2) {
        *asked.entry(row["form"].as_str().unwrap()).or_default() += row["n"].as_u64().unwrap();
    }
    assert_eq!(asked, BTreeMap::from([("completion", 6), ("second", 6)]));
    assert!(one == trained(&home.path().join("two")), "workers do not matter");

    let interrupt = Interrupt::default();
    let stop = Box::new(Stop(interrupt.clone()));
    let stopped = rl::train(&open(config(home.path(), "stopped", 2), interrupt, stop).unwrap());
    assert!(matches!(stopped, Err(Error::Interrupted(_))));
    let again = open(config(home.path(), "stopped", 1), Interrupt::default(), Box::new(Silent)).unwrap();
    rl::train(&again).unwrap();
    assert!(one == trained(&home.path().join("stopped")), "an interruption does not matter");

    assert!(before == fs::read(model.join("model.safetensors")).unwrap());
    let (tuned, result) = (stage(&home.path().join("one"), "finetune"), stage(&home.path().join("one"), "train"));
    assert!(!result.join("model.safetensors").exists());
    let (tuned, policy) = (Policy::load(&tuned).unwrap(), Policy::load(&result).unwrap());
    assert_eq!(policy.origin, Some(model));
    assert_eq!(policy.variables.len(), 2 * 2 * 3);
    assert_ne!(tuned.weights().unwrap(), policy.weights().unwrap());

    // Questions are put in the model's template.
    let answers = fs::read_to_string(stage(&home.path().join("one"), "evaluation").join("answers.jsonl")).unwrap();
    assert!(answers.contains("<|im_end|>\\n<|im_start|>assistant\\n<think>"), "{answers}");

    let measuring = recollect::evaluate::Measuring::find(&home.path().join("one"), &[], Some(&result)).unwrap();
    let checked = measuring.open(Interrupt::default(), Box::new(Silent)).unwrap();
    evaluate::eval(&checked, &measuring).unwrap();
}

#[test]
fn what_does_not_fit_is_one_line() {
    let home = home();
    let trained = |spoil: &dyn Fn(&Path), set: &str| {
        let folder = home.path().join("model");
        spoil(&folder);
        let mut config = config(home.path(), "refused", 1);
        if !set.is_empty() {
            config.train.algorithm = Config::parse(set, "x", "x", &[]).unwrap().train.algorithm;
        }
        let trained = open(config, Interrupt::default(), Box::new(Silent)).and_then(|e| rl::train(&e));
        fs::remove_dir_all(home.path().join("refused")).unwrap();
        trained
    };
    let message = |spoil: &dyn Fn(&Path), set: &str| {
        let message = trained(spoil, set).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    // A token beyond the embedding is no harm until a text needs it.
    let renumber = |folder: &Path, token: &str, id: u32| {
        let path = folder.join("tokenizer.json");
        let mut tokenizer: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        tokenizer["model"]["vocab"][token] = id.into();
        fs::write(path, tokenizer.to_string()).unwrap();
    };
    let trace = "[train.algorithm]\npreset = 'grpo'\ngradient_on = 'trace'";
    trained(&|folder| renumber(folder, "!", 1003), trace).unwrap();
    let needed = message(&|folder| renumber(folder, "d", 1004), "");
    assert!(needed.contains("\"d\" is token 1004 for a model of 304 tokens"), "{needed}");
    assert!(needed.contains("take the tokenizer that belongs to the model"), "{needed}");
}
