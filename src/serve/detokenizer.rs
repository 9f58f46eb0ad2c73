//! The text of tokens as they come: nothing that may still change, and nothing from a stop string on.

use std::sync::Arc;

use crate::Result;
use crate::language::Tokenizer;

/// What stands for bytes that are no character yet.
const BROKEN: char = '\u{fffd}';

/// A completion on its way to whoever reads it.
pub(super) struct Detokenizer {
    tokenizer: Arc<Tokenizer>,
    stops: Arc<[String]>,
    without_special: bool,
    tokens: Vec<u32>,
    /// From here on tokens are decoded: far enough before the newest that what stands around them is as in the whole text.
    from: usize,
    /// Up to here their text was given.
    until: usize,
    /// Text that may be the beginning of a stop string.
    held: String,
    stopped: bool,
}

impl Detokenizer {
    pub fn new(tokenizer: Arc<Tokenizer>, stops: Arc<[String]>, without_special: bool) -> Detokenizer {
        let (tokens, held) = (Vec::new(), String::new());
        Detokenizer { tokenizer, stops, without_special, tokens, from: 0, until: 0, held, stopped: false }
    }

    /// Whether a stop string was met.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// One more token; gives what is certain of the text.
    ///
    /// # Errors
    ///
    /// An id that is no token.
    pub fn push(&mut self, token: u32) -> Result<String> {
        self.tokens.push(token);
        let (before, now) = (self.decode(self.from..self.until)?, self.decode(self.from..self.tokens.len())?);
        // A character of several bytes is there when all of its tokens are.
        if now.ends_with(BROKEN) || now.len() <= before.len() {
            return Ok(String::new());
        }
        let new = now.get(before.len()..).unwrap_or_default().to_owned();
        (self.from, self.until) = (self.until, self.tokens.len());
        Ok(self.release(&new))
    }

    /// The text of all tokens at once, where no stop string may end it.
    ///
    /// # Errors
    ///
    /// As those of [`push`](Detokenizer::push).
    pub fn whole(&self, tokens: &[u32]) -> Result<String> {
        self.tokenizer.decode_as_is(tokens, self.without_special)
    }

    /// Whether a text is cut off anywhere.
    pub fn has_stops(&self) -> bool {
        !self.stops.is_empty()
    }

    /// What is left when nothing more comes.
    ///
    /// # Errors
    ///
    /// As those of [`push`](Detokenizer::push).
    pub fn finish(&mut self) -> Result<String> {
        let (before, now) = (self.decode(self.from..self.until)?, self.decode(self.from..self.tokens.len())?);
        let new = now.get(before.len()..).unwrap_or_default().to_owned();
        let released = self.release(&new);
        Ok(if self.stopped { released } else { released + &std::mem::take(&mut self.held) })
    }

    fn decode(&self, range: std::ops::Range<usize>) -> Result<String> {
        self.tokenizer.decode_as_is(&self.tokens[range], self.without_special)
    }

    /// Adds text to what is held, and lets go what begins no stop string.
    fn release(&mut self, new: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(new);
        if let Some(first) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.stopped = true;
            self.held.truncate(first);
            return std::mem::take(&mut self.held);
        }
        let open = |at: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.held[*at..]));
        let keep = self.held.char_indices().map(|(at, _)| at).find(open).unwrap_or(self.held.len());
        let rest = self.held.split_off(keep);
        std::mem::replace(&mut self.held, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> Arc<Tokenizer> {
        let lines: Vec<String> = ["the river is wide, the river is deep", "who crossed it?"].map(String::from).to_vec();
        Arc::new(Tokenizer::train(&lines, 300).unwrap())
    }

    /// What comes out of a text, token by token, and its last part.
    fn streamed(text: &str, stops: &[&str]) -> (Vec<String>, bool) {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode_as_is(text, false).unwrap();
        let stops = stops.iter().map(|stop| (*stop).to_owned()).collect::<Vec<_>>().into();
        let mut detokenizer = Detokenizer::new(tokenizer, stops, false);
        let mut parts: Vec<String> = Vec::new();
        for id in ids {
            parts.push(detokenizer.push(id).unwrap());
        }
        parts.push(detokenizer.finish().unwrap());
        (parts, detokenizer.is_stopped())
    }

    #[test]
    fn parts_add_up_to_the_text_and_no_character_is_broken() {
        for text in ["the river is deep", "Größe: 5 €, 雪 and 👩‍🚀!", "a\n\nb   c", ""] {
            let (parts, stopped) = streamed(text, &[]);
            assert_eq!((parts.concat(), stopped), (text.to_owned(), false));
            assert!(parts.iter().all(|part| !part.contains(BROKEN)));
        }
    }

    #[test]
    fn a_stop_string_and_what_follows_it_never_come_out_whatever_the_tokens() {
        for (text, stops, shown) in [
            ("the river is wide, who crossed it?", &[", who"][..], "the river is wide"),
            ("one\n\ntwo", &["\n\n"], "one"),
            ("one\ntwo", &["\n\n"], "one\ntwo"),
            ("aab", &["ab"], "a"),
            ("has the beginning: \nof one", &["\n\n"], "has the beginning: \nof one"),
            ("both <b> and <a>", &["<a>", "<b>"], "both "),
        ] {
            let (parts, stopped) = streamed(text, stops);
            assert_eq!(parts.concat(), shown, "{text:?} at {stops:?}");
            assert_eq!(stopped, shown != text);
        }
    }
}
