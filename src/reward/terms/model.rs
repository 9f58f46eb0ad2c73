//! What does another model say?

use std::env;

use serde::{Deserialize, Serialize};

use crate::reward::External;
use crate::strict_toml::Problem;

/// What the judge is asked unless told otherwise.
const QUESTION: &str =
    "Question: {prompt}\nRight answer: {expected}\nAnswer: {answer}\n\nIs the answer right? Reply with yes or no.";
/// What in a question stands for a part of what is judged.
const PARTS: [&str; 4] = ["{prompt}", "{completion}", "{expected}", "{answer}"];
/// A judge may have large weights to read, and is sent as many lines as make a step.
const STARTUP_SECONDS: f64 = 600.0;
const IN_FLIGHT: usize = 64;

/// A checkpoint as the judge: how probable it finds one of two words after a question about a completion. It works in a
/// process of its own, like every command that judges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelTerm {
    /// A checkpoint in the Hugging Face layout, a GGUF file, a run, or RUN@STEP.
    pub model: String,
    /// What it is asked. `{prompt}`, `{completion}`, `{expected}` and `{answer}` stand for these.
    pub question: String,
    /// The word that speaks for a completion, and the one that speaks against it.
    pub yes: String,
    pub no: String,
    /// Seconds that it may take for each completion.
    pub timeout_s: f64,
}

impl Default for ModelTerm {
    fn default() -> Self {
        let [model, question, yes, no] = ["", QUESTION, "yes", "no"].map(str::to_owned);
        ModelTerm { model, question, yes, no, timeout_s: 60.0 }
    }
}

impl ModelTerm {
    /// The command that judges: this program, with `reward judge`.
    pub fn command(&self) -> External {
        let program = env::current_exe().map_or("recollect".into(), |path| path.to_string_lossy().into_owned());
        let arguments =
            ["reward", "judge", &self.model, "--question", &self.question, "--yes", &self.yes, "--no", &self.no];
        External {
            command: [program].into_iter().chain(arguments.map(str::to_owned)).collect(),
            timeout_s: self.timeout_s,
            startup_timeout_s: STARTUP_SECONDS,
            in_flight: Some(IN_FLIGHT),
            ..External::default()
        }
    }

    /// What it is asked about a completion.
    pub fn asked(&self, prompt: &str, completion: &str, expected: &str, answer: &str) -> String {
        let mut text = String::new();
        let mut rest = self.question.as_str();
        // What is put in is not looked at again.
        while let Some((at, part)) = PARTS.iter().filter_map(|part| Some((rest.find(part)?, *part))).min() {
            text.push_str(&rest[..at]);
            text.push_str(match part {
                "{prompt}" => prompt,
                "{completion}" => completion,
                "{expected}" => expected,
                _ => answer,
            });
            rest = &rest[at + part.len()..];
        }
        text + rest
    }

    /// Parameters that are out of range.
    pub(in crate::reward) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.model.is_empty() {
            let allowed = "allowed is a checkpoint, a GGUF file, a run, or RUN@STEP";
            problems.push(Problem::new("model", "missing", allowed));
        }
        if !PARTS.iter().any(|part| self.question.contains(part)) {
            let allowed = format!("allowed is a text with one of {}", PARTS.join(", "));
            problems.push(Problem::new("question", "it is the same for every completion", allowed));
        }
        if self.yes.trim().is_empty() || self.no.trim().is_empty() || self.yes == self.no {
            problems.push(Problem::new(
                "yes",
                format!("found {:?} and {:?}", self.yes, self.no),
                "allowed are two words",
            ));
        }
        if !(0.001..=3600.0).contains(&self.timeout_s) {
            let allowed = "allowed is a number of seconds from 0.001 to 3600";
            problems.push(Problem::new("timeout_s", format!("found {}", self.timeout_s), allowed));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_in_once_and_nothing_in_them_is_a_part() {
        let term = ModelTerm { question: "{answer}? {prompt} ({answer}) {other}".into(), ..ModelTerm::default() };
        assert_eq!(term.asked("a {answer} b", "", "", "{prompt}"), "{prompt}? a {answer} b ({prompt}) {other}");
        let asked = ModelTerm::default().asked("Who?", "…", "Ann", "Bo");
        assert!(
            asked.contains("Question: Who?") && asked.contains("Right answer: Ann") && asked.contains("Answer: Bo")
        );
        let command = ModelTerm { model: "models/judge".into(), ..ModelTerm::default() }.command();
        assert_eq!(command.command[1..4], ["reward", "judge", "models/judge"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let problems = |term: ModelTerm| term.problems().into_iter().map(|one| one.key).collect::<Vec<_>>();
        assert_eq!(problems(ModelTerm::default()), ["model"]);
        let model = "m".to_owned();
        assert_eq!(problems(ModelTerm { model: model.clone(), ..ModelTerm::default() }), [""; 0]);
        let wrong =
            ModelTerm { model, question: "Well?".into(), no: "yes".into(), timeout_s: 0.0, ..ModelTerm::default() };
        assert_eq!(problems(wrong), ["question", "yes", "timeout_s"]);
    }
}
