//! Tokenizers are read as transformers' AutoTokenizer reads them, with every key of the files beside them that changes
//! anything; `make_tokenizer_golden.py` records it. What is saved says the same, and the documentation of keys is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use minijinja::context;
use recollect::language::Tokenizer;
use recollect::language::keys;
use serde::Deserialize;
use serde_json::Value;

const README: &str = include_str!("../src/language/README.md");

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    /// All that this transformers knows, by file.
    keys: BTreeMap<String, Vec<String>>,
    tokenizers: BTreeMap<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    tokenizer: String,
    files: BTreeMap<String, Value>,
    ids: Vec<Vec<u32>>,
    decoded: Vec<String>,
    eos: u32,
    bos: Option<u32>,
    pad: Option<u32>,
    chat: Option<String>,
}

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokenizers.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The files of a case.
fn write(folder: &Path, tokenizer: &Value, case: &Case) {
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    for (name, content) in &case.files {
        fs::write(folder.join(name), content.as_str().map_or(content.to_string(), String::from)).unwrap();
    }
}

fn read(folder: &Path) -> recollect::Result<Tokenizer> {
    Tokenizer::load(&folder.join("tokenizer.json"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_key_does_what_it_does_in_transformers_or_is_refused() {
    let Golden { texts, tokenizers, cases, .. } = golden();
    let refused = ["bytes: add_prefix_space", "bytes: split_special_tokens", "words: split_special_tokens"];
    let (mut same, mut named) = (0, 0);
    for case in &cases {
        let home = tempfile::tempdir().unwrap();
        write(home.path(), &tokenizers[&case.tokenizer], case);
        if refused.contains(&case.name.as_str()) {
            let message = read(home.path()).err().unwrap().to_string();
            let key = case.name.split(": ").nth(1).unwrap();
            assert!(message.contains(&format!("tokenizer_config.json: {key} is true")), "{message}");
            named += 1;
            continue;
        }
        let tokenizer = read(home.path()).unwrap();
        // What was saved, and saved again, reads the same.
        let copy = tempfile::tempdir().unwrap();
        fs::copy(home.path().join("config.json"), copy.path().join("config.json")).unwrap();
        tokenizer.save(&copy.path().join("tokenizer.json")).unwrap();
        for tokenizer in [tokenizer, read(copy.path()).unwrap()] {
            let name = &case.name;
            for ((text, ids), decoded) in texts.iter().zip(&case.ids).zip(&case.decoded) {
                // recollect's own word for a token that ends a text is `<eos>`.
                assert_eq!(tokenizer.encode(text).unwrap(), *ids, "{name}: {text}");
                let ended = ids.last().filter(|last| tokenizer.ends().contains(last));
                let said = tokenizer.decode(ids).unwrap();
                match ended {
                    None => assert_eq!(said, *decoded, "{name}: {text}"),
                    Some(_) => assert!(said.ends_with(" <eos>"), "{name}: {text}"),
                }
            }
            assert_eq!(tokenizer.ends(), [case.eos], "{name}");
            assert_eq!(tokenizer.bos(), case.bos.unwrap_or(case.eos), "{name}");
            let messages = minijinja::Value::from(vec![context! { role => "user", content => "who ?" }]);
            let chat = tokenizer.chat().map(|chat| chat.render(&messages, true, false).unwrap());
            assert_eq!(chat, case.chat, "{name}");
        }
        let told = json(&copy.path().join("generation_config.json"));
        assert_eq!(told["eos_token_id"], case.eos, "{}", case.name);
        assert_eq!(told.get("pad_token_id"), case.pad.map(Value::from).as_ref(), "{}", case.name);
        assert_eq!(json(&copy.path().join("config.json"))["bos_token_id"], Value::from(case.bos), "{}", case.name);
        same += 1;
    }
    println!("{same} the same as transformers, {named} refused by name");
    assert_eq!((named, same + named), (refused.len(), cases.len()));
}

/// A foreign tokenizer of words with these files beside it.
fn with(files: &[(&str, Value)]) -> (tempfile::TempDir, recollect::Result<Tokenizer>) {
    let Golden { tokenizers, mut cases, .. } = golden();
    let home = tempfile::tempdir().unwrap();
    let case = &mut cases[0];
    assert_eq!(case.name, "words: as it is");
    for (name, content) in files {
        case.files.insert(name.to_string(), content.clone());
    }
    write(home.path(), &tokenizers["words"], case);
    let tokenizer = read(home.path());
    (home, tokenizer)
}

#[test]
fn end_tokens_are_those_of_generation_or_else_of_the_model() {
    let ends = |files: &[(&str, Value)]| with(files).1.unwrap().ends().to_vec();
    let model = |eos: Value| ("config.json", serde_json::json!({ "model_type": "llama", "eos_token_id": eos }));
    let told = |eos: Value| ("generation_config.json", serde_json::json!({ "eos_token_id": eos }));
    assert_eq!(ends(&[model([2, 4].into())]), [2, 4]);
    assert_eq!(ends(&[model(4.into())]), [2, 4], "the tokenizer's own is one as well");
    assert_eq!(ends(&[model([2, 4].into()), told(3.into())]), [2, 3]);
    assert_eq!(ends(&[model([2, 4].into()), told(Value::Null)]), [2, 4]);
    let message = with(&[model("two".into())]).1.err().unwrap().to_string();
    assert!(message.contains("config.json: eos_token_id holds \"two\""), "{message}");
}

#[test]
fn what_a_source_says_of_generation_survives() {
    let said = serde_json::json!({ "eos_token_id": [4, 2], "pad_token_id": 3, "temperature": 0.6, "top_p": 0.9, "do_sample": true });
    let config =
        serde_json::json!({ "model_type": "llama", "eos_token_id": [4, 2], "bos_token_id": 1, "pad_token_id": 3 });
    let (home, tokenizer) = with(&[("generation_config.json", said.clone()), ("config.json", config.clone())]);
    let copy = tempfile::tempdir().unwrap();
    // As written by whoever knows the weights only.
    fs::write(copy.path().join("config.json"), "{\"model_type\": \"llama\"}").unwrap();
    tokenizer.unwrap().save(&copy.path().join("tokenizer.json")).unwrap();
    assert_eq!(json(&copy.path().join("config.json")), config);
    let mut now = json(&copy.path().join("generation_config.json"));
    assert_eq!(now.as_object_mut().unwrap().remove("bos_token_id"), Some(1.into()));
    assert_eq!(now, said);
    // Beside adapters there is no model: what was read of it is said all the same.
    fs::remove_file(home.path().join("generation_config.json")).unwrap();
    let alone = tempfile::tempdir().unwrap();
    read(home.path()).unwrap().save(&alone.path().join("tokenizer.json")).unwrap();
    assert!(!alone.path().join("config.json").exists());
    assert_eq!(json(&alone.path().join("generation_config.json"))["eos_token_id"], serde_json::json!([4, 2]));
    // A tokenizer that lies apart from its model is told of it.
    let apart = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(home.path().join(name), apart.path().join(name)).unwrap();
    }
    let path = apart.path().join("tokenizer.json");
    assert_eq!(Tokenizer::load(&path).unwrap().ends(), [2]);
    assert_eq!(Tokenizer::load_for(&path, home.path()).unwrap().ends(), [2, 4]);
}

#[test]
fn what_nobody_would_do_is_refused_by_name_wherever_transformers_looks() {
    for (key, neutral) in keys::OF_GENERATION {
        for file in ["generation_config.json", "config.json"] {
            for nothing in [Value::Null, Value::Bool(false), Value::Array(vec![])] {
                assert!(with(&[(file, serde_json::json!({ *key: nothing }))]).1.is_ok(), "{file}: {key}");
            }
            let message = with(&[(file, serde_json::json!({ *key: 7 }))]).1.err().unwrap().to_string();
            assert!(message.contains(&format!("{file}: {key} is 7")) && !message.contains('\n'), "{message}");
        }
        if let Some(neutral) = neutral {
            assert!(with(&[("generation_config.json", serde_json::json!({ *key: neutral }))]).1.is_ok(), "{key}");
        }
    }
    let template = serde_json::json!([{ "name": "tool_use", "template": "x" }]);
    let config = serde_json::json!({ "eos_token": "</s>", "chat_template": template });
    let message = with(&[("tokenizer_config.json", config)]).1.err().unwrap().to_string();
    assert!(message.contains("chat_template has several and no default"), "{message}");
}

#[test]
fn unused_tokens_beyond_the_embedding_are_accepted_and_a_text_that_needs_one_is_not() {
    let tokenizer = || with(&[]).1.unwrap();
    let small = tokenizer().within(12).unwrap();
    assert_eq!(small.encode("<s> daphne .").unwrap(), [1, 11, 10]);
    let message = small.encode("daphne is").unwrap_err().to_string();
    assert!(message.contains("\"is\" is token 12 for a model of 12 tokens"), "{message}");
    let message = tokenizer().within(2).err().unwrap().to_string();
    assert!(message.contains("\"</s>\" is token 2 for a model of 2 tokens"), "{message}");
}

#[test]
fn the_table_of_keys_is_whole() {
    let effects = ["honoured", "refused", "of the run", "without effect"];
    for (file, refused) in
        [("tokenizer_config.json", keys::OF_TOKENIZER), ("generation_config.json", keys::OF_GENERATION)]
    {
        let start = format!("| `{file}` | `");
        let rows = README.lines().filter_map(|line| line.strip_prefix(&start)?.split_once("` | "));
        let rows: Vec<(&str, &str)> = rows.collect();
        for key in &golden().keys[file] {
            assert!(rows.iter().any(|(known, _)| known == key), "{file}: transformers knows {key}");
        }
        for (key, words) in &rows {
            assert_eq!(rows.iter().filter(|(other, _)| other == key).count(), 1, "{file}: {key}");
            assert!(effects.iter().any(|effect| words.starts_with(effect)), "{file}: {key} is {words}");
            let says = words.starts_with("refused");
            assert_eq!(refused.iter().any(|(known, _)| known == key), says, "{file}: {key} is {words}");
        }
        for (key, _) in refused {
            assert!(rows.iter().any(|(known, _)| known == key), "{file}: {key} is refused");
        }
    }
}
