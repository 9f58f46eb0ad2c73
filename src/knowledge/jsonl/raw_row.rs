//! One row of a file as it was found: the keys that it may have, and what is wrong with it.

use std::fmt;
use std::path::PathBuf;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::lines::{each_row, in_row};
use crate::knowledge::{Match, Set};
use crate::language::tokenizer::SPECIAL;
use crate::strict_toml::suggest;
use crate::text::excerpt;
use crate::{Error, Result};

/// Keys of a question as `recollect world --export` writes it that rows of other files do not have.
pub const EXPORTED: [&str; 5] = ["task", "cue", "needed", "chance", "conclusion"];

const KEYS: [&str; 14] = [
    "prompt",
    "question",
    "text",
    "completion",
    "answer",
    "answers",
    "aliases",
    "id",
    "set",
    "form",
    "choices",
    "show_choices",
    "context",
    "messages",
];
const MATCH: &str = "match";

/// A row as it was found, without what else stands in it.
#[derive(Default, Deserialize)]
pub struct RawRow {
    pub prompt: Option<String>,
    pub question: Option<String>,
    pub text: Option<String>,
    pub completion: Option<AnswerList>,
    pub answer: Option<AnswerList>,
    pub answers: Option<AnswerList>,
    #[serde(default, deserialize_with = "null_is_nothing")]
    pub aliases: Vec<String>,
    pub id: Option<u64>,
    set: Option<String>,
    pub form: Option<String>,
    #[serde(default, deserialize_with = "null_is_nothing")]
    pub choices: Vec<String>,
    /// The choices stand below the question.
    #[serde(default, deserialize_with = "null_is_nothing")]
    pub show_choices: bool,
    pub context: Option<Vec<String>>,
    messages: Option<Vec<ChatMessage>>,
    #[serde(rename = "match")]
    pub matching: Option<Match>,
    // Keys that only the rows of `recollect world --export` have.
    task: Option<IgnoredAny>,
    cue: Option<IgnoredAny>,
    needed: Option<IgnoredAny>,
    chance: Option<IgnoredAny>,
    conclusion: Option<IgnoredAny>,
}

/// Files whose rows all have the same columns write null where there is nothing.
pub fn null_is_nothing<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What somebody says in a conversation.
#[derive(Deserialize)]
struct ChatMessage {
    role: String,
    content: String,
}

/// One answer, or a list of them.
pub struct AnswerList(pub Vec<String>);

impl<'de> Deserialize<'de> for AnswerList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = AnswerList;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, one: &str) -> Result<AnswerList, E> {
                Ok(AnswerList(vec![one.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<AnswerList, A::Error> {
                let mut answers = Vec::new();
                while let Some(answer) = list.next_element()? {
                    answers.push(answer);
                }
                Ok(AnswerList(answers))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl RawRow {
    /// The same with prompt and completion, where it is a conversation of a user and an assistant.
    fn unfolded(mut self, place: &str) -> Result<RawRow> {
        let Some(messages) = self.messages.take() else { return Ok(self) };
        let refuse = |found: String| {
            let remedy = "a row is one question: a message of the user, and one of the assistant; prompt.system says what \
                          the system says";
            Err(Error::invalid(format!("{place}: messages"), excerpt(&found), remedy))
        };
        if self.asked().or(self.text.as_ref()).is_some() || self.answered().is_some() {
            return refuse("beside prompt or completion".into());
        }
        match <[ChatMessage; 2]>::try_from(messages) {
            Ok([user, assistant]) if user.role == "user" && assistant.role == "assistant" => {
                Ok(RawRow { prompt: Some(user.content), completion: Some(AnswerList(vec![assistant.content])), ..self })
            }
            Ok(two) => refuse(format!("of {} and {}", two[0].role, two[1].role)),
            Err(others) => refuse(format!("{} of them", others.len())),
        }
    }

    /// Whether `recollect world --export` wrote it.
    pub fn is_exported(&self) -> bool {
        let keys = [&self.task, &self.cue, &self.needed, &self.chance, &self.conclusion];
        keys.into_iter().any(Option::is_some)
    }

    /// What it asks, under either name.
    pub fn asked(&self) -> Option<&String> {
        self.prompt.as_ref().or(self.question.as_ref())
    }

    /// The right answers, under any of their names.
    pub fn answered(&self) -> Option<&AnswerList> {
        self.completion.as_ref().or(self.answer.as_ref()).or(self.answers.as_ref())
    }

    /// Which set it asks for.
    pub fn set(&self) -> Option<Set> {
        self.set.as_deref().map(|set| match set {
            "A" => Set::A,
            "B" => Set::B,
            _ => Set::C,
        })
    }

    fn check(&self, place: &str) -> Result<()> {
        // Documents may be about C, of which nothing is asked.
        let (allowed, names): (&[&str], _) =
            if self.asked().is_none() && self.text.is_some() && self.answered().is_none() {
                (&["A", "B", "C"], "\"A\", \"B\" and \"C\"")
            } else {
                (&["A", "B"], "\"A\" and \"B\"")
            };
        if let Some(set) = self.set.as_ref().filter(|set| !allowed.contains(&set.as_str())) {
            let found = excerpt(&format!("found \"{set}\""));
            return Err(Error::invalid(format!("{place}: set"), found, format!("allowed are {names}")));
        }
        let texts = [&self.prompt, &self.question, &self.text].into_iter().flatten();
        let answers = [&self.completion, &self.answer, &self.answers].into_iter().flatten().flat_map(|list| &list.0);
        let more = self.aliases.iter().chain(&self.choices).chain(self.context.iter().flatten());
        for part in texts.chain(answers).chain(more) {
            if let Some(marker) = SPECIAL.iter().find(|marker| part.contains(**marker)) {
                let found = format!("the marker {marker} stands in its text");
                return Err(Error::invalid(place, found, "it is kept for the format of prompts: write it otherwise"));
            }
        }
        Ok(())
    }
}

/// What `make` makes of every row of all files, in order: of its text, what was found in it, and its place.
pub fn read_all<T>(
    paths: &[PathBuf],
    ignore_columns: bool,
    make: &mut impl FnMut(&str, RawRow, String) -> Result<T>,
) -> Result<Vec<T>> {
    each_row(paths, &mut |line, place| {
        let refuse = |error| refused(&place, &error);
        let RowKeys(keys) = serde_json::from_str(line).map_err(refuse)?;
        if let Some(key) = keys.iter().filter(|key| !ignore_columns && !is_known(key)).min() {
            return Err(unknown(key, &place));
        }
        let found: RawRow = serde_json::from_str(line).map_err(refuse)?;
        let found = found.unfolded(&place)?;
        found.check(&place)?;
        make(line, found, place)
    })
}

/// The keys of an object, whatever stands under them.
struct RowKeys(Vec<String>);

impl<'de> Deserialize<'de> for RowKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = RowKeys;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("one JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<RowKeys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = object.next_entry()? {
                    keys.push(key);
                }
                Ok(RowKeys(keys))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

fn is_known(key: &str) -> bool {
    KEYS.contains(&key) || key == MATCH || EXPORTED.contains(&key)
}

fn unknown(key: &str, place: &str) -> Error {
    let remedy = suggest(key, &KEYS, "") + "; take other columns out of the file, or set world.jsonl.ignore_columns";
    // White space at its ends would not be seen.
    let quoted = format!("\"{key}\"");
    let shown = excerpt(if key.trim() == key { key } else { &quoted });
    Error::invalid(format!("{place}: {shown}"), "unknown key", remedy)
}

/// What is wrong with a row, in our words.
pub fn refused(place: &str, error: &serde_json::Error) -> Error {
    Error::invalid(place, in_row(error), "a row is one JSON object with the texts prompt and completion")
}
