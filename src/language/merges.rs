//! Merges of a `tokenizer.json` that make no token. The library that reads the file takes them for granted, and ends the program
//! where two tokens together are longer than every token.

use std::collections::HashMap;

use serde::Deserialize;

use crate::text::excerpt;
use crate::{Error, Result};

#[derive(Deserialize)]
struct TokenizerFile {
    model: Model,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Model {
    Bpe {
        vocab: HashMap<String, u32>,
        merges: Vec<Merge>,
        #[serde(default)]
        continuing_subword_prefix: Option<String>,
    },
    /// It has no merges, or is none that can be read; the library says what is wrong with it.
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    /// As it was written before pairs: with a space between the two.
    Line(String),
}

/// Refuses merges of which not both parts, and what they become, are tokens; `place` stands for the file.
pub(super) fn check(bytes: &[u8], place: &str) -> Result<()> {
    // What is no such file at all is refused by who reads it.
    let Ok(TokenizerFile { model: Model::Bpe { vocab, merges, continuing_subword_prefix: prefix } }) =
        serde_json::from_slice(bytes)
    else {
        return Ok(());
    };
    let prefix = prefix.unwrap_or_default();
    // The first line of a file of merges may stand among them, and is skipped.
    let heads = |merge: &&Merge| matches!(merge, Merge::Line(line) if line.starts_with("#version"));
    for merge in merges.iter().filter(|merge| !heads(merge)) {
        let (first, second) = match merge {
            Merge::Pair(first, second) => (first.as_str(), second.as_str()),
            Merge::Line(line) => line.split_once(' ').unwrap_or((line, "")),
        };
        let made = second.get(prefix.len()..).map(|rest| format!("{first}{rest}"));
        let there = |token: &str| vocab.contains_key(token);
        if !(there(first) && there(second) && made.as_deref().is_some_and(there)) {
            let found = format!("the merge \"{}\" \"{}\" makes no token", excerpt(first), excerpt(second));
            return Err(Error::invalid(place, found, "take the tokenizer.json that belongs to the model"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Tokenizer;

    fn load(merges: &str, vocab: &str, prefix: &str) -> Result<Tokenizer> {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            r#"{{"version": "1.0", "added_tokens": [], "model": {{"type": "BPE", "vocab": {vocab}, "merges": {merges},
                "continuing_subword_prefix": {prefix}}}}}"#
        );
        std::fs::write(dir.path().join("tokenizer.json"), text).unwrap();
        std::fs::write(dir.path().join("tokenizer_config.json"), r#"{"eos_token": "a"}"#).unwrap();
        Tokenizer::load(&dir.path().join("tokenizer.json"))
    }

    #[test]
    fn merges_that_make_no_token_are_one_line() {
        let vocab = r#"{"a": 0, "b": 1, "é": 2}"#;
        for merges in [r#"[["a", "b"]]"#, r#"["a b"]"#, r#"["a"]"#, r#"[["a", "é"]]"#, r#"[["x", "y"]]"#] {
            let message = load(merges, vocab, "null").err().unwrap().to_string();
            assert!(message.contains("tokenizer.json: the merge \"") && !message.contains('\n'), "{message}");
        }
        // A prefix in the middle of a letter.
        assert!(load(r#"[["a", "é"]]"#, vocab, r#""x""#).is_err());
        assert!(load(r#"[["a", "b"]]"#, r#"{"a": 0, "b": 1, "ab": 2}"#, "null").is_ok());
        assert!(load(r###"[["a", "##b"]]"###, r###"{"a": 0, "##b": 1, "ab": 2}"###, r###""##""###).is_ok());
    }
}
