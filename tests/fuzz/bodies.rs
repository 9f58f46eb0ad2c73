//! What is fuzzed: everything that reads what somebody else wrote. Each body takes any bytes; it may refuse them, in short
//! lines that no terminal obeys, and may neither panic, nor hang, nor take memory without bound. The targets beside this
//! file hand it what libFuzzer makes up, and a plain test hands it the corpus.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use recollect::Result;
use recollect::base::{Base, Outline, Place};
use recollect::config::{Config, arithmetic};
use recollect::knowledge::jsonl::JsonlFiles;
use recollect::knowledge::jsonl::task::COMPLETION;
use recollect::knowledge::{Jsonl, Knowledge, Match, Question, Set, World};
use recollect::language::Opening;
use recollect::policy::{Checkpoint, ModelConfig, Policy};
use recollect::reward::Reward;
use recollect::reward::rescore::{Options, rescore};
use recollect::telemetry::{MetricsTail, Silent, read_metrics};
use recollect::text::is_hidden;
use recollect::verifier::judge;

/// What is done with an input.
pub type Body = fn(&[u8]);

/// A body, by the name of its target and of its folder in the corpus.
pub const BODIES: [(&str, Body); 9] = [
    ("verifier", verifier),
    ("jsonl", jsonl),
    ("reward", reward),
    ("config", config),
    ("safetensors", safetensors),
    ("gguf", gguf),
    ("model_config", model_config),
    ("rollouts", rollouts),
    ("metrics", metrics),
];

/// A world with every task in it.
const WORLD: &str = "
[known]
persons = 120
creatures = 150
towns = 24
terms = 160
codes = 20
plain = 120
ciphers = 120
kinds = 200
traits = 120
facts = 10
chains = 4
codebook = { codes = 2 }
hierarchy = { families = 4 }
[world]
a = { facts = 10, chains = 4, codes = 2, families = 4, documents = 90 }
b = { facts = 10, chains = 4, codes = 2, families = 4, documents = 90 }
";

/// The shape of the checkpoint whose weights are fuzzed.
const MODEL: &str = r#"{"model_type": "llama", "vocab_size": 7, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 4, "rms_norm_eps": 1e-6, "rope_theta": 1e4,
    "max_position_embeddings": 16, "tie_word_embeddings": true}"#;

/// A judgement of whatever a policy may write. The first byte chooses the question and how it was asked.
pub fn verifier(data: &[u8]) {
    static WORLDS: OnceLock<(Knowledge, Vec<Question>)> = OnceLock::new();
    let (world, questions) = WORLDS.get_or_init(|| {
        let config = Config::parse(WORLD, "world", "world", &[]).expect("a config");
        let world = World::new(&config.known.known(), &config.world.generated()).expect("a world");
        let world = Knowledge::Generated(Box::new(world));
        let mut questions = world.questions(Set::A);
        questions.extend(world.questions(Set::B));
        // One of each form is enough, and one as files ask.
        questions.sort_by_key(|question| question.form);
        questions.dedup_by_key(|question| question.form);
        let free = Question { form: COMPLETION, cue: String::new(), needed: Vec::new(), ..questions[0].clone() };
        questions.push(free);
        (world, questions)
    });
    let Some((first, rest)) = data.split_first() else { return };
    let question = &questions[usize::from(first >> 2) % questions.len()];
    let opening = if first & 1 == 0 { Opening::Think } else { Opening::Answer };
    let completion = String::from_utf8_lossy(rest);
    let judgement = judge(world, question, opening, &completion, first & 2 == 0);
    assert!(judgement.needed_found <= judgement.needed);
    assert!(!judgement.correct || judgement.answer.is_some());
    assert!(judgement.recitations.iter().all(|said| said.is_true || !said.relevant));
}

/// Documents and questions. Those before the first line `---` are documents.
pub fn jsonl(data: &[u8]) {
    const RULE: &[u8] = b"\n---\n";
    let at = data.windows(RULE.len()).position(|window| window == RULE);
    let (documents, questions) = at
        .map_or((&b"{\"prompt\":\"a\",\"completion\":\"b\"}"[..], data), |at| (&data[..at], &data[at + RULE.len()..]));
    let [documents, questions] = [write("documents.jsonl", documents), write("questions.jsonl", questions)];
    let (documents, questions) = ([documents], [questions]);
    let files = || JsonlFiles { documents: &documents, questions: &questions, ..JsonlFiles::default() };
    if let Some(jsonl) = checked(Jsonl::load(files(), Match::Normalised, 0)) {
        checked(jsonl.digest());
    }
    checked(Jsonl::to_measure(files(), Match::Number, 0));
}

/// A reward file.
pub fn reward(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(reward) = checked(Reward::parse(text, "reward.toml")) {
        let (low, high) = reward.range();
        assert!(low.is_finite() && high.is_finite());
    }
}

/// A config file, as far as it goes without the files that it names.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(config) = checked(Config::parse(text, "config.toml", "config", &[])) else { return };
    let numbers = [arithmetic::of_run(&config), arithmetic::of_pretraining(&config)];
    assert!(numbers.iter().all(|lines| !lines.is_empty()));
    let Some(text) = checked(config.to_toml()) else { return };
    assert!(checked(Config::parse(&text, "again.toml", "again", &[])).is_some_and(|again| again == config), "{text}");
}

/// The weights of a checkpoint.
pub fn safetensors(data: &[u8]) {
    let folder = write("checkpoint/model.safetensors", data).with_file_name("");
    write("checkpoint/config.json", MODEL.as_bytes());
    let shapes = checked(Checkpoint::open(&folder).and_then(|checkpoint| checkpoint.examine())).is_some();
    let loaded = checked(Policy::load(&folder)).is_some();
    assert!(shapes || !loaded, "what can be loaded looks as if it could");
}

/// A whole model in one file.
pub fn gguf(data: &[u8]) {
    let path = write("model.gguf", data);
    let looked = checked(Outline::read(Place::Dir(&path))).is_some();
    let loaded = checked(Base::load(Place::Dir(&path))).is_some();
    assert!(looked || !loaded, "what can be loaded looks as if it could");
}

/// The `config.json` of a checkpoint.
pub fn model_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(config) = checked(ModelConfig::parse("config.json", text)) else { return };
    assert!(config.parameter_count() > 0);
    assert_eq!(checked(ModelConfig::parse("config.json", &config.to_json("float32"))), Some(config));
}

/// Recorded rollouts, scored again.
pub fn rollouts(data: &[u8]) {
    static REWARD: OnceLock<Reward> = OnceLock::new();
    let terms = "[[term]]\nkind = 'correct'\n[[term]]\nkind = 'recitation'\nonly_if = 'correct'\n\
                 [[term]]\nkind = 'repetition'\nweight = -0.1";
    let reward = REWARD.get_or_init(|| Reward::parse(terms, "reward.toml").expect("a reward")).clone();
    let path = write("step-000001.jsonl", data);
    if let Some(found) = checked(rescore(&[reward], &[path], Options { kept: 3, workers: 1 }, &Silent)) {
        assert!(found.right <= found.rollouts && found.groups <= found.rollouts);
    }
}

/// The metrics of a run: read, and followed.
pub fn metrics(data: &[u8]) {
    let path = write("metrics.jsonl", data);
    let whole = checked(read_metrics(&path));
    let (mut tail, mut lines) = (MetricsTail::new(&path), Vec::new());
    checked(tail.read(&mut lines));
    if let Some(whole) = whole {
        assert!(lines.len() <= whole.len());
        whole.iter().for_each(|line| assert!(line.finite().all(|(_, value)| value.is_finite())));
    }
}

/// A file of this process, written anew.
fn write(name: &str, bytes: &[u8]) -> PathBuf {
    static HOME: OnceLock<Arc<tempfile::TempDir>> = OnceLock::new();
    // Every thread has a folder of its own.
    let home = HOME.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let home = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Arc::new(home.expect("a folder for what is fuzzed"))
    });
    let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "-");
    let path = home.path().join(thread).join(name);
    fs::create_dir_all(path.parent().unwrap_or(&path)).expect("a folder");
    fs::write(&path, bytes).expect("a file");
    path
}

/// What was made; of an error, only that it says something that can be shown.
fn checked<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            for line in error.lines() {
                assert!(!line.is_empty() && line.chars().count() < 2500, "{} characters", line.chars().count());
                assert!(!line.chars().any(is_hidden), "{line:?}");
            }
            None
        }
    }
}
