//! Numbers as people and models write them.

use crate::text::{compatible, composed, unwrapped};

/// Digits of the longest exponent.
const EXPONENT: usize = 6;

/// A decimal number, exactly, with what stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    negative: bool,
    /// Without zeros at its ends; empty for 0.
    digits: String,
    /// The power of ten of the last digit.
    exponent: i64,
    /// A currency sign, or `%`.
    mark: Option<char>,
    /// What is counted or measured in, as it was written.
    unit: String,
}

impl Number {
    /// Reads a text that is one number: a sign, thousands in groups of three, decimals after a point, an exponent, a
    /// currency sign or `%`, a unit. An equals sign before it and markup around it are left out. `None` for any other text,
    /// one with a second number above all.
    pub fn read(text: &str) -> Option<Number> {
        let text = compatible(unwrapped(text));
        let around = |c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`' | '"' | '“' | '”' | '\'');
        let text = text.trim_matches(around);
        let mut rest = text.strip_prefix('=').map_or(text, str::trim_start);
        let (mut negative, mut mark) = (false, None);
        for _ in 0..2 {
            if let Some(c) = rest.chars().next().filter(|c| is_currency(*c) && mark.is_none()) {
                mark = Some(c);
                rest = rest[c.len_utf8()..].trim_start();
            }
            if let Some(c) = rest.chars().next().filter(|c| matches!(c, '+' | '-' | '−') && !negative) {
                negative = c != '+';
                rest = &rest[c.len_utf8()..];
            }
        }
        let whole = whole(rest)?;
        rest = &rest[whole.len()..];
        let fraction = rest.strip_prefix('.').map_or("", |rest| &rest[..digits(rest)]);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        rest = &rest[if fraction.is_empty() { 0 } else { fraction.len() + 1 }..];
        let (power, behind) = power(rest);
        rest = behind.trim();
        if let Some(c) = rest.chars().next().filter(|c| (*c == '%' || is_currency(*c)) && mark.is_none()) {
            mark = Some(c);
            rest = &rest[c.len_utf8()..];
        }
        let unit = composed(rest.trim_end_matches(|c: char| c == '.' || around(c)));
        if unit.contains(|c: char| c.is_numeric() && !matches!(c, '²' | '³')) {
            return None;
        }
        let all: String = whole.chars().filter(char::is_ascii_digit).chain(fraction.chars()).collect();
        let significant = all.trim_end_matches('0');
        let exponent = power - fraction.len() as i64 + (all.len() - significant.len()) as i64;
        let digits = significant.trim_start_matches('0').to_owned();
        let zero = digits.is_empty();
        Some(Number { negative: negative && !zero, digits, exponent: if zero { 0 } else { exponent }, mark, unit })
    }

    /// Whether somebody who was to say this number has said it. A currency sign, `%` and the unit may be missing; a unit that
    /// was not asked for may not be there, because "5 million" is not 5.
    pub fn is_said_by(&self, said: &Number) -> bool {
        let marks = self.mark.is_none() || said.mark.is_none() || self.mark == said.mark;
        let units = said.unit.is_empty() || said.unit == self.unit;
        self.value() == said.value() && marks && units
    }

    /// Equal for equal numbers, whatever stands beside them.
    pub fn value(&self) -> (bool, &str, i64) {
        (self.negative, &self.digits, self.exponent)
    }
}

fn is_currency(c: char) -> bool {
    matches!(c, '$' | '£' | '¥' | '¢' | '\u{20a0}'..='\u{20cf}')
}

/// How many bytes of ASCII digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The digits before the decimal point, which may come in groups of three. `None` where a comma stands that parts none.
fn whole(text: &str) -> Option<&str> {
    let mut length = digits(text);
    let separator = text[length..].chars().next().filter(|c| matches!(c, ',' | ' ' | '\'' | '’' | '_'));
    if let Some(separator) = separator.filter(|_| (1..=3).contains(&length)) {
        while let Some(group) = text[length..].strip_prefix(separator).filter(|group| digits(group) == 3) {
            length = text.len() - group.len() + 3;
        }
    }
    let parts_none = text[length..].strip_prefix(',').is_some_and(|rest| digits(rest) > 0);
    (!parts_none).then(|| &text[..length])
}

/// The exponent of a number that is written with one, and what stands behind it.
fn power(text: &str) -> (i64, &str) {
    let read = || {
        let rest = text.strip_prefix(['e', 'E'])?;
        let digits_from = usize::from(rest.starts_with(['+', '-']));
        let length = digits(&rest[digits_from..]);
        let end = digits_from + length;
        (1..=EXPONENT).contains(&length).then(|| rest[..end].parse().ok().map(|power| (power, &rest[end..])))?
    };
    read().unwrap_or((0, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(right: &str, answer: &str) -> bool {
        Number::read(right).unwrap().is_said_by(&Number::read(answer).unwrap())
    }

    #[test]
    fn one_number_is_read_however_it_is_written() {
        for text in [
            "42",
            "42.0",
            "042",
            "+42",
            "= 42",
            "42.",
            "$42",
            "42 €",
            "42%",
            "42.000",
            "4.2e1",
            "420E-1",
            "**42**",
            "\\boxed{42}",
            "$42$",
            "４２",
            " 42 </answer>",
            "\"42\"",
        ] {
            assert!(said("42", text), "{text}");
        }
        for (right, text) in [
            ("1000", "1,000"),
            ("1000", "1 000"),
            ("1234567.5", "1,234,567.50"),
            ("-5", "−5"),
            ("-5", "$-5"),
            ("-5", "-$5"),
            ("0", "-0.0"),
            ("0.5", ".5"),
            ("0.000001", "1e-6"),
            ("5 km", "5.0 km"),
            ("5 km", "5"),
            ("5 m²", "5 m²"),
        ] {
            assert!(said(right, text), "{right} {text}");
        }
    }

    #[test]
    fn another_number_or_another_unit_is_wrong() {
        for (right, text) in
            [("42", "-42"), ("42", "4.2"), ("42", "420"), ("5", "5 million"), ("5 km", "5 miles"), ("$5", "€5")]
        {
            assert!(!said(right, text), "{right} {text}");
        }
        for text in
            ["", "forty-two", "42 or 43", "42, 43", "1,00", "1,2,3", "12:30", "1/2", "10²", "½", "4 2", "--5", "."]
        {
            let read = Number::read(text);
            assert!(read.as_ref().is_none_or(|number| !number.unit.is_empty()), "{text}: {read:?}");
        }
        assert!(Number::read("42 or 43").is_none() && Number::read("42 43").is_none());
    }

    proptest! {
        #[test]
        fn every_text_is_read_or_not_and_a_number_is_itself(text in "[-+$ =0-9.,eE%a*]{0,24}|\\PC{0,24}", n in any::<i64>()) {
            if let Some(number) = Number::read(&text) {
                prop_assert!(number.is_said_by(&number));
            }
            let number = Number::read(&n.to_string()).unwrap();
            let (same, longer) = (Number::read(&format!("{n}.00")).unwrap(), Number::read(&format!("{n}1")).unwrap());
            prop_assert_eq!(number.value(), same.value());
            prop_assert_ne!(number.value(), longer.value());
        }
    }
}
