//! Text that no training sees, by whose perplexity forgetting is measured: a file of the user's, or what the base wrote itself
//! and training does not replay.

use std::path::Path;

use serde::Deserialize;

use super::start::Start;
use super::{Experiment, own_text};
use crate::knowledge::jsonl::read_rows;
use crate::language::Tokenizer;
use crate::{Error, Result, files};

/// Tokens of the longest window that a text is read in, where the model would take more: attention grows with its square.
pub(crate) const WINDOW: usize = 2048;

/// Text in pieces that a model has room for.
pub(crate) struct HeldBack {
    /// Tells it from other texts.
    pub digest: String,
    pub pieces: Vec<ScoredText>,
    /// Of all pieces.
    pub characters: u64,
}

/// Tokens that are predicted, each from those before it, and what stands before all of them. None is empty.
pub(crate) struct ScoredText {
    pub given: Vec<u32>,
    pub text: Vec<u32>,
}

/// A row of a file of texts; what else it holds is not looked at.
#[derive(Deserialize)]
struct TextRow {
    text: String,
}

impl HeldBack {
    /// The held-back text of a run; `None` where it names none and its base has written none.
    ///
    /// # Errors
    /// A file that holds no text, or text that the tokenizer cannot spell.
    pub fn new(experiment: &Experiment, start: &Start) -> Result<Option<HeldBack>> {
        let config = &experiment.config;
        let tokenizer = &start.base.tokenizer;
        if let Some(path) = &config.evaluation.held_back {
            let window = start.base.policy.config.longest_sequence().min(WINDOW);
            let (mut pieces, mut characters) = (Vec::new(), 0);
            for text in texts(path)? {
                characters += text.chars().count() as u64;
                pieces.extend(windows(tokenizer, &text, window)?);
            }
            return Ok(Some(HeldBack { digest: files::digest_file(path)?, pieces, characters }));
        }
        if !config.replays_own_text() || config.own_text.held_back == 0 {
            return Ok(None);
        }
        let stage = own_text::write(experiment, start)?;
        let (mut pieces, mut characters) = (Vec::new(), 0);
        for written in own_text::read(&stage)?.into_iter().filter(|text| text.held_back) {
            let (given, text) = written.tokens.split_at(written.given);
            characters += written.text.chars().count() as u64;
            pieces.push(ScoredText { given: given.to_vec(), text: text.to_vec() });
        }
        Ok((!pieces.is_empty()).then_some(HeldBack { digest: stage.content, pieces, characters }))
    }
}

/// The texts of a file: `text` of each row of a `.jsonl`, the whole of any other.
///
/// # Errors
/// A file that cannot be read, is no UTF-8, or holds no text.
pub(crate) fn texts(path: &Path) -> Result<Vec<String>> {
    let jsonl = path.extension().is_some_and(|extension| extension == "jsonl");
    let mut texts = Vec::new();
    if jsonl {
        let rows: Vec<(TextRow, String)> = read_rows(&[path.to_path_buf()], "a row is one JSON object with a text")?;
        texts.extend(rows.into_iter().map(|(row, _)| row.text));
    } else {
        texts.push(files::read_small(path)?);
    }
    texts.iter_mut().for_each(|text| *text = text.trim().to_owned());
    texts.retain(|text| !text.is_empty());
    if texts.is_empty() {
        let remedy = "evaluation.held_back names it: write a text into it, or a text in each row of a .jsonl";
        return Err(Error::invalid(path.display().to_string(), "no text", remedy));
    }
    Ok(texts)
}

/// A text in stretches of at most `window` tokens, each behind the token that every text begins with.
fn windows(tokenizer: &Tokenizer, text: &str, window: usize) -> Result<Vec<ScoredText>> {
    let tokens = tokenizer.encode(text)?;
    let stretches = tokens.chunks(window.saturating_sub(1).max(1));
    Ok(stretches.map(|text| ScoredText { given: vec![tokenizer.bos()], text: text.to_vec() }).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_hold_a_text_or_one_in_each_row() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = home.path().join(name);
            fs::write(&path, content).unwrap();
            texts(&path)
        };
        assert_eq!(file("a.txt", "\n One.\n\nTwo. \n").unwrap(), ["One.\n\nTwo."]);
        let rows = "{\"text\": \"One.\", \"source\": 3}\n{\"text\": \" \"}\n{\"text\": \"Two.\"}\n";
        assert_eq!(file("b.jsonl", rows).unwrap(), ["One.", "Two."]);
        for (name, content, words) in [
            ("c.txt", " \n", "no text; evaluation.held_back names it"),
            ("d.jsonl", "{\"text\": \"\"}", "no text; evaluation.held_back names it"),
            ("e.jsonl", "{\"prompt\": \"x\"}", "line 1: missing field `text`"),
            ("f.jsonl", "", "no rows"),
        ] {
            let error = file(name, content).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_long_text_is_read_in_windows_that_hold_every_token_once() {
        let words: Vec<String> = (0..10).map(|number| format!("w{number}")).collect();
        let tokenizer = Tokenizer::from_words(&words).unwrap();
        let pieces = windows(&tokenizer, &words.join(" "), 4).unwrap();
        assert_eq!(pieces.iter().map(|piece| piece.text.len()).collect::<Vec<_>>(), [3, 3, 3, 1]);
        assert!(pieces.iter().all(|piece| piece.given == [tokenizer.bos()]));
        let all: Vec<u32> = pieces.into_iter().flat_map(|piece| piece.text).collect();
        assert_eq!(all, tokenizer.encode(&words.join(" ")).unwrap());
    }
}
