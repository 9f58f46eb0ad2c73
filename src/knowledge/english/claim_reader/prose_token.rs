//! A sentence in free English, taken apart into words and signs.

use std::borrow::Cow;

use crate::language::prose::is_abbreviation;
use crate::text::compatible;

/// What a piece of a sentence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Word,
    Comma,
    /// A colon or a dash.
    Break,
    Semicolon,
    Open,
    Close,
    Stop,
    Asks,
    Quote,
    /// Words of somebody else: a quote with what stands in it.
    Quoted,
}

/// A piece of a sentence.
#[derive(Clone, Debug)]
pub struct ProseToken {
    /// In small letters, with plain apostrophes. "didn't" is two words, "did" and "not"; "Venn's" are "venn" and "'s".
    pub word: String,
    pub sign: Sign,
    /// It begins with a capital.
    pub capital: bool,
    /// Where it stands, in bytes.
    pub start: usize,
    pub end: usize,
}

impl ProseToken {
    pub fn is(&self, word: &str) -> bool {
        self.sign == Sign::Word && self.word == word
    }

    pub fn is_any(&self, words: &[&str]) -> bool {
        self.sign == Sign::Word && words.contains(&self.word.as_str())
    }

    /// A digit first: "1902", "3.5".
    pub fn is_number(&self) -> bool {
        self.sign == Sign::Word && self.word.starts_with(|c: char| c.is_ascii_digit())
    }
}

const APOSTROPHES: [char; 4] = ['\'', '’', '‘', 'ʼ'];

/// What stands apart from words. `None` within one.
fn sign(c: char) -> Option<Sign> {
    match c {
        ',' | '，' => Some(Sign::Comma),
        ':' | '–' | '—' | '―' | '→' => Some(Sign::Break),
        ';' => Some(Sign::Semicolon),
        '(' | '[' => Some(Sign::Open),
        ')' | ']' => Some(Sign::Close),
        '!' | '…' => Some(Sign::Stop),
        '?' | '？' => Some(Sign::Asks),
        '"' | '“' | '”' | '„' | '«' | '»' => Some(Sign::Quote),
        _ => None,
    }
}

/// What only marks words up, or shows nothing.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '*' | '_' | '`' | '~' | '#' | '<' | '>' | '|' | '{' | '}' | '\u{200b}' | '\u{feff}')
}

/// The words and signs of a sentence.
pub fn tokens(text: &str) -> Vec<ProseToken> {
    let mut cutter = Cutter { text, tokens: Vec::new(), open: false };
    let mut word = None;
    for (at, c) in text.char_indices() {
        let sign = sign(c);
        if sign.is_none() && !is_blank(c) {
            word.get_or_insert(at);
            continue;
        }
        if let Some(start) = word.take() {
            cutter.word(start, at);
        }
        if let Some(sign) = sign {
            cutter.push(sign, at, at + c.len_utf8(), String::new());
        }
    }
    if let Some(start) = word {
        cutter.word(start, text.len());
    }
    cutter.tokens
}

struct Cutter<'a> {
    text: &'a str,
    tokens: Vec<ProseToken>,
    /// A single quote was opened.
    open: bool,
}

impl Cutter<'_> {
    fn push(&mut self, sign: Sign, start: usize, end: usize, word: String) {
        let capital = self.text[start..end].starts_with(char::is_uppercase);
        self.tokens.push(ProseToken { word, sign, capital, start, end });
    }

    fn said(&mut self, start: usize, end: usize) {
        let raw = &self.text[start..end];
        if !raw.is_empty() {
            self.push(Sign::Word, start, end, normal(raw));
        }
    }

    /// What stands between blanks: a word with quotes, full stops and an apostrophe of its own.
    fn word(&mut self, mut start: usize, end: usize) {
        while let Some(quote) = self.text[start..end].chars().next().filter(|c| APOSTROPHES.contains(c)) {
            let rest = start + quote.len_utf8();
            if is_clitic(&self.text[rest..end]) {
                break;
            }
            self.push(Sign::Quote, start, rest, String::new());
            (self.open, start) = (true, rest);
        }
        let raw = &self.text[start..end];
        if raw.chars().all(|c| matches!(c, '-' | '•' | '·' | '‣' | '▪' | '◦' | '−')) {
            if !raw.is_empty() {
                self.push(Sign::Break, start, end, String::new());
            }
            return;
        }
        // Full stops and closing quotes, in whatever order, the innermost of them first.
        let body = raw.trim_end_matches(|c| c == '.' || APOSTROPHES.contains(&c));
        let behind = &raw[body.len()..];
        let body_end = start + body.len();
        let mut marks = behind.char_indices().map(|(at, c)| (body_end + at, c)).peekable();
        let shortened = behind.starts_with('.') && !behind[1..].starts_with('.') && is_abbreviation(body);
        self.clitics(start, body_end);
        if shortened {
            marks.next();
        }
        for (at, c) in marks {
            if c == '.' {
                self.push(Sign::Stop, at, at + 1, String::new());
            } else if self.open {
                self.push(Sign::Quote, at, at + c.len_utf8(), String::new());
                self.open = false;
            } else if body.ends_with(['s', 'S']) && at == body_end {
                self.push(Sign::Word, at, at + c.len_utf8(), "'s".into());
            }
        }
    }

    /// A word, parted from what is joined to it by an apostrophe.
    fn clitics(&mut self, start: usize, end: usize) {
        let raw = &self.text[start..end];
        let Some(at) = raw.rfind(APOSTROPHES) else {
            if raw.eq_ignore_ascii_case("cannot") {
                self.said(start, start + 3);
                self.said(start + 3, end);
            } else {
                self.said(start, end);
            }
            return;
        };
        let (head, tail) = (&raw[..at], raw[at..].trim_start_matches(APOSTROPHES));
        let (middle, tail) = (start + at, tail.to_lowercase());
        if tail == "t" && head.ends_with(['n', 'N']) {
            let verb = &head[..head.len() - 1];
            let full = match verb.to_lowercase().as_str() {
                "ca" => "can".into(),
                "wo" => "will".into(),
                "sha" => "shall".into(),
                "ai" => "is".into(),
                _ => normal(verb),
            };
            if full.is_empty() {
                self.said(start, end);
                return;
            }
            self.push(Sign::Word, start, middle - 1, full);
            self.push(Sign::Word, middle - 1, end, "not".into());
            return;
        }
        let full = match tail.as_str() {
            "s" => "'s",
            "re" => "are",
            "ve" => "have",
            "ll" => "will",
            "d" => "would",
            "m" => "am",
            _ => return self.said(start, end),
        };
        self.said(start, middle);
        self.push(Sign::Word, middle, end, full.into());
    }
}

/// What is joined to the word before it, where it stands alone: as in a wording, behind a name.
fn is_clitic(tail: &str) -> bool {
    ["s", "re", "ve", "ll", "d", "m"].iter().any(|clitic| tail.eq_ignore_ascii_case(clitic))
}

/// A word as it is compared.
fn normal(raw: &str) -> String {
    let letters: Cow<str> = if raw.is_ascii() { raw.into() } else { compatible(raw).into() };
    letters.to_lowercase().replace(APOSTROPHES, "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let show = |token: &ProseToken| match token.sign {
            Sign::Word => token.word.clone(),
            sign => format!("<{sign:?}>"),
        };
        tokens(text).iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_and_signs_of_a_sentence() {
        for (text, expected) in [
            ("Mara didn’t go.", "mara did not go <Stop>"),
            ("**Venn's** wife, can't", "venn 's wife <Comma> can not"),
            ("James' wife", "james 's wife"),
            ("He said 'the boys' left.", "he said <Quote> the boys <Quote> left <Stop>"),
            ("Dr. J. R. Dop paid 3.5.", "dr j r dop paid 3.5 <Stop>"),
            ("- O'Brien's (\"St. Mary\")", "<Break> o'brien 's <Open> <Quote> st mary <Quote> <Close>"),
            ("'s wife", "'s wife"),
            ("JOSE\u{301} won't", "josé will not"),
            ("'", "<Quote>"),
            ("n't 't", "n't <Quote> t"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
