//! JSON as Python's `json.dumps` writes it: what `tojson` gives in a chat template. By hand, because serde_json knows
//! neither its separators nor how it spells numbers.

use std::fmt::Write;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// How deep values may lie in each other.
const DEEPEST: usize = 100;

/// `value|tojson(ensure_ascii, indent, separators, sort_keys)`: transformers' filter, with its defaults.
pub(super) fn tojson(
    state: &State,
    value: &Value,
    ascii: Option<Value>,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let option = |given: Option<Value>, key: &str| -> Result<Option<Value>, Error> {
        let value = if given.is_some() { given } else { options.get(key)? };
        Ok(value.filter(|value| !value.is_none() && !value.is_undefined()))
    };
    let is_true = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let ascii = is_true(option(ascii, "ensure_ascii")?);
    let indent = match option(indent, "indent")? {
        Some(text) if text.kind() == ValueKind::String => Some(text.to_string()),
        Some(spaces) => Some(" ".repeat(usize::try_from(spaces)?.min(DEEPEST))),
        None => None,
    };
    let between = if indent.is_some() { "," } else { ", " };
    let (between, behind_key) = match option(None, "separators")? {
        Some(pair) => (pair.get_item_by_index(0)?.to_string(), pair.get_item_by_index(1)?.to_string()),
        None => (between.into(), ": ".into()),
    };
    let sorted = is_true(option(None, "sort_keys")?);
    options.assert_all_used()?;
    let style = Style { indent, between, behind_key, sorted, ascii };
    let mut text = String::new();
    style.write(value, 0, &mut text)?;
    state.consume_fuel(text.len() as u64 / 64)?;
    Ok(Value::from(text))
}

struct Style {
    indent: Option<String>,
    between: String,
    behind_key: String,
    sorted: bool,
    ascii: bool,
}

impl Style {
    fn write(&self, value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(Error::new(ErrorKind::InvalidOperation, "values lie too deep in each other for JSON"));
        }
        match value.kind() {
            ValueKind::None => text.push_str("null"),
            ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => *text += &value.to_string(),
            ValueKind::Number => *text += &number(f64::try_from(value.clone())?),
            ValueKind::String => self.quote(value.as_str().unwrap_or_default(), text),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.group(['[', ']'], &items, depth, text, |item, text| self.write(item, depth + 1, text))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                self.group(['{', '}'], &keys, depth, text, |key, text| {
                    let mut name = String::new();
                    match key.kind() {
                        ValueKind::String => name.push_str(key.as_str().unwrap_or_default()),
                        _ => self.write(key, depth + 1, &mut name)?,
                    }
                    self.quote(&name, text);
                    text.push_str(&self.behind_key);
                    self.write(&value.get_item(key)?, depth + 1, text)
                })?;
            }
            kind => {
                let message = format!("a value of type {kind} has no JSON");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        Ok(())
    }

    fn group(
        &self,
        [open, close]: [char; 2],
        items: &[Value],
        depth: usize,
        text: &mut String,
        mut write: impl FnMut(&Value, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        text.push(open);
        let line = |depth: usize, text: &mut String| {
            if let Some(indent) = &self.indent {
                text.push('\n');
                *text += &indent.repeat(depth);
            }
        };
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                *text += &self.between;
            }
            line(depth + 1, text);
            write(item, text)?;
        }
        if !items.is_empty() {
            line(depth, text);
        }
        text.push(close);
        Ok(())
    }

    fn quote(&self, string: &str, text: &mut String) {
        text.push('"');
        for character in string.chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                '\0'..'\x20' => escape(character, text),
                _ if self.ascii && !(' '..='~').contains(&character) => escape(character, text),
                _ => text.push(character),
            }
        }
        text.push('"');
    }
}

/// `\u00e9`, in two parts where one does not suffice.
fn escape(character: char, text: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\u{unit:04x}");
    }
}

/// A number as Python's `repr` spells it: the shortest digits that name it, with an exponent where it is very large or
/// very small.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_spelled_as_python_does() {
        for (value, text) in [
            (1.0, "1.0"),
            (-0.5, "-0.5"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e100, "1e+100"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
