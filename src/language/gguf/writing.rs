//! A tokenizer as metadata of a GGUF file.

use candle_core::quantized::gguf_file::Value;
use serde_json::Value as Json;

use super::bpe::{MERGES, PRE};
use super::splits;
use super::{ENDS, MODEL, ROLES, TEMPLATE, TOKENS, TYPES};
use crate::language::Tokenizer;
use crate::language::tokenizer::broken;
use crate::{Error, Result};

const PLACE: &str = "tokenizer";
const REMEDY: &str = "export a directory, and convert it with llama.cpp's convert_hf_to_gguf.py";

impl Tokenizer {
    /// What a GGUF file says of it, for a model with an embedding of so many rows.
    ///
    /// # Errors
    /// A tokenizer that is not byte-level BPE, or that takes texts apart in a way that llama.cpp has no name for.
    pub fn gguf_metadata(&self, rows: usize) -> Result<Vec<(String, Value)>> {
        let text = self.inner.to_string(false).map_err(broken(PLACE))?;
        let parts: Json = serde_json::from_str(&text)
            .map_err(|error| Error::invalid(PLACE, error.to_string(), "it cannot be written as JSON"))?;
        let model = &parts["model"];
        if model["type"] != "BPE" || parts["decoder"]["type"] != "ByteLevel" {
            let found = "one that is no byte-level BPE, for which alone GGUF files are written";
            return Err(Error::invalid(PLACE, found, REMEDY));
        }
        let texts = |list: Vec<String>| Value::Array(list.into_iter().map(Value::String).collect());
        let (tokens, types) = self.tokens(&parts, rows);
        let mut metadata = vec![
            (MODEL.to_owned(), Value::String("gpt2".into())),
            (PRE.to_owned(), Value::String(self.split(&parts)?.into())),
            (TOKENS.to_owned(), texts(tokens)),
            (TYPES.to_owned(), Value::Array(types.into_iter().map(Value::I32).collect())),
            (MERGES.to_owned(), texts(merges(model))),
        ];
        let named = self.companions.named();
        let id_of = |role: &str| named.get(role).and_then(|token| self.inner.token_to_id(token));
        let bos = id_of("bos_token").or(Some(self.bos()));
        for (key, role) in ROLES.into_iter().filter(|(key, _)| *key != ENDS[0]) {
            let id = if role == "bos_token" { bos } else { id_of(role) };
            metadata.extend(id.map(|id| (key.to_owned(), Value::U32(id))));
        }
        metadata.extend(ENDS.iter().zip(self.ends()).map(|(key, id)| ((*key).to_owned(), Value::U32(*id))));
        let begins = self.encode_as_is("a", true)?.first().copied() != self.encode_as_is("a", false)?.first().copied();
        metadata.push(("tokenizer.ggml.add_bos_token".into(), Value::Bool(begins)));
        if let Some((_, template)) = self.companions.template()? {
            metadata.push((TEMPLATE.to_owned(), Value::String(template)));
        }
        Ok(metadata)
    }

    /// The text of every token by its id, and its type: 1 for one of the vocabulary, 3 for a special one, 4 for one that was
    /// added, 5 for rows without a token.
    fn tokens(&self, parts: &Json, rows: usize) -> (Vec<String>, Vec<i32>) {
        let added = parts["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let special = |id: usize| added.iter().find(|token| token["id"] == id).map(|token| token["special"] == true);
        let token = |id: usize| match (self.inner.id_to_token(id as u32), special(id)) {
            (None, _) => (format!("[PAD{id}]"), 5),
            (Some(text), None) => (text, 1),
            (Some(text), Some(true)) => (text, 3),
            (Some(text), Some(false)) => (text, 4),
        };
        (0..rows).map(token).unzip()
    }

    /// What llama.cpp calls the way in which it takes texts apart.
    fn split(&self, parts: &Json) -> Result<&'static str> {
        let unknown = || Error::invalid(PLACE, "it takes texts apart in a way that llama.cpp has no name for", REMEDY);
        let apart = &parts["pre_tokenizer"];
        let each =
            if apart["type"] == "Sequence" { apart["pretokenizers"].as_array().map(Vec::as_slice) } else { None };
        let mut expressions: Vec<&str> = Vec::new();
        for one in each.unwrap_or(std::slice::from_ref(apart)) {
            match one["type"].as_str() {
                Some("Digits") if one["individual_digits"] == true => expressions.push(splits::DIGIT),
                Some("Split") => expressions.push(one["pattern"]["Regex"].as_str().ok_or_else(unknown)?),
                Some("ByteLevel") if one["add_prefix_space"] == false => {
                    expressions.extend((one["use_regex"] != false).then_some(splits::GPT2));
                }
                _ => return Err(unknown()),
            }
        }
        let ignores_merges = parts["model"]["ignore_merges"] == true;
        splits::by_parts(&expressions, ignores_merges).ok_or_else(unknown)
    }
}

/// The merges, each as its two halves with a space between them.
fn merges(model: &Json) -> Vec<String> {
    let all = model["merges"].as_array().map_or(&[][..], Vec::as_slice);
    let one = |merge: &Json| match merge {
        Json::String(merge) => Some(merge.clone()),
        pair => Some(format!("{} {}", pair.get(0)?.as_str()?, pair.get(1)?.as_str()?)),
    };
    all.iter().filter_map(one).collect()
}
