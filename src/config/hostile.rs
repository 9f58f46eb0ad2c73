//! Whatever value stands under a key, the config is refused in a line that names it, or can be carried out: found out by
//! trying every key.

use std::time::{Duration, Instant};

use toml::{Table, Value};

use super::Config;
use crate::config::arithmetic;
use crate::text::is_hidden;
use crate::{Result, experiment};

/// Everything that a config leaves out unless it is asked for, beside all that has a default.
const RARE: &str = "
[run]
seeds = [1, 2]
cache = 'cache'
device = 'cpu'
[base]
path = 'pretrain'
[known]
codes = 40
plain = 300
ciphers = 300
kinds = 260
traits = 400
codebook = { codes = 2 }
hierarchy = { families = 4 }
[world]
a = { facts = 10, chains = 4, documents = 120, codes = 2, families = 4 }
b = { facts = 10, chains = 4, documents = 120, codes = 2, families = 4 }
[pretrain.init]
embedding_std = 0.1
matrix_gain = 0.5
[pretrain.init.structured]
sharpness = 8.0
gain = 2.5
offsets = [1, 2]
heads = [{ match = { query = 'own', key = 'prev1', says = true, fetched = ['prev2'] } }, { repeat = { token = 9, code = 'prev1' } }]
fetched = ['prev2']
anchor = { token = 7, strength = 8.0 }
gates = { answer = 3, cue = 4, rest = 1 }
[finetune]
objective = 'masked'
augmentation = { sets = ['A'], kinds = ['rephrase'], share = 0.5 }
[train]
held_out = 0.25
form_filters = { open = { keep = 'finished', extra_rounds = 0 } }
max_off_policy_steps = 2
[train.algorithm]
preset = 'ppo'
kl = 0.1
entropy = 0.1
tis_cap = 2.0
inner_epochs = 2
filter = { keep = 'all', extra_rounds = 0, tolerance = 0.1 }
clip = { low = 0.2, high = 0.2, dual = 3.0 }
advantage = { gamma = 0.9, lambda = 0.9 }
value = { weight = 0.5, clip = 0.2, rate = 1.0 }
[arms]
likelihood = true
";

fn rare() -> Table {
    written(&Config::parse(RARE, "rare.toml", "rare", &[]).unwrap())
}

fn written(config: &Config) -> Table {
    config.to_toml().unwrap().parse().unwrap()
}

/// Values that nobody means.
fn hostile() -> Vec<Value> {
    let text = |text: String| Value::String(text);
    vec![
        i64::MAX.into(),
        i64::MIN.into(),
        (1_i64 << 40).into(),
        (-1).into(),
        0.into(),
        1.5.into(),
        f64::NAN.into(),
        f64::INFINITY.into(),
        1e308.into(),
        true.into(),
        text(String::new()),
        text("x".repeat(100_000)),
        text("\u{1b}[31m\u{9b}\u{202e}\n".into()),
        Value::Array(vec![]),
        Value::Array(vec![0.into(); 10_000]),
        Value::Table(Table::new()),
    ]
}

/// The way to a value: keys of tables and numbers of elements.
fn ways(value: &Value, way: &[String], all: &mut Vec<Vec<String>>) {
    let mut inner = |name: String, value: &Value| {
        let way = [way, &[name]].concat();
        all.push(way.clone());
        ways(value, &way, all);
    };
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| inner(key.clone(), value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| inner(at.to_string(), value)),
        _ => {}
    }
}

fn put(at: &mut Value, way: &[String], value: &Value) {
    let Some((first, rest)) = way.split_first() else {
        *at = value.clone();
        return;
    };
    match at {
        Value::Table(table) => put(table.get_mut(first).unwrap(), rest, value),
        Value::Array(list) => put(&mut list[first.parse::<usize>().unwrap()], rest, value),
        _ => unreachable!("{way:?}"),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_table().is_some_and(Table::is_empty)
}

/// What `--dry-run` does; without looking at world and model where `whole` says that they are the same as before.
fn dry_run(text: &str, whole: bool) -> Result<usize> {
    let config = Config::parse(text, "x.toml", "x", &[])?;
    let lines = arithmetic::of_run(&config).len() + arithmetic::of_pretraining(&config).len();
    if !whole {
        return Ok(lines + config.to_toml()?.len());
    }
    experiment::can_run(&config)?;
    if config.base.is_made() {
        experiment::can_pretrain(&config)?;
    }
    Ok(lines + config.to_toml()?.len())
}

/// Tries every key of a config.
fn try_all(config: &Table) {
    let mut all = Vec::new();
    ways(&Value::Table(config.clone()), &[], &mut all);
    assert!(all.len() > 100);
    dry_run(&toml::to_string(config).unwrap(), true).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for way in &all {
        let sections = ["base", "known", "model", "world"];
        let tokens = |part: &String| part == "max_new_tokens" || part == "longest";
        let whole = sections.contains(&way[0].as_str()) || way.last().is_some_and(tokens);
        for value in hostile() {
            let mut changed = Value::Table(config.clone());
            put(&mut changed, way, &value);
            let text = toml::to_string(&changed).unwrap();
            let what = || format!("{} = {:.60}", way.join("."), value.to_string());
            let begun = Instant::now();
            match dry_run(&text, whole) {
                Ok(_) => accepted += 1,
                Err(error) => {
                    refused += 1;
                    let lines = error.lines();
                    assert!(lines.len() <= 25, "{}: {} lines", what(), lines.len());
                    for line in &lines {
                        assert!(line.chars().count() < 2000 && !line.chars().any(is_hidden), "{}: {line}", what());
                    }
                    let named = way.iter().filter(|part| part.parse::<usize>().is_err());
                    let named = named.into_iter().any(|part| lines.iter().any(|line| line.contains(part.as_str())));
                    // A whole section that is gone leaves another to be blamed.
                    assert!(named || way.len() == 1 || is_empty(&value), "{}: {lines:?}", what());
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{}: {:?}", what(), begun.elapsed());
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(refused > 100 && accepted > 50);
}

#[test]
fn no_value_of_any_key_of_the_defaults_breaks_a_dry_run() {
    let small =
        "[world]\na = { facts = 10, chains = 4, documents = 60 }\nb = { facts = 10, chains = 4, documents = 60 }";
    try_all(&written(&Config::parse(small, "small.toml", "small", &[]).unwrap()));
}

#[test]
fn no_value_of_any_rare_key_breaks_a_dry_run() {
    try_all(&rare());
}
