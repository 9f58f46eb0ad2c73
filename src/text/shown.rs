//! Text from files, models and commands as it may be shown: nothing in it steers a terminal, turns a line round or hides,
//! and none of it is longer than a person reads.

use std::borrow::Cow;

/// Stands for a character that is not shown.
const MARK: char = '\u{fffd}';
/// Characters of a text from elsewhere that a message shows.
const EXCERPT: usize = 160;
/// Stands for what was left out of a long text.
const CUT: char = '…';

/// Whether a character does something else than to be seen: control characters (of both sets, so that neither ESC nor
/// U+009B begins a command to the terminal), the overrides and isolates that reverse what stands beside them, separators
/// that break a line, and what has no width. Joiners stay, because scripts and emoji need them.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with a mark in the place of every character that is hidden. Line breaks and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let wrong = |c: char| is_hidden(c) && c != '\n' && c != '\t';
    if text.contains(wrong) {
        text.chars().map(|c| if wrong(c) { MARK } else { c }).collect::<String>().into()
    } else {
        text.into()
    }
}

/// The same in one line: whatever breaks it, or may, becomes a space.
pub fn one_line(text: &str) -> String {
    let seen = |c: char| match c {
        '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() => ' ',
        c if is_hidden(c) => MARK,
        c => c,
    };
    text.trim().chars().map(seen).collect()
}

/// The same in at most `most` characters: of a longer text the beginning and the end.
pub fn short_line(text: &str, most: usize) -> String {
    // Whatever is longer is cut before anything is made of it.
    let text = text.trim();
    if text.char_indices().nth(most).is_none() {
        return one_line(text);
    }
    let (head, tail) = (most - most / 3 - 1, most / 3);
    let end_of_head = text.char_indices().nth(head).map_or(text.len(), |(at, _)| at);
    let start_of_tail = text.char_indices().rev().nth(tail.saturating_sub(1)).map_or(0, |(at, _)| at);
    format!("{}{CUT}{}", one_line(&text[..end_of_head]), one_line(&text[start_of_tail..]))
}

/// As much of a text from elsewhere as a message shows, in one line.
pub fn excerpt(text: &str) -> String {
    short_line(text, EXCERPT)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One of each kind that a terminal may obey.
    pub const HOSTILE: &str =
        "a\u{1b}[31mb\u{9b}31mc\u{202e}d\u{2066}e\u{200f}f\u{2028}g\u{0}h\u{7f}i\u{8}j\r\u{feff}k\u{e0041}";

    #[test]
    fn what_steers_a_terminal_is_marked_and_everything_else_stays() {
        let shown = printable(HOSTILE);
        assert!(!shown.chars().any(is_hidden), "{shown:?}");
        assert_eq!(shown.chars().count(), HOSTILE.chars().count());
        // Lines, tabs, other scripts, emoji of several characters.
        for text in ["a\n\tb", "שלום", "كتاب", "👩‍👩‍👧 fine", "می‌خواهم", "naïve …"] {
            assert!(matches!(printable(text), Cow::Borrowed(shown) if shown == text), "{text}");
        }
        assert_eq!(one_line(" a\r\nb\u{2029}c\u{202e}d "), "a  b c\u{fffd}d");
    }

    #[test]
    fn a_long_text_keeps_its_ends() {
        assert_eq!(short_line("abcdefghij", 10), "abcdefghij");
        let short = short_line("models/a/very/long/name/model.safetensors", 20);
        assert_eq!(short, "models/a/very…ensors");
        assert_eq!(short_line(&"é".repeat(300_000), 9).chars().count(), 9);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_short_line(text in any::<String>(), most in 4..40usize) {
            let line = short_line(&text, most);
            prop_assert!(line.chars().count() <= most && !line.chars().any(is_hidden), "{line:?}");
            prop_assert!(!one_line(&text).chars().any(is_hidden));
        }
    }
}
