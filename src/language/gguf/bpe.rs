//! Byte-level BPE: tokens, and merges in the order in which they are made.

use serde_json::{Map, Value, json};

use super::TokenList;
use super::splits::{self, Split};
use crate::gguf::Gguf;
use crate::{Error, Result};

pub(super) const PRE: &str = "tokenizer.ggml.pre";
pub(super) const MERGES: &str = "tokenizer.ggml.merges";
const PREFIX: &str = "tokenizer.ggml.add_space_prefix";

/// The parts of a `tokenizer.json` that are of this kind; and whether texts begin with a token of their own where the file
/// does not say.
pub(super) fn parts(gguf: &Gguf, tokens: &TokenList) -> Result<(Map<String, Value>, bool)> {
    let Split { expressions, ignores_merges, begins, composes, .. } = split(gguf)?;
    if gguf.flag(PREFIX)? == Some(true) {
        let remedy = "byte-level tokenizers do without here; choose a model whose tokenizer does";
        return Err(gguf.refuse(PREFIX, true, remedy));
    }
    let vocabulary = tokens.vocabulary(gguf)?;
    let Some(merges) = gguf.texts(MERGES)? else { return Err(gguf.missing(MERGES)) };
    let mut pairs = Vec::with_capacity(merges.len());
    for merge in merges {
        let pair = merge.split_once(' ').filter(|(first, second)| {
            let known = |token: &str| vocabulary.contains_key(token);
            known(first) && known(second) && known(&format!("{first}{second}"))
        });
        let Some((first, second)) = pair else {
            let found = format!("{MERGES} has {merge:?}, of which not all are tokens");
            return Err(Error::invalid(gguf.place(), found, "the file contradicts itself; take another one"));
        };
        pairs.push([first, second]);
    }
    let apart = expressions
        .iter()
        .map(|expression| json!({ "type": "Split", "pattern": { "Regex": expression }, "behavior": "Isolated", "invert": false }));
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
    let parts = [
        ("normalizer", if *composes { json!({ "type": "NFC" }) } else { Value::Null }),
        (
            "pre_tokenizer",
            json!({ "type": "Sequence", "pretokenizers": apart.chain([bytes.clone()]).collect::<Vec<_>>() }),
        ),
        ("decoder", bytes),
        ("model", json!({ "type": "BPE", "ignore_merges": ignores_merges, "vocab": vocabulary, "merges": pairs })),
    ];
    Ok((parts.map(|(key, value)| (key.to_owned(), value)).into_iter().collect(), *begins))
}

fn split(gguf: &Gguf) -> Result<&'static Split> {
    match gguf.text(PRE)? {
        Some(name) => splits::by_name(name).ok_or_else(|| {
            let remedy = format!("supported are {}; take the model as Hugging Face directory", splits::names());
            gguf.refuse(PRE, format!("{name:?}"), &remedy)
        }),
        None => {
            let remedy = "the file is from before llama.cpp noted how its tokenizer splits texts; take a newer one";
            Err(gguf.refuse(PRE, "missing", remedy))
        }
    }
}
