//! The card of a model that is taken away from its run.

use std::fmt::Write;

use super::findings::Findings;
use super::table::escaped;
use super::tables;
use super::words::legend;
use crate::evaluation::Summary;
use crate::text::{grouped, one_line, printable};

/// What is known of a model without its run.
#[derive(Clone, Debug)]
pub struct ModelCard {
    pub name: String,
    pub parameters: u64,
    /// As `config.json` has it.
    pub dtype: &'static str,
    /// The base of its run, where it belongs to one.
    pub made_from: Option<String>,
    /// How a question is put to it.
    pub prompt: String,
}

/// `README.md` of a model, with what came of its run where that was measured.
pub fn model_card(card: &ModelCard, summary: Option<&Summary>) -> String {
    let ModelCard { name, parameters, dtype, made_from, prompt } = card;
    let mut text =
        format!("---\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n\n# {}\n\n", escaped(name));
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} parameters, stored as {dtype}; written by recollect {}.",
        grouped(*parameters),
        env!("CARGO_PKG_VERSION")
    );
    if let Some(base) = made_from {
        let base = escaped(&one_line(base));
        let _ = writeln!(
            text,
            "\nIt was fine-tuned on documents, from the base `{base}`, and trained by reinforcement learning to bring what it \
             learned there into its chain of thought before it answers."
        );
    }
    // A fence longer than any in the prompt.
    let longest = prompt.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = write!(text, "\n## How it is asked\n\n{fence}text\n{prompt}\n{fence}\n");
    if let Some(summary) = summary {
        let Findings { headline, lead, evidence, notes } = Findings::new(summary);
        let _ = write!(text, "\n## What came of its training\n\n{headline}.\n");
        for paragraph in lead.into_iter().chain(evidence).chain(notes) {
            let _ = write!(text, "\n{paragraph}\n");
        }
        let by_kind = tables::by_kind(summary);
        if !by_kind.rows.is_empty() {
            let _ = write!(text, "\n{}\n{}\n", by_kind.markdown(), legend(&summary.run));
        }
        let _ = write!(text, "\n## Where it comes from\n\n{}", tables::provenance(&summary.run).markdown());
        let _ = write!(text, "\n```toml\n{}\n```\n", summary.run.config.trim_end());
    }
    printable(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_card_holds_what_is_known() {
        let card = ModelCard {
            name: "mine".into(),
            parameters: 598_400,
            dtype: "bfloat16",
            made_from: Some("a|b\n`c`".into()),
            prompt: "<bos> ```QUESTION <think>".into(),
        };
        let text = model_card(&card, Some(&fixture::summary()));
        assert!(
            text.starts_with("---\nlibrary_name: transformers\n") && text.contains("598\u{202f}400 parameters"),
            "{text}"
        );
        assert!(
            text.contains("````text\n<bos> ```QUESTION") && text.contains("| after RL |") == text.contains("after RL")
        );
        assert!(text.contains("learning_rate = 3e-4") && text.contains("never touched"), "{text}");
        let alone = model_card(&ModelCard { made_from: None, ..card }, None);
        assert!(!alone.contains("reinforcement") && alone.lines().count() < 16, "{alone}");
    }
}
