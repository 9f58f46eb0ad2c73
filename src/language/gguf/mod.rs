//! A tokenizer in a GGUF file: its metadata are translated into the files that stand in a directory, a `tokenizer.json` and
//! what `tokenizer_config.json` and `generation_config.json` say. From there on they go the way of these.

mod bpe;
mod keys;
mod sentencepiece;
mod splits;
mod writing;

use serde_json::{Map, Value, json};

use crate::gguf::Gguf;
use crate::{Error, Result, files};

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const TEMPLATE: &str = "tokenizer.chat_template";
/// Special tokens by the names of their keys, and by those in a `tokenizer_config.json`.
const ROLES: [(&str, &str); 7] = [
    ("tokenizer.ggml.bos_token_id", "bos_token"),
    ("tokenizer.ggml.eos_token_id", "eos_token"),
    ("tokenizer.ggml.unknown_token_id", "unk_token"),
    ("tokenizer.ggml.padding_token_id", "pad_token"),
    ("tokenizer.ggml.seperator_token_id", "sep_token"),
    ("tokenizer.ggml.cls_token_id", "cls_token"),
    ("tokenizer.ggml.mask_token_id", "mask_token"),
];
/// What ends a completion: a text, a turn, a message.
const ENDS: [&str; 3] = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenType {
    Normal,
    Unknown,
    /// Special: it is recognised in a text.
    Control,
    /// Recognised in a text, but not special.
    UserDefined,
    Unused,
    Byte,
}

/// The tokens of a file, by their ids.
struct TokenList<'a> {
    texts: Vec<&'a str>,
    types: Vec<TokenType>,
}

/// The `tokenizer.json` of a file.
///
/// # Errors
/// A kind of tokenizer, or a key, that is not supported; tokens that contradict each other.
pub(super) fn tokenizer_json(gguf: &Gguf) -> Result<Vec<u8>> {
    keys::demand_supported(gguf)?;
    let tokens = TokenList::read(gguf)?;
    let (mut parts, begins) = match gguf.text(MODEL)? {
        Some("gpt2") => bpe::parts(gguf, &tokens)?,
        Some("llama") => sentencepiece::parts(gguf, &tokens)?,
        Some(other) => {
            let remedy =
                "gpt2 (byte-level BPE) and llama (SentencePiece's BPE) are supported; choose a model with these";
            return Err(gguf.refuse(MODEL, format!("{other:?}"), remedy));
        }
        None => return Err(gguf.missing(MODEL)),
    };
    parts.insert("version".into(), "1.0".into());
    parts.insert("added_tokens".into(), tokens.added());
    parts.insert("post_processor".into(), post_processor(gguf, &tokens, begins)?);
    files::to_json(gguf.place(), &parts)
}

/// What `tokenizer_config.json` says of a file's tokenizer, and `generation_config.json` of how completions end.
///
/// # Errors
/// Special tokens that the tokenizer does not have.
pub(super) fn companions(gguf: &Gguf) -> Result<[Map<String, Value>; 2]> {
    let tokens = TokenList::read(gguf)?;
    let mut options = Map::new();
    for (key, role) in ROLES {
        if let Some(id) = tokens.id(gguf, key)? {
            options.insert(role.into(), tokens.texts[id as usize].into());
        }
    }
    options.insert("clean_up_tokenization_spaces".into(), false.into());
    if let Some(template) = gguf.text(TEMPLATE)? {
        options.insert("chat_template".into(), template.into());
    }
    let mut ends: Vec<u32> = Vec::new();
    for key in ENDS {
        if let Some(id) = tokens.id(gguf, key)?.filter(|id| !ends.contains(id)) {
            ends.push(id);
        }
    }
    let mut generation = Map::new();
    match ends[..] {
        [] => {}
        [end] => drop(generation.insert("eos_token_id".into(), end.into())),
        _ => drop(generation.insert("eos_token_id".into(), ends.into())),
    }
    for (key, name) in [(ROLES[0].0, "bos_token_id"), (ROLES[3].0, "pad_token_id")] {
        if let Some(id) = tokens.id(gguf, key)? {
            generation.insert(name.into(), id.into());
        }
    }
    Ok([options, generation])
}

impl<'a> TokenList<'a> {
    fn read(gguf: &'a Gguf) -> Result<TokenList<'a>> {
        let Some(texts) = gguf.texts(TOKENS)? else { return Err(gguf.missing(TOKENS)) };
        let types = match gguf.wholes(TYPES)? {
            None => vec![TokenType::Normal; texts.len()],
            Some(types) if types.len() == texts.len() => types.into_iter().map(TokenType::from_number).collect(),
            Some(types) => {
                let remedy = format!("there are {} tokens, and each has one", texts.len());
                return Err(gguf.refuse(TYPES, format!("a list of {}", types.len()), &remedy));
            }
        };
        Ok(TokenList { texts, types })
    }

    /// The token that a key names.
    fn id(&self, gguf: &Gguf, key: &str) -> Result<Option<u32>> {
        match gguf.size(key)? {
            // Some files name a token that there is none of by the largest number.
            None | Some(0xffff_ffff) => Ok(None),
            Some(id) if id < self.texts.len() => Ok(Some(id as u32)),
            Some(id) => Err(gguf.refuse(key, id, &format!("there are {} tokens", self.texts.len()))),
        }
    }

    /// Every token with its id, but those that only fill up the rows of an embedding: no text becomes one of them.
    fn all(&self) -> impl Iterator<Item = (u32, &'a str, TokenType)> {
        let tokens = (0..).zip(self.texts.iter().copied()).zip(self.types.iter().copied());
        let filler = |id: u32, text: &str, kind| {
            kind == TokenType::Unused && text.strip_prefix("[PAD") == Some(&format!("{id}]"))
        };
        tokens.map(|((id, text), kind)| (id, text, kind)).filter(move |(id, text, kind)| !filler(*id, text, *kind))
    }

    /// The ids of all tokens by their texts, none of which comes twice.
    fn vocabulary(&self, gguf: &Gguf) -> Result<Map<String, Value>> {
        let mut vocabulary = Map::new();
        for (id, text, _) in self.all() {
            if let Some(other) = vocabulary.insert(text.to_owned(), id.into()) {
                let found = format!("{TOKENS} has {text:?} as token {other} and as token {id}");
                return Err(Error::invalid(gguf.place(), found, "each has to be another text; take another file"));
            }
        }
        Ok(vocabulary)
    }

    /// What is recognised in a text as it stands there.
    fn added(&self) -> Value {
        let added = self.all().filter(|(_, _, kind)| matches!(kind, TokenType::Control | TokenType::UserDefined));
        let described = added.map(|(id, text, kind)| {
            json!({
                "id": id,
                "content": text,
                "special": kind == TokenType::Control,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
            })
        });
        described.collect()
    }
}

impl TokenType {
    fn from_number(number: i128) -> TokenType {
        match number {
            2 => TokenType::Unknown,
            3 => TokenType::Control,
            4 => TokenType::UserDefined,
            5 => TokenType::Unused,
            6 => TokenType::Byte,
            _ => TokenType::Normal,
        }
    }
}

/// Tokens that other programs put around a text; here only prompts say what they begin with.
fn post_processor(gguf: &Gguf, tokens: &TokenList, begins: bool) -> Result<Value> {
    let asked = [("add_bos_token", ROLES[0].0, begins), ("add_eos_token", ROLES[1].0, false)];
    let mut around = [None, None];
    for (token, (flag, key, default)) in around.iter_mut().zip(asked) {
        if gguf.flag(&format!("tokenizer.ggml.{flag}"))?.unwrap_or(default) {
            *token = tokens.id(gguf, key)?;
        }
    }
    if around == [None, None] {
        return Ok(Value::Null);
    }
    let text = |id: u32| tokens.texts[id as usize];
    let piece = |id: u32, segment: u32| json!({ "SpecialToken": { "id": text(id), "type_id": segment } });
    let sequence = |name: &str, segment: u32| {
        let inside = json!({ "Sequence": { "id": name, "type_id": segment } });
        let [begin, end] = around.map(|token| token.map(|id| piece(id, segment)));
        begin.into_iter().chain([inside]).chain(end).collect::<Vec<Value>>()
    };
    let pair = [sequence("A", 0), sequence("B", 1)].concat();
    let described = |id: u32| (text(id).to_owned(), json!({ "id": text(id), "ids": [id], "tokens": [text(id)] }));
    Ok(json!({
        "type": "TemplateProcessing",
        "single": sequence("A", 0),
        "pair": pair,
        "special_tokens": around.into_iter().flatten().map(described).collect::<Map<String, Value>>(),
    }))
}

#[cfg(test)]
mod tests;
