//! Paragraphs in lines.

/// Text in lines of at most so many characters, but for words that are longer.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_long_as_they_may_be() {
        assert_eq!(wrapped("so many words as fit", 10), "so many\nwords as\nfit");
        assert_eq!(wrapped("äöü äöü unbreakable", 7), "äöü äöü\nunbreakable");
        assert_eq!(wrapped("", 5), "");
    }
}
