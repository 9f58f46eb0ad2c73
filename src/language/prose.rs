//! Where sentences end in free English.

/// Bytes after which a quote that was opened is taken for a sign of something else.
const LONGEST_QUOTE: usize = 600;

/// Bytes before a full stop that are looked at.
const LONGEST_WORD: usize = 40;

/// Words whose full stop ends no sentence.
const TITLES: [&str; 33] = [
    "dr", "mr", "mrs", "ms", "prof", "st", "ste", "mt", "ft", "sgt", "capt", "lt", "col", "gen", "rev", "hon", "gov",
    "sen", "rep", "messrs", "mme", "mlle", "vs", "cf", "approx", "ca", "fig", "vol", "pp", "e.g", "i.e", "viz", "al",
];

/// Words whose full stop ends a sentence only before a capital.
const SHORTENED: [&str; 12] = ["jr", "sr", "etc", "inc", "ltd", "co", "corp", "dept", "ave", "a.m", "p.m", "bros"];

/// Words after which a line is broken within a sentence.
const LEADS_ON: [&str; 16] =
    ["the", "a", "an", "of", "by", "and", "in", "was", "is", "to", "for", "with", "that", "who", "at", "from"];

/// Whether a word, without its full stop, is one that is written with a full stop.
pub fn is_abbreviation(word: &str) -> bool {
    let small = word.to_lowercase();
    is_initial(word) || TITLES.contains(&small.as_str()) || SHORTENED.contains(&small.as_str())
}

/// A letter that stands for a name.
fn is_initial(word: &str) -> bool {
    let mut letters = word.chars();
    let first = letters.next();
    // "J.R" is two of them.
    first.is_some_and(char::is_uppercase) && letters.all(|c| c == '.' || c.is_uppercase()) && {
        word.split('.').all(|part| part.chars().nth(1).is_none())
    }
}

/// The sentences of a text in free English, without the white space around them. Full stops in numbers, abbreviations,
/// initials and quotes end none; ends of lines do, where a line or an item begins behind them. Linear in the text.
pub fn sentences(text: &str) -> Vec<&str> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let closing = closing_quotes(&chars);
    let (mut sentences, mut start, mut at) = (Vec::new(), 0, 0);
    while at < chars.len() {
        let (place, c) = chars[at];
        if let Some(close) = closing[at] {
            // Only what the last character of a quote says can end the sentence around it.
            let inner = chars[close - 1].1;
            at = close;
            if matches!(inner, '.' | '!' | '?') && starts_anew(&chars, close + 1) {
                push(text, &mut sentences, &mut start, end_of(&chars, close, text));
            }
        } else if matches!(c, '.' | '!' | '?' | '…') {
            let last = run_end(&chars, at);
            if ends_here(text, &chars, start, at, last) {
                let end = trailing(&chars, last);
                push(text, &mut sentences, &mut start, end_of(&chars, end, text));
                at = end;
            } else {
                at = last;
            }
        } else if c == '\n' {
            if line_ends(&text[near(text, start, place)..place], &chars[at + 1..]) {
                push(text, &mut sentences, &mut start, place);
            }
            while chars.get(at + 1).is_some_and(|(_, c)| c.is_whitespace()) {
                at += 1;
            }
        }
        at += 1;
    }
    push(text, &mut sentences, &mut start, text.len());
    sentences
}

fn push<'a>(text: &'a str, sentences: &mut Vec<&'a str>, start: &mut usize, end: usize) {
    let sentence = text[*start..end].trim();
    if !sentence.is_empty() {
        sentences.push(sentence);
    }
    *start = end;
}

/// Where the character behind this one begins.
fn end_of(chars: &[(usize, char)], at: usize, text: &str) -> usize {
    chars.get(at + 1).map_or(text.len(), |(place, _)| *place)
}

/// The last of the signs that end a sentence together: "?!", "...".
fn run_end(chars: &[(usize, char)], mut at: usize) -> usize {
    while chars.get(at + 1).is_some_and(|(_, c)| matches!(c, '.' | '!' | '?' | '…')) {
        at += 1;
    }
    at
}

/// The last of the brackets and marks that belong to the sentence that ends before them.
fn trailing(chars: &[(usize, char)], mut at: usize) -> usize {
    while chars.get(at + 1).is_some_and(|(_, c)| matches!(c, ')' | ']' | '*' | '_' | '”' | '"' | '\'' | '’' | '»'))
    {
        at += 1;
    }
    at
}

fn starts_anew(chars: &[(usize, char)], at: usize) -> bool {
    let mut rest = chars[at.min(chars.len())..].iter().map(|(_, c)| *c);
    match rest.next() {
        None => true,
        Some(c) if c.is_whitespace() => rest.find(|c| !c.is_whitespace()).is_none_or(|c| !c.is_lowercase()),
        Some(_) => false,
    }
}

/// The last bytes before a place, but none before the start: no word that matters here is longer.
fn near(text: &str, start: usize, place: usize) -> usize {
    let mut from = place.saturating_sub(LONGEST_WORD).max(start);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    from
}

/// Whether a sentence that began at byte `start` ends with the signs from `at` to `last`.
fn ends_here(text: &str, chars: &[(usize, char)], start: usize, at: usize, last: usize) -> bool {
    let place = chars[at].0;
    let behind = chars.get(trailing(chars, last) + 1).map(|(_, c)| *c);
    if chars[at].1 != '.' {
        return behind.is_none_or(char::is_whitespace);
    }
    let from = near(text, start, place);
    let before = &text[from..place];
    let word_start = before.rfind(|c: char| c.is_whitespace() || "(\"“*_".contains(c));
    let word = word_start.map_or(before, |at| before[at..].trim_start_matches(|c: char| !c.is_alphanumeric()));
    if let Some(next) = behind.filter(|c| !c.is_whitespace()) {
        // "Bridge.Rik" lacks a space; "3.5", "c.d" and "U.S." do not.
        let ends_small = word.chars().rev().take(2).filter(|c| c.is_lowercase()).count() == 2;
        return at == last && ends_small && next.is_uppercase() && !is_abbreviation(word);
    }
    let next = chars[last + 1..].iter().map(|(_, c)| *c).find(|c| !c.is_whitespace());
    let small_behind = next.is_some_and(char::is_lowercase);
    if last > at {
        return !small_behind;
    }
    if word.is_empty() {
        return true;
    }
    // "1." numbers what follows.
    let item = before.trim().trim_start_matches(['(', '-', '*', '•', ' ']);
    let numbered = from == start && item.chars().all(|c| c.is_ascii_digit()) && item.len() <= 3 && !item.is_empty();
    let small = word.to_lowercase();
    if next.is_none() {
        return true;
    }
    !(numbered
        || TITLES.contains(&small.as_str())
        || is_initial(word)
        || (SHORTENED.contains(&small.as_str()) && small_behind)
        || (small == "no" && next.is_some_and(|c| c.is_ascii_digit())))
}

/// Whether the end of a line is that of a sentence.
fn line_ends(before: &str, behind: &[(usize, char)]) -> bool {
    let mut blank = false;
    let mut next = None;
    for (_, c) in behind {
        if *c == '\n' {
            blank = true;
        } else if !c.is_whitespace() {
            next = Some(*c);
            break;
        }
    }
    let Some(next) = next else { return true };
    let before = before.trim_end();
    let last = &before[before.rfind(char::is_whitespace).map_or(0, |at| at + 1)..];
    let leads_on = before.ends_with(',') || LEADS_ON.contains(&last.to_lowercase().trim());
    blank || (!leads_on && (!next.is_alphanumeric() || next.is_uppercase() || next.is_numeric()))
}

/// For each quote that is opened where it is closed again, if it is.
fn closing_quotes(chars: &[(usize, char)]) -> Vec<Option<usize>> {
    let mut closing = vec![None; chars.len()];
    let mut open: Option<usize> = None;
    for (at, (place, c)) in chars.iter().enumerate() {
        let near = |from: usize| place - chars[from].0 <= LONGEST_QUOTE && at > from + 1;
        match c {
            '“' | '«' => open = Some(at),
            '”' | '»' => {
                if let Some(from) = open.take().filter(|from| near(*from)) {
                    closing[from] = Some(at);
                }
            }
            '"' => match open.filter(|from| near(*from)) {
                Some(from) => {
                    closing[from] = Some(at);
                    open = None;
                }
                None => open = Some(at),
            },
            _ => {}
        }
    }
    closing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_stops_that_are_glued_to_words_end_sentences_and_others_do_not() {
        for (text, expected) in [
            ("Al met Bo. Cy met Di.", vec!["Al met Bo.", "Cy met Di."]),
            ("It cost 3.5 million. Dr. Venn paid.", vec!["It cost 3.5 million.", "Dr. Venn paid."]),
            ("St. Mary was built by J. R. Dop. It stands.", vec!["St. Mary was built by J. R. Dop.", "It stands."]),
            (
                "She made things, e.g. bridges. So what?! Nothing.",
                vec!["She made things, e.g. bridges.", "So what?!", "Nothing."],
            ),
            ("1. Mara came.\n2. Rik came.", vec!["1. Mara came.", "2. Rik came."]),
            ("- Mara came\n- Rik came", vec!["- Mara came", "- Rik came"]),
            ("Mara designed the\nGlass Bridge.", vec!["Mara designed the\nGlass Bridge."]),
            (
                "He said: \"Mara came. Rik came.\" Then he left.",
                vec!["He said: \"Mara came. Rik came.\"", "Then he left."],
            ),
            ("Mara came.Rik came.", vec!["Mara came.", "Rik came."]),
            ("Mara Venn Jr. came. (Rik came.) Tal came", vec!["Mara Venn Jr. came.", "(Rik came.)", "Tal came"]),
            ("Hmm... Mara came . Rik came .", vec!["Hmm...", "Mara came .", "Rik came ."]),
            (" \n ", vec![]),
        ] {
            assert_eq!(sentences(text), expected, "{text}");
        }
    }

    #[test]
    fn any_text_is_split_without_loss_in_linear_time() {
        for piece in ["\"", ". ", "\n", "\" . ", "“", "Dr. ", "…", "a\n", "A.", "1. ", "'", ")."] {
            let text = piece.repeat(200_000);
            let kept: usize = sentences(&text).iter().map(|s| s.chars().filter(|c| !c.is_whitespace()).count()).sum();
            assert_eq!(kept, text.chars().filter(|c| !c.is_whitespace()).count(), "{piece:?}");
        }
    }
}
