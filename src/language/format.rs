//! What a prompt looks like. Prompts are built here and completions are read in [`reading`](super::reading),
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

use super::tokenizer::{ANSWER, BOS, QUESTION, THINK};

/// Where the policy takes over from the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    #[default]
    /// The prompt ends in `<think>`: sentences, `</think> <answer>`, the answer, `<eos>`.
    Think,
    /// The prompt ends in `<answer>`: the answer, `<eos>`.
    Answer,
}

/// The prompt of a question; `context` stands before it (empty: nothing does).
pub fn prompt(context: &[String], question: &str, opening: Opening) -> String {
    let last = match opening {
        Opening::Answer => ANSWER,
        Opening::Think => THINK,
    };
    let mut words = vec![BOS];
    words.extend(context.iter().map(String::as_str));
    words.extend([QUESTION, question, last]);
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_names_its_context_and_how_it_is_asked() {
        let context = ["x y .".to_string()];
        assert_eq!(prompt(&context, "who ?", Opening::Answer), "<bos> x y . <question> who ? <answer>");
        assert_eq!(prompt(&[], "who ?", Opening::Think), "<bos> <question> who ? <think>");
    }
}
