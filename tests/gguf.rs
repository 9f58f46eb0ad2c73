//! GGUF files are read as llama.cpp means them: weights, rotations and tokens are those of the models that the files in
//! `golden-gguf/` were made from (`make_gguf_golden.py`), and what is saved of them is an ordinary directory.

#[path = "support/foreign.rs"]
mod foreign;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use foreign::home;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use recollect::base::{self, Base, Outline, Place};
use recollect::config::Config;
use recollect::experiment::Experiment;
use recollect::gguf::Gguf;
use recollect::interrupt::Interrupt;
use recollect::language::{Opening, Tokenizer};
use recollect::policy::{Checkpoint, GgufPrecision, Policy};
use recollect::rl;
use recollect::rollout::{Engine, Request, SamplingParams};
use recollect::telemetry::Silent;

const CASES: [&str; 5] = ["llama-tied", "llama-untied-q8", "llama-sentencepiece", "qwen2", "qwen3"];

/// What transformers and the tokenizer of the model say.
#[derive(serde::Deserialize)]
struct Golden {
    sequences: Vec<Vec<u32>>,
    /// After the last token of each sequence.
    last_logits: Vec<Vec<f32>>,
    continuations: Vec<Vec<u32>>,
    texts: Vec<(String, Vec<u32>)>,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-gguf").join(name)
}

fn read(path: &Path) -> (Base, Golden) {
    let truth = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
    (Base::load(Place::Dir(path)).unwrap(), truth)
}

/// The logits after the last token of each sequence.
fn last_logits(policy: &Policy, sequences: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let last = |tokens: &Vec<u32>| {
        let layout = [tokens.len()].into_iter().collect();
        policy.logits(tokens, &layout).unwrap().to_vec2::<f32>().unwrap().pop().unwrap()
    };
    sequences.iter().map(last).collect()
}

/// Holds a file to what was recorded of its model.
fn check(path: &Path, tolerance: f32) {
    let (Base { policy, tokenizer, .. }, truth) = read(path);
    for (found, truth) in last_logits(&policy, &truth.sequences).iter().zip(&truth.last_logits) {
        let apart = found.iter().zip(truth).map(|(found, truth)| (found - truth).abs()).fold(0.0, f32::max);
        println!("{}: logits within {apart:e}", path.display());
        assert!(found.len() == truth.len() && apart < tolerance, "{}: {apart} apart", path.display());
    }
    let longest = truth.sequences.iter().zip(&truth.continuations).map(|(tokens, new)| tokens.len() + new.len()).max();
    let mut engine = Engine::new(&policy.config, 2, longest.unwrap()).unwrap();
    engine.load(&policy.snapshot(0).unwrap()).unwrap();
    let request = |(prompt, continuation): (&Vec<u32>, &Vec<u32>)| Request {
        prompt: prompt.clone(),
        samples: 1,
        sampling: SamplingParams::greedy(),
        max_new_tokens: continuation.len(),
        stop: Vec::new(),
        seed: 0,
        key: [0, 0],
    };
    let requests: Vec<Request> = truth.sequences.iter().zip(&truth.continuations).map(request).collect();
    let mut written = engine.generate(&requests).unwrap();
    written.sort_by_key(|completion| completion.request);
    for (found, truth) in written.iter().zip(&truth.continuations) {
        println!("{:?}", tokenizer.decode(&found.tokens).unwrap());
        assert_eq!(&found.tokens, truth, "{}", path.display());
    }
    for (text, ids) in &truth.texts {
        assert_eq!(&tokenizer.encode(text).unwrap(), ids, "{}: {text:?}", path.display());
    }
}

#[test]
fn logits_and_tokens_are_those_of_the_models_that_the_files_were_made_from() {
    CASES.iter().for_each(|name| check(&golden(&format!("{name}.gguf")), 1e-4));
}

/// `make_gguf_golden.py --record FILE.json DIRECTORY` records what transformers makes of a directory with the same numbers.
#[test]
fn a_real_file_is_what_its_directory_is() {
    match std::env::var_os("RECOLLECT_GGUF") {
        Some(path) => check(Path::new(&path), 1e-3),
        None => eprintln!("skipped: RECOLLECT_GGUF names no GGUF file with FILE.json beside it"),
    }
}

#[test]
fn what_is_saved_is_a_directory_with_the_same_model_and_tokenizer() {
    for name in CASES {
        let (base, truth) = read(&golden(&format!("{name}.gguf")));
        let home = tempfile::tempdir().unwrap();
        base.save(home.path()).unwrap();
        let again = Base::load(Place::Dir(home.path())).unwrap();
        assert_eq!(again.policy.config, base.policy.config);
        assert_eq!(again.policy.weights().unwrap(), base.policy.weights().unwrap());
        let [before, after] = [&base.tokenizer, &again.tokenizer];
        assert_eq!((after.bos(), after.ends(), after.end_think()), (before.bos(), before.ends(), before.end_think()));
        for (text, ids) in &truth.texts {
            assert_eq!(&after.encode(text).unwrap(), ids, "{name}: {text:?}");
        }
        let prompt = |tokenizer: &Tokenizer| tokenizer.prompt(&[], "Who was it?", Opening::Answer).unwrap();
        assert_eq!(prompt(before), prompt(after));
        let files: Vec<bool> = ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
            .iter()
            .map(|file| home.path().join(file).is_file())
            .collect();
        assert_eq!(files, [true; 4]);
    }
}

#[test]
fn what_is_exported_as_a_file_is_the_same_model_and_tokenizer() {
    for name in CASES {
        let (base, truth) = read(&golden(&format!("{name}.gguf")));
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("model.gguf");
        let metadata = base.tokenizer.gguf_metadata(base.policy.config.vocab_size);
        if name == "llama-sentencepiece" {
            let message = metadata.err().unwrap().to_string();
            assert!(message.contains("no byte-level BPE") && message.contains("convert_hf_to_gguf.py"), "{message}");
            continue;
        }
        let metadata = metadata.unwrap();
        for (precision, tolerance) in
            [(GgufPrecision::F32, 0.0), (GgufPrecision::Bf16, 0.004), (GgufPrecision::Q8_0, 0.01)]
        {
            base.policy.save_gguf(&path, "tiny", metadata.clone(), precision).unwrap();
            let again = Base::load(Place::Dir(&path)).unwrap();
            assert_eq!(again.policy.config, base.policy.config);
            let (before, after) = (base.policy.weights().unwrap(), again.policy.weights().unwrap());
            assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
            for (weight, one) in &before {
                let most = one.values.iter().fold(0f32, |most, value| most.max(value.abs()));
                let near = |(a, b): (&f32, &f32)| (a - b).abs() <= tolerance * most;
                assert!(one.values.iter().zip(&after[weight].values).all(near), "{name}: {weight}");
            }
            let (before, after) = (&base.tokenizer, &again.tokenizer);
            assert_eq!((after.bos(), after.ends()), (before.bos(), before.ends()));
            for (text, ids) in &truth.texts {
                assert_eq!(&after.encode(text).unwrap(), ids, "{name}: {text:?}");
            }
            let prompt = |tokenizer: &Tokenizer| tokenizer.prompt(&[], "Who was it?", Opening::Answer).unwrap();
            assert_eq!(prompt(before), prompt(after));
        }
    }
}

/// `tests/check_llama_cpp.py` has llama.cpp go on from what transformers went on from.
#[test]
fn what_is_exported_as_a_file_is_continued_by_llama_cpp() {
    let named = ["RECOLLECT_PYTHON", "RECOLLECT_PYTHON_LIGHT"].into_iter().find_map(std::env::var_os);
    let has = |python: &std::ffi::OsString| {
        let found = Command::new(python).args(["-c", "import xllamacpp"]).output();
        found.is_ok_and(|output| output.status.success())
    };
    let Some(python) = named.filter(has) else {
        eprintln!("skipped: RECOLLECT_PYTHON names no Python with xllamacpp");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for name in CASES.into_iter().filter(|name| *name != "llama-sentencepiece") {
        let recorded = golden(&format!("{name}.json"));
        let (base, _) = read(&recorded.with_extension("gguf"));
        let path = home.path().join(format!("{name}.gguf"));
        let metadata = base.tokenizer.gguf_metadata(base.policy.config.vocab_size).unwrap();
        base.policy.save_gguf(&path, "tiny", metadata, GgufPrecision::F32).unwrap();
        files.extend([path, recorded]);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check_llama_cpp.py");
    let output = Command::new(python).arg(script).args(files).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{said}{wrong}");
}

#[test]
fn special_tokens_and_templates_are_those_of_the_metadata() {
    let tokenizer = |name: &str| read(&golden(name)).0.tokenizer;
    let tied = tokenizer("llama-tied.gguf");
    assert_eq!((tied.bos(), tied.ends()), (1, &[2][..]));
    let prompt = tied.prompt(&[], "Who?", Opening::Think).unwrap();
    assert!(prompt.starts_with("<|im_start|>user\nWho?"), "{prompt}");
    assert!(prompt.ends_with("<|im_start|>assistant\n<think>"), "{prompt}");
    // A text ends, and so does a turn.
    let untied = tokenizer("llama-untied-q8.gguf");
    let id = |token: &str| untied.id(token).unwrap();
    assert_eq!(untied.ends(), [id("<|endoftext|>"), id("<|im_end|>")]);
    let qwen = tokenizer("qwen2.gguf");
    assert_eq!(qwen.end_think(), qwen.id("</think>"));
    assert!(qwen.end_think().is_some() && qwen.size() < 320, "rows that only fill up are no tokens");
    let pieces = tokenizer("llama-sentencepiece.gguf");
    assert!(pieces.chat().is_none() && pieces.ends() == [2]);
    let text = "Für 雪, twice.  And  again";
    assert_eq!(pieces.decode(&pieces.encode(text).unwrap()).unwrap(), text);
}

#[test]
fn every_type_is_taken_out_of_its_blocks_as_gguf_does_it() {
    let file = Gguf::open(&golden("quants.gguf")).unwrap();
    let mut types = 0;
    for name in file.tensors().filter(|name| !name.ends_with(".f32")) {
        let (found, truth) = (file.read(name).unwrap(), file.read(&format!("{name}.f32")).unwrap());
        assert_eq!((found.len(), file.shape(name).unwrap()), (256, &[1, 256][..]));
        for (found, truth) in found.iter().zip(&truth) {
            assert!((found - truth).abs() <= 1e-6 * truth.abs().max(1.0), "{name}: {found} for {truth}");
        }
        types += 1;
    }
    assert_eq!(types, 12);
}

#[test]
fn adapters_name_the_file_that_they_belong_to() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    let file = at("tiny.gguf");
    let mut bytes = fs::read(golden("llama-tied.gguf")).unwrap();
    // Prompts need more room.
    let key = b"llama.context_length";
    let value = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 4;
    bytes[value..value + 4].copy_from_slice(&1024u32.to_le_bytes());
    fs::write(&file, &bytes).unwrap();
    let run = "[world.jsonl]\n[finetune]\nsteps = 1\ntokens_per_step = 60\nreplay = 0.0\nscales = {}\n[lora]\nrank = 2\n\
               [train]\nsteps = 1\nforms = ['completion']\nquestions_per_step = 1\ngroup_size = 2\nmax_new_tokens = 2\n\
               replay_tokens = 0\nevaluate_every = 0\nscales = {}\n[evaluation]\nmax_new_tokens = 2\n\
               [prompt]\nthink = 'Why?'\nanswer = 'Say it.'";
    let set = [
        format!("world.jsonl.documents=['{}']", at("documents.jsonl").display()),
        format!("world.jsonl.questions=['{}']", at("questions.jsonl").display()),
        format!("base.path={}", file.display()),
        format!("train.reward={}", at("reward.toml").display()),
        format!("run.dir={}", at("run").display()),
    ];
    let config = Config::parse(run, "run", "run", &set).unwrap();
    let open = || Experiment::open(config.clone(), Interrupt::default(), Box::new(Silent)).unwrap();
    let trained = rl::train(&open());
    if let Err(error) = &trained {
        panic!("{error}");
    }
    let inputs = fs::read_to_string(at("run/inputs.json")).unwrap();
    let inputs: serde_json::Value = serde_json::from_str(&inputs).unwrap();
    assert_eq!(inputs["files"]["base.path"]["digest"], recollect::files::digest_file(&file).unwrap());

    let stages = fs::read_dir(at("run/stages")).unwrap().map(|entry| entry.unwrap().path());
    let stage = stages.into_iter().find(|path| path.join("adapter_config.json").exists()).unwrap();
    let adapters: serde_json::Value =
        serde_json::from_slice(&fs::read(stage.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!(adapters["base_model_name_or_path"], file.display().to_string());
    let opened = Base::load(Place::Dir(&stage)).unwrap();
    assert_eq!(opened.tokenizer.ends(), [2]);
    // Without files of their own they are asked with the tokenizer in the file.
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::remove_file(stage.join(name)).unwrap();
    }
    let again = Base::load(Place::Dir(&stage)).unwrap();
    assert_eq!((again.tokenizer.bos(), again.tokenizer.ends()), (1, &[2][..]));
    assert_eq!(again.policy.weights().unwrap(), opened.policy.weights().unwrap());

    // Another file under the same name is another input.
    let last = bytes.len() - 40;
    bytes[last] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let message = rl::train(&open()).err().unwrap().to_string();
    assert!(message.contains("tiny.gguf") && message.contains("not what this run began with"), "{message}");
}

#[test]
fn what_is_no_model_is_one_line() {
    let home = tempfile::tempdir().unwrap();
    let message = |path: &Path| {
        let error = Checkpoint::open(path).and_then(|checkpoint| checkpoint.load()).err().unwrap().to_string();
        assert!(!error.contains('\n') && error.contains(&*path.to_string_lossy()), "{error}");
        error
    };
    fs::copy(golden("qwen3.gguf"), home.path().join("qwen3.gguf")).unwrap();
    let inside = message(home.path());
    assert!(inside.contains(&format!("name the file itself: {}/qwen3.gguf", home.path().display())), "{inside}");
    assert!(message(Path::new("a-company/a-model")).contains("hf download a-company/a-model --local-dir"));
    assert!(message(&golden("quants.gguf")).contains("general.architecture is \"quants\""));
    let other = home.path().join("other");
    fs::write(&other, "no model").unwrap();
    assert!(message(&other).contains("no GGUF file"));
    let bytes = fs::read(golden("qwen3.gguf")).unwrap();
    for length in [3, 20, 2000, bytes.len() / 2, bytes.len() - 40] {
        fs::write(&other, &bytes[..length]).unwrap();
        message(&other);
    }
    assert!(message(&other).contains("the file is damaged or was not written to its end"));
}

#[test]
fn no_damage_does_more_than_refuse() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("damaged.gguf");
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut opened = 0;
    for name in ["llama-tied", "llama-sentencepiece", "qwen2"] {
        let bytes = fs::read(golden(&format!("{name}.gguf"))).unwrap();
        // Where the tensors begin: before them everything counts.
        let header = bytes.len() - 20_000;
        for _ in 0..60 {
            let mut damaged = bytes.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..header.min(4000));
                let at = if random.random_bool(0.3) { random.random_range(0..bytes.len() - 8) } else { at };
                match random.random_range(0..3) {
                    0 => damaged[at] ^= 1 << random.random_range(0..8),
                    1 => damaged[at..at + 8].copy_from_slice(&(1u64 << random.random_range(0..64)).to_le_bytes()),
                    _ => damaged[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes()),
                }
            }
            fs::write(&path, &damaged).unwrap();
            let looked = Outline::read(Place::Dir(&path)).and(base::digest(Place::Dir(&path))).is_ok();
            let loaded = Base::load(Place::Dir(&path)).is_ok();
            assert!(looked || !loaded, "what can be loaded looks as if it could");
            opened += usize::from(loaded);
        }
    }
    assert!(opened < 180, "some damage shows");
}
