//! One row of a file as it was found: the keys that it may have, and what is wrong with it.

use std::fmt;
use std::path::PathBuf;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::lines::{each_row, in_row};
use crate::knowledge::{Match, Set};
use crate::language::tokenizer::SPECIAL;
use crate::strict_toml::suggest;
use crate::text::excerpt;
use crate::{Error, Result};

/// Keys of a question as `recollect world --export` writes it that rows of other files do not have.
pub const EXPORTED: [&str; 4] = ["task", "cue", "needed", "chance"];

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

/// A row as it was found.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRow {
    pub prompt: Option<String>,
    pub question: Option<String>,
    pub text: Option<String>,
    pub completion: Option<AnswerList>,
    pub answer: Option<AnswerList>,
    pub answers: Option<AnswerList>,
    #[serde(default)]
    pub aliases: Vec<String>,
    pub id: Option<u64>,
    set: Option<String>,
    pub form: Option<String>,
    #[serde(default)]
    pub choices: Vec<String>,
    /// The choices stand below the question.
    #[serde(default)]
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
        let keys = [&self.task, &self.cue, &self.needed, &self.chance];
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
        let known = if ignore_columns { without_unknown(line) } else { None };
        let line = known.as_deref().unwrap_or(line);
        let found: RawRow = serde_json::from_str(line).map_err(|error| explain(line, &place, &error))?;
        let found = found.unfolded(&place)?;
        found.check(&place)?;
        make(line, found, place)
    })
}

/// A row with the columns that are known; none where it is no object, which is told of elsewhere.
fn without_unknown(line: &str) -> Option<String> {
    let mut object: Map<String, Value> = serde_json::from_str(line).ok()?;
    object.retain(|key, _| is_known(key));
    Some(Value::Object(object).to_string())
}

fn is_known(key: &str) -> bool {
    KEYS.contains(&key) || key == MATCH || EXPORTED.contains(&key)
}

/// What is wrong with a row, in our words.
pub fn explain(line: &str, place: &str, error: &serde_json::Error) -> Error {
    let object: Map<String, Value> = serde_json::from_str(line).unwrap_or_default();
    if let Some(key) = object.keys().find(|key| !is_known(key)) {
        let remedy =
            suggest(key, &KEYS, "") + "; take other columns out of the file, or set world.jsonl.ignore_columns";
        return Error::invalid(format!("{place}: {}", excerpt(key)), "unknown key", remedy);
    }
    Error::invalid(place, in_row(error), "a row is one JSON object with the texts prompt and completion")
}
