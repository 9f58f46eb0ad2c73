//! What stands beside the `tokenizer.json` of a model and says how it is used: which tokens begin, end and fill a text,
//! which ones it has besides, its chat template. Read as transformers reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::{gguf, keys};
use crate::gguf::Gguf;
use crate::{Error, Result, files};

pub(super) const CONFIG: &str = "tokenizer_config.json";
pub(super) const GENERATION: &str = "generation_config.json";
const TEMPLATE: &str = "chat_template.jinja";
const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";
/// The config of the model: whoever writes its weights writes it.
pub(super) const MODEL: &str = "config.json";
/// The files that are handed on with a checkpoint.
const FILES: [&str; 5] = [CONFIG, GENERATION, TEMPLATE, SPECIAL, ADDED];

/// A JSON file of one object.
type Object = Map<String, Value>;

/// The files that are there.
#[derive(Clone, Default)]
pub(super) struct TokenizerConfig {
    folder: PathBuf,
    /// Where the model is that says how completions end: the folder, unless the tokenizer lies beside adapters.
    model: PathBuf,
    texts: BTreeMap<&'static str, String>,
    objects: BTreeMap<&'static str, Object>,
}

impl TokenizerConfig {
    /// Reads the files of a folder. `model` holds the config.json and generation_config.json of the model that the
    /// tokenizer belongs to, or is its GGUF file: those that lie beside adapters are passed over, as in PEFT.
    ///
    /// # Errors
    /// A file that is no JSON object, and a key that changes what a model is given or gives and is not heeded here.
    pub(super) fn read(folder: &Path, model: &Path) -> Result<TokenizerConfig> {
        let mut all = TokenizerConfig {
            folder: folder.to_path_buf(),
            model: model.to_path_buf(),
            texts: BTreeMap::new(),
            objects: BTreeMap::new(),
        };
        for name in FILES.into_iter().chain([MODEL]) {
            let path = home(name, folder, model).join(name);
            if !path.exists() {
                continue;
            }
            let text = files::read_text(&path)?;
            if name != TEMPLATE {
                let place = path.display().to_string();
                match serde_json::from_str(&text) {
                    Ok(Value::Object(object)) => drop(all.objects.insert(name, object)),
                    Ok(_) => return Err(Error::invalid(place, "no JSON object", "it has to be one, in braces")),
                    Err(error) => return Err(Error::invalid(place, error.to_string(), "it has to be valid JSON")),
                }
                // transformers looks for what generation is told in one of these two.
                if name == CONFIG || name == GENERATION || !all.objects.contains_key(GENERATION) {
                    keys::check(name, &place, &all.objects[name])?;
                }
            }
            if name != MODEL {
                all.texts.insert(name, text);
            }
        }
        if crate::gguf::is_file(model) && !all.objects.contains_key(GENERATION) {
            let [_, generation] = gguf::companions(&Gguf::open(model)?)?;
            all.objects.insert(GENERATION, generation);
        }
        Ok(all)
    }

    /// The same of the metadata of a GGUF file.
    ///
    /// # Errors
    /// Special tokens that are none of its tokens.
    pub(super) fn from_gguf(gguf: &Gguf) -> Result<TokenizerConfig> {
        let [options, generation] = gguf::companions(gguf)?;
        let objects = BTreeMap::from([(CONFIG, options), (GENERATION, generation)]);
        let (folder, model) = (gguf.path().to_path_buf(), gguf.path().to_path_buf());
        Ok(TokenizerConfig { folder, model, objects, texts: BTreeMap::new() })
    }

    /// The text of each file to hand on.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.texts.iter().map(|(name, text)| (*name, text.as_str()))
    }

    /// A file's object; empty where there is no file.
    pub(super) fn object(&self, name: &str) -> Object {
        self.objects.get(name).cloned().unwrap_or_default()
    }

    /// Whether anything says how the tokenizer is used.
    pub(super) fn describe_tokens(&self) -> bool {
        self.objects.contains_key(CONFIG) || self.objects.contains_key(SPECIAL)
    }

    /// The options of the tokenizer. Where these do not list the tokens that were added, as older ones do not,
    /// `special_tokens_map.json` comes first.
    pub(super) fn options(&self) -> Object {
        let mut options = self.object(CONFIG);
        if !options.contains_key("added_tokens_decoder") {
            options.extend(self.object(SPECIAL));
        }
        options
    }

    /// The text of each special token that has a name (`bos_token`, `eos_token`, …).
    pub(super) fn named(&self) -> BTreeMap<String, String> {
        let options = self.options();
        let mut named: BTreeMap<String, String> = options
            .iter()
            .filter(|(key, _)| key.ends_with("_token"))
            .filter_map(|(key, token)| Some((key.clone(), content(token)?.to_owned())))
            .collect();
        for key in ["extra_special_tokens", "model_specific_special_tokens"] {
            let more = options.get(key).and_then(Value::as_object).into_iter().flatten();
            named.extend(more.filter_map(|(name, token)| Some((name.clone(), content(token)?.to_owned()))));
        }
        named
    }

    /// The tokens that these files add to those of the `tokenizer.json`: first those that have a number, by that, and then
    /// the special ones, which are added where there are none with their text.
    pub(super) fn added(&self) -> Result<[Vec<AddedToken>; 2]> {
        let options = self.options();
        let special = special(&options);
        let mut numbered: Vec<(u32, AddedToken)> = Vec::new();
        if let Some(Value::Object(listed)) = options.get("added_tokens_decoder") {
            for (id, token) in listed {
                let Some(read) = id.parse().ok().zip(described(token)) else {
                    let found = format!("added_tokens_decoder has {id}: {token}");
                    return Err(self.refuse(CONFIG, found, "it has to give each token id an object with content"));
                };
                numbered.push(read);
            }
        } else {
            for (text, id) in self.object(ADDED) {
                let Some(id) = whole(&id) else {
                    return Err(self.refuse(ADDED, format!("{text} has the id {id}"), WHOLE));
                };
                let is_special = special.iter().any(|token| token.content == text);
                numbered.push((id, AddedToken::from(text, is_special)));
            }
        }
        numbered.sort_by_key(|(id, _)| *id);
        Ok([numbered.into_iter().map(|(_, token)| token).collect(), special])
    }

    /// The numbers of tokens (`eos_token_id`, …) that generation is told, or else the model: one, a list, or none.
    pub(super) fn ids(&self, key: &str) -> Result<Vec<u32>> {
        for file in [GENERATION, MODEL] {
            let given = match self.objects.get(file).and_then(|object| object.get(key)) {
                None => continue,
                Some(Value::Array(given)) => given.as_slice(),
                Some(one) => std::slice::from_ref(one),
            };
            let ids: Vec<&Value> = given.iter().filter(|id| !names_none(id)).collect();
            if ids.is_empty() && !given.is_empty() {
                continue;
            }
            return ids
                .into_iter()
                .map(|id| whole(id).ok_or_else(|| self.refuse(file, format!("{key} holds {id}"), WHOLE)))
                .collect();
        }
        Ok(Vec::new())
    }

    /// The chat template with the file it comes from: one of its own, or the one among the tokenizer's options.
    pub(super) fn template(&self) -> Result<Option<(String, String)>> {
        if let Some(text) = self.texts.get(TEMPLATE) {
            return Ok(Some((self.place(TEMPLATE), text.clone())));
        }
        let found =
            |what: &str| self.refuse(CONFIG, what.into(), "it has to be a text, or a list of name and template");
        let template = match self.object(CONFIG).remove("chat_template") {
            None | Some(Value::Null) => None,
            Some(Value::String(template)) => Some(template),
            // Several, by name.
            Some(Value::Array(all)) => match all.iter().find(|one| one["name"] == "default") {
                Some(default) => match &default["template"] {
                    Value::String(template) => Some(template.clone()),
                    _ => return Err(found("the default of chat_template is no text")),
                },
                None => {
                    let remedy = "name one of them \"default\", or put it into a file chat_template.jinja";
                    return Err(self.refuse(CONFIG, "chat_template has several and no default".into(), remedy));
                }
            },
            Some(_) => return Err(found("chat_template is no text")),
        };
        Ok(template.map(|template| (self.place(CONFIG), template)))
    }

    /// Where a file is that is to be blamed; what a GGUF file says stands in that itself.
    pub(super) fn place(&self, name: &str) -> String {
        let at = home(name, &self.folder, &self.model);
        if crate::gguf::is_file(at) {
            return at.display().to_string();
        }
        at.join(name).display().to_string()
    }

    pub(super) fn refuse(&self, name: &str, found: String, remedy: &str) -> Error {
        Error::invalid(self.place(name), found, remedy)
    }
}

const WHOLE: &str = "token ids are whole numbers";

pub(super) fn whole(id: &Value) -> Option<u32> {
    id.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// Whether this stands where there is no token: null, or a negative number, as older configs of Llama have it for
/// padding.
pub(super) fn names_none(id: &Value) -> bool {
    id.is_null() || id.as_i64().is_some_and(|id| id < 0)
}

/// The files that are read for a tokenizer in a folder and a model in another, or in a GGUF file.
pub(super) fn paths(folder: &Path, model: &Path) -> Vec<PathBuf> {
    FILES.iter().map(|name| home(name, folder, model).join(name)).filter(|path| path.exists()).collect()
}

/// Where a file is looked for.
fn home<'a>(name: &str, folder: &'a Path, model: &'a Path) -> &'a Path {
    if name == MODEL || name == GENERATION { model } else { folder }
}

/// All special tokens, those with a name first.
fn special(options: &Object) -> Vec<AddedToken> {
    let roles = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
    let others = options.iter().filter(|(key, _)| key.ends_with("_token") && !roles.contains(&key.as_str()));
    let more = ["model_specific_special_tokens", "extra_special_tokens", "additional_special_tokens"];
    let more = more.iter().filter_map(|key| options.get(*key)).flat_map(|given| match given {
        Value::Array(all) => all.iter().collect::<Vec<_>>(),
        Value::Object(all) => all.values().collect(),
        _ => Vec::new(),
    });
    let all = roles.iter().filter_map(|role| options.get(*role)).chain(others.map(|(_, token)| token)).chain(more);
    all.filter_map(|token| match token {
        Value::String(text) => Some(AddedToken::from(text.clone(), true)),
        _ => described(token).map(|token| token.special(true)),
    })
    .collect()
}

/// The text of a token: some files say more about it.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

/// A token with what `added_tokens_decoder` says of it.
fn described(given: &Value) -> Option<AddedToken> {
    let flag = |key: &str, default: bool| given[key].as_bool().unwrap_or(default);
    let special = flag("special", false);
    let token = AddedToken::from(given["content"].as_str()?, special).normalized(flag("normalized", !special));
    let token = token.single_word(flag("single_word", false));
    Some(token.lstrip(flag("lstrip", false)).rstrip(flag("rstrip", false)))
}
