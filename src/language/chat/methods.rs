//! Methods of Python's values that chat templates call. Most are minijinja's; here are the rest.

use minijinja::value::{Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Calls a method that a value has in Python.
pub(super) fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => {
            of_text(text, method, args).unwrap_or_else(|| unknown_method_callback(state, value, method, args))
        }
        None if value.kind() == ValueKind::Seq && method == "index" => index(value, args),
        None => unknown_method_callback(state, value, method, args),
    }
}

/// Methods of `str`; `None` where minijinja has it.
fn of_text(text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    let string = || from_args::<(&str,)>(args).map(|(one,)| one.to_owned());
    let absent = || Error::new(ErrorKind::InvalidOperation, "substring not found");
    let place = |at: Option<usize>| match at {
        Some(at) => Ok(Value::from(text[..at].chars().count())),
        None => Err(absent()),
    };
    Some(match method {
        "removeprefix" => string().map(|prefix| text.strip_prefix(&*prefix).unwrap_or(text).into()),
        "removesuffix" => string().map(|suffix| text.strip_suffix(&*suffix).unwrap_or(text).into()),
        "partition" => string().map(|at| match text.split_once(&*at) {
            Some((before, behind)) => list(&[before, &at, behind]),
            None => list(&[text, "", ""]),
        }),
        "rpartition" => string().map(|at| match text.rsplit_once(&*at) {
            Some((before, behind)) => list(&[before, &at, behind]),
            None => list(&["", "", text]),
        }),
        "index" => string().and_then(|what| place(text.find(&*what))),
        "rindex" => string().and_then(|what| place(text.rfind(&*what))),
        "rsplit" => from_args::<(Option<&str>, Option<i64>)>(args).map(|(at, most)| rsplit(text, at, most)),
        "casefold" => Ok(text.to_lowercase().into()),
        "zfill" => from_args::<(usize,)>(args).map(|(width,)| {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            let missing = width.min(1000).saturating_sub(text.chars().count());
            format!("{sign}{}{digits}", "0".repeat(missing)).into()
        }),
        _ => return None,
    })
}

/// From the right, at most so many times; at white space where nothing else is named.
fn rsplit(text: &str, at: Option<&str>, most: Option<i64>) -> Value {
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX).saturating_add(1);
    let mut parts: Vec<&str> = match at {
        Some(at) => text.rsplitn(most, at).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_end();
            while !rest.is_empty() && parts.len() + 1 < most {
                let word = rest.rsplit(char::is_whitespace).next().unwrap_or(rest);
                parts.push(word);
                rest = rest[..rest.len() - word.len()].trim_end();
            }
            if !rest.is_empty() {
                parts.push(rest);
            }
            parts
        }
    };
    parts.reverse();
    list(&parts)
}

fn list(parts: &[&str]) -> Value {
    parts.iter().map(|part| Value::from(*part)).collect()
}

fn index(list: &Value, args: &[Value]) -> Result<Value, Error> {
    let (what,): (&Value,) = from_args(args)?;
    match list.try_iter()?.position(|item| item == *what) {
        Some(at) => Ok(at.into()),
        None => Err(Error::new(ErrorKind::InvalidOperation, format!("{what} is not in the list"))),
    }
}
