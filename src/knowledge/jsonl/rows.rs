//! Documents and questions from files with one row each.

use std::collections::HashSet;
use std::path::PathBuf;

use super::raw_row::{AnswerList, EXPORTED, RawRow, read_all, refused};
use super::task::{COMPLETION, named};
use crate::knowledge::{Match, Question, Set};
use crate::text::{compatible, excerpt};
use crate::{Error, Result};

/// One row of a document file.
pub struct DocumentText {
    pub text: String,
    /// What it is about, where its row says so.
    pub set: Option<Set>,
    /// File and line, for messages.
    pub place: String,
}

/// One row of a question file: a question, and what the row itself says of what else is made.
#[derive(Clone, Debug)]
pub struct QuestionRow {
    pub question: Question,
    /// `recollect world --export` wrote it: nothing of it is made.
    pub exported: bool,
    pub id: Option<u64>,
    pub set: Option<Set>,
    pub context: Option<Vec<String>>,
    /// File and line, for messages.
    pub place: String,
}

impl QuestionRow {
    /// The question followed by its answer.
    pub fn text(&self) -> String {
        format!("{} {}", self.question.text, self.question.answer)
    }

    /// A question that `recollect world --export` wrote.
    fn from_exported(line: &str, place: String) -> Result<QuestionRow> {
        let question: Question = serde_json::from_str(line).map_err(|error| match refused(&place, &error) {
            Error::Invalid { place, found, .. } => {
                let keys = EXPORTED.join(", ");
                let remedy = format!("a row with one of {keys} is a question as `recollect world --export` writes it");
                Error::invalid(place, found, remedy)
            }
            other => other,
        })?;
        if question.set == Set::C {
            return Err(Error::invalid(format!("{place}: set"), "found \"C\"", "allowed are \"A\" and \"B\""));
        }
        Ok(Self::whole(question, place))
    }

    /// A question of which everything is known.
    pub fn whole(question: Question, place: String) -> QuestionRow {
        let (id, set, context) = (Some(question.id), Some(question.set), Some(question.context.clone()));
        QuestionRow { question, exported: true, id, set, context, place }
    }

    /// Any other. It is compared by `matching` unless it says otherwise.
    fn from_row(row: RawRow, place: String, matching: Match) -> Result<QuestionRow> {
        let prompts = [("prompt", &row.prompt), ("question", &row.question), ("text", &row.text)];
        only_one(prompts.map(|(key, text)| (key, text.is_some())), &place)?;
        let lists = [("completion", &row.completion), ("answer", &row.answer), ("answers", &row.answers)];
        only_one(lists.map(|(key, answers)| (key, answers.is_some())), &place)?;
        let Some(prompt) = row.asked().or(row.text.as_ref()) else { return Err(missing("prompt", &place)) };
        let Some(AnswerList(answers)) = row.answered() else { return Err(missing("completion", &place)) };
        let trimmed = |text: &String| text.trim().to_owned();
        let mut answers = answers.iter().chain(&row.aliases).map(trimmed);
        let choices: Vec<String> = row.choices.iter().map(trimmed).collect();
        if row.show_choices && choices.is_empty() {
            let remedy = "give the choices that are to be shown, or leave it out";
            return Err(Error::invalid(format!("{place}: show_choices"), "true without choices", remedy));
        }
        let text = trimmed(prompt);
        let text = if row.show_choices { format!("{text}\nChoose one of: {}.", choices.join(", ")) } else { text };
        let form = row.form.as_deref().map_or(Ok(COMPLETION), |name| named(name, &place))?;
        let set = row.set();
        let question = Question {
            text,
            answer: answers.next().unwrap_or_default(),
            aliases: answers.collect(),
            matching: row.matching.unwrap_or(matching),
            choices,
            ..Question::blank(form)
        };
        // Several choices may be right.
        let right = question.choices.iter().filter(|choice| question.is_answered_by(choice)).count();
        let chance = if right == 0 { 0.0 } else { right as f64 / question.choices.len() as f64 };
        let question = Question { chance, ..question };
        Ok(QuestionRow { question, exported: false, id: row.id, set, context: row.context, place })
    }

    /// Refuses a row that is no question.
    fn check(&self) -> Result<()> {
        let refuse = |key: &str, found: String, remedy: &str| {
            Err(Error::invalid(format!("{}: {key}", self.place), excerpt(&found), remedy))
        };
        let Question { text, answer, matching, choices: all, .. } = &self.question;
        if text.trim().is_empty() {
            return refuse("prompt", "found nothing".into(), "a question has a text");
        }
        if !self.question.right_answers().all(|answer| matching.can_compare(answer)) {
            return refuse("completion", "found nothing to answer".into(), "give the right answer");
        }
        if !matching.reads(answer) {
            let found = format!("\"{}\" is no number", excerpt(answer));
            return refuse("completion", found, "write one number, or compare by another `match`");
        }
        let mut choices = HashSet::new();
        if let Some(twice) = all.iter().find(|choice| !choices.insert(matching.key(choice))) {
            return refuse("choices", format!("\"{}\" stands there twice", excerpt(twice)), "name each once");
        }
        match choices.len() {
            0 => Ok(()),
            1 => refuse("choices", "found 1".into(), "give two or more, or none"),
            _ if choices.contains(&matching.key(answer)) => Ok(()),
            _ => refuse("choices", "the completion is not among them".into(), "add it"),
        }
    }
}

/// Two texts, with one space between them at least.
fn joined(one: &str, other: &str) -> String {
    let there = one.ends_with(char::is_whitespace) || other.starts_with(char::is_whitespace);
    let space = if there || one.is_empty() { "" } else { " " };
    [one, space, other].concat().trim().into()
}

/// The words of a text for a search: composed, compatible forms replaced and invisible characters left out, in small letters,
/// without what surrounds each.
pub fn words(text: &str) -> impl Iterator<Item = String> + use<> {
    let plain = compatible(text);
    let inner = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let words: Vec<String> = plain.split_whitespace().map(inner).filter(|word| !word.is_empty()).collect();
    words.into_iter()
}

/// The documents of all files, in order.
pub fn documents(paths: &[PathBuf], ignore_columns: bool) -> Result<Vec<DocumentText>> {
    read_all(paths, ignore_columns, &mut |_, row, place| {
        let joined = match (&row.text, row.asked(), row.answered()) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                let remedy = "a document is one text, or prompt and completion; a question belongs to a question file";
                return Err(Error::invalid(place, "text beside prompt or completion", remedy));
            }
            (Some(text), ..) => text.trim().to_owned(),
            (None, prompt, answers) => match (prompt, answers.map(|AnswerList(answers)| answers.as_slice())) {
                (Some(prompt), Some([completion])) => joined(prompt, completion),
                (Some(_), Some(list)) => {
                    let found = format!("{} completions", list.len());
                    return Err(Error::invalid(place, found, "a document is one text: write a row for each"));
                }
                (prompt, _) => return Err(missing(if prompt.is_none() { "prompt" } else { "completion" }, &place)),
            },
        };
        if joined.is_empty() {
            return Err(Error::invalid(place, "prompt and completion are both empty", "remove the row"));
        }
        Ok(DocumentText { text: joined, set: row.set(), place })
    })
}

/// The questions of all files, in order. They are compared by `matching` unless a row says otherwise.
pub fn questions(paths: &[PathBuf], matching: Match, ignore_columns: bool) -> Result<Vec<QuestionRow>> {
    read_all(paths, ignore_columns, &mut |line, row, place| {
        let row = if row.is_exported() {
            QuestionRow::from_exported(line, place)?
        } else {
            QuestionRow::from_row(row, place, matching)?
        };
        row.check()?;
        Ok(row)
    })
}

fn missing(key: &str, place: &str) -> Error {
    let remedy = "a row is one JSON object with the texts prompt and completion (or question and answer)";
    Error::invalid(format!("{place}: {key}"), "missing", remedy)
}

/// Refuses two names of one thing.
fn only_one(keys: [(&str, bool); 3], place: &str) -> Result<()> {
    let there: Vec<&str> = keys.iter().filter(|(_, there)| *there).map(|(key, _)| *key).collect();
    match there[..] {
        [one, other, ..] => Err(Error::invalid(
            place,
            format!("{one} and {other}"),
            "both say the same of a question: give one of them",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file<T>(bytes: &[u8], read: impl FnOnce(&[PathBuf]) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, bytes).unwrap();
        read(&[path])
    }

    fn asked(bytes: &[u8]) -> Result<Vec<QuestionRow>> {
        file(bytes, |paths| questions(paths, Match::Normalised, false))
    }

    fn told(bytes: &[u8]) -> Result<Vec<DocumentText>> {
        file(bytes, |paths| documents(paths, false))
    }

    fn line<T>(read: Result<T>) -> String {
        let message = read.err().unwrap().to_string();
        assert!(!message.contains('\n') && message.len() < 500, "{message}");
        message.split_once("x.jsonl: ").unwrap().1.to_string()
    }

    fn refused(bytes: &[u8]) -> String {
        line(asked(bytes))
    }

    #[test]
    fn marks_line_ends_and_empty_lines_do_not_matter() {
        let row = br#"{"completion": " b", "prompt": "a", "id": null}"#;
        for (between, count) in [(&b"\n"[..], 2), (b"\r\n", 2), (b"\n\n \t\r\n", 2), (b"\n\xEF\xBB\xBF", 2)] {
            let file = [b"\xEF\xBB\xBF", &row[..], between, row].concat();
            let rows = told(&file).unwrap();
            assert_eq!(rows.len(), count);
            assert!(rows.iter().all(|row| row.text == "a b"));
            let lines = between.iter().filter(|byte| **byte == b'\n').count();
            assert!(rows[1].place.ends_with(&format!("line {}", 1 + lines)), "{}", rows[1].place);
        }
    }

    #[test]
    fn conversations_are_questions_and_unknown_columns_can_be_left_out() {
        let row =
            br#"{"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}], "id": 4}"#;
        let found = asked(row).unwrap().remove(0);
        assert_eq!((found.question.text.as_str(), found.question.answer.as_str(), found.id), ("a?", "b", Some(4)));
        assert_eq!(told(row).unwrap()[0].text, "a? b");
        let row = br#"{"prompt": "a?", "completion": "b", "split": "train", "score": {"x": 1}}"#;
        assert!(refused(row).contains("score: unknown key"));
        let found = file(row, |paths| questions(paths, Match::Normalised, true)).unwrap().remove(0);
        assert_eq!(found.question.answer, "b");
        // Whatever stands in a column that is left out; what is wrong elsewhere is told with its place in the file.
        let left_out = |row: &[u8]| file(row, |paths| questions(paths, Match::Normalised, true));
        let row = format!(
            r#"{{"score": [1e999, {}0{}], "prompt": "a?", "completion": "b"}}"#,
            "[".repeat(99),
            "]".repeat(99)
        );
        assert_eq!(left_out(row.as_bytes()).unwrap()[0].question.answer, "b");
        let message = line(left_out(br#"{"score": 1, "prompt": 3, "completion": "b"}"#));
        assert!(message.starts_with("line 1: invalid type: integer `3`, expected a string (column 24)"), "{message}");
        let message = line(left_out(br#"{"score": NaN, "prompt": "a", "completion": "b"}"#));
        assert!(message.starts_with("line 1: expected value (column 11)"), "{message}");
        let message = line(left_out(br#"{"x": 1, "prompt": "a", "completion": "b", "completion": "c"}"#));
        assert!(message.starts_with("line 1: duplicate field `completion`"), "{message}");
    }

    #[test]
    fn where_nothing_stands_there_may_be_null_and_several_choices_may_be_right() {
        let row = br#"{"prompt": "a?", "completion": "b", "aliases": null, "choices": null, "show_choices": null, "set": null}"#;
        let found = asked(row).unwrap().remove(0).question;
        assert_eq!((found.choices.len(), found.aliases.len(), found.chance), (0, 0, 0.0));
        let row = br#"{"prompt": "a?", "completion": "b", "aliases": ["c"], "choices": ["b", "c", "d", "e"]}"#;
        assert_eq!(asked(row).unwrap()[0].question.chance, 0.5);
    }

    #[test]
    fn a_long_line_is_read_and_an_endless_one_refused() {
        let row = |length: usize| format!(r#"{{"prompt": "{}", "completion": "b"}}"#, "a".repeat(length)).into_bytes();
        assert_eq!(asked(&row(4 << 20)).unwrap()[0].question.text.len(), 4 << 20);
        assert!(refused(&row(17 << 20)).starts_with("line 1: more than 16 MiB"));
    }

    #[test]
    fn texts_are_joined_by_one_space_at_least() {
        for (prompt, completion, text) in
            [("a", " b", "a b"), ("a ", "b", "a b"), ("a?", "b", "a? b"), ("", " b ", "b")]
        {
            let row = format!(r#"{{"prompt": "{prompt}", "completion": "{completion}"}}"#);
            assert_eq!(told(row.as_bytes()).unwrap()[0].text, text);
        }
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let good = "{\"prompt\": \"a\", \"completion\": \"b\"}\n\n";
        for (row, expected) in [
            (r#"{"promt": "a", "completion": "b"}"#, "line 3: promt: unknown key; did you mean prompt?"),
            (r#"{"prompt": "a", "completion": "b", "zz": 1}"#, "line 3: zz: unknown key; allowed are prompt, "),
            (
                r#"{"messages": [{"role": "user", "content": "a"}]}"#,
                "line 3: messages: 1 of them; a row is one question",
            ),
            (
                r#"{"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "a"}]}"#,
                "line 3: messages: of system and user",
            ),
            (r#"{"messages": [], "prompt": "a"}"#, "line 3: messages: beside prompt or completion"),
            (r#"{"prompt": "a"}"#, "line 3: completion: missing; a row is one JSON object with the texts prompt"),
            (r#"{"completion": "a"}"#, "line 3: prompt: missing; a row is one JSON object"),
            (r#"{"prompt": "a", "text": "a", "completion": "b"}"#, "line 3: prompt and text; both say the same"),
            (
                r#"{"prompt": "a", "answer": "a", "completion": "b"}"#,
                "line 3: completion and answer; both say the same",
            ),
            (
                r#"{"prompt": "a", "completion": {"text": "b"}}"#,
                "line 3: invalid type: map, expected a string or a list",
            ),
            (r#"{"prompt": "a", "completion": []}"#, "line 3: completion: found nothing to answer"),
            (r#"{"prompt": "a", "completion": ["b", "."]}"#, "line 3: completion: found nothing to answer"),
            (
                r#"{"prompt": "a", "completion": "b", "match": "fuzzy"}"#,
                "line 3: unknown variant `fuzzy`, expected one of",
            ),
            (r#"{"prompt": "a", "completion": "b", "match": "number"}"#, "line 3: completion: \"b\" is no number"),
            (r#"{"prompt": "w5", "completion": "w9", "completion": "w10"}"#, "line 3: duplicate field `completion`"),
            (r#"{"prompt": "w5", "completion": "w9", "source": "hf", "difficulty": 3}"#, "line 3: "),
            (r#"{"text": "who ?", "answer": "y", "task": "reversal"}"#, "line 3: missing field `id`"),
            (r#"{"prompt": "who ?", "answer": "y", "form": "open"}"#, "line 3: form: \"open\" is a form of generated"),
            (r#"{"prompt": "who ?", "answer": "y", "form": "Two words"}"#, "line 3: form: found \"Two words\"; "),
            (r#"{"prompt": "who ?", "answer": "y", "show_choices": true}"#, "line 3: show_choices: true without"),
            (r#"{"prompt": 3, "completion": "b"}"#, "line 3: invalid type: integer `3`, expected a string (column 12)"),
            (r#"{"prompt": "a", "prompt": "a"}"#, "line 3: duplicate field `prompt` (column 24)"),
            (r#"{"prompt": "a", "completion": "b""#, "line 3: EOF while parsing an object (column 33)"),
            (r#"[{"prompt": "a", "completion": "b"}]"#, "line 3: found a list; write one JSON object a line"),
            (r#""prompt""#, "line 3: invalid type: string \"prompt\", expected one JSON object"),
            (r#"{" prompt": "a", "completion": "b"}"#, "line 3: \" prompt\": unknown key; did you mean prompt?"),
            ("prompt,completion", "line 3: expected value (column 1)"),
            (r#"{"prompt": "a", "completion": "b"} {}"#, "line 3: trailing characters (column 36)"),
            (r#"{"prompt": "a", "completion": "b", "id": -1}"#, "line 3: invalid value: integer `-1`"),
            (r#"{"prompt": "a", "completion": "b", "set": "D"}"#, "line 3: set: found \"D\"; allowed are \"A\" and"),
            (r#"{"prompt": "a <think>", "completion": "b"}"#, "line 3: the marker <think> stands in its text"),
        ] {
            let message = refused(format!("{good}{row}\n").as_bytes());
            assert!(message.starts_with(expected), "{message}");
        }
        assert!(
            line(told(br#"{"prompt": " ", "completion": ""}"#)).starts_with("line 1: prompt and completion are both")
        );
        assert!(line(told(br#"{"text": "a", "answer": "b"}"#)).starts_with("line 1: text beside prompt or completion"));
        assert!(line(told(br#"{"prompt": "a", "completion": ["b", "c"]}"#)).starts_with("line 1: 2 completions"));
        assert!(refused(br#"{"prompt": "a", "completion": "b", "source": 1}"#).contains("take other columns out"));
        assert!(refused(b"\xFF\xFE{\0\"\0").starts_with("line 1: bytes that are no UTF-8 text"));
        let packed = asked(b"\x1f\x8b\x08\0\0\0\0\0").err().unwrap().to_string();
        assert!(packed.contains("x.jsonl: a compressed file; unpack it first"), "{packed}");
        assert!(refused(b" \n\r\n").starts_with("no rows; ") || refused(b"").contains("no rows"));
        let deep = "[".repeat(100_000);
        assert!(refused(deep.as_bytes()).starts_with("line 1: "));
        assert!(
            refused(format!(r#"{{"prompt": ["{}"], "completion": "b"}}"#, "x\u{85}".repeat(9999)).as_bytes()).len()
                < 400
        );
        let missing = documents(&["no/such.jsonl".into()], false).err().unwrap().to_string();
        assert!(missing.starts_with("no/such.jsonl: cannot read: "), "{missing}");
    }

    #[test]
    fn rows_as_they_are_found_elsewhere_are_read() {
        let one = |text: &str| {
            let rows = asked(text.as_bytes()).unwrap();
            let question = &rows[0].question;
            (question.text.clone(), question.right_answers().collect::<Vec<_>>().join("|"), question.matching)
        };
        for (row, prompt, answers) in [
            (r#"{"text": "w5 w6", "answer": "w9"}"#, "w5 w6", "w9"),
            (r#"{"question": "a", "answer": "b"}"#, "a", "b"),
            (r#"{"question": "a", "answers": ["b", "c"]}"#, "a", "b|c"),
            (r#"{"prompt": "a", "completion": ["b"], "aliases": ["c"]}"#, "a", "b|c"),
            (r#"{"prompt": "a\u2028b\u0085c", "completion": "d"}"#, "a\u{2028}b\u{85}c", "d"),
        ] {
            assert_eq!(one(row), (prompt.into(), answers.into(), Match::Normalised), "{row}");
        }
        assert_eq!(one(r#"{"prompt": "a", "completion": "7", "match": "number"}"#).2, Match::Number);
        assert_eq!(told(br#"{"set": "A", "text": " one two . "}"#).unwrap()[0].text, "one two .");
        assert_eq!(told(br#"{"question": "Who?", "answer": "He"}"#).unwrap()[0].text, "Who? He");
        let exported = "\u{feff}{\"id\":9999999999,\"task\":\"reversal\",\"form\":\"open\",\"set\":\"B\",\"text\":\"who ?\",\
            \"cue\":\"x\",\"answer\":\"y\",\"choices\":[],\"needed\":[],\"context\":[],\"chance\":0.2}";
        let rows = asked(exported.as_bytes()).unwrap();
        let question = &rows[0].question;
        assert!(rows[0].exported);
        assert_eq!((question.cue.as_str(), question.matching, rows[0].set), ("x", Match::Exact, Some(Set::B)));
    }
}
