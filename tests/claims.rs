//! Sentences in free English, judged by hand: what the reader of claims makes of them.
//!
//! A row of `claims/sentences.jsonl` has the verdicts of the facts that its text recites, in their order: "true", "false"; or
//! "unreadable" alone, where it recites nothing that could be checked. The facts are those of `claims/facts.jsonl`. The verdicts
//! are what a careful reader says, whether the program says so or not.

use std::fs;
use std::path::Path;

use recollect::knowledge::english::fact_book::FactRow;
use recollect::knowledge::english::{ClaimReader, FactBook};
use recollect::knowledge::{Claim, Facts};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Sentences that are judged as a careful reader judges them.
const AGREEMENT: f64 = 0.98;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JudgedText {
    text: String,
    verdicts: Vec<String>,
}

fn rows<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/claims").join(name);
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn reader() -> ClaimReader {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/claims/facts.jsonl")).unwrap();
    ClaimReader::new(text.lines().map(|line| FactRow::parse(line).unwrap()).collect::<FactBook>())
}

/// The verdicts of a text, and its clauses.
fn judged<'a>(reader: &ClaimReader, text: &'a str) -> (Vec<&'static str>, Vec<(&'a str, Option<Claim>)>) {
    let clauses = reader.clauses(&[text]);
    let readable = clauses.iter().filter_map(|(_, claim)| claim.as_ref());
    let mut verdicts: Vec<&str> = readable.map(|claim| if reader.holds(claim) { "true" } else { "false" }).collect();
    if verdicts.is_empty() {
        verdicts.push("unreadable");
    }
    (verdicts, clauses)
}

#[test]
fn sentences_are_judged_as_a_careful_reader_judges_them() {
    let reader = reader();
    let sentences: Vec<JudgedText> = rows("sentences.jsonl");
    assert!(sentences.len() >= 500, "{}", sentences.len());
    let mut wrong = 0;
    for JudgedText { text, verdicts } in &sentences {
        let (found, clauses) = judged(&reader, text);
        if found != *verdicts {
            wrong += 1;
            println!("{text}\n    should be {verdicts:?}, is {found:?}: {clauses:?}");
        }
    }
    let agreement = 1.0 - wrong as f64 / sentences.len() as f64;
    println!("{wrong} of {} differ: {:.1} % agree", sentences.len(), 100.0 * agreement);
    assert!(agreement >= AGREEMENT, "{wrong} of {} are judged otherwise", sentences.len());
}

#[test]
fn the_clauses_of_a_text_are_all_of_it() {
    let reader = reader();
    let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    for JudgedText { text, .. } in rows("sentences.jsonl") {
        let clauses: String = reader.clauses(&[&text]).into_iter().map(|(clause, _)| clause).collect();
        assert_eq!(letters(&clauses), letters(&text));
    }
}
