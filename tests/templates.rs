//! Chat templates are rendered as transformers renders them, letter by letter; `make_template_golden.py` records it. The
//! templates of `templates.json` are made of what real ones are made of; RECOLLECT_TEMPLATES may name another file, made
//! from all those that TRL ships (`tests/oracle` does so).

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;
use minijinja::Value;
use recollect::language::Chat;
use serde::Deserialize;

#[derive(Deserialize)]
struct TemplateGolden {
    date: String,
    tokens: BTreeMap<String, String>,
    conversations: Vec<Value>,
    cases: Vec<TemplateCase>,
}

#[derive(Deserialize)]
struct TemplateCase {
    name: String,
    template: String,
    renders: Vec<Render>,
}

#[derive(Deserialize)]
struct Render {
    /// Which conversation.
    conversation: usize,
    thinking: bool,
    generate: bool,
    /// What it gives; none where transformers has an error.
    text: Option<String>,
}

/// Renders every case of a file; the names of those that differ, with what was expected and what came.
fn compare(path: &Path) -> (usize, Vec<String>) {
    let golden: TemplateGolden = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut renders, mut wrong) = (0, Vec::new());
    for TemplateCase { name, template, renders: all } in golden.cases {
        let mut chat = match Chat::new(&name, &template, golden.tokens.clone()) {
            Ok(chat) => chat,
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        chat.set_date(NaiveDate::parse_from_str(&golden.date, "%Y-%m-%d").ok());
        for (number, Render { conversation, thinking, generate, text }) in all.into_iter().enumerate() {
            renders += 1;
            let found = chat.render(&golden.conversations[conversation], thinking, generate);
            if found.as_ref().ok() != text.as_ref() {
                wrong.push(format!("{name}, {number}:\n  wanted {text:?}\n  found  {found:?}"));
            }
        }
    }
    (renders, wrong)
}

#[test]
fn templates_give_what_transformers_gives() {
    let (renders, wrong) = compare(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates.json"));
    assert!(wrong.is_empty(), "{} of {renders} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(renders > 300, "{renders}");
}

#[test]
fn templates_that_trl_ships_give_what_transformers_gives() {
    let Some(path) = std::env::var_os("RECOLLECT_TEMPLATES") else {
        eprintln!("skipped: RECOLLECT_TEMPLATES names no file of TRL's templates; tests/oracle makes one");
        return;
    };
    let (renders, wrong) = compare(Path::new(&path));
    assert!(wrong.is_empty(), "{} of {renders} differ:\n{}", wrong.len(), wrong.join("\n"));
    println!("{renders} renders of TRL's templates are the same");
}
