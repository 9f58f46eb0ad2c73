//! The fields of a `config.json`, for messages that name the file and the key.

use serde_json::{Map, Value};

use crate::policy::Family;
use crate::{Error, Result};

/// The fields of one file, or of an object inside it.
pub(super) struct JsonFields<'a> {
    pub(super) place: &'a str,
    pub(super) fields: &'a Map<String, Value>,
}

impl JsonFields<'_> {
    /// A field that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn refuse<T>(&self, key: &str, found: impl std::fmt::Display, remedy: &str) -> Result<T> {
        Err(Error::invalid(self.place, format!("{key} is {found}"), remedy))
    }

    pub(super) fn size(&self, key: &str, default: Option<usize>) -> Result<usize> {
        match (self.get(key), default) {
            (Some(value), _) => match value.as_u64().and_then(|size| usize::try_from(size).ok()) {
                Some(size) => Ok(size),
                None => self.refuse(key, value, "it has to be a whole number"),
            },
            (None, Some(default)) => Ok(default),
            (None, None) => self.refuse(key, "missing", "add it"),
        }
    }

    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_f64().map_or_else(|| self.refuse(key, value, "it has to be a number"), Ok),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(value) => value.as_bool().map_or_else(|| self.refuse(key, value, "it has to be true or false"), Ok),
        }
    }

    pub(super) fn family(&self) -> Result<Family> {
        let known = "llama (with SmolLM2), mistral, qwen2 (with Qwen2.5) and qwen3 are supported";
        match self.get("model_type") {
            Some(name) => serde_json::from_value(name.clone()).or_else(|_| self.refuse("model_type", name, known)),
            None => self.refuse("model_type", "missing", known),
        }
    }

    /// Left out, it is a constant of the family; null stands for as many as there are query heads.
    pub(super) fn key_heads(&self, family: Family, heads: usize) -> Result<usize> {
        let default = match (self.fields.get("num_key_value_heads"), family) {
            (Some(_), _) | (None, Family::Llama) => heads,
            (None, Family::Mistral) => 8,
            (None, Family::Qwen2 | Family::Qwen3) => 32,
        };
        self.size("num_key_value_heads", Some(default))
    }
}
