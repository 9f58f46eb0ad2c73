//! Metadata by key, of the type that it has to be.

use super::value::{MetaList, MetaValue, ValueKind};
use super::{Gguf, damaged};
use crate::{Error, Result};

impl Gguf {
    /// All keys with their values, sorted.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &MetaValue)> {
        self.metadata.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// What stands under a key.
    pub fn get(&self, key: &str) -> Option<&MetaValue> {
        self.metadata.get(key)
    }

    /// A whole number of 0 or more. Where each layer has one of its own they have to be the same.
    ///
    /// # Errors
    /// Anything else.
    pub fn size(&self, key: &str) -> Result<Option<usize>> {
        let value = match self.get(key) {
            Some(MetaValue::List(_)) => {
                let all = self.wholes(key)?.unwrap_or_default();
                match all.first() {
                    Some(first) if all.iter().all(|value| value == first) => MetaValue::Whole(*first),
                    _ => return Err(self.refuse(key, "different in different layers", "all layers have to be alike")),
                }
            }
            Some(value) => value.clone(),
            None => return Ok(None),
        };
        let size = match value {
            MetaValue::Whole(number) => usize::try_from(number).ok(),
            _ => None,
        };
        size.map(Some).ok_or_else(|| self.refuse(key, value, "it has to be a whole number of 0 or more"))
    }

    /// The same of a key that has to be there.
    ///
    /// # Errors
    /// There is none.
    pub fn needed_size(&self, key: &str) -> Result<usize> {
        self.size(key)?.ok_or_else(|| self.missing(key))
    }

    /// A finite number.
    ///
    /// # Errors
    /// Anything else.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetaValue::Whole(number)) => Ok(Some(*number as f64)),
            Some(MetaValue::Number(number)) if number.is_finite() => Ok(Some(*number)),
            Some(other) => Err(self.refuse(key, other, "it has to be a number")),
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// Anything else.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetaValue::Flag(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.refuse(key, other, "it has to be true or false")),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// Anything else.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetaValue::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.refuse(key, other, "it has to be a text")),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// Anything else.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>> {
        let Some(list) = self.list(key, &[ValueKind::Text], "texts")? else { return Ok(None) };
        let mut rest = &self.map[list.bytes.clone()];
        let mut texts = Vec::with_capacity(list.count);
        while let Some((length, behind)) = rest.split_first_chunk() {
            let length = u64::from_le_bytes(*length) as usize;
            let Some((text, behind)) = behind.split_at_checked(length) else { break };
            texts.push(std::str::from_utf8(text).map_err(|_| damaged(self.place(), format!("{key} holds no text")))?);
            rest = behind;
        }
        Ok(Some(texts))
    }

    /// A list of whole numbers.
    ///
    /// # Errors
    /// Anything else.
    pub fn wholes(&self, key: &str) -> Result<Option<Vec<i128>>> {
        use ValueKind::*;
        self.values(key, &[U8, I8, U16, I16, U32, I32, U64, I64], "whole numbers", |value| match value {
            MetaValue::Whole(number) => Some(number),
            _ => None,
        })
    }

    /// A list of finite numbers.
    ///
    /// # Errors
    /// Anything else.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.values(key, &[ValueKind::F32, ValueKind::F64], "numbers", |value| match value {
            MetaValue::Number(number) => Some(number).filter(|number| number.is_finite()),
            _ => None,
        })
    }

    /// What is said of a key that has to be there.
    pub fn missing(&self, key: &str) -> Error {
        self.refuse(key, "missing", "the file is not that of a whole language model; take another one")
    }

    fn values<T>(
        &self,
        key: &str,
        kinds: &[ValueKind],
        what: &str,
        take: impl Fn(MetaValue) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(list) = self.list(key, kinds, what)? else { return Ok(None) };
        let width = list.kind.width().unwrap_or(1);
        let values = self.map[list.bytes.clone()].chunks_exact(width);
        let values: Option<Vec<T>> = values.map(|bytes| list.kind.decode(bytes).and_then(&take)).collect();
        let remedy = format!("it has to be a list of {what}");
        values.map(Some).ok_or_else(|| self.refuse(key, "a list with other values in it", &remedy))
    }

    fn list(&self, key: &str, kinds: &[ValueKind], what: &str) -> Result<Option<&MetaList>> {
        match self.get(key) {
            None => Ok(None),
            Some(MetaValue::List(list)) if kinds.contains(&list.kind) || list.count == 0 => Ok(Some(list)),
            Some(MetaValue::List(list)) => {
                let found = format!("a list of values of type {:?}", list.kind);
                Err(self.refuse(key, found, &format!("it has to be a list of {what}")))
            }
            Some(other) => Err(self.refuse(key, other, &format!("it has to be a list of {what}"))),
        }
    }
}
