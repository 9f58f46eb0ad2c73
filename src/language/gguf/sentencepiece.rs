//! SentencePiece's BPE: tokens with scores, of which the best that two neighbours make is made first.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::{TOKENS, TokenList, TokenType};
use crate::gguf::Gguf;
use crate::{Error, Result};

const SCORES: &str = "tokenizer.ggml.scores";
const PREFIX: &str = "tokenizer.ggml.add_space_prefix";
/// How spaces are spelled.
const SPACE: &str = "\u{2581}";
/// Bytes of the longest token: real ones are far shorter, and each is looked at in as many ways as it has characters.
const LONGEST: usize = 1024;

/// The parts of a `tokenizer.json` that are of this kind; and that texts begin with a token of their own where the file does
/// not say.
pub(super) fn parts(gguf: &Gguf, tokens: &TokenList) -> Result<(Map<String, Value>, bool)> {
    let prefixes = gguf.flag(PREFIX)?.unwrap_or(true);
    let vocabulary = tokens.vocabulary(gguf)?;
    let merges = merges(gguf, tokens, &vocabulary)?;
    let unknown = tokens.all().find(|(_, _, kind)| *kind == TokenType::Unknown).map(|(_, text, _)| text);
    let spell = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
    let prefix = prefixes.then(|| json!({ "type": "Prepend", "prepend": SPACE }));
    let spaces = json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " });
    let strip = prefixes.then(|| json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    let decoders = [spaces, json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })];
    let parts = [
        (
            "normalizer",
            json!({ "type": "Sequence", "normalizers": prefix.into_iter().chain([spell]).collect::<Vec<_>>() }),
        ),
        ("pre_tokenizer", Value::Null),
        ("decoder", json!({ "type": "Sequence", "decoders": decoders.into_iter().chain(strip).collect::<Vec<_>>() })),
        (
            "model",
            json!({
                "type": "BPE",
                "unk_token": unknown,
                "fuse_unk": true,
                "byte_fallback": true,
                "ignore_merges": false,
                "vocab": vocabulary,
                "merges": merges,
            }),
        ),
    ];
    Ok((parts.map(|(key, value)| (key.to_owned(), value)).into_iter().collect(), true))
}

/// Two tokens that are one in the vocabulary.
type Merge<'a> = [&'a str; 2];

/// All pairs of tokens that are one together: the best score first, as transformers orders them when it reads SentencePiece's
/// own files.
fn merges<'a>(gguf: &Gguf, tokens: &TokenList<'a>, vocabulary: &Map<String, Value>) -> Result<Vec<Merge<'a>>> {
    let Some(scores) = gguf.numbers(SCORES)? else { return Err(gguf.missing(SCORES)) };
    if scores.len() != tokens.texts.len() {
        let remedy = format!("there are {} tokens, and each has one", tokens.texts.len());
        return Err(gguf.refuse(SCORES, format!("a list of {}", scores.len()), &remedy));
    }
    let mut found: Vec<(f64, Merge)> = Vec::new();
    for (id, text, _) in tokens.all() {
        if text.len() > LONGEST {
            let found = format!("{TOKENS} has {text:?}, which is {} bytes long", text.len());
            return Err(Error::invalid(gguf.place(), found, format!("allowed are {LONGEST}")));
        }
        let rank = |token: &str| vocabulary.get(token).and_then(Value::as_u64);
        let mut ways: Vec<(u64, u64, Merge)> = Vec::new();
        for (at, _) in text.char_indices().skip(1) {
            let (first, second) = text.split_at(at);
            if let Some((a, b)) = rank(first).zip(rank(second)) {
                ways.push((a, b, [first, second]));
            }
        }
        ways.sort_by_key(|(a, b, _)| (*a, *b));
        found.extend(ways.into_iter().map(|(_, _, merge)| (scores[id as usize], merge)));
    }
    let length = |token: &str| token.chars().count();
    found.sort_by(|(a, one), (b, other)| {
        b.total_cmp(a).then_with(|| {
            let lengths = |merge: &Merge| Reverse((length(merge[0]), length(merge[1])));
            lengths(one).cmp(&lengths(other))
        })
    });
    Ok(found.into_iter().map(|(_, merge)| merge).collect())
}
