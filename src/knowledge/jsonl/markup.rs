//! What the guard reads of a text that has markup in it.

use std::borrow::Cow;

/// Signs that markup begins with, of one byte each.
const SIGNS: [char; 3] = ['<', '$', '\\'];

/// Commands of TeX that stand around what is said. A bracket that is left behind separates words by itself.
const COMMANDS: [&str; 8] = ["\\boxed{", "\\text{", "\\textbf{", "\\mathrm{", "\\(", "\\)", "\\[", "\\]"];

/// The text as it stands, its tags and dollar signs apart from its words; and behind it the text without tags and commands,
/// where it has some. What a tag says is a word in the first ("What does <html> do?") and nothing in the second.
pub fn readings(text: &str) -> Vec<Cow<'_, str>> {
    if !text.contains(SIGNS) {
        return vec![Cow::Borrowed(text)];
    }
    let (mut apart, mut without, mut rest, mut has_markup) = (String::new(), String::new(), text, false);
    while let Some(at) = rest.find(SIGNS) {
        let (before, here) = rest.split_at(at);
        let length = markup(here);
        let (sign, behind) = here.split_at(length.unwrap_or(1));
        apart.push_str(before);
        without.push_str(before);
        if length.is_some() {
            has_markup = true;
            let inner = sign.trim_matches(|c: char| matches!(c, '<' | '>' | '/'));
            [" ", inner, " "].into_iter().for_each(|part| apart.push_str(part));
            without.push(' ');
        } else {
            // A formula begins or ends, or an amount of money is told: another sign would stay another number.
            let sign = if sign == "$" { " " } else { sign };
            apart.push_str(sign);
            without.push_str(sign);
        }
        rest = behind;
    }
    apart.push_str(rest);
    without.push_str(rest);
    let second: Option<Cow<str>> = has_markup.then_some(Cow::Owned(without));
    [Some(Cow::Owned(apart)), second].into_iter().flatten().collect()
}

/// How many bytes of markup a text begins with.
fn markup(text: &str) -> Option<usize> {
    let command = COMMANDS.iter().find(|command| text.starts_with(**command));
    command.map_or_else(|| tag(text), |command| Some(command.len()))
}

/// How many bytes a tag has that a text begins with; "3 < 5" is none.
fn tag(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('<')?;
    if !inner.strip_prefix('/').unwrap_or(inner).starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    // Not beyond the next one: nothing is looked at twice, however many begin.
    let end = inner.find(['<', '>'])?;
    inner[end..].starts_with('>').then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_read_apart_from_words_and_left_out() {
        let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (text, expected) in [
            ("plain > text", "plain > text"),
            ("$Paris$ for $5", "Paris for 5"),
            ("<b>Paris</b>.", "b Paris b .|Paris ."),
            ("x <a href=\"y\">z", "x a href=\"y\" z|x z"),
            ("3 < 5 <b", "3 < 5 <b"),
            ("<<b>", "< b|<"),
            ("\\boxed{5} \\n", "\\boxed{ 5} \\n|5} \\n"),
            ("</é>\\", "</é>\\"),
            ("<p/>é<", "p é<|é<"),
        ] {
            let read: Vec<String> = readings(text).iter().map(|text| spaced(text)).collect();
            assert_eq!(read.join("|"), expected, "{text}");
        }
    }

    #[test]
    fn many_signs_take_no_longer_than_others() {
        // Work that grew with the square of the length would take hours.
        for piece in ["<", "<a", "</a ", "$", "\\", "<a>", "\\boxed{"] {
            readings(&piece.repeat(1_000_000 / piece.len()));
        }
    }
}
