use super::*;
use crate::gguf::tests::GgufWriter;
use crate::language::Tokenizer;

/// A tokenizer of a few tokens.
fn file(model: &str) -> GgufWriter {
    GgufWriter::new()
        .text(MODEL, model)
        .wholes(TYPES, &[3, 3, 1, 1, 1, 4, 5])
        .whole("tokenizer.ggml.bos_token_id", 0)
        .whole("tokenizer.ggml.eos_token_id", 1)
}

fn byte_level() -> GgufWriter {
    file("gpt2")
        .texts(TOKENS, &["<s>", "</s>", "a", "b", "ab", "<x>", "[PAD6]"])
        .texts("tokenizer.ggml.merges", &["a b"])
}

fn read(file: &GgufWriter) -> Result<Tokenizer> {
    let (opened, _home) = file.open();
    Tokenizer::from_gguf(opened?.path())
}

fn message(file: &GgufWriter) -> String {
    let message = read(file).err().unwrap().to_string();
    assert!(message.contains("tiny.gguf: ") && !message.contains('\n'), "{message}");
    message
}

#[test]
fn every_name_of_a_split_gives_a_tokenizer() {
    let known = splits::names();
    for name in known.split(", ") {
        let tokenizer = read(&byte_level().text("tokenizer.ggml.pre", name)).unwrap();
        assert_eq!(tokenizer.encode("ab<x>ba</s>").unwrap(), [4, 5, 3, 2, 1], "{name}");
        assert_eq!((tokenizer.bos(), tokenizer.ends(), tokenizer.size()), (0, &[1][..], 6), "a filler is no token");
    }
    assert!(
        message(&byte_level().text("tokenizer.ggml.pre", "poro-chat")).contains("tokenizer.ggml.pre is \"poro-chat\"")
    );
    assert!(message(&byte_level()).contains("tokenizer.ggml.pre is missing"));
}

#[test]
fn the_best_score_is_made_first() {
    let ids = |scores: &[f32]| {
        let tokens = ["<s>", "</s>", "a", "b", "ab", "ba", "aba"];
        let file = GgufWriter::new().text(MODEL, "llama").wholes(TYPES, &[3, 3, 1, 1, 1, 1, 1]).texts(TOKENS, &tokens);
        let file = file.numbers("tokenizer.ggml.scores", scores).whole("tokenizer.ggml.eos_token_id", 1);
        read(&file.flag("tokenizer.ggml.add_space_prefix", false)).unwrap().encode("bab").unwrap()
    };
    // "bab" is made of "b" and "ab", or of "ba" and "b".
    assert_eq!(ids(&[0.0, 0.0, -9.0, -9.0, -1.0, -2.0, -7.0]), [3, 4]);
    assert_eq!(ids(&[0.0, 0.0, -9.0, -9.0, -2.0, -1.0, -7.0]), [5, 3]);
}

#[test]
fn what_is_not_honoured_is_refused_by_name() {
    let known = || byte_level().text("tokenizer.ggml.pre", "gpt-2");
    read(&known()).unwrap();
    for (file, part) in [
        (known().flag("tokenizer.ggml.add_space_prefix", true), "add_space_prefix is true"),
        (known().flag("tokenizer.ggml.remove_extra_whitespaces", true), "remove_extra_whitespaces is true"),
        (known().flag("tokenizer.ggml.escape_whitespaces", false), "escape_whitespaces is false"),
        (known().wholes("tokenizer.ggml.precompiled_charsmap", &[1]), "precompiled_charsmap is a list of 1"),
        (known().text("tokenizer.rwkv.world", "x"), "tokenizer.rwkv.world is \"x\""),
        (known().whole("tokenizer.ggml.eot_token_id", 7), "eot_token_id is 7; there are 7 tokens"),
        (known().text("tokenizer.chat_template", "{% for %}"), "no chat template"),
        (file("t5").texts(TOKENS, &[""; 7]), "tokenizer.ggml.model is \"t5\""),
        (file("gpt2").texts(TOKENS, &["a"]), "token_type is a list of 7; there are 1 tokens"),
        (file("gpt2"), "tokenizer.ggml.tokens is missing"),
        (
            file("gpt2").texts(TOKENS, &["a", "a", "", "", "", "", ""]).text("tokenizer.ggml.pre", "gpt-2"),
            "has \"a\" as token 0 and as token 1",
        ),
        (
            file("gpt2")
                .texts(TOKENS, &["<s>", "</s>", "a", "b", "c", "d", "e"])
                .text("tokenizer.ggml.pre", "gpt-2")
                .texts("tokenizer.ggml.merges", &["a b"]),
            "merges has \"a b\", of which not all are tokens",
        ),
        (file("llama").texts(TOKENS, &["a", "b", "c", "d", "e", "f", "g"]), "tokenizer.ggml.scores is missing"),
    ] {
        let message = message(&file);
        assert!(message.contains(part), "{message}");
    }
    for neutral in [
        known().flag("tokenizer.ggml.remove_extra_whitespaces", false),
        known().whole("tokenizer.ggml.padding_token_id", u32::MAX),
        known().text("tokenizer.chat_template.tool_use", "{% for %}"),
    ] {
        read(&neutral).unwrap();
    }
}

#[test]
fn others_are_told_what_stands_around_a_text() {
    let json = |file: GgufWriter| -> Value {
        let (opened, _home) = file.text("tokenizer.ggml.pre", "gpt-2").open();
        serde_json::from_slice(&tokenizer_json(&opened.unwrap()).unwrap()).unwrap()
    };
    assert_eq!(json(byte_level())["post_processor"], Value::Null);
    let both = byte_level().flag("tokenizer.ggml.add_bos_token", true).flag("tokenizer.ggml.add_eos_token", true);
    let parts = json(both);
    let single = parts["post_processor"]["single"].as_array().unwrap();
    let names: Vec<_> =
        single.iter().map(|part| part.as_object().unwrap().values().next().unwrap()["id"].clone()).collect();
    assert_eq!(names, ["<s>", "A", "</s>"]);
    let inner = tokenizers::Tokenizer::from_bytes(parts.to_string()).unwrap();
    assert_eq!(inner.encode("ab", true).unwrap().get_ids(), [0, 4, 1]);
}

#[test]
fn every_key_and_every_split_is_in_the_table() {
    let table = include_str!("../README.md");
    let keys = keys::KNOWN.iter().map(|key| format!("`tokenizer.{key}`"));
    for word in keys.chain(splits::names().split(", ").map(|name| format!("`{name}`"))) {
        assert!(table.contains(&word), "src/language/README.md: {word}");
    }
}
