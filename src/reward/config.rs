//! Reads `rewards/*.toml`.
//!
//! ```toml
//! [[term]]
//! kind = "correct"      # one of Term::KINDS
//! weight = 1.0          # default 1; 0 measures and logs only, below 0 punishes
//!
//! [[term]]
//! kind = "length"
//! name = "long"         # what metrics call it; default the kind
//! weight = -0.2
//! free = 40             # the term's own keys
//! limit = 64
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{Reward, Term, Weighted};
use crate::strict_toml::{self, Problem};
use crate::{Error, Result, files};

/// The largest weight either way, so that totals and their spread stay far from overflow.
const LARGEST_WEIGHT: f64 = 1e6;

/// The keys that every term has, beside those of its kind.
const COMMON: [&str; 3] = ["kind", "name", "weight"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RewardFile {
    #[serde(default)]
    term: Vec<Table>,
}

/// The values of these keys, but for the kind.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Common {
    name: Option<String>,
    weight: f64,
}

impl Default for Common {
    fn default() -> Self {
        Common { name: None, weight: 1.0 }
    }
}

impl Reward {
    /// Reads a reward file. Everything that is wrong in it is reported, a line each.
    pub fn load(path: &Path) -> Result<Reward> {
        Reward::parse(&files::read_text(path)?, &path.display().to_string())
    }

    /// The same from text; `place` stands for the file in errors.
    pub fn parse(text: &str, place: &str) -> Result<Reward> {
        let (file, problems) = strict_toml::decode::<RewardFile>(&strict_toml::parse(text, place)?);
        let mut errors: Vec<Error> = problems.into_iter().map(|problem| problem.at(place)).collect();
        let mut terms = Vec::new();
        for (index, table) in file.into_iter().flat_map(|file| file.term).enumerate() {
            match weighted(&table) {
                Ok(term) => terms.push(term),
                Err(problems) => {
                    let place = format!("{place}: term {}", index + 1);
                    errors.extend(problems.into_iter().map(|problem| problem.at(&place)));
                }
            }
        }
        if errors.is_empty() {
            errors.extend(together(&terms).map(|problem| problem.at(place)));
        }
        Error::all(errors)?;
        Ok(Reward { terms })
    }
}

/// Reads one `[[term]]`.
fn weighted(table: &Table) -> Result<Weighted, Vec<Problem>> {
    let mut own = table.clone();
    let allowed = Term::KINDS.join(", ");
    let kind = match own.remove("kind") {
        Some(Value::String(kind)) => kind,
        Some(other) => {
            return Err(vec![Problem::new("kind", format!("found {other}"), format!("allowed are {allowed}"))]);
        }
        None => return Err(vec![Problem::new("kind", "missing", format!("allowed are {allowed}"))]),
    };
    let common = ["name", "weight"].into_iter().filter_map(|key| Some((key.to_string(), own.remove(key)?))).collect();
    let (common, mut problems) = strict_toml::decode::<Common>(&common);
    let term = match kind.as_str() {
        "correct" => plain(&own, Term::Correct),
        "format" => plain(&own, Term::Format),
        "recitation" => plain(&own, Term::Recitation),
        "relevance" => plain(&own, Term::Relevance),
        "truncated" => plain(&own, Term::Truncated),
        "length" => keys(&own).map(Term::Length),
        other => {
            let remedy = strict_toml::suggest(other, &Term::KINDS, "");
            Err(vec![Problem::new("kind", format!("unknown term \"{other}\""), remedy)])
        }
    };
    let term = term.and_then(in_range).map_err(|own| problems.extend(own)).ok();
    let Common { name, weight } = common.unwrap_or_default();
    if !(weight.is_finite() && weight.abs() <= LARGEST_WEIGHT) {
        let allowed = format!("allowed is a number from {} to {LARGEST_WEIGHT}", -LARGEST_WEIGHT);
        problems.push(Problem::new("weight", format!("found {weight}"), allowed));
    }
    match term {
        Some(term) if problems.is_empty() => {
            Ok(Weighted { name: name.unwrap_or_else(|| term.kind().to_string()), weight, term })
        }
        _ => Err(problems),
    }
}

/// A kind of term without keys of its own.
fn plain(own: &Table, term: Term) -> Result<Term, Vec<Problem>> {
    let unknown = |key: &String| Problem::new(key, "unknown key", strict_toml::suggest(key, &COMMON, ""));
    let problems: Vec<Problem> = own.keys().map(unknown).collect();
    if problems.is_empty() { Ok(term) } else { Err(problems) }
}

/// The keys that belong to one kind of term.
fn keys<T: DeserializeOwned>(own: &Table) -> Result<T, Vec<Problem>> {
    match strict_toml::decode(own) {
        (Some(value), problems) if problems.is_empty() => Ok(value),
        (_, mut problems) => {
            // Where none of its own is near, one of the common keys may have been meant.
            for problem in problems.iter_mut().filter(|problem| problem.remedy.starts_with("allowed are")) {
                if let Some(near) = strict_toml::nearest(&problem.key, COMMON) {
                    problem.remedy = format!("did you mean {near}?");
                }
            }
            Err(problems)
        }
    }
}

fn in_range(term: Term) -> Result<Term, Vec<Problem>> {
    match &term {
        Term::Length(length) if length.limit <= length.free => {
            let allowed = format!("allowed is more than free, which is {}", length.free);
            Err(vec![Problem::new("limit", format!("found {}", length.limit), allowed)])
        }
        _ => Ok(term),
    }
}

/// What only shows when all terms are there.
fn together(terms: &[Weighted]) -> Option<Problem> {
    let mut names = BTreeSet::new();
    if let Some(twice) = terms.iter().find(|term| !names.insert(&term.name)) {
        let remedy = "give one of them a name of its own";
        return Some(Problem::new("term", format!("two terms are called {}", twice.name), remedy));
    }
    // Also true of a file without terms.
    if terms.iter().all(|term| term.weight == 0.0) {
        let remedy = "give at least one [[term]] a weight that is not 0";
        return Some(Problem::new("term", "no term is worth anything", remedy));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::term::Length;
    use super::*;

    fn line(text: &str) -> String {
        Reward::parse(text, "r.toml").unwrap_err().to_string()
    }

    #[test]
    fn terms_keep_their_order_and_their_defaults() {
        let text = "[[term]]\nkind = 'truncated'\nweight = -1\n[[term]]\nkind = 'correct'\n\
                    [[term]]\nkind = 'length'\nname = 'long'\nweight = 0\nlimit = 64";
        let weighted = |name: &str, weight, term| Weighted { name: name.into(), weight, term };
        let terms = vec![
            weighted("truncated", -1.0, Term::Truncated),
            weighted("correct", 1.0, Term::Correct),
            weighted("long", 0.0, Term::Length(Length { free: 0, limit: 64 })),
        ];
        assert_eq!(Reward::parse(text, "r.toml").unwrap(), Reward { terms });
    }

    #[test]
    fn every_kind_can_be_written_and_is_called_by_its_name() {
        for kind in Term::KINDS {
            let limit = if kind == "length" { "limit = 9" } else { "" };
            let reward = Reward::parse(&format!("[[term]]\nkind = '{kind}'\n{limit}"), "r.toml").unwrap();
            assert_eq!((reward.terms[0].term.kind(), reward.terms[0].name.as_str()), (kind, kind));
        }
    }

    #[test]
    fn what_is_wrong_is_named_in_one_line() {
        for (text, expected) in [
            ("[[terms]]\nkind = 'correct'", "r.toml: terms: unknown key; did you mean term?"),
            ("[[term]]\nkind = 'corect'", "r.toml: term 1: kind: unknown term \"corect\"; did you mean correct?"),
            ("[[term]]\nkind = 'correct'\nwieght = 1", "r.toml: term 1: wieght: unknown key; did you mean weight?"),
            (
                "[[term]]\nkind = 'length'\nlimt = 3\nlimit = 5",
                "r.toml: term 1: limt: unknown key; did you mean limit?",
            ),
            (
                "[[term]]\nkind = 'length'\nlimit = 9\nweigt = 3",
                "r.toml: term 1: weigt: unknown key; did you mean weight?",
            ),
            ("[[term]]\nkind = 'length'", "r.toml: term 1: limit: missing; give it a value"),
            (
                "[[term]]\nkind = 'length'\nlimit = 3\nfree = 3",
                "r.toml: term 1: limit: found 3; allowed is more than free, which is 3",
            ),
            (
                "[[term]]\nkind = 'correct'\nlimit = 3",
                "r.toml: term 1: limit: unknown key; allowed are kind, name, weight",
            ),
            (
                "[[term]]\nkind = 'correct'\nweight = nan",
                "r.toml: term 1: weight: found NaN; allowed is a number from -1000000 to 1000000",
            ),
            (
                "[[term]]\nkind = 'correct'\nweight = 'x'",
                "r.toml: term 1: weight: found string \"x\"; allowed is a number",
            ),
            (
                "[[term]]\nkind = 'correct'\nweight = 0",
                "r.toml: term: no term is worth anything; give at least one [[term]] a weight that is not 0",
            ),
            ("", "r.toml: term: no term is worth anything; give at least one [[term]] a weight that is not 0"),
            (
                "[[term]]\nkind = 'format'\n[[term]]\nkind = 'format'",
                "r.toml: term: two terms are called format; give one of them a name of its own",
            ),
            ("term = 3", "r.toml: term: found integer 3; allowed is a list in brackets"),
            (
                "[[term]]\nweight = 1",
                "r.toml: term 1: kind: missing; allowed are correct, format, recitation, relevance, length, truncated",
            ),
        ] {
            assert_eq!(line(text), expected);
        }
        let both = line("[[term]]\nkind = 'corect'\nweight = inf\n[[term]]\nweight = 1");
        assert_eq!(both.lines().count(), 3, "{both}");
    }

    #[test]
    fn the_shipped_reward_pays_for_correct_answers_alone() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/correct.toml");
        let reward = Reward::load(&path).unwrap();
        assert_eq!(reward.range(), (0.0, 1.0));
        let paid: Vec<&str> = reward.terms.iter().filter(|t| t.weight != 0.0).map(|t| t.name.as_str()).collect();
        assert_eq!(paid, ["correct"]);
    }
}
