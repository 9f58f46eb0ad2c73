//! `--set a.b=value`: a change to one key of a config.

use toml::{Table, Value};

use crate::{Error, Result};

/// One change, as it was written and as it was read.
pub struct Override {
    pub text: String,
    key: Vec<String>,
    value: Value,
}

impl Override {
    /// Reads `dotted.key=value`. The value is TOML; what is no TOML is text, so that words and paths need no quotes.
    pub fn parse(text: &str) -> Result<Override> {
        let refuse = || {
            let example = "write key=value, for example --set train.steps=300";
            Error::invalid(format!("--set {text}"), "not a change to a key", example)
        };
        let (key, value) = text.split_once('=').ok_or_else(refuse)?;
        let key: Vec<String> = key.trim().split('.').map(|part| part.trim().to_string()).collect();
        if key.iter().any(String::is_empty) {
            return Err(refuse());
        }
        let as_toml = format!("value = {value}").parse::<Table>().ok().filter(|table| table.len() == 1);
        let as_toml = as_toml.and_then(|mut table| table.remove("value"));
        let value = as_toml.unwrap_or_else(|| Value::String(value.trim().to_string()));
        Ok(Override { text: text.to_string(), key, value })
    }

    /// Puts the value where its key says, making the sections on the way.
    pub fn apply(&self, table: &mut Table) -> Result<()> {
        let (last, sections) = self.key.split_last().ok_or_else(|| Error::invalid("--set", "no key", "name one"))?;
        let mut table = table;
        for (depth, section) in sections.iter().enumerate() {
            let inner = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().ok_or_else(|| {
                let name = self.key[..=depth].join(".");
                Error::invalid(
                    format!("--set {}", self.text),
                    format!("{name} is a value"),
                    "it has no keys of its own",
                )
            })?;
        }
        table.insert(last.clone(), self.value.clone());
        Ok(())
    }

    /// Whether a problem with this key comes from here: the key is set, lies inside of what is set, or is one of
    /// the sections that were made on the way.
    pub fn sets(&self, key: &str) -> bool {
        let own = self.key.join(".");
        let within =
            |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        within(&own, key) || within(key, &own)
    }
}
