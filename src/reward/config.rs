//! Reads `rewards/*.toml`.
//!
//! ```toml
//! normalise = "sum"       # or "terms": the advantage is made from each term by itself
//!
//! [[term]]
//! kind = "correct"        # one of Term::KINDS
//! weight = 1.0            # default 1; 0 measures and logs only, below 0 punishes
//!
//! [[term]]
//! kind = "length"
//! name = "long"           # what metrics and gates call it; default the kind
//! weight = -0.2
//! only_if = "correct"     # counts by the value of another term; `unless` counts by what that lacks of 1
//! forms = ["open"]        # counts for questions of these forms alone
//! clip = { high = 0.5 }   # values beyond are cut off, before the gate
//! anneal = { to = 0.0, start = 50, end = 150 }   # the weight goes there in a straight line
//! pays = "completion"     # or "sentence"
//! free = 40               # the term's own keys
//! limit = 64
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::score::{Anneal, Normalise, Payee, ValueRange};
use super::{Reward, Term, Weighted};
use crate::knowledge::Form;
use crate::strict_toml::{self, MOST_PROBLEMS, Problem, TomlSpans};
use crate::text::is_hidden;
use crate::{Error, Result, shipped};

/// The largest weight either way, so that totals and their spread stay far from overflow.
const LARGEST_WEIGHT: f64 = 1e6;
/// The most terms of a file. Each is a column of the metrics, and with more of them nothing else is looked at.
const MOST_TERMS: usize = 64;

/// The longest name of a term, in characters.
const LONGEST_NAME: usize = 64;

/// The keys that every term has, beside those of its kind.
const COMMON: [&str; 9] = ["kind", "name", "weight", "only_if", "unless", "forms", "clip", "anneal", "pays"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RewardFields {
    #[serde(default)]
    normalise: Normalise,
    #[serde(default)]
    term: Vec<Table>,
}

/// The values of these keys.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Common {
    kind: Option<String>,
    name: Option<String>,
    weight: f64,
    only_if: Option<String>,
    unless: Option<String>,
    forms: Vec<Form>,
    clip: Option<ValueRange>,
    anneal: Option<Anneal>,
    pays: Payee,
}

impl Default for Common {
    fn default() -> Self {
        let (forms, pays) = (Vec::new(), Payee::default());
        Common {
            kind: None,
            name: None,
            weight: 1.0,
            only_if: None,
            unless: None,
            forms,
            clip: None,
            anneal: None,
            pays,
        }
    }
}

impl Reward {
    /// Reads a reward file, or one that ships. Everything that is wrong in it is reported, a line each.
    ///
    /// # Errors
    /// A file that is not there or cannot be read; everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Reward> {
        Reward::parse(&shipped::reward_text(path)?, &path.display().to_string())
    }

    /// The same from text; `place` stands for the file in errors.
    pub fn parse(text: &str, place: &str) -> Result<Reward> {
        let (file, problems) = strict_toml::decode::<RewardFields>(&strict_toml::parse(text, place)?);
        let places = TomlSpans::parse(text);
        let located = |problem: Problem, keys: &[&str]| {
            let of_problem: Vec<&str> = keys.iter().copied().chain(problem.key.split('.')).collect();
            match places.find(&of_problem) {
                Some(place_in_text) => format!("{place}: {place_in_text}"),
                None => place.to_string(),
            }
        };
        let whole = |problem: Problem| problem.clone().at(&located(problem, &[]));
        let mut errors: Vec<Error> = problems.into_iter().map(whole).collect();
        let RewardFields { normalise, term: tables } =
            file.unwrap_or(RewardFields { normalise: Normalise::Sum, term: vec![] });
        if tables.len() > MOST_TERMS {
            let found = format!("found {} terms", tables.len());
            errors.push(whole(Problem::new("term", found, format!("allowed are {MOST_TERMS}"))));
            return Err(Error::Several(errors));
        }
        let names: Vec<String> = tables.iter().map(name_of).collect();
        let mut terms = Vec::new();
        for (index, table) in tables.iter().enumerate() {
            if errors.len() > 2 * MOST_PROBLEMS {
                // Nobody mends more at once.
                break;
            }
            let read = weighted(table).and_then(|term| match lead_nowhere(&term, &names) {
                problems if problems.is_empty() => Ok(term),
                problems => Err(problems),
            });
            let number = index.to_string();
            match read {
                Ok(term) => terms.push(term),
                Err(problems) => errors.extend(problems.into_iter().map(|problem| {
                    let place = located(problem.clone(), &["term", &number]);
                    problem.at(&format!("{place}: term {}", index + 1))
                })),
            }
        }
        let reward = Reward { normalise, terms };
        if errors.is_empty() {
            errors.extend(together(&reward).into_iter().map(whole));
        }
        Error::all(errors)?;
        Ok(reward)
    }
}

/// What a term will be called, as far as that can be told before it is read.
pub(super) fn name_of(table: &Table) -> String {
    let text = |key| table.get(key).and_then(Value::as_str);
    text("name").or(text("kind")).unwrap_or_default().to_string()
}

/// Reads one `[[term]]`.
fn weighted(table: &Table) -> Result<Weighted, Vec<Problem>> {
    let mut own = table.clone();
    let common = COMMON.into_iter().filter_map(|key| Some((key.to_string(), own.remove(key)?))).collect();
    let (common, mut problems) = strict_toml::decode::<Common>(&common);
    let Common { kind, name, weight, only_if, unless, forms, clip, anneal, pays } = common.unwrap_or_default();
    let (mut term, kinds) = (None, Term::KINDS);
    match kind {
        Some(kind) if kinds.contains(&kind.as_str()) => {
            let (read, wrong) = strict_toml::decode_beside::<Term>(&Table::from_iter([(kind, own.into())]), &COMMON);
            term = read.filter(|_| wrong.is_empty());
            problems.extend(wrong);
        }
        Some(kind) => {
            let remedy = strict_toml::suggest(&kind, kinds, "");
            problems.push(Problem::new("kind", format!("unknown term \"{kind}\""), remedy));
        }
        // What stands there is no text, and that is told already.
        None if table.contains_key("kind") => {}
        None => problems.push(Problem::new("kind", "missing", format!("allowed are {}", kinds.join(", ")))),
    }
    problems.extend(term.iter().flat_map(Term::problems));
    if let Some(name) = name.as_deref().filter(|name| !is_name(name)) {
        let allowed = format!("allowed are 1 to {LONGEST_NAME} characters that can be seen");
        problems.push(Problem::new("name", format!("found \"{name}\""), allowed));
    }
    problems.extend(weight_problem("weight", weight));
    problems.extend(anneal.and_then(|anneal| weight_problem("anneal.to", anneal.to)));
    if let Some(Anneal { start, end, .. }) = anneal.filter(|anneal| anneal.end <= anneal.start) {
        let allowed = format!("allowed is more than anneal.start, which is {start}");
        problems.push(Problem::new("anneal.end", format!("found {end}"), allowed));
    }
    if let Some(ValueRange { low, high }) =
        clip.filter(|clip| !(0.0 <= clip.low && clip.low < clip.high && clip.high <= 1.0))
    {
        let found = format!("found {{ low = {low}, high = {high} }}");
        problems.push(Problem::new("clip", found, "allowed is 0 <= low < high <= 1"));
    }
    if pays == Payee::Sentence && term.as_ref().is_some_and(|term| !term.comes_from_sentences()) {
        let allowed = "of a sentence can be said whether it is true (recitation) and needed (relevance with count = \"found\" or \
                       \"surplus\")";
        problems.push(Problem::new("pays", "found \"sentence\"", allowed));
    }
    match term {
        Some(term) if problems.is_empty() => {
            let name = name.unwrap_or_else(|| term.kind().to_string());
            Ok(Weighted { name, weight, only_if, unless, forms, clip, anneal, pays, term })
        }
        _ => Err(problems),
    }
}

/// Whether metrics, tables and terminals can show it.
fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(is_hidden)
}

fn weight_problem(key: &str, weight: f64) -> Option<Problem> {
    let fine = weight.is_finite() && weight.abs() <= LARGEST_WEIGHT;
    let allowed = format!("allowed is a number from {} to {LARGEST_WEIGHT}", -LARGEST_WEIGHT);
    (!fine).then(|| Problem::new(key, format!("found {weight}"), allowed))
}

/// What only shows when all terms are there.
fn together(reward: &Reward) -> Vec<Problem> {
    let terms = &reward.terms;
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for twice in terms.iter().filter(|term| !names.insert(&term.name)) {
        let remedy = "give one of them a name of its own";
        problems.push(Problem::new("term", format!("two terms are called {}", twice.name), remedy));
    }
    if let Some(cycle) = cycle(reward) {
        let found = format!("{cycle} wait for each other");
        problems.push(Problem::new("term", found, "take one of these gates (only_if, unless) away"));
    }
    // Also true of a file without terms.
    if terms.iter().all(|term| term.weights().all(|weight| weight == 0.0)) {
        let remedy = "give at least one [[term]] a weight that is not 0";
        problems.push(Problem::new("term", "no term is worth anything", remedy));
    }
    problems
}

/// Gates that name no term.
fn lead_nowhere(term: &Weighted, names: &[String]) -> Vec<Problem> {
    let gates = [("only_if", &term.only_if), ("unless", &term.unless)];
    let unknown = |(key, gate): (&str, &Option<String>)| {
        let gate = gate.as_ref().filter(|gate| !names.contains(gate))?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let remedy = strict_toml::suggest(gate, &names, "");
        Some(Problem::new(key, format!("no term is called \"{gate}\""), remedy))
    };
    gates.into_iter().filter_map(unknown).collect()
}

/// The names of terms that stand behind each other's gates, if there are such.
fn cycle(reward: &Reward) -> Option<String> {
    let mut waiting: Vec<&Weighted> = reward.terms.iter().collect();
    loop {
        let waits_for = |term: &Weighted| {
            let gates = [&term.only_if, &term.unless];
            gates.into_iter().flatten().any(|gate| waiting.iter().any(|other| other.name == *gate))
        };
        let (still, free): (Vec<&Weighted>, Vec<&Weighted>) = waiting.iter().partition(|term| waits_for(term));
        if free.is_empty() {
            break;
        }
        waiting = still;
    }
    // What is left waits for a cycle or is part of one; following gates ends in it.
    let mut at = *waiting.first()?;
    let mut way: Vec<&str> = Vec::new();
    while !way.contains(&at.name.as_str()) {
        way.push(&at.name);
        let next = [&at.only_if, &at.unless].into_iter().flatten();
        at = next.filter_map(|gate| waiting.iter().find(|term| term.name == *gate)).next()?;
    }
    let from = way.iter().position(|name| *name == at.name)?;
    Some(way[from..].join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::terms::{Correct, Length, LengthShape};
    use super::*;

    fn line(text: &str) -> String {
        Reward::parse(text, "r.toml").unwrap_err().to_string()
    }

    #[test]
    fn terms_keep_their_order_and_their_defaults() {
        let text = "[[term]]\nkind = 'truncated'\nweight = -1\n[[term]]\nkind = 'correct'\n\
                    [[term]]\nkind = 'length'\nname = 'long'\nweight = 0\nlimit = 64";
        let length = Term::Length(Length { free: 0, buffer: None, limit: 64, shape: LengthShape::Linear });
        let terms = vec![
            Weighted::new(Term::Truncated, -1.0),
            Weighted::new(Term::Correct(Correct::default()), 1.0),
            Weighted { name: "long".into(), ..Weighted::new(length, 0.0) },
        ];
        assert_eq!(Reward::parse(text, "r.toml").unwrap(), Reward { normalise: Normalise::Sum, terms });
    }

    #[test]
    fn every_kind_can_be_written_and_is_called_by_its_name() {
        for &kind in Term::KINDS {
            let needs = match kind {
                "length" => "limit = 9",
                "regex" => "pattern = 'x'",
                "model" => "model = 'm'",
                "external" => "command = ['true']",
                _ => "",
            };
            let reward = Reward::parse(&format!("[[term]]\nkind = '{kind}'\n{needs}"), "r.toml").unwrap();
            assert_eq!((reward.terms[0].term.kind(), reward.terms[0].name.as_str()), (kind, kind));
        }
    }

    #[test]
    fn what_is_wrong_is_named_in_one_line_with_its_place() {
        for (text, expected) in [
            ("[[terms]]\nkind = 'correct'", "1, column 3: terms: unknown key; did you mean term?"),
            (
                "\n[[term]]\nkind = 'corect'",
                "3, column 1: term 1: kind: unknown term \"corect\"; did you mean correct?",
            ),
            (
                "[[term]]\nkind = 'correct'\n  wieght = 1",
                "3, column 3: term 1: wieght: unknown key; did you mean weight?",
            ),
            (
                "[[term]]\nkind = 'length'\nlimt = 3\nlimit = 5",
                "3, column 1: term 1: limt: unknown key; did you mean limit?",
            ),
            (
                "[[term]]\nkind = 'length'\nlimit = 9\nweigt = 3",
                "4, column 1: term 1: weigt: unknown key; did you mean weight?",
            ),
            ("[[term]]\nkind = 'length'", "1, column 1: term 1: limit: missing; give it a value"),
            (
                "[[term]]\nkind = 'length'\nlimit = 3\nfree = 3",
                "3, column 1: term 1: limit: found 3; allowed is more than free, which is 3",
            ),
            (
                "[[term]]\nkind = 'length'\nlimit = 3\nbuffer = 4",
                "4, column 1: term 1: buffer: found 4; allowed is 1 to limit, which is 3",
            ),
            (
                "[[term]]\nkind = 'length'\nlimit = 3\nshape = 'cosin'",
                "4, column 1: term 1: shape: found \"cosin\"; allowed are linear, cosine (did you mean cosine?)",
            ),
            (
                "[[term]]\nkind = 'format'\nlimit = 3",
                "3, column 1: term 1: limit: unknown key; allowed are kind, name, weight, only_if, unless, forms, clip, anneal, \
                 pays",
            ),
            (
                "[[term]]\nkind = 'correct'\nlimit = 3",
                "3, column 1: term 1: limit: unknown key; allowed are credit, kind, name, weight, only_if, unless, forms, clip, \
                 anneal, pays",
            ),
            (
                "[[term]]\nkind = 'correct'\nweight = nan",
                "3, column 1: term 1: weight: found NaN; allowed is a number from -1000000 to 1000000",
            ),
            (
                "[[term]]\nkind = 'correct'\nweight = 'x'",
                "3, column 1: term 1: weight: found string \"x\"; allowed is a number",
            ),
            (
                "[[term]]\nkind = 'correct'\nanneal = { to = inf, end = 9 }",
                "3, column 12: term 1: anneal.to: found inf; allowed is a number from -1000000 to 1000000",
            ),
            (
                "[[term]]\nkind = 'correct'\n[term.anneal]\nto = 1\nstart = 5\nend = 5",
                "6, column 1: term 1: anneal.end: found 5; allowed is more than anneal.start, which is 5",
            ),
            (
                "[[term]]\nkind = 'correct'\nclip = { low = 0.5, high = nan }",
                "3, column 1: term 1: clip: found { low = 0.5, high = NaN }; allowed is 0 <= low < high <= 1",
            ),
            ("[[term]]\nkind = 'repetition'\nwords = 0", "3, column 1: term 1: words: found 0; allowed is 1 to 64"),
            (
                "[[term]]\nkind = 'external'\ncommand = []",
                "3, column 1: term 1: command: found no program; allowed is a program and its arguments, such as \
                 [\"python3\", \"score.py\"]",
            ),
            (
                "[[term]]\nkind = 'external'\ncommand = ['x']\ntimeout_s = 0",
                "4, column 1: term 1: timeout_s: found 0; allowed is a number of seconds from 0.001 to 3600",
            ),
            (
                "[[term]]\nkind = 'external'\ncommand = ['x']\nstartup_timeout_s = inf",
                "4, column 1: term 1: startup_timeout_s: found inf; allowed is a number of seconds from 0.001 to 3600",
            ),
            (
                "[[term]]\nkind = 'correct'\nonly_if = 'fromat'\n[[term]]\nkind = 'format'",
                "3, column 1: term 1: only_if: no term is called \"fromat\"; did you mean format?",
            ),
            (
                "[[term]]\nkind = 'correct'\nweight = 0",
                "1, column 3: term: no term is worth anything; give at least one [[term]] a weight that is not 0",
            ),
            ("", "1, column 1: term: no term is worth anything; give at least one [[term]] a weight that is not 0"),
            (
                "[[term]]\nkind = 'format'\n[[term]]\nkind = 'format'",
                "1, column 3: term: two terms are called format; give one of them a name of its own",
            ),
            ("term = 3", "1, column 1: term: found integer 3; allowed is a list in brackets"),
            (
                "normalise = 'term'\n[[term]]\nkind = 'correct'",
                "1, column 1: normalise: found \"term\"; allowed are sum, terms (did you mean terms?)",
            ),
            (
                "[[term]]\nweight = 1",
                "1, column 1: term 1: kind: missing; allowed are correct, format, recitation, relevance, groundedness, \
                 length, repetition, truncated, regex, model, external",
            ),
        ] {
            assert_eq!(line(text), format!("r.toml: line {expected}"));
        }
        let both = line("[[term]]\nkind = 'corect'\nweight = inf\n[[term]]\nweight = 1");
        assert_eq!(both.lines().count(), 3, "{both}");
    }

    #[test]
    fn gates_that_wait_for_each_other_are_refused() {
        let term = |name: &str, gate: &str| format!("[[term]]\nkind = 'format'\nname = '{name}'\n{gate}\n");
        let own = line(&term("a", "only_if = 'a'"));
        assert!(own.contains("term: a wait for each other; take one of these gates"), "{own}");
        let text = [
            term("d", "unless = 'c'"),
            term("a", "only_if = 'b'"),
            term("b", "unless = 'c'"),
            term("c", "only_if = 'a'"),
        ];
        let cycle = line(&text.concat());
        assert!(cycle.contains("term: c, a, b wait for each other"), "{cycle}");
        assert!(Reward::parse(&text[..3].concat().replace("'c'", "'x'"), "r.toml").is_err());
        let fine = [term("a", "only_if = 'b'"), term("b", "unless = 'c'"), term("c", "")];
        assert!(Reward::parse(&fine.concat(), "r.toml").is_ok());
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
