//! Changes to single keys of a config: `--set a.b=value`, and what a sweep sets.

use toml::{Table, Value};

use crate::strict_toml::{self, Problem};
use crate::{Error, Result};

/// The most parts of a key.
const DEEPEST: usize = 16;

/// One change, and where it was asked for.
#[derive(Clone, Debug)]
pub struct Override {
    /// What stands before the key where it is wrong: `--set train.steps=0`, for example.
    place: String,
    key: Vec<String>,
    value: Value,
}

impl Override {
    /// Reads `dotted.key=value`. The value is TOML; what is no TOML is text, so that words and paths need no quotes.
    ///
    /// # Errors
    /// A text that is no `key=value`.
    pub fn parse(text: &str) -> Result<Override> {
        let place = format!("--set {text}");
        let refuse = || {
            let example = "write key=value, for example --set train.steps=300";
            Error::invalid(&place, "not a change to a key", example)
        };
        let (key, value) = text.split_once('=').ok_or_else(refuse)?;
        let as_toml = format!("value = {value}").parse::<Table>().ok().filter(|table| table.len() == 1);
        let as_toml = as_toml.and_then(|mut table| table.remove("value"));
        let value = as_toml.unwrap_or_else(|| Value::String(value.trim().to_string()));
        Override::new(&place, key, value).ok_or_else(refuse)
    }

    /// A change to a dotted key. `None` where the key has an empty part.
    pub fn new(place: &str, key: &str, value: Value) -> Option<Override> {
        let key: Vec<String> = key.trim().split('.').map(|part| part.trim().to_string()).collect();
        // No key stands that deep, and tables inside of tables without end are more than a program can take apart.
        let whole = key.len() <= DEEPEST && key.iter().all(|part| !part.is_empty());
        whole.then(|| Override { place: place.to_string(), key, value })
    }

    fn key(&self) -> String {
        self.key.join(".")
    }

    /// Where it was asked for.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Puts the value where its key says, making the sections on the way.
    ///
    /// # Errors
    /// A key that lies inside of a value.
    pub fn apply(&self, table: &mut Table) -> Result<()> {
        strict_toml::insert(table, &self.key, self.value.clone()).map_err(|problem| problem.at(&self.place))
    }

    /// Whether a problem with this key comes from here: the key is set, lies inside of what is set, or is one of
    /// the sections that were made on the way.
    pub fn sets(&self, key: &str) -> bool {
        let own = self.key();
        let within =
            |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        within(&own, key) || within(key, &own)
    }

    /// The problem as an error of the last of these changes that it comes from, otherwise of `place`.
    pub fn blame(changes: &[Override], problem: Problem, place: &str) -> Error {
        match changes.iter().rev().find(|change| change.sets(&problem.key)) {
            Some(change) => problem.at(&change.place),
            None => problem.at(place),
        }
    }
}
