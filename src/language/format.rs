//! What a prompt looks like and where the trace and the answer stand in a completion. Built here and read here,
//! nowhere else.
//!
//! ```text
//! direct       <bos> <question> who in tarn guards bilu ? <answer>
//! thinking     <bos> <question> who in tarn guards bilu ? <think>
//! in context   <bos> in tarn mavo guards bilu . … <question> who in tarn guards bilu ? <answer>
//! completion   in tarn mavo guards bilu . </think> <answer> bilu : mavo <eos>
//! ```
//! An answer restates what it answers about: the cue then stands right before the answer, where a small model
//! can look it up in its context.

use super::Tokenizer;
use super::tokenizer::{ANSWER, BOS, END_THINK, EOS, QUESTION, THINK};
use crate::Result;

/// How a question is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// At once.
    Direct,
    /// After a chain of thought.
    Thinking,
}

/// A completion taken apart. Missing parts are `None`; nothing in it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What stands before `</think>` (all of it if there is no `</think>` and no `<answer>`).
    pub trace: Option<&'a str>,
    /// What stands between ` : ` and `<eos>` after `<answer>`.
    pub answer: Option<&'a str>,
    /// Each marker stands once, in its place, and `<eos>` is the last word.
    pub well_formed: bool,
}

/// Builds prompts as token ids.
pub struct Format<'a> {
    tokenizer: &'a Tokenizer,
}

impl<'a> Format<'a> {
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer }
    }

    /// The prompt of a question; `context` stands before it (empty: nothing does).
    pub fn prompt(&self, context: &[String], question: &str, ask: Ask) -> Result<Vec<u32>> {
        self.tokenizer.encode(&prompt_text(context, question, ask))
    }
}

/// The prompt of a question as text.
pub fn prompt_text(context: &[String], question: &str, ask: Ask) -> String {
    let last = match ask {
        Ask::Direct => ANSWER,
        Ask::Thinking => THINK,
    };
    let mut words = vec![BOS];
    words.extend(context.iter().map(String::as_str));
    words.extend([QUESTION, question, last]);
    words.join(" ")
}

/// Takes a completion apart. Linear in its length, and never fails.
pub fn read(completion: &str, ask: Ask) -> Parts<'_> {
    let (trace, rest) = match ask {
        Ask::Direct => (None, Some(completion)),
        Ask::Thinking => match completion.split_once(END_THINK) {
            Some((trace, after)) => (Some(trace.trim()), after.trim_start().strip_prefix(ANSWER)),
            None => (Some(completion.split(ANSWER).next().unwrap_or("").trim()), None),
        },
    };
    let ended = rest.and_then(|rest| rest.split_once(EOS));
    let stated = ended.map(|(stated, _)| stated).or(rest);
    let answer = stated.and_then(|stated| stated.rsplit_once(" : ")).map(|(_, answer)| answer.trim());
    let nothing_after = ended.is_some_and(|(_, after)| after.trim().is_empty());
    let markers = [BOS, QUESTION, THINK, END_THINK, ANSWER];
    let clean = |text: Option<&str>| text.is_none_or(|text| !markers.iter().any(|marker| text.contains(marker)));
    let well_formed = nothing_after && answer.is_some_and(|a| !a.is_empty()) && clean(trace) && clean(stated);
    Parts { trace, answer: answer.filter(|a| !a.is_empty()), well_formed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_can_be_read() {
        let parts = read("in tarn mavo guards bilu . </think> <answer> bilu : mavo <eos>", Ask::Thinking);
        assert_eq!(parts, Parts { trace: Some("in tarn mavo guards bilu ."), answer: Some("mavo"), well_formed: true });
        let parts = read("bilu : mavo <eos>", Ask::Direct);
        assert_eq!(parts, Parts { trace: None, answer: Some("mavo"), well_formed: true });
    }

    #[test]
    fn an_unfinished_or_jumbled_completion_is_not_well_formed() {
        for (text, answer) in [
            ("in tarn mavo", None),
            ("a . </think> <answer> bilu : mavo", Some("mavo")),
            ("a . </think> bilu : mavo <eos>", None),
            ("a . <answer> bilu : mavo <eos>", None),
            ("a . </think> <answer> bilu <eos>", None),
            ("a . </think> <answer> bilu : mavo <eos> more", Some("mavo")),
            ("a . <think> </think> <answer> bilu : mavo <eos>", Some("mavo")),
            ("", None),
        ] {
            let parts = read(text, Ask::Thinking);
            assert!(!parts.well_formed, "{text}");
            assert_eq!(parts.answer, answer, "{text}");
        }
    }

    #[test]
    fn a_prompt_names_its_context_and_how_it_is_asked() {
        let context = ["x y .".to_string()];
        assert_eq!(prompt_text(&context, "who ?", Ask::Direct), "<bos> x y . <question> who ? <answer>");
        assert_eq!(prompt_text(&[], "who ?", Ask::Thinking), "<bos> <question> who ? <think>");
    }
}
