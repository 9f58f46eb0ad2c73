//! Texts as they are compared: letters composed, words without what does not count.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Layers of markup that may stand around an answer.
const LAYERS: usize = 8;

/// What may stand around a whole answer and is no part of it.
const WRAPPERS: [(&str, &str); 9] = [
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("\\boxed{", "}"),
    ("\\text{", "}"),
    ("\\textbf{", "}"),
    ("\\mathrm{", "}"),
    ("**", "**"),
];

/// With a capital letter.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The text with its letters composed (NFC) and one space between words.
pub fn composed(text: &str) -> String {
    let letters: String = text.nfc().collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A word as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextWord {
    /// In small letters, without the punctuation around it.
    pub text: String,
    /// A question mark stands behind it.
    pub asks: bool,
    /// A comma, a semicolon or a colon stands behind it.
    pub lists: bool,
    /// Nothing but white space separates it from the next one.
    spaced: bool,
    /// It begins with a capital.
    capital: bool,
}

/// The words of a text: letters composed, capitals made small, compatible forms (full width, ligatures) replaced, invisible
/// characters left out. Punctuation and hyphens separate words; a full stop or an apostrophe within a word is left out.
/// What carries meaning stays: a sign before a number, its decimal point, `%`, currencies and other symbols.
///
/// Linear in the length of the text, but for long runs of combining marks, which are sorted.
pub fn words(text: &str) -> Vec<TextWord> {
    let chars: Vec<char> = compatible(text).chars().collect();
    let (mut words, mut word, mut grouped) = (Vec::<TextWord>::new(), String::new(), None);
    for (at, &c) in chars.iter().enumerate() {
        match role(&chars, at, &mut grouped) {
            CharRole::Letter => word.push(c),
            CharRole::Sign => word.push('-'),
            CharRole::Nothing => {}
            CharRole::Alone => {
                end(&mut words, &mut word);
                word.push(c);
                end(&mut words, &mut word);
            }
            CharRole::Space => end(&mut words, &mut word),
            CharRole::Mark => {
                end(&mut words, &mut word);
                if let Some(last) = words.last_mut() {
                    last.spaced = false;
                    last.asks |= matches!(c, '?' | '؟' | '⸮');
                    last.lists |= matches!(c, ',' | ';' | ':' | '،' | '؛' | '、');
                }
            }
        }
    }
    end(&mut words, &mut word);
    words
}

/// The words of an answer, without markup around the whole and without articles, one space apart; where there are no words,
/// its signs without full stops.
///
/// An article has white space and another word behind it. "A" is none before a single letter, nor as a capital within a
/// text: it is then the name of something.
pub fn bare(answer: &str) -> String {
    let answer = unwrapped(answer);
    let words = words(answer);
    if words.is_empty() {
        return composed(answer).trim_end_matches(|c: char| c == '.' || c.is_whitespace()).into();
    }
    let article = |at: usize| {
        let Some(next) = words.get(at + 1).filter(|_| words[at].spaced) else { return false };
        match words[at].text.as_str() {
            "the" | "an" => true,
            "a" => next.text.chars().nth(1).is_some() && (at == 0 || !words[at].capital),
            _ => false,
        }
    };
    let kept = (0..words.len()).filter(|at| !article(*at)).map(|at| words[at].text.as_str());
    kept.collect::<Vec<_>>().join(" ")
}

/// An answer without markup around the whole of it: closing tags, `$…$`, `\boxed{…}` and their like.
pub fn unwrapped(answer: &str) -> &str {
    let mut inner = answer.trim();
    for _ in 0..LAYERS {
        // A full stop may stand behind the markup.
        let stopped = inner.strip_suffix('.').map(str::trim_end);
        match unwrapped_once(inner).or_else(|| stopped.and_then(unwrapped_once)) {
            Some(less) => inner = less.trim(),
            None => break,
        }
    }
    inner
}

/// Without one layer of markup; none where there is none.
fn unwrapped_once(text: &str) -> Option<&str> {
    let wrapped = |(open, close): &(&str, &str)| text.strip_prefix(open)?.strip_suffix(close);
    without_closing_tag(text).or_else(|| WRAPPERS.iter().find_map(wrapped))
}

/// What stands before a last `</name>`, and behind a `<name>` that the text begins with.
fn without_closing_tag(text: &str) -> Option<&str> {
    let (before, name) = text.strip_suffix('>')?.rsplit_once("</")?;
    let name = name.trim();
    let plain = (1..=32).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c));
    let opened = || before.strip_prefix('<')?.strip_prefix(name)?.strip_prefix('>');
    plain.then(|| opened().unwrap_or(before))
}

/// The text with compatible characters replaced and invisible ones left out, composed.
///
/// Raised and lowered digits, fractions and circled numbers stay what they are: "10²" is not 102.
pub fn compatible(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !is_invisible(*c)) {
        match c {
            '²' | '³' | '¹' | '¼'..='¾' | '\u{2070}'..='\u{209f}' | '⅐'..='⅟' | '↉' | '①'..='⓿' => {
                replaced.push(c)
            }
            // An apostrophe to those who have no other; by itself it would be a space and an accent.
            '´' => replaced.push('\''),
            _ => decompose_compatible(c, |part| replaced.push(part)),
        }
    }
    replaced.nfc().collect()
}

/// Characters that show nothing: joiners, marks of direction, soft hyphens, variants of a sign, fillers, tags.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// What a character is to the words around it.
enum CharRole {
    /// It belongs to a word.
    Letter,
    /// The minus of a number.
    Sign,
    /// It is left out, and the word goes on.
    Nothing,
    /// It is a word by itself.
    Alone,
    Space,
    /// It separates words.
    Mark,
}

/// Punctuation that separates words, beside the quotation marks and brackets that stand in a row.
const MARKS: &str = ".,;:!?\"'*_`()[]{}…ʼ«»‹›¡¿·•⸮،؛؟।、。・־";

/// `grouped` is where the last comma stood that parts the thousands of a number.
fn role(chars: &[char], at: usize, grouped: &mut Option<usize>) -> CharRole {
    let before = at.checked_sub(1).map(|i| chars[i]);
    let after = chars.get(at + 1).copied();
    let is = |c: Option<char>, kind: fn(char) -> bool| c.is_some_and(kind);
    let digit = |c: char| c.is_ascii_digit();
    let part = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    match chars[at] {
        c if c.is_whitespace() => CharRole::Space,
        '%' => CharRole::Alone,
        '.' if is(after, digit) && !is(before, char::is_alphabetic) => CharRole::Letter,
        '.' | '\'' | '’' | '‘' | 'ʼ' | 'ʻ' if is(before, part) && is(after, part) => match chars[at] {
            '.' => CharRole::Nothing,
            _ if is(before, digit) && is(after, digit) => CharRole::Mark,
            _ => CharRole::Nothing,
        },
        ',' if groups(chars, at, *grouped) => {
            *grouped = Some(at);
            CharRole::Nothing
        }
        '-' | '‐' | '‒' | '–' | '—' | '―' | '−' => {
            let number = is(after, digit) || (after == Some('.') && is(chars.get(at + 2).copied(), digit));
            if number && !is(before, part) { CharRole::Sign } else { CharRole::Mark }
        }
        '*' | '_' | '`' if is(before, part) && is(after, part) => CharRole::Letter,
        c if MARKS.contains(c) || matches!(c, '‘'..='‟' | '〈'..='】' | '〔'..='〛' | '〝'..='〟') => {
            CharRole::Mark
        }
        _ => CharRole::Letter,
    }
}

/// Whether a comma parts thousands: one to three digits before it, or those of another such comma, and three behind it.
fn groups(chars: &[char], at: usize, grouped: Option<usize>) -> bool {
    let before = chars[..at].iter().rev().take(4).take_while(|c| c.is_ascii_digit()).count();
    let behind = chars[at + 1..].iter().take(4).take_while(|c| c.is_ascii_digit()).count();
    let first = at.checked_sub(before + 1).is_none_or(|i| !matches!(chars[i], ',' | '.'));
    let begins = (1..=3).contains(&before) && first;
    behind == 3 && (begins || (before == 3 && grouped.is_some_and(|last| last + 4 == at)))
}

fn end(words: &mut Vec<TextWord>, word: &mut String) {
    if word.is_empty() {
        return;
    }
    let capital = word.starts_with(char::is_uppercase);
    // By way of capitals, because some small letters have several forms (ß and ss, σ and ς), as has one capital (ẞ).
    let small = word.chars().flat_map(char::to_lowercase);
    let text = small.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect();
    words.push(TextWord { text, asks: false, lists: false, spaced: true, capital });
    word.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> String {
        words(text).into_iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_looks_the_same_has_the_same_words() {
        for (text, expected) in [
            ("Jose\u{301}  T\u{e9}llez", "josé téllez"),
            ("ＪＯＳÉ\u{a0}TÉLLEZ!", "josé téllez"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("ΟΔΟΣ", "οδοσ"),
            ("zero\u{200b}width\u{ad}ed \u{202e}x\u{202c}", "zerowidthed x"),
            ("«La forêt», “so”; (said) [he]: ‘yes’…", "la forêt so said he yes"),
            ("O'Brien’s U.S. well-known e.g.", "obriens us well known eg"),
            ("**bold** _it_ `code` a*b snake_case", "bold it code a*b snake_case"),
            ("ﬁne Ⅳ", "fine iv"),
            ("STRAẞE", "strasse"),
            ("葛\u{e0100}城", "葛城"),
            ("x\u{3164}y \u{115f}z\u{ffa0}", "xy z"),
            ("Hawaiʻi O´Brien", "hawaii obrien"),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn what_carries_meaning_stays() {
        for (text, expected) in [
            ("-5 −5 (-.5) 2-3 a -b", "-5 -5 -.5 2 3 a b"),
            ("3.14 .5 v.5 12:30 5'11", "3.14 .5 v5 12 30 5 11"),
            ("1,000 1,000,000.5 1,00 1,2 1000,000 1,0000", "1000 1000000.5 1 00 1 2 1000 000 1 0000"),
            ("$5 €5 50% C++ C# R&D 10² ½", "$5 €5 50 % c++ c# r&d 10² ½"),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
        assert!(words("Who ?")[0].asks && !words("Who .")[0].asks);
    }

    #[test]
    fn articles_and_markup_are_no_part_of_an_answer_and_names_are() {
        for (answer, expected) in [
            ("The Beatles", "beatles"),
            ("lord of the rings", "lord of rings"),
            ("a cat", "cat"),
            ("A", "a"),
            ("the", "the"),
            ("A, B", "a b"),
            ("A B", "a b"),
            ("A. Paris", "a paris"),
            ("Vitamin A deficiency", "vitamin a deficiency"),
            ("Paris </answer> </s>", "paris"),
            ("$\\boxed{\\text{Paris}}$", "paris"),
            ("\\boxed{Paris}.", "paris"),
            ("$\\boxed{42}$ .", "42"),
            ("<b>Paris</b>.", "paris"),
            ("<final>U.S.</final>", "us"),
            ("<a>Paris</b>", "<a>paris"),
            ("\\boxed{42} or \\boxed{43}", "42 or \\boxed 43"),
            ("Paris </not a tag>", "paris </not tag>"),
            ("...", ""),
            ("?!", "?!"),
        ] {
            assert_eq!(bare(answer), expected, "{answer}");
        }
    }

    proptest! {
        #[test]
        fn words_of_words_are_the_same_and_composition_does_not_matter(text in "\\PC{0,60}") {
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(words(&decomposed), words(&text));
            prop_assert_eq!(composed(&decomposed), composed(&text));
            let once = said(&text);
            prop_assert!(once.split(' ').all(|word| !word.contains(char::is_whitespace)));
        }
    }
}
