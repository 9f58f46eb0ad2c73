//! `[prompt]`: what a question is put in, where the model has a chat template.

use chrono::NaiveDate;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::format::Opening;
use super::tokenizer::{ANSWER, END_THINK};
use crate::{Error, Result};

/// The texts around a question in a model's chat template. Models without one are asked in the plain format, which has
/// no place for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptConfig {
    /// What the system says first; empty: nothing.
    pub system: String,
    /// What stands below a question that is to be thought about.
    pub think: String,
    /// What stands below a question that is to be answered at once.
    pub answer: String,
    /// A completion is over where one of these texts is met, which is no part of it; beside the tokens that end one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// The day that a template is told that asks for it. A run that is not told one takes the day that it begins on, and
    /// keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<Day>,
}

impl Default for PromptConfig {
    fn default() -> Self {
        PromptConfig {
            system: String::new(),
            think: format!(
                "Think first, in short sentences that say what you know. End the thoughts with {END_THINK}, then write \
                 {ANSWER} and nothing but the answer."
            ),
            answer: format!("Write {ANSWER} and nothing but the answer."),
            stop: Vec::new(),
            date: None,
        }
    }
}

impl PromptConfig {
    /// What the user says: what stands before a question, the question, and what is to be done with it.
    pub fn content(&self, context: &[String], question: &str, opening: Opening) -> String {
        let task = match opening {
            Opening::Think => &self.think,
            Opening::Answer => &self.answer,
        };
        context.iter().map(String::as_str).chain([question, "", task]).collect::<Vec<_>>().join("\n")
    }

    /// Refuses texts that would go nowhere, where questions are put in the plain format.
    pub(super) fn demand_default(&self) -> Result<()> {
        let default = PromptConfig::default();
        let changed = [
            ("prompt.system", &self.system, &default.system),
            ("prompt.think", &self.think, &default.think),
            ("prompt.answer", &self.answer, &default.answer),
        ];
        match changed.into_iter().find(|(_, set, default)| set != default) {
            Some((key, ..)) => {
                let remedy = "leave it as it is, or take a model with a chat_template";
                Err(Error::invalid(key, "a text for a model that has no chat template", remedy))
            }
            None => Ok(()),
        }
    }
}

/// A day, as `2025-03-04`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(pub NaiveDate);

impl Day {
    /// The day that it is now, at Greenwich.
    pub fn today() -> Day {
        Day(chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).date_naive())
    }
}

fn read(text: &str) -> Option<Day> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10).map(Day)
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Day, D::Error> {
        struct TextOrDate;
        impl<'de> Visitor<'de> for TextOrDate {
            type Value = Day;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a day such as 2025-03-04")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Day, E> {
                read(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }

            // TOML has dates of its own, without quotes.
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> std::result::Result<Day, M::Error> {
                let date = toml::value::Datetime::deserialize(MapAccessDeserializer::new(map))?;
                let text = date.to_string();
                read(&text).ok_or_else(|| M::Error::invalid_value(Unexpected::Other(&text), &self))
            }
        }
        deserializer.deserialize_any(TextOrDate)
    }
}
