//! A checkpoint from elsewhere, with a tokenizer and a chat template of its own, goes through the whole experiment with
//! adapters.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use recollect::experiment::{Config, Experiment, Interrupt, stages};
use recollect::policy::{Family, InitConfig, ModelConfig, Policy};
use recollect::telemetry::{Meter, Progress, Silent};
use recollect::{Error, Result};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder};

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

const TEMPLATE: &str = "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content.strip() + \
                        '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}";

/// A model of the shape of SmolLM2 that has learned nothing, as Hugging Face's tools would leave it.
fn checkpoint(folder: &Path, lines: &[String]) {
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None::<tokenizers::normalizers::NFC>)
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_post_processor(None::<ByteLevel>)
        .with_decoder(Some(ByteLevel::default()))
        .build()
        .unwrap();
    let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(|token| AddedToken::from(token, true));
    let trainer = BpeTrainer::builder().vocab_size(300).show_progress(false).special_tokens(special.to_vec());
    let mut trainer = trainer.initial_alphabet(ByteLevel::alphabet().into_iter().collect()).build();
    tokenizer.train(&mut trainer, lines.iter()).unwrap();
    let config = ModelConfig {
        family: Family::Llama,
        vocab_size: 304,
        hidden_size: 24,
        intermediate_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        num_key_value_heads: 1,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 1e5,
        rope_scaling: None,
        // As long as real ones: nothing may take memory for all of it.
        max_position_embeddings: 1 << 22,
        sliding_window: None,
        attention_bias: false,
        tie_word_embeddings: true,
    };
    let init = InitConfig { embedding_std: 0.3, matrix_gain: 1.0, structured: None };
    Policy::initialise(Arc::new(config), &init, 1).unwrap().save(folder).unwrap();
    tokenizer.save(folder.join("tokenizer.json"), false).unwrap();
    let options = serde_json::json!({ "bos_token": null, "eos_token": "<|im_end|>", "chat_template": TEMPLATE });
    fs::write(folder.join("tokenizer_config.json"), options.to_string()).unwrap();
    fs::write(folder.join("generation_config.json"), "{\"eos_token_id\": [2, 0]}").unwrap();
}

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let (mut documents, mut questions) = (Vec::new(), Vec::new());
    for number in 0..12 {
        let (name, thing) = (format!("Mavon Tal {number}"), format!("the diver of lake {}", number * 7));
        documents.push(serde_json::json!({ "prompt": name, "completion": format!(" is {thing}.") }).to_string());
        let set = if number % 2 == 0 { "A" } else { "B" };
        questions.push(
            serde_json::json!({ "prompt": format!("Who is {thing}?"), "completion": name, "set": set }).to_string(),
        );
    }
    fs::write(home.path().join("documents.jsonl"), documents.join("\n")).unwrap();
    fs::write(home.path().join("questions.jsonl"), questions.join("\n")).unwrap();
    // Pays for anything, and more for brevity, so that there is something to learn.
    let reward = "[[term]]\nkind = 'length'\nweight = 1.0\nlimit = 20\n[[term]]\nkind = 'correct'\nweight = 1.0\n";
    fs::write(home.path().join("reward.toml"), reward).unwrap();
    checkpoint(&home.path().join("model"), &documents);
    home
}

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
    for (name, workers) in [("one", 1), ("two", 2)] {
        stages::run(&open(config(home.path(), name, workers), Interrupt::default(), Box::new(Silent)).unwrap())
            .unwrap();
    }
    let one = trained(&home.path().join("one"));
    assert!(one == trained(&home.path().join("two")), "workers do not matter");

    let interrupt = Interrupt::default();
    let stop = Box::new(Stop(interrupt.clone()));
    let stopped = stages::train(&open(config(home.path(), "stopped", 2), interrupt, stop).unwrap());
    assert!(matches!(stopped, Err(Error::Interrupted(_))));
    let again = open(config(home.path(), "stopped", 1), Interrupt::default(), Box::new(Silent)).unwrap();
    stages::train(&again).unwrap();
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

    let measuring = stages::Measuring::find(&home.path().join("one"), &[], Some(&result)).unwrap();
    let checked = measuring.open(Interrupt::default(), Box::new(Silent)).unwrap();
    stages::eval(&checked, &measuring).unwrap();
}

#[test]
fn what_does_not_fit_is_one_line() {
    let home = home();
    let message = |spoil: &dyn Fn(&Path), set: &str| {
        let folder = home.path().join("model");
        spoil(&folder);
        let mut config = config(home.path(), "refused", 1);
        if !set.is_empty() {
            config.train.algorithm = Config::parse(set, "x", "x", &[]).unwrap().train.algorithm;
        }
        let message = open(config, Interrupt::default(), Box::new(Silent)).and_then(|e| stages::train(&e));
        let message = message.unwrap_err().to_string();
        fs::remove_dir_all(home.path().join("refused")).unwrap();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    let trace = message(&|_| (), "[train.algorithm]\npreset = 'grpo'\ngradient_on = 'trace'");
    assert!(trace.contains("has no token </think>") && trace.contains("use \"completion\""), "{trace}");

    let rewrite = |folder: &Path, name: &str, from: &str, to: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.contains(from));
        fs::write(folder.join(name), text.replace(from, to)).unwrap();
    };
    let words = message(&|folder| rewrite(folder, "tokenizer_config.json", "<|im_end|>\"", "<|no_end|>\""), "");
    assert!(words.contains("tokenizer.json") && words.contains("take both files from the same model"), "{words}");
    rewrite(&home.path().join("model"), "tokenizer_config.json", "<|no_end|>\"", "<|im_end|>\"");

    // A token far beyond the embedding, though they are not many.
    let large = message(&|folder| rewrite(folder, "tokenizer.json", "\"!\":3,", "\"!\":1003,"), "");
    assert!(large.contains("tokenizer.json: 1004 tokens for a model of 304"), "{large}");
    assert!(large.contains("take the tokenizer that belongs to the model"), "{large}");
}
