//! What stands beside the `tokenizer.json` of a model from elsewhere and says how it is used: `tokenizer_config.json`,
//! `generation_config.json`, `chat_template.jinja`.

use std::path::Path;

use serde_json::Value;

use crate::{Error, Result, files};

const CONFIG: &str = "tokenizer_config.json";
const GENERATION: &str = "generation_config.json";
const TEMPLATE: &str = "chat_template.jinja";
/// The files that are handed on with a checkpoint.
pub(super) const FILES: [&str; 4] = [CONFIG, GENERATION, TEMPLATE, "special_tokens_map.json"];

/// The text of each of [`FILES`] that is there.
#[derive(Clone, Default)]
pub(super) struct Companions {
    folder: String,
    texts: Vec<(&'static str, String)>,
}

impl Companions {
    pub(super) fn read(folder: &Path) -> Result<Companions> {
        let mut texts = Vec::new();
        for name in FILES {
            let path = folder.join(name);
            if path.exists() {
                texts.push((name, files::read_text(&path)?));
            }
        }
        Ok(Companions { folder: folder.display().to_string(), texts })
    }

    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        self.texts.iter().try_for_each(|(name, text)| files::write_atomic(&folder.join(name), text.as_bytes()))
    }

    /// Whether anything says how the tokenizer is used.
    pub(super) fn describe_tokens(&self) -> bool {
        self.text(CONFIG).is_some()
    }

    /// The text of a special token (`bos_token`, `eos_token`), where there is one.
    pub(super) fn token(&self, key: &str) -> Result<Option<String>> {
        let token = self.field(CONFIG, key)?;
        // Some files say more about a token than its text.
        Ok(token.as_str().or_else(|| token["content"].as_str()).map(String::from))
    }

    /// The tokens that end a completion, as generation is told.
    pub(super) fn ends(&self) -> Result<Vec<u32>> {
        let ends = match self.field(GENERATION, "eos_token_id")? {
            Value::Null => Vec::new(),
            Value::Array(ends) => ends,
            one => vec![one],
        };
        ends.iter()
            .map(|id| match id.as_u64().and_then(|id| u32::try_from(id).ok()) {
                Some(id) => Ok(id),
                None => Err(self.refuse(GENERATION, format!("eos_token_id holds {id}"), "token ids are whole numbers")),
            })
            .collect()
    }

    /// The chat template with the file it comes from: one of its own, or the one among the tokenizer's options.
    pub(super) fn template(&self) -> Result<Option<(String, String)>> {
        if let Some(text) = self.text(TEMPLATE) {
            return Ok(Some((self.place(TEMPLATE), text.to_owned())));
        }
        let template = match self.field(CONFIG, "chat_template")? {
            Value::String(template) => Some(template),
            // Several, by name.
            Value::Array(all) => {
                let default = all.iter().find(|one| one["name"] == "default").or(all.first());
                default.and_then(|one| one["template"].as_str()).map(String::from)
            }
            _ => None,
        };
        Ok(template.map(|template| (self.place(CONFIG), template)))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(file, _)| *file == name).map(|(_, text)| text.as_str())
    }

    /// A field of a JSON file; null where the file or the field is missing.
    fn field(&self, name: &str, key: &str) -> Result<Value> {
        let Some(text) = self.text(name) else { return Ok(Value::Null) };
        let mut fields: Value = serde_json::from_str(text)
            .map_err(|error| self.refuse(name, error.to_string(), "it has to be valid JSON"))?;
        Ok(fields.get_mut(key).map_or(Value::Null, Value::take))
    }

    fn place(&self, name: &str) -> String {
        Path::new(&self.folder).join(name).display().to_string()
    }

    fn refuse(&self, name: &str, found: String, remedy: &str) -> Error {
        Error::invalid(self.place(name), found, remedy)
    }
}
