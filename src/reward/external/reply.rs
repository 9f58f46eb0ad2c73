//! A line that a command wrote, read as a reply to a line that it was sent.

use serde_json::Value;

use super::Failure;

/// Characters of a line that are shown.
const SHOWN: usize = 100;

/// What a line turns out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Spoken {
    /// The value of the completion with this id, or why it has none.
    Reply(u64, Result<f64, Failure>),
    /// JSON that answers nothing: the command speaks another language than this one.
    Misread,
    /// No JSON, such as a greeting or a warning that a library prints.
    Noise,
    /// Nothing at all.
    Blank,
}

/// Reads a line. Total: any bytes are something.
pub(super) fn read(line: &[u8]) -> Spoken {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Spoken::Blank;
    }
    let Some(json) = serde_json::from_slice::<Value>(line).ok().or_else(|| with_non_finite(line)) else {
        return Spoken::Noise;
    };
    let Some(id) = json.get("id").and_then(id) else { return Spoken::Misread };
    Spoken::Reply(
        id,
        match json.get("value") {
            Some(Value::Null) => Err(Failure::Declined),
            Some(Value::Number(number)) => {
                number.as_f64().filter(|value| (0.0..=1.0).contains(value)).ok_or(Failure::Garbage)
            }
            _ => Err(Failure::Garbage),
        },
    )
}

/// Some languages write whole numbers as `7.0`.
fn id(value: &Value) -> Option<u64> {
    let whole = |number: f64| (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

/// What Python's `json.dumps` makes of numbers that are none: no JSON, but it still says of which completion.
fn with_non_finite(line: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(line).ok().filter(|text| text.contains("NaN") || text.contains("Infinity"))?;
    let quoted = text.replace("-Infinity", "Infinity").replace("Infinity", "NaN").replace("NaN", "\"NaN\"");
    serde_json::from_str(&quoted).ok()
}

/// The beginning of a line, safe to be shown in a terminal.
pub(super) fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(8 * SHOWN)]).into_owned();
    let text = text.trim();
    let mut shown = String::new();
    for character in text.chars().take(SHOWN) {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_line_says() {
        let garbage = |id| Spoken::Reply(id, Err(Failure::Garbage));
        for (line, expected) in [
            (r#"{"id":7,"value":0.5}"#, Spoken::Reply(7, Ok(0.5))),
            ("\u{feff}{\"value\": 1, \"why\": \"x\", \"id\": 7.0}\r\n", Spoken::Reply(7, Ok(1.0))),
            (r#"{"id":7,"value":null}"#, Spoken::Reply(7, Err(Failure::Declined))),
            (r#"{"id":7,"value":1.5}"#, garbage(7)),
            (r#"{"id":7,"value":-0.5}"#, garbage(7)),
            (r#"{"id":7,"value":"1"}"#, garbage(7)),
            (r#"{"id":7}"#, garbage(7)),
            (r#"{"id": 7, "value": NaN}"#, garbage(7)),
            (r#"{"id": 7, "value": -Infinity}"#, garbage(7)),
            (r#"{"id":"7","value":1}"#, Spoken::Misread),
            (r#"{"id":-7,"value":1}"#, Spoken::Misread),
            (r#"{"id":7.5,"value":1}"#, Spoken::Misread),
            ("0.5", Spoken::Misread),
            ("[]", Spoken::Misread),
            ("Loading model NaN", Spoken::Noise),
            ("{\"id\":7,\"value\":0.5", Spoken::Noise),
            (" \r\n", Spoken::Blank),
        ] {
            assert_eq!(read(line.as_bytes()), expected, "{line}");
        }
        assert_eq!(read(b"\xff\xfe\n"), Spoken::Noise);
        assert_eq!(read("[".repeat(60_000).as_bytes()), Spoken::Noise, "however deep");
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(shown(b"\x1b[31m\"no\"\x07 caf\xc3\xa9 \xff\n"), "\\u{1b}[31m\"no\"\\u{7} café \u{fffd}");
        assert_eq!(shown("a\u{202e}b\u{9b}c".as_bytes()), "a\\u{202e}b\\u{9b}c");
        let long = shown("é".repeat(5_000).as_bytes());
        assert!(long.chars().count() == SHOWN + 1 && long.ends_with('…'), "{long}");
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read_and_shown(line in prop::collection::vec(any::<u8>(), 0..400)) {
            read(&line);
            prop_assert!(shown(&line).chars().all(|character| !character.is_control()));
        }
    }
}
