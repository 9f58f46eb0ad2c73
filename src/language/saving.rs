//! The files of a tokenizer, written so that transformers' `AutoTokenizer` gives the same ids, its `generate` stops at the
//! same tokens, and vLLM finds what it looks for.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Tokenizer;
use super::tokenizer::broken;
use super::tokenizer_config::{CONFIG, GENERATION, MODEL, names_none, whole};
use crate::{Error, Result, files};

/// A class of transformers that takes a `tokenizer.json` as it is, in its fourth and its fifth version.
const CLASS: &str = "PreTrainedTokenizerFast";

impl Tokenizer {
    /// Writes a `tokenizer.json`, and beside it what came with it and what else others need: the special tokens and
    /// their ids. A `config.json` that is there already is told the ids as well.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = self.inner.to_string(true).map_err(broken(&path.display().to_string()))?;
        files::write_atomic(path, text.as_bytes())?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let model = folder.join(MODEL);
        let model_type = if model.exists() { self.tell_ids(&model)? } else { None };
        for (name, text) in self.companions.texts().filter(|(name, _)| ![CONFIG, GENERATION].contains(name)) {
            files::write_atomic(&folder.join(name), text.as_bytes())?;
        }
        write(&folder.join(CONFIG), &self.options(model_type.as_deref())?)?;
        write(&folder.join(GENERATION), &self.generation()?)
    }

    /// What `tokenizer_config.json` says: what the source said, and how others come to the same ids.
    fn options(&self, model_type: Option<&str>) -> Result<Map<String, Value>> {
        let mut options = self.companions.object(CONFIG);
        let named = self.companions.named();
        let mut name = |key: &str, token: Option<String>| {
            if let Some(token) = token.filter(|_| !named.contains_key(key)) {
                options.insert(key.into(), token.into());
            }
        };
        for (key, token) in Self::ROLES.into_iter().filter(|_| self.marked) {
            name(key, Some(token.into()));
        }
        let end = self.ends.first().and_then(|end| self.inner.id_to_token(*end));
        name("eos_token", end.clone());
        // Where the model's config alone says what begins a text, it is told here as well.
        let begins = Some(self.bos).filter(|bos| self.ends.first() != Some(bos));
        name("bos_token", begins.and_then(|bos| self.inner.id_to_token(bos)));
        if model_type == Some("qwen2") && !self.is_of_qwen()? {
            // For a qwen2 model transformers 5 builds a tokenizer of its own class from the vocabulary alone, whatever
            // class is named here, unless it is told to trust what the files say. No code is among them.
            options.insert("trust_remote_code".into(), true.into());
            // That class adds a token for each of these that has no name.
            let named = self.companions.named();
            for key in ["unk_token", "pad_token"].into_iter().filter(|key| !named.contains_key(*key)) {
                options.entry(key).or_insert_with(|| end.clone().into());
            }
        }
        options.insert("tokenizer_class".into(), CLASS.into());
        options.remove("auto_map");
        if self.marked {
            options.entry("clean_up_tokenization_spaces").or_insert(false.into());
        }
        Ok(options)
    }

    /// Whether this is what transformers' class for Qwen 2 makes of a vocabulary.
    fn is_of_qwen(&self) -> Result<bool> {
        let text = self.inner.to_string(false).map_err(broken("tokenizer"))?;
        let parts: Value = serde_json::from_str(&text)
            .map_err(|error| Error::invalid("tokenizer", error.to_string(), "it cannot be written as JSON"))?;
        let split = &parts["pre_tokenizer"]["pretokenizers"];
        Ok(parts["model"]["type"] == "BPE"
            && parts["normalizer"]["type"] == "NFC"
            && split[0]["pattern"]["Regex"] == QWEN
            && split[1]["type"] == "ByteLevel"
            && split[1]["use_regex"] == false)
    }

    /// What `generation_config.json` says: what the source said, and all tokens that end a completion.
    fn generation(&self) -> Result<Map<String, Value>> {
        let mut generation = self.companions.object(GENERATION);
        if !names_all(generation.get("eos_token_id"), &self.ends) {
            generation.insert("eos_token_id".into(), self.end_ids()?);
        }
        let [bos, pad] = self.bos_and_pad()?;
        for (key, id) in [("bos_token_id", bos), ("pad_token_id", pad)] {
            // What names no token would have transformers look no further.
            if generation.get(key).is_none_or(names_none) {
                generation.remove(key);
                generation.extend(id.map(|id| (key.to_owned(), Value::from(id))));
            }
        }
        Ok(generation)
    }

    /// The ids of all end tokens, in the order of the source: one number where it is one.
    fn end_ids(&self) -> Result<Value> {
        let mut ids = self.companions.ids("eos_token_id")?;
        ids.extend(self.ends.iter().filter(|end| !ids.contains(end)).copied().collect::<Vec<_>>());
        Ok(if let [one] = ids[..] { one.into() } else { ids.into() })
    }

    /// Writes the ids of the special tokens into a model's config, and tells its type.
    fn tell_ids(&self, path: &Path) -> Result<Option<String>> {
        let mut config: Map<String, Value> = files::read_json(path, "it has to be valid JSON")?;
        let [bos, pad] = self.bos_and_pad()?;
        let ids = [("eos_token_id", self.end_ids()?), ("bos_token_id", json!(bos)), ("pad_token_id", json!(pad))];
        config.extend(ids.map(|(key, id)| (key.to_string(), id)));
        write(path, &config)?;
        Ok(config.get("model_type").and_then(Value::as_str).map(String::from))
    }
}

/// Whether an `eos_token_id` names all of these tokens, and nothing that is none.
fn names_all(value: Option<&Value>, ends: &[u32]) -> bool {
    let named: Vec<Option<u32>> = match value {
        None => Vec::new(),
        Some(Value::Array(all)) => all.iter().map(whole).collect(),
        Some(one) => vec![whole(one)],
    };
    named.iter().all(Option::is_some) && ends.iter().all(|end| named.contains(&Some(*end)))
}

/// How Qwen 2 takes a text apart before its merges are looked up.
const QWEN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn write(path: &Path, object: &Map<String, Value>) -> Result<()> {
    let text = format!("{:#}\n", Value::Object(object.clone()));
    files::write_atomic(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::loading::tests::words;

    /// What `config.json` and `generation_config.json` say after a tokenizer with these files was saved beside a model.
    fn saved(files: &[(&str, Value)]) -> [Value; 2] {
        let (source, copy) = (words(files), tempfile::tempdir().unwrap());
        std::fs::write(copy.path().join(MODEL), "{}").unwrap();
        let tokenizer = Tokenizer::load(&source.path().join("tokenizer.json")).unwrap();
        tokenizer.save(&copy.path().join("tokenizer.json")).unwrap();
        [MODEL, GENERATION].map(|name| serde_json::from_slice(&std::fs::read(copy.path().join(name)).unwrap()).unwrap())
    }

    #[test]
    fn negative_ids_are_no_tokens_and_are_not_handed_on() {
        let own = (CONFIG, json!({ "eos_token": "[/s]" }));
        let model = (MODEL, json!({ "bos_token_id": 0, "eos_token_id": [1, -1], "pad_token_id": -1 }));
        let none = (GENERATION, json!({ "bos_token_id": -1, "eos_token_id": -1, "pad_token_id": -1 }));
        for files in [&[own.clone(), model.clone()][..], &[own.clone(), model, none]] {
            let [config, generation] = saved(files);
            assert_eq!(config, json!({ "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": null }));
            assert_eq!(generation, json!({ "bos_token_id": 0, "eos_token_id": 1 }));
        }
        let some = (GENERATION, json!({ "eos_token_id": [2, -1] }));
        assert_eq!(saved(&[own, some])[1], json!({ "eos_token_id": [2, 1] }));
    }

    #[test]
    fn where_generation_names_no_end_it_is_told_those_of_the_model() {
        let own = (CONFIG, json!({ "bos_token": "[s]", "eos_token": "[/s]" }));
        let model = (MODEL, json!({ "eos_token_id": [1, 2] }));
        let null = (GENERATION, json!({ "bos_token_id": null, "eos_token_id": null, "temperature": 0.5 }));
        let [config, generation] = saved(&[own, model, null]);
        assert_eq!(config["eos_token_id"], json!([1, 2]));
        assert_eq!(generation, json!({ "bos_token_id": 0, "eos_token_id": [1, 2], "temperature": 0.5 }));
    }
}
