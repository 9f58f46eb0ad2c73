//! The axes of a sweep: keys that differ between its cells, and the values that they take.

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::Deserialize;
use toml::{Table, Value};

use crate::evaluation::Setting;
use crate::random::Stream;
use crate::strict_toml::{self, Problem};

/// Keys of the reward file begin so; what follows is a key of the file.
pub const REWARD: &str = "reward.";

/// A key and the values that it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// A dotted key of the config, or `reward.` and a key of the reward file.
    pub key: String,
    pub values: AxisValues,
}

/// The values of an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisValues {
    /// These, in their order.
    List(Vec<Value>),
    /// Any number in a range.
    Range(AxisRange),
}

/// Numbers from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisRange {
    pub from: f64,
    pub to: f64,
    /// Every order of magnitude is as likely as the next.
    pub log: bool,
    /// Whole numbers only: the bounds were written as such.
    pub whole: bool,
}

/// A range as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeTable {
    from: Value,
    to: Value,
    #[serde(default)]
    log: bool,
}

impl Axis {
    /// Reads the axes of a table. `[axes.train] steps = …`, `train.steps = …` and `"train.steps" = …` are the same.
    pub fn all(table: &Table) -> (Vec<Axis>, Vec<Problem>) {
        let (mut axes, mut problems) = (Vec::new(), Vec::new());
        collect("", table, &mut axes, &mut problems);
        axes.sort_by(|a: &Axis, b: &Axis| a.key.cmp(&b.key));
        for pair in axes.windows(2).filter(|pair| pair[0].key == pair[1].key) {
            problems.push(Problem::new(&pair[0].key, "found it twice", "name every key once"));
        }
        (axes, problems)
    }

    /// One value, drawn at random.
    pub fn draw(&self, random: &mut Stream) -> Option<Value> {
        match &self.values {
            AxisValues::List(values) => values.choose(random).cloned(),
            AxisValues::Range(range) => Some(range.draw(random)),
        }
    }

    /// The key in few words: without what most keys begin with.
    pub fn label(&self) -> &str {
        let shorter = ["reward.term.", "reward.", "train."].iter().find_map(|start| self.key.strip_prefix(start));
        shorter.unwrap_or(&self.key)
    }
}

impl AxisRange {
    fn draw(&self, random: &mut Stream) -> Value {
        let share: f64 = random.random();
        let AxisRange { from, to, .. } = *self;
        let drawn = if self.log {
            (from.ln() + share * (to.ln() - from.ln())).exp()
        } else if self.whole {
            // Every whole number is the middle of a stretch of its own.
            from - 0.5 + share * (to - from + 1.0)
        } else {
            from + share * (to - from)
        };
        if self.whole {
            Value::Integer(drawn.round().clamp(from, to) as i64)
        } else {
            // Three digits can be read, typed again, and are finer than any run can tell.
            Value::Float(three_digits(drawn).clamp(from, to))
        }
    }
}

fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

fn collect(prefix: &str, table: &Table, axes: &mut Vec<Axis>, problems: &mut Vec<Problem>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let values = match value {
            Value::Array(values) => list(&key, values).map(AxisValues::List),
            Value::Table(inner) if inner.contains_key("from") || inner.contains_key("to") => {
                range(&key, inner).map(AxisValues::Range)
            }
            Value::Table(inner) => {
                collect(&key, inner, axes, problems);
                continue;
            }
            other => {
                let allowed = "allowed is a list of values, or a range such as { from = 1e-5, to = 1e-3, log = true }";
                Err(vec![Problem::new(&key, format!("found {other}"), allowed)])
            }
        };
        match values {
            Ok(values) => axes.push(Axis { key, values }),
            Err(found) => problems.extend(found),
        }
    }
}

fn list(key: &str, values: &[Value]) -> Result<Vec<Value>, Vec<Problem>> {
    if values.is_empty() {
        return Err(vec![Problem::new(key, "no values", "give it some, or take the axis away")]);
    }
    let shown: Vec<String> = values.iter().map(|value| setting(value).text).collect();
    let twice: Vec<Problem> = (1..shown.len())
        .filter(|at| shown[..*at].contains(&shown[*at]))
        .map(|at| Problem::new(key, format!("found {} twice", shown[at]), "take one of them away"))
        .collect();
    if twice.is_empty() { Ok(values.to_vec()) } else { Err(twice) }
}

fn range(key: &str, table: &Table) -> Result<AxisRange, Vec<Problem>> {
    let (written, problems) = strict_toml::decode::<RangeTable>(table);
    let inside = |problem: Problem| Problem { key: format!("{key}.{}", problem.key), ..problem };
    let Some(RangeTable { from, to, log }) = written.filter(|_| problems.is_empty()) else {
        return Err(problems.into_iter().map(inside).collect());
    };
    let whole = from.is_integer() && to.is_integer();
    let bounds = setting(&from).number.zip(setting(&to).number).filter(|(from, to)| from < to && to.is_finite());
    let Some((from, to)) = bounds.filter(|(from, _)| from.is_finite()) else {
        let found = format!("found {from} to {to}");
        return Err(vec![Problem::new(key, found, "allowed is a range from a number to a greater one")]);
    };
    if log && from <= 0.0 {
        let found = format!("found {from} as the start of a logarithmic range");
        return Err(vec![Problem::new(key, found, "allowed is a number above 0")]);
    }
    Ok(AxisRange { from, to, log, whole })
}

/// A value as people read it.
pub fn setting(value: &Value) -> Setting {
    let number = match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    };
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Float(number) if *number != 0.0 && number.is_finite() && number.abs() < 1e-2 => format!("{number:e}"),
        other => other.to_string(),
    };
    Setting { text, number }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use proptest::prelude::*;

    fn axes(text: &str) -> Vec<Axis> {
        let (axes, problems) = Axis::all(&text.parse().unwrap());
        assert_eq!(problems, []);
        axes
    }

    fn problem(text: &str) -> String {
        let (_, problems) = Axis::all(&text.parse().unwrap());
        problems.into_iter().map(|problem| problem.at("x").to_string()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_key_may_be_written_in_any_way_that_toml_has() {
        let ways = ["'train.steps' = [1, 2]", "train.steps = [1, 2]", "[train]\nsteps = [1, 2]"];
        for way in ways {
            let values = AxisValues::List(vec![1.into(), 2.into()]);
            assert_eq!(axes(way), [Axis { key: "train.steps".into(), values }]);
        }
        assert_eq!(axes("b = [1]\na = [1]").iter().map(|axis| axis.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_is_no_axis_is_named() {
        assert!(problem("train.steps = 3").starts_with("x: train.steps: found 3; allowed is a list of values"));
        assert_eq!(problem("a = []"), "x: a: no values; give it some, or take the axis away");
        assert_eq!(problem("a = [0.001, 2, 1e-3]"), "x: a: found 1e-3 twice; take one of them away");
        assert_eq!(problem("a = [1]\n[b]\nc = [1]\n"), "");
        assert_eq!(problem("'a.b' = [1]\n[a]\nb = [2]"), "x: a.b: found it twice; name every key once");
        assert_eq!(problem("a = { from = 1 }"), "x: a.to: missing; give it a value");
        assert_eq!(problem("a = { from = 1, to = 2, lgo = true }"), "x: a.lgo: unknown key; did you mean log?");
        for bad in ["from = 2, to = 1", "from = 1, to = inf", "from = 'x', to = 2", "from = nan, to = 1.0"] {
            let text = problem(&format!("a = {{ {bad} }}"));
            assert!(text.ends_with("allowed is a range from a number to a greater one"), "{text}");
        }
        assert!(problem("a = { from = 0, to = 1, log = true }").ends_with("allowed is a number above 0"));
    }

    #[test]
    fn values_are_short_and_keys_too() {
        let shown = |value: Value| setting(&value).text;
        assert_eq!(
            [shown(3e-4.into()), shown(0.25.into()), shown(16.into()), shown("r.toml".into())],
            ["3e-4", "0.25", "16", "r.toml"]
        );
        let label = |key: &str| Axis { key: key.into(), values: AxisValues::List(vec![]) }.label().to_string();
        assert_eq!(
            [label("train.steps"), label("reward.term.long.limit"), label("finetune.steps")],
            ["steps", "long.limit", "finetune.steps"]
        );
    }

    proptest! {
        #[test]
        fn draws_are_inside_of_their_range(from in 1e-6f64..10.0, more in 1e-3f64..1e3, log: bool, seed: u64) {
            let range = AxisRange { from, to: from + more, log, whole: false };
            let mut random = random::stream(seed, &[]);
            for _ in 0..50 {
                let drawn = setting(&range.draw(&mut random)).number.unwrap();
                prop_assert!((range.from..=range.to).contains(&drawn), "{drawn} in {range:?}");
            }
        }

        #[test]
        fn whole_ranges_give_whole_numbers_and_all_of_them(from in -5i64..5, more in 1i64..6, seed: u64) {
            let range = AxisRange { from: from as f64, to: (from + more) as f64, log: false, whole: true };
            let mut random = random::stream(seed, &[]);
            let drawn: std::collections::BTreeSet<i64> =
                (0..600).map(|_| range.draw(&mut random).as_integer().unwrap()).collect();
            prop_assert_eq!(drawn, (from..=from + more).collect());
        }
    }

    #[test]
    fn every_order_of_magnitude_is_as_likely_as_the_next() {
        let range = AxisRange { from: 1e-5, to: 1e-2, log: true, whole: false };
        let mut random = random::named(1, "log");
        let mut counts = [0; 3];
        for _ in 0..3_000 {
            let drawn = setting(&range.draw(&mut random)).number.unwrap();
            counts[((drawn / 1e-5).log10().floor() as usize).min(2)] += 1;
        }
        assert!(counts.iter().all(|count| (900..=1100).contains(count)), "{counts:?}");
    }
}
