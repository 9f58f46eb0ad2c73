//! A reward file with some of its keys changed.

use toml::{Table, Value};

use super::Reward;
use super::config::name_of;
use crate::strict_toml::{self, Problem, insert, suggest};
use crate::{Error, Result};

/// The text of a reward file in which keys have other values, checked. A key is one of the file (`normalise`), or
/// `term.NAME.KEY` for a key of the term that is called NAME (`term.recitation.weight`). `place` stands for the file in
/// errors.
pub fn changed(text: &str, place: &str, changes: &[(&str, Value)]) -> Result<String> {
    let mut file = strict_toml::parse(text, place)?;
    for (key, value) in changes {
        let path: Vec<String> = key.split('.').map(String::from).collect();
        match path.as_slice() {
            [list, name, rest @ ..] if list == "term" && !rest.is_empty() => {
                let term = term(&mut file, name).map_err(|problem| problem.at(&format!("{place}: {key}")))?;
                insert(term, rest, value.clone())
            }
            [only] if only != "term" => insert(&mut file, &path, value.clone()),
            _ => Err(Problem::new("", "not a key of a reward", "write term.NAME.KEY, such as term.correct.weight")),
        }
        .map_err(|problem| problem.at(&format!("{place}: {key}")))?;
    }
    let text = toml::to_string(&file)
        .map_err(|error| Error::invalid(place, strict_toml::one_line(&error.to_string()), "it cannot be written"))?;
    Reward::parse(&text, place)?;
    Ok(text)
}

/// The term of this name.
fn term<'a>(file: &'a mut Table, name: &str) -> Result<&'a mut Table, Problem> {
    let terms = file.get_mut("term").and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default();
    let names: Vec<String> = terms.iter().filter_map(Value::as_table).map(name_of).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let missing = || Problem::new("", format!("no term is called \"{name}\""), suggest(name, &known, ""));
    let found = terms.iter_mut().filter_map(Value::as_table_mut).find(|term| name_of(term) == name);
    found.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "[[term]]\nkind = 'correct'\n[[term]]\nkind = 'length'\nname = 'long'\nlimit = 64\nweight = -0.1";

    fn change(key: &str, value: impl Into<Value>) -> Result<String> {
        changed(FILE, "r.toml", &[(key, value.into())])
    }

    #[test]
    fn terms_are_found_by_name_and_the_rest_stays() {
        let text = changed(FILE, "r.toml", &[("term.long.limit", 32.into()), ("normalise", "terms".into())]).unwrap();
        let by_hand = Reward::parse(&format!("normalise = 'terms'\n{}", FILE.replace("64", "32")), "r.toml").unwrap();
        assert_eq!(Reward::parse(&text, "r.toml").unwrap(), by_hand);
        let annealed = change("term.correct.anneal.to", 0.5).unwrap_err().to_string();
        assert!(annealed.contains("end"), "keys inside of keys are set, and then checked: {annealed}");
    }

    #[test]
    fn what_is_no_key_is_named() {
        for (key, expected) in [
            ("term.lomg.limit", "r.toml: term.lomg.limit: no term is called \"lomg\"; did you mean long?"),
            ("term.long", "r.toml: term.long: not a key of a reward; write term.NAME.KEY, such as term.correct.weight"),
            (
                "long.limit",
                "r.toml: long.limit: not a key of a reward; write term.NAME.KEY, such as term.correct.weight",
            ),
        ] {
            assert_eq!(change(key, 3).unwrap_err().to_string(), expected);
        }
        assert!(change("term.long.limt", 3).unwrap_err().to_string().contains("did you mean limit?"));
        assert!(change("term.correct.weight", f64::NAN).unwrap_err().to_string().contains("found NaN"));
    }
}
