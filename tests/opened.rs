//! Directories from elsewhere: each is opened once, with its own tokenizer and the weights that it names.

#[path = "support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use program::recollect;
use rand::Rng;
use recollect::language::Tokenizer;
use recollect::policy::{Family, InitConfig, LoraConfig, ModelConfig, Policy, Target, Weight};
use recollect::random;
use serde_json::{Value, json};

const QUESTIONS: [&str; 6] = ["w1 w2 w3", "w4 w5", "w6 w7 w8 w9", "w10 w11", "w12 w13 w14", "w15 w16"];

/// A directory in which the program runs.
struct Home(tempfile::TempDir);

impl Home {
    /// With the reward that every config names.
    fn empty() -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        let reward = Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/correct.toml");
        fs::create_dir(home.path("rewards")).unwrap();
        fs::copy(reward, home.path("rewards/correct.toml")).unwrap();
        home
    }

    /// With questions, documents, a config and a base that says something else for each question.
    fn new() -> Home {
        let home = Home::empty();
        let rows = |text: &dyn Fn(usize, &str) -> Value| {
            let rows = QUESTIONS.iter().enumerate().map(|(at, prompt)| text(at, prompt).to_string() + "\n");
            rows.collect::<String>()
        };
        let sets = ["A", "B"];
        let question = |at: usize, prompt: &str| json!({"prompt": prompt, "completion": "w20", "set": sets[at % 2]});
        let document = |at: usize, _: &str| json!({"prompt": format!("w3{at}"), "completion": format!("w2{at} w20")});
        fs::write(home.path("questions.jsonl"), rows(&question)).unwrap();
        fs::write(home.path("documents.jsonl"), rows(&document)).unwrap();
        fs::write(home.path("tiny.toml"), CONFIG).unwrap();
        let words: Vec<String> = (0..40).map(|word| format!("w{word}")).collect();
        let tokenizer = Tokenizer::from_words(&words).unwrap();
        let policy = drawn(shape(tokenizer.size()));
        home.save("base", &policy, Some(&tokenizer));
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn save(&self, name: &str, policy: &Policy, tokenizer: Option<&Tokenizer>) {
        policy.save(&self.path(name)).unwrap();
        if let Some(tokenizer) = tokenizer {
            tokenizer.save(&self.path(name).join("tokenizer.json")).unwrap();
        }
    }

    fn tokenizer(&self) -> Tokenizer {
        Tokenizer::load(&self.path("base/tokenizer.json")).unwrap()
    }

    /// Adapters on the base, drawn, so that they change what it says; without a tokenizer.
    fn adapt(&self, name: &str) -> Policy {
        let lora =
            LoraConfig { rank: 2, alpha: 6.0, target_modules: vec![Target::VProj, Target::OProj, Target::UpProj] };
        let policy = Policy::load(&self.path("base")).unwrap().with_lora(&lora, 1).unwrap();
        for (name, variable) in &policy.variables {
            let mut stream = random::named(5, name);
            let values: Vec<f32> = (0..variable.elem_count()).map(|_| stream.random_range(-0.4..0.4f32)).collect();
            let shape = variable.dims().to_vec();
            variable.set(&candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap()).unwrap();
        }
        self.save(name, &policy, None);
        policy
    }

    fn recollect(&self, arguments: &[&str]) -> Result<(), String> {
        let command = recollect().args(arguments).current_dir(self.0.path()).output();
        let output = command.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if output.status.success() { Ok(()) } else { Err(said.trim_end().lines().last().unwrap_or("").to_owned()) }
    }

    fn does(&self, arguments: &[&str]) {
        self.recollect(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    }

    /// What a run answered in one arm, by question.
    fn answers(&self, run: &str, arm: &str) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for stage in fs::read_dir(self.path(run).join("stages")).unwrap() {
            let Ok(text) = fs::read_to_string(stage.unwrap().path().join("answers.jsonl")) else { continue };
            for row in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
                if row["arm"] == arm {
                    all.insert(row["asked"].as_str().unwrap().into(), row["completion"].as_str().unwrap().into());
                }
            }
        }
        assert_eq!(all.len(), QUESTIONS.len(), "{arm} in {run}");
        all
    }
}

const CONFIG: &str = "
[base]
path = 'base'
[world.jsonl]
documents = ['documents.jsonl']
questions = ['questions.jsonl']
[finetune]
steps = 3
replay = 0.0
scales = {}
[train]
steps = 2
forms = ['completion']
questions_per_step = 2
group_size = 2
max_new_tokens = 10
replay_tokens = 0
scales = {}
[evaluation]
max_new_tokens = 10
questions_during_training = 2
";

/// The settings of comparisons that belong to no run.
const SHORT: [&str; 2] = ["--set", "evaluation.max_new_tokens=10"];

fn shape(vocab_size: usize) -> ModelConfig {
    ModelConfig {
        family: Family::Qwen2,
        vocab_size,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-6,
        rope_theta: 1e4,
        rope_scaling: None,
        max_position_embeddings: 256,
        sliding_window: None,
        attention_bias: false,
        tie_word_embeddings: true,
    }
}

fn drawn(config: ModelConfig) -> Policy {
    let init = InitConfig { embedding_std: 0.5, matrix_gain: 1.5, structured: None };
    Policy::initialise(Arc::new(config), &init, 4).unwrap()
}

#[test]
fn a_comparison_adds_adapters_to_their_weights_once() {
    let home = Home::new();
    let policy = home.adapt("adapter");
    home.save("merged", &policy.merged().unwrap(), Some(&home.tokenizer()));
    for contender in ["adapter", "merged"] {
        let arguments = ["eval", contender, "--against", "base", "--questions", "questions.jsonl"];
        home.does(&[&arguments[..], &SHORT].concat());
    }
    let [adapter, merged] = ["runs/adapter-against-base", "runs/merged-against-base"];
    let answers = home.answers(adapter, "direct-after-rl");
    assert_eq!(answers, home.answers(merged, "direct-after-rl"));
    assert_ne!(answers, home.answers(adapter, "fine-tuned"), "the adapters change what is said");
}

#[test]
fn a_checkpoint_is_read_with_its_own_tokenizer_and_on_the_weights_that_it_names() {
    let home = Home::new();
    home.save("same", &Policy::load(&home.path("base")).unwrap(), Some(&home.tokenizer()));
    // The same words by other numbers.
    let words: Vec<String> = (0..40).rev().map(|word| format!("w{word}")).collect();
    let (before, after) = (home.tokenizer(), Tokenizer::from_words(&words).unwrap());
    let mut weights = Policy::load(&home.path("base")).unwrap().weights().unwrap();
    let embedding = &weights["model.embed_tokens.weight"];
    let mut moved: Weight = embedding.clone();
    let width = embedding.shape[1];
    for word in &words {
        let [from, to] = [&before, &after].map(|tokenizer| tokenizer.id(word).unwrap() as usize * width);
        moved.values[to..to + width].copy_from_slice(&embedding.values[from..from + width]);
    }
    assert_ne!(moved, *embedding);
    weights.insert("model.embed_tokens.weight".into(), moved);
    let renumbered = Policy::new("renumbered", Arc::new(shape(after.size())), weights).unwrap();
    home.save("renumbered", &renumbered, Some(&after));

    // Adapters on a model that is not the base of the run.
    let adapted = home.adapt("adapter");
    home.save("whole", &adapted.merged().unwrap(), Some(&home.tokenizer()));
    home.save("other", &drawn(ModelConfig { rope_theta: 100.0, ..shape(before.size()) }), Some(&before));
    fs::write(home.path("other.toml"), CONFIG.replace("'base'", "'other'")).unwrap();

    let answers = |config: &str, checkpoint: &str| {
        let run = format!("runs/{checkpoint}");
        let (dir, arms) = (format!("run.dir={run}"), "direct-after-rl");
        home.does(&["eval", config, "--checkpoint", checkpoint, "--arms", arms, "--set", &dir]);
        home.answers(&run, arms)
    };
    assert_eq!(answers("tiny.toml", "renumbered"), answers("tiny.toml", "same"));
    assert_eq!(answers("other.toml", "adapter"), answers("other.toml", "whole"));

    fs::write(home.path("renumbered/tokenizer.json"), "{}").unwrap();
    let error = home.recollect(&["eval", "tiny.toml", "--checkpoint", "renumbered"]).unwrap_err();
    assert!(error.contains("renumbered/tokenizer.json"), "{error}");
}

#[test]
fn adapters_are_trained_on_adapters_and_name_weights_that_others_can_load() {
    let home = Home::new();
    let below = home.adapt("adapter").merged().unwrap();
    let config = CONFIG.replace("'base'", "'adapter'") + "[lora]\nrank = 2\nalpha = 8\n";
    fs::write(home.path("tiny.toml"), config).unwrap();
    home.does(&["run", "tiny.toml"]);
    let stage = |name: &str| {
        let stages = fs::read_dir(home.path("runs/tiny/stages")).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(name);
        stages.into_iter().find(named).unwrap()
    };
    for name in ["finetune-", "train-"] {
        let fields = fs::read_to_string(stage(name).join("adapter_config.json")).unwrap();
        let fields: Value = serde_json::from_str(&fields).unwrap();
        let named = PathBuf::from(fields["base_model_name_or_path"].as_str().unwrap());
        assert!(named.is_absolute() && named.join("tokenizer.json").exists(), "{named:?}");
        let whole = Policy::load(&named).unwrap();
        assert!(whole.lora.is_none() && whole.weights().unwrap() == below.weights().unwrap());
        let trained = Policy::load(&stage(name)).unwrap();
        assert_eq!(trained.lora.as_ref().unwrap().iter().count(), 2 * 7);
        assert_eq!(trained.origin, Some(named));
    }

    // What the run itself says, its checkpoints say to others.
    let said = ["fine-tuned", "direct-after-rl"].map(|arm| home.answers("runs/tiny", arm));
    home.does(&["eval", "runs/tiny", "--against", "runs/tiny@0"]);
    let again = ["fine-tuned", "direct-after-rl"].map(|arm| home.answers("runs/tiny-against-tiny-at-0", arm));
    assert_eq!(again, said);
}

#[test]
fn adapters_of_peft_answer_as_peft_does() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases/peft-plain");
    let Ok(expected) = fs::read_to_string(case.join("expected.json")) else {
        eprintln!("skipped: {} is not there", case.display());
        return;
    };
    let expected: BTreeMap<String, String> = serde_json::from_str(&expected).unwrap();
    let home = Home::empty();
    let [adapter, base, questions] = ["adapter", "base", "q.jsonl"].map(|name| case.join(name).display().to_string());
    let arguments = ["eval", &adapter, "--against", &base, "--questions", &questions];
    home.does(&[&arguments[..], &["--set", "evaluation.max_new_tokens=12"]].concat());
    let said = home.answers("runs/adapter-against-base", "direct-after-rl");
    for (question, answer) in expected {
        let found = said.iter().find(|(asked, _)| asked.contains(&question)).unwrap().1;
        assert_eq!(found.trim_end_matches(" <eos>"), answer, "{question}");
    }
}
