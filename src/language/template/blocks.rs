//! `{% generation %} … {% endgeneration %}`: the tags by which a chat template marks what the model wrote. transformers
//! renders such a block as its content, in a scope of its own; so does minijinja with `{% with %} … {% endwith %}`.

use std::ops::Range;

/// A template with another pair of tags in place of `generation` and `endgeneration`. What merely mentions them (text,
/// strings, comments, raw blocks) stays as it is.
pub(super) fn without_generation(template: &str) -> String {
    let mut plain = String::with_capacity(template.len());
    let mut copied = 0;
    let mut scanner = Scanner { text: template, at: 0 };
    while let Some((name, word)) = scanner.next_tag() {
        let instead = match name {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => continue,
        };
        plain += &template[copied..word.start];
        plain += instead;
        copied = word.end;
    }
    plain + &template[copied..]
}

/// Goes through the tags of a template, `{% name … %}`.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The name of the next tag and where it stands; the scanner is then behind the tag.
    fn next_tag(&mut self) -> Option<(&'a str, Range<usize>)> {
        loop {
            self.at += self.rest().find('{')?;
            match self.rest().as_bytes().get(1) {
                Some(b'#') => self.skip_behind("#}")?,
                Some(b'{') => self.skip_expression("}}")?,
                Some(b'%') => {
                    let word = self.name();
                    self.skip_expression("%}")?;
                    match &self.text[word.clone()] {
                        "raw" => self.skip_raw()?,
                        name => return Some((name, word)),
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Where the name of the tag that begins here stands, behind its `{%`, a sign for white space, and white space.
    fn name(&self) -> Range<usize> {
        let inside = &self.rest()[2..];
        let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_start();
        let start = self.text.len() - inside.len();
        let length = inside.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inside.len());
        start..start + length
    }

    fn skip_behind(&mut self, end: &str) -> Option<()> {
        self.at += self.rest().find(end)? + end.len();
        Some(())
    }

    /// Goes behind the end of the expression or tag that begins here: not the one in a string, nor within braces.
    fn skip_expression(&mut self, end: &str) -> Option<()> {
        self.at += 2;
        let (mut quote, mut open) = (None, 0_usize);
        let mut characters = self.rest().char_indices();
        while let Some((at, character)) = characters.next() {
            match (quote, character) {
                (Some(_), '\\') => drop(characters.next()),
                (Some(mark), _) if mark == character => quote = None,
                (Some(_), _) => (),
                (None, '"' | '\'') => quote = Some(character),
                (None, _) if open == 0 && self.rest()[at..].starts_with(end) => {
                    self.at += at + end.len();
                    return Some(());
                }
                (None, '{' | '[' | '(') => open += 1,
                (None, '}' | ']' | ')') => open = open.saturating_sub(1),
                (None, _) => (),
            }
        }
        None
    }

    fn skip_raw(&mut self) -> Option<()> {
        loop {
            self.skip_behind("{%")?;
            self.at -= 2;
            let word = self.name();
            if &self.text[word.clone()] == "endraw" {
                return self.skip_expression("%}");
            }
            self.at += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_generation;

    #[test]
    fn tags_are_found_with_whatever_says_what_becomes_of_white_space() {
        for (given, wanted) in [
            ("a{% generation %}b{% endgeneration %}c", "a{% with %}b{% endwith %}c"),
            ("{%- generation -%}b{%-endgeneration-%}", "{%- with -%}b{%-endwith-%}"),
            ("{%+ generation %}b{%\tendgeneration\n%}", "{%+ with %}b{%\tendwith\n%}"),
            ("{{ {'a': {'b': '}}'}}['a'] }}{% generation %}", "{{ {'a': {'b': '}}'}}['a'] }}{% with %}"),
            ("{% set x = \"%} \\\" {%\" %}{%generation%}", "{% set x = \"%} \\\" {%\" %}{%with%}"),
            ("{% raw %}{% x %}{% endraw %}{% generation %}", "{% raw %}{% x %}{% endraw %}{% with %}"),
        ] {
            assert_eq!(without_generation(given), wanted);
        }
    }

    #[test]
    fn what_merely_mentions_them_stays() {
        for text in [
            "generation { % generation %}",
            "{# {% generation %} #}{{ '{% generation %}' }}",
            "{% set generation = 1 %}{% generations %}{{ generation }}",
            "{% raw %}{% generation %}{% endraw %}",
            "{% if '{% generation %}' %}",
            "é{",
            "{%",
            "{% generation",
        ] {
            assert_eq!(without_generation(text), text);
        }
    }
}
