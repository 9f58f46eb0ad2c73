//! Bad input gets one clear line on stderr and an exit code that is not 0, and nothing is overwritten.

#[path = "support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use program::recollect;
use recollect::base::Base;
use recollect::config::Config;
use recollect::files;
use recollect::knowledge::World;
use recollect::language::Tokenizer;
use recollect::policy::{InitConfig, Policy};
use recollect::store::RunDir;

/// A model of a few thousand weights.
const SMALL: &str = "[model]\nhidden_size = 8\nintermediate_size = 8\nnum_hidden_layers = 1\nnum_attention_heads = 2\n\
                     num_key_value_heads = 2\nhead_dim = 4";

/// A directory with a config, and the program run inside of it.
struct Home(tempfile::TempDir);

impl Home {
    fn with_config(text: &str) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir(home.path("rewards")).unwrap();
        let reward = Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/correct.toml");
        fs::copy(reward, home.path("rewards/correct.toml")).unwrap();
        fs::write(home.path("x.toml"), text).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn recollect(&self, arguments: &[&str]) -> Output {
        recollect().args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    /// Runs what must fail before it begins, and returns the lines that it said.
    fn refused(&self, arguments: &[&str]) -> Vec<String> {
        let (lines, stdout) = self.failed(arguments);
        assert!(stdout.is_empty(), "{arguments:?}");
        lines
    }

    /// Runs what must fail, and returns the lines of stderr, and stdout.
    fn failed(&self, arguments: &[&str]) -> (Vec<String>, Vec<u8>) {
        let output = self.recollect(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        (stderr.lines().map(String::from).collect(), output.stdout)
    }

    /// A base that has learned nothing, in `base/`.
    fn with_base(self) -> Home {
        let config = Config::parse(SMALL, "small", "small", &[]).unwrap();
        let known = config.known.known();
        let tokenizer = Tokenizer::from_words(World::known(&known).unwrap().grammar.lexicon.words()).unwrap();
        let init = InitConfig { structured: None, ..config.pretrain.init };
        let model = Arc::new(config.model.with_vocabulary(tokenizer.size()));
        let policy = Policy::initialise(model, &init, 0).unwrap();
        Base { policy, tokenizer, known: Some(known) }.save(&self.path("base")).unwrap();
        self
    }

    /// A digest of every file below a directory, but for the number of the process that held a run last.
    fn files(&self, name: &str) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.path(name)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    drop(all.insert(path.clone(), files::digest(&fs::read(&path).unwrap())))
                }
            }
        }
        all.retain(|path, _| !path.ends_with("run.lock"));
        all
    }
}

#[test]
fn a_misspelt_key_in_a_file_or_an_override_is_named_with_its_nearest() {
    let home = Home::with_config("[train]\nstesp = 3\n");
    let expected = "error: x.toml: train.stesp: unknown key; did you mean train.steps?";
    assert_eq!(home.refused(&["run", "x.toml"]), [expected]);

    let home = Home::with_config("");
    let expected = "error: --set finetune.reply=0.2: finetune.reply: unknown key; did you mean finetune.replay?";
    assert_eq!(home.refused(&["run", "x.toml", "--set", "finetune.reply=0.2"]), [expected]);
    assert!(!home.path("runs").exists());
}

#[test]
fn everything_wrong_is_said_at_once() {
    let home = Home::with_config("[train]\nsteps = 0\ngroup_size = 'many'\n[tarin]\n");
    let lines = home.refused(&["run", "x.toml", "--set", "train.temperature=-1"]);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("error: ")));
}

#[test]
fn a_missing_file_is_named() {
    let home = Home::with_config("");
    assert_eq!(home.refused(&["run", "y.toml"]).len(), 1);
    assert!(
        home.refused(&["run", "y.toml"])[0]
            .starts_with("error: y.toml: no such file; name a file, or one that ships: ")
    );
    let lines = home.refused(&["run", "x.toml", "--set", "train.reward=rewards/no.toml"]);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("error: rewards/no.toml: no such file; train.reward names it; those that ship are "),
        "{lines:?}"
    );
    assert!(!home.path("runs").exists());
}

#[test]
fn a_reward_that_is_wrong_is_found_before_anything_runs() {
    let home = Home::with_config("");
    fs::write(home.path("rewards/correct.toml"), "[[term]]\nkind = 'corect'\n").unwrap();
    let lines = home.refused(&["run", "x.toml", "--dry-run"]);
    assert_eq!(
        lines,
        ["error: rewards/correct.toml: line 2, column 1: term 1: kind: unknown term \"corect\"; did you mean correct?"]
    );
}

#[test]
fn a_config_that_is_no_toml_or_no_text_is_one_line() {
    let home = Home::with_config("[train\nsteps = 1");
    let lines = home.refused(&["run", "x.toml"]);
    assert!(lines.len() == 1 && lines[0].starts_with("error: x.toml: line 1"), "{lines:?}");
    fs::write(home.path("x.toml"), [0xff, 0xfe, 0x00]).unwrap();
    assert_eq!(home.refused(&["run", "x.toml"]).len(), 1);
}

#[test]
fn a_card_that_is_not_there_is_one_line_and_takes_no_run_directory() {
    let home = Home::with_config("");
    let lines = home.refused(&["run", "x.toml", "--set", "run.device=gpu"]);
    assert!(lines.len() == 1 && lines[0].contains("run.device"), "{lines:?}");
    assert!(lines[0].contains("allowed is \"auto\", \"cpu\" or \"cuda:N\""), "{lines:?}");
    // No machine has so many.
    let lines = home.refused(&["run", "x.toml", "--set", "run.device=cuda:999"]);
    let why = if cfg!(feature = "cuda") { "card" } else { "built without CUDA; build it with" };
    assert!(lines.len() == 1 && lines[0].contains(why) && lines[0].contains("run.device"), "{lines:?}");
    assert!(!home.path("runs").exists());
}

#[test]
fn a_run_directory_that_cannot_be_made_is_one_line() {
    let home = Home::with_config("");
    fs::write(home.path("file"), "content").unwrap();
    let lines = home.refused(&["run", "x.toml", "--set", "run.dir=file/run"]);
    assert!(lines.len() == 1 && lines[0].starts_with("error: file/run: cannot create"), "{lines:?}");
    assert_eq!(fs::read_to_string(home.path("file")).unwrap(), "content");
}

#[test]
fn a_directory_of_somebody_else_is_left_as_it_is() {
    let home = Home::with_config("");
    fs::create_dir(home.path("taken")).unwrap();
    fs::write(home.path("taken/notes.txt"), "mine").unwrap();
    let lines = home.refused(&["run", "x.toml", "--set", "run.dir=taken"]);
    assert!(lines.len() == 1 && lines[0].contains("not a run directory"), "{lines:?}");
    assert_eq!(fs::read_dir(home.path("taken")).unwrap().count(), 1);
}

#[test]
fn a_run_directory_of_another_config_is_left_as_it_is() {
    let home = Home::with_config("");
    let other = Config::parse("[train]\nsteps = 700", "other", "other", &[]).unwrap();
    let run = home.path("runs/x");
    drop(RunDir::open(&run, &other).unwrap());
    fs::write(run.join("metrics.jsonl"), "{}").unwrap();
    let before = fs::read_to_string(run.join("config.toml")).unwrap();
    let lines = home.refused(&["run", "x.toml"]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("belongs to another config (train.steps is 700 there and 300 here)"), "{lines:?}");
    assert_eq!(fs::read_to_string(run.join("config.toml")).unwrap(), before);
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap(), "{}");
}

#[test]
fn a_run_that_is_going_on_is_not_disturbed() {
    let home = Home::with_config("");
    let config = Config::parse("", "x.toml", "x", &[]).unwrap();
    let _run = RunDir::open(&home.path("runs/x"), &config).unwrap();
    let lines = home.refused(&["run", "x.toml"]);
    assert!(lines.len() == 1 && lines[0].contains("in use by process"), "{lines:?}");
}

#[test]
fn a_dry_run_prints_a_config_and_writes_nothing() {
    let home = Home::with_config("[train]\nsteps = 10\n");
    let output = home.recollect(&["run", "x.toml", "--dry-run", "--set", "train.group_size=4"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("# rollouts in all"), "{text}");
    let printed = Config::parse(&text, "printed", "printed", &[]).unwrap();
    assert_eq!((printed.train.steps, printed.train.group_size), (10, 4));
    assert!(!home.path("runs").exists());
}

#[test]
fn a_dry_run_prints_the_texts_that_a_question_is_put_in() {
    let home = Home::with_config("");
    let refused = home.refused(&["run", "x.toml", "--dry-run", "--set", "prompt.system=Be brief."]);
    assert!(refused[0].contains("prompt.system: a text for a model that has no chat template"), "{refused:?}");
    let output = home.recollect(&["run", "x.toml", "--dry-run", "--set", "prompt.stop=['mavo']"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, section) = text.split_once("\n[prompt]\n").unwrap_or_else(|| panic!("{text}"));
    let section = section.split("\n[").next().unwrap();
    for beginning in ["stop = [\"mavo\"]", "think = \"Think first", "answer = \"Write <answer>"] {
        assert!(section.lines().any(|line| line.starts_with(beginning)), "{beginning}: {section}");
    }
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    let home = Home::with_config("");
    assert_eq!(home.recollect(&["rnu", "x.toml"]).status.code(), Some(2));
    assert_eq!(home.recollect(&["run"]).status.code(), Some(2));
    assert_eq!(home.recollect(&["--help"]).status.code(), Some(0));
}

/// Damages one file of a base and gives the line that `run` says about it. Nothing may have been changed or begun.
fn of_damaged(file: &str, damage: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    let home = Home::with_config("[base]\npath = 'base'\n").with_base();
    let path = home.path("base").join(file);
    fs::write(&path, damage(fs::read(&path).unwrap())).unwrap();
    // A run that has got somewhere, so that there is something to lose.
    let config = Config::load(&home.path("x.toml"), &[]).unwrap();
    drop(RunDir::open(&home.path("runs/x"), &config).unwrap());
    fs::write(home.path("runs/x/metrics.jsonl"), "{}\n").unwrap();
    fs::write(home.path("runs/x/report.json"), "{}").unwrap();
    let before = (home.files("base"), home.files("runs/x"));
    let (lines, _) = home.failed(&["run", "x.toml"]);
    assert_eq!((home.files("base"), home.files("runs/x")), before, "{lines:?}");
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].clone()
}

/// A text with one part replaced; the part has to be there.
fn replaced(bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(from), "{text}");
    text.replace(from, to).into_bytes()
}

#[test]
fn a_truncated_checkpoint_is_one_line() {
    for share in [0, 1, 50, 99] {
        let line = of_damaged("model.safetensors", |bytes| bytes[..bytes.len() * share / 100].to_vec());
        assert!(line.starts_with("error: base/model.safetensors: no safetensors"), "{line}");
    }
    for file in ["config.json", "tokenizer.json", "known.json"] {
        let line = of_damaged(file, |bytes| bytes[..bytes.len() / 2].to_vec());
        assert!(line.starts_with(&format!("error: base/{file}: ")), "{line}");
    }
}

#[test]
fn a_checkpoint_whose_config_does_not_match_is_one_line() {
    for (from, to, found) in [
        ("\"hidden_size\": 8", "\"hidden_size\": 16", "has shape"),
        ("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2", "is missing"),
        ("\"qwen2\"", "\"llama\"", "is no weight of this model"),
    ] {
        let line = of_damaged("config.json", |bytes| replaced(bytes, from, to));
        assert!(line.starts_with("error: base/model.safetensors: ") && line.contains(found), "{line}");
        assert!(line.contains("the config that stands beside them"), "{line}");
    }
    let line = of_damaged("config.json", |bytes| replaced(bytes, "\"qwen2\"", "\"gpt2\""));
    assert!(line.starts_with("error: base/config.json: model_type is \"gpt2\""), "{line}");
}

#[test]
fn a_tokenizer_without_the_special_tokens_is_one_line() {
    let line = of_damaged("tokenizer.json", |bytes| replaced(bytes, "</think>", "[end]"));
    assert!(line.starts_with("error: base/tokenizer.json: the special token </think> is missing"), "{line}");
}

#[test]
fn a_checkpoint_to_evaluate_is_looked_at_before_anything_else() {
    let home = Home::with_config("[base]\npath = 'base'\n").with_base();
    fs::create_dir(home.path("trained")).unwrap();
    for path in home.files("base").into_keys() {
        let bytes = fs::read(&path).unwrap();
        let cut = if path.ends_with("model.safetensors") { bytes.len() - 1 } else { bytes.len() };
        fs::write(home.path("trained").join(path.file_name().unwrap()), &bytes[..cut]).unwrap();
    }
    let (lines, _) = home.failed(&["eval", "x.toml", "--checkpoint", "trained"]);
    assert!(lines.len() == 1 && lines[0].starts_with("error: trained/model.safetensors: no safetensors"), "{lines:?}");
    assert!(!home.path("runs/x/stages").exists());
}

#[cfg(unix)]
#[test]
fn an_unwritable_run_directory_is_one_line() {
    use std::os::unix::fs::PermissionsExt;
    // SAFETY: asks for a number and touches no memory.
    if unsafe { libc::geteuid() } == 0 {
        println!("skipped: nothing is unwritable for root");
        return;
    }
    let home = Home::with_config("");
    let config = Config::load(&home.path("x.toml"), &[]).unwrap();
    drop(RunDir::open(&home.path("runs/x"), &config).unwrap());
    let before = home.files("runs");
    for (folder, dir) in [("runs/x", "runs/x"), ("runs", "runs/new")] {
        fs::set_permissions(home.path(folder), fs::Permissions::from_mode(0o555)).unwrap();
        let lines = home.refused(&["run", "x.toml", "--set", &format!("run.dir={dir}")]);
        fs::set_permissions(home.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(lines.len() == 1 && lines[0].starts_with(&format!("error: {dir}")), "{lines:?}");
        assert!(lines[0].contains("Permission denied"), "{lines:?}");
    }
    assert_eq!(home.files("runs"), before);
}

#[test]
fn a_checkpoint_that_is_damaged_is_one_line_that_names_the_file() {
    let refused = |damage: &dyn Fn(&Path), file: &str, part: &str| {
        let home = Home::with_config("").with_base();
        damage(&home.path("base"));
        let (lines, _) = home.failed(&["train", "x.toml", "--set", "base.path=base"]);
        assert!(lines.len() == 1 && lines[0].starts_with(&format!("error: base/{file}: ")), "{lines:?}");
        assert!(lines[0].contains(part), "{lines:?}");
    };
    let weights = |base: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(base.join("model.safetensors")).unwrap();
        change(&mut bytes);
        fs::write(base.join("model.safetensors"), bytes).unwrap();
    };
    let json = |path: PathBuf, change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(&path, value.to_string()).unwrap();
    };
    let cut = |base: &Path| weights(base, &|bytes| bytes.truncate(bytes.len() / 2));
    refused(&cut, "model.safetensors", "no safetensors");
    let nan = |base: &Path| {
        weights(base, &|bytes| {
            let last = bytes.len() - 4;
            bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        });
    };
    refused(&nan, "model.safetensors", "holds a number that is not finite (NaN at index");
    let shape = |base: &Path| json(base.join("config.json"), &|config| config["intermediate_size"] = 12.into());
    refused(&shape, "model.safetensors", "mlp.down_proj.weight has shape [8, 8], not [8, 12]");
    let family = |base: &Path| json(base.join("config.json"), &|config| config["model_type"] = "mamba".into());
    refused(&family, "config.json", "model_type is \"mamba\"; llama (with SmolLM2), mistral, qwen2");
    let shard = |base: &Path| {
        fs::remove_file(base.join("model.safetensors")).unwrap();
        let index = "{\"weight_map\": {\"model.norm.weight\": \"model-00001-of-00002.safetensors\"}}";
        fs::write(base.join("model.safetensors.index.json"), index).unwrap();
    };
    refused(&shard, "model.safetensors.index.json", "names model-00001-of-00002.safetensors, which is not there");
    let words = |base: &Path| json(base.join("tokenizer.json"), &|t| t["model"]["vocab"]["far"] = "x".into());
    refused(&words, "tokenizer.json", "give a tokenizer.json as Hugging Face's tokenizers write it");
}
