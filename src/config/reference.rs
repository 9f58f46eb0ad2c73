//! The reference of keys as values. Its tables stand in `configs/README.md`, where a test holds them to the code; what prints
//! them and the schema for editors read them there.

use serde_json::{Map, Value, json};

use crate::learner::Algorithm;
use crate::{Error, Result, strict_toml};

const PAGE: &str = include_str!("../../configs/README.md");
/// What stands around the tables there.
const MARKS: (&str, &str) = ("<!-- keys -->", "<!-- /keys -->");
/// The section that may also be the name of a preset.
const ALGORITHM: &str = "train.algorithm";

/// A section of a config, or several with the same keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SectionReference {
    /// "train.adam", for each of them.
    pub places: Vec<String>,
    /// What it is about.
    pub about: String,
    pub keys: Vec<KeyReference>,
}

/// A key of a section.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyReference {
    pub name: String,
    /// What it takes, in words: "whole number", "\"a\", \"b\"".
    pub takes: String,
    /// As TOML, for each place of its section where they differ; "none" and nothing where there is none.
    pub default: String,
    pub meaning: String,
}

/// Every section that a config can have, in the order of the documentation.
pub fn sections() -> Vec<SectionReference> {
    let (before, after) = MARKS;
    let tables = PAGE.split_once(before).and_then(|(_, rest)| Some(rest.split_once(after)?.0)).unwrap_or_default();
    tables.split("\n### ").skip(1).map(section).collect()
}

fn section(text: &str) -> SectionReference {
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    let places = heading.split(", ").map(|place| place.trim_matches(['`', '[', ']']).to_owned()).collect();
    let mut section = SectionReference { places, ..SectionReference::default() };
    for line in lines {
        match line.strip_prefix("| `") {
            Some(row) => section.keys.extend(key(row)),
            None if section.about.is_empty() && !line.starts_with('|') => section.about = line.to_owned(),
            None => {}
        }
    }
    section
}

/// The rest of a row behind the mark that its key begins with.
fn key(row: &str) -> Option<KeyReference> {
    let (name, rest) = row.split_once("` | ")?;
    let (takes, rest) = rest.split_once(" |")?;
    let (default, meaning) = rest.trim_start().split_once('|')?;
    let plain = |text: &str| text.trim().trim_end_matches('|').trim().replace('`', "");
    Some(KeyReference { name: name.into(), takes: plain(takes), default: plain(default), meaning: plain(meaning) })
}

/// What there is to say of a section or a key, by its dotted name: the section, and the one key of it that is meant.
///
/// # Errors
/// Neither a section nor a key, with the nearest of all names.
pub fn find(name: &str) -> Result<(SectionReference, Option<KeyReference>)> {
    let name = name.trim_matches(['[', ']']);
    let all = sections();
    let at = |place: &str| all.iter().find(|section| section.places.iter().any(|of| of == place));
    if let Some(section) = at(name) {
        return Ok((section.clone(), None));
    }
    let (outer, last) = name.rsplit_once('.').unwrap_or(("", name));
    if let Some(section) = at(outer)
        && let Some(key) = section.keys.iter().find(|key| key.name == last)
    {
        return Ok((section.clone(), Some(key.clone())));
    }
    let names: Vec<String> = all.iter().flat_map(names).collect();
    let ending = || names.iter().find(|full| full.rsplit('.').next() == Some(name)).map(String::as_str);
    let near = ending().or_else(|| strict_toml::nearest(name, names.iter().map(String::as_str)));
    let remedy = near.map_or("see all of them: `recollect config`".into(), |near| format!("did you mean {near}?"));
    Err(Error::invalid(name, "no key of a config", remedy))
}

/// The dotted names of a section's keys, and of the section itself.
fn names(section: &SectionReference) -> Vec<String> {
    let mut names = section.places.clone();
    for place in &section.places {
        names.extend(section.keys.iter().map(|key| format!("{place}.{}", key.name)));
    }
    names
}

/// Every preset of `train.algorithm` with those of its fields that are not those of the first one, as TOML.
///
/// # Errors
/// A field that TOML does not have.
pub fn presets() -> Result<Vec<(&'static str, Vec<String>)>> {
    let fields = |name: &str| -> Result<Vec<String>> {
        let text = strict_toml::write(&Algorithm::preset(name)?)
            .map_err(|error| Error::invalid(ALGORITHM, error.to_string(), "report this as a bug of recollect"))?;
        let mut flat = Vec::new();
        super::flatten("", &strict_toml::parse(&text, ALGORITHM)?, &mut flat);
        Ok(flat.into_iter().map(|(key, value)| format!("{key} = {value}")).collect())
    };
    let first = fields(Algorithm::PRESETS[0])?;
    let of = |name: &'static str| {
        let own = fields(name)?;
        let differs = |line: &String| name == Algorithm::PRESETS[0] || !first.contains(line);
        Ok((name, own.into_iter().filter(differs).collect()))
    };
    Algorithm::PRESETS.into_iter().map(of).collect()
}

/// The reference as a JSON schema, by which editors complete and check a config.
pub fn schema() -> Value {
    let all = sections();
    let mut root = object("A config of recollect.");
    for section in &all {
        for place in &section.places {
            let mut at = &mut root;
            for part in place.split('.') {
                at = inner(at, part, &section.about);
            }
            let Some(properties) = at.get_mut("properties").and_then(Value::as_object_mut) else { continue };
            for key in &section.keys {
                properties.entry(&key.name).or_insert_with(|| of_key(key));
            }
        }
    }
    if let Some(algorithm) = root.pointer_mut("/properties/train/properties/algorithm") {
        let (about, section) = (algorithm["description"].clone(), algorithm.take());
        *algorithm = json!({ "description": about, "anyOf": [{ "enum": Algorithm::PRESETS }, section] });
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("recollect");
    root
}

fn object(about: &str) -> Value {
    json!({ "type": "object", "description": about, "properties": {}, "additionalProperties": false })
}

/// The schema of a section inside of another one, made if it is not there; of a list of sections, that of one of them.
fn inner<'a>(schema: &'a mut Value, part: &str, about: &str) -> &'a mut Value {
    let there = &mut schema["properties"][part];
    let is_list = there["type"] == "array";
    let inside = if is_list { &there["items"]["properties"] } else { &there["properties"] };
    if inside.is_null() {
        *there = if is_list { json!({ "type": "array", "items": object(about) }) } else { object(about) };
    }
    if is_list { &mut there["items"] } else { there }
}

fn of_key(key: &KeyReference) -> Value {
    let mut schema = of_words(&key.takes);
    schema["description"] = json!(key.meaning);
    let default = format!("value = {}", key.default).parse::<toml::Table>().ok();
    if let Some(default) = default.and_then(|table| serde_json::to_value(table.get("value")?).ok()) {
        schema["default"] = default;
    }
    schema
}

/// The schema of what a key takes.
fn of_words(takes: &str) -> Value {
    if let Some(listed) = takes.strip_prefix("list: ") {
        return json!({ "type": "array", "items": of_words(listed) });
    }
    match takes {
        "whole number" => json!({ "type": "integer", "minimum": 0 }),
        "number" => json!({ "type": "number" }),
        "true or false" => json!({ "type": "boolean" }),
        "text" | "path" | "name" => json!({ "type": "string" }),
        "section: names and numbers" => {
            json!({ "type": "object", "additionalProperties": { "type": "number" } })
        }
        "section: names and sections" => {
            json!({ "type": "object", "additionalProperties": { "type": "object" } })
        }
        "list of sections" => json!({ "type": "array", "items": { "type": "object" } }),
        _ if takes.starts_with('{') || takes == "section" => json!({ "type": "object" }),
        _ => alternatives(takes),
    }
}

/// Words in quotes, and whatever else stands among them.
fn alternatives(takes: &str) -> Value {
    let (words, others): (Vec<&str>, Vec<&str>) = takes.split(", ").partition(|one| one.starts_with('"'));
    let words: Vec<&str> = words.into_iter().map(|word| word.trim_matches('"')).collect();
    let listed = json!({ "enum": words });
    if others.is_empty() {
        return listed;
    }
    let known = ["text", "section", "number", "whole number", "path"];
    let others = others.into_iter().filter(|other| known.contains(other)).map(of_words);
    let all: Vec<Value> = (!words.is_empty()).then_some(listed).into_iter().chain(others).collect();
    let mut any = Map::new();
    any.insert("anyOf".into(), Value::Array(all));
    Value::Object(any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::shipped;
    use std::path::Path;

    /// Keys of a table whose values are whatever names people give.
    const FREE: [&str; 4] = ["scales", "names", "tasks", "templates"];

    /// Values of several shapes, which the reference shows whole.
    const HEADS: [&str; 2] = ["pretrain.init.structured.heads", "pretrain.init.structured.then"];

    fn keys(prefix: &str, table: &toml::Table, all: &mut Vec<String>) {
        for (key, value) in table {
            let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            let sections: Vec<&toml::Table> = match value {
                toml::Value::Table(inner) => vec![inner],
                toml::Value::Array(list) => list.iter().filter_map(toml::Value::as_table).collect(),
                _ => Vec::new(),
            };
            all.push(full.clone());
            if !FREE.contains(&key.as_str()) && !HEADS.contains(&full.as_str()) {
                sections.into_iter().for_each(|inner| keys(&full, inner, all));
            }
        }
    }

    #[test]
    fn every_key_of_every_config_that_ships_and_of_all_defaults_is_in_it() {
        let mut written = vec![Config::parse("", "x", "x", &[]).unwrap().to_toml().unwrap()];
        let configs = shipped::configs().filter(|name| *name != "sweep");
        written.extend(configs.map(|name| shipped::config_text(Path::new(name)).unwrap()));
        let mut all = Vec::new();
        for text in &written {
            keys("", &strict_toml::parse(text, "x").unwrap(), &mut all);
        }
        all.sort();
        all.dedup();
        assert!(all.len() > 200);
        // A preset is no field, and fields of it may be named beside it.
        for key in all.iter().filter(|key| *key != "train.algorithm.preset") {
            find(key).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn a_name_leads_to_its_section_or_key_or_to_the_nearest() {
        let (section, key) = find("train.group_size").unwrap();
        assert_eq!(section.places, ["train"]);
        let key = key.unwrap();
        assert_eq!((key.takes.as_str(), key.default.as_str()), ("whole number", "16"));
        assert!(key.meaning.contains("ompletions"), "{}", key.meaning);
        let (section, key) = find("[train.adam]").unwrap();
        assert!(key.is_none() && section.places.len() == 4 && section.about.starts_with("AdamW"));
        for (wrong, near) in [("group_size", "world.english.group_size"), ("train.group_sise", "train.group_size")] {
            let error = find(wrong).unwrap_err().to_string();
            assert!(error.contains("did you mean") && error.contains("group_size?"), "{near}: {error}");
        }
        assert!(find("").is_err());
        assert!(
            sections().iter().all(|section| !section.about.is_empty() && !section.about.starts_with("Where defaults"))
        );
    }

    #[test]
    fn presets_say_where_they_differ() {
        let presets = presets().unwrap();
        assert_eq!(presets.len(), Algorithm::PRESETS.len());
        assert!(presets[0].1.len() > 10, "the first has all of its fields: {:?}", presets[0]);
        let gspo = &presets.iter().find(|(name, _)| *name == "gspo").unwrap().1;
        assert!(gspo.contains(&"ratio = \"sequence\"".to_owned()) && gspo.len() < presets[0].1.len(), "{gspo:?}");
    }

    #[test]
    fn the_schema_has_a_type_for_every_key() {
        let schema = schema();
        let at = |pointer: &str| schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {schema:#}"));
        assert_eq!(at("/properties/train/properties/steps/type"), "integer");
        assert_eq!(at("/properties/train/properties/steps/default"), 300);
        assert_eq!(at("/properties/world/properties/english/properties/a/properties/facts/type"), "integer");
        assert_eq!(at("/properties/run/properties/precision/enum/1"), "bf16");
        assert_eq!(at("/properties/train/properties/algorithm/anyOf/0/enum/0"), "grpo");
        assert_eq!(at("/properties/train/properties/algorithm/anyOf/1/properties/clip/properties/low/type"), "number");
        assert_eq!(at("/properties/pretrain/properties/phases/items/properties/steps/type"), "integer");
        assert_eq!(at("/properties/world/properties/jsonl/properties/documents/items/type"), "string");
        // Whatever a key takes has been understood.
        for section in sections() {
            for key in &section.keys {
                let schema = of_key(key);
                let typed = ["type", "enum", "anyOf"].iter().any(|kind| schema.get(kind).is_some());
                let empty = schema["enum"].as_array().is_some_and(|words| words.contains(&json!("")));
                assert!(typed && !empty && !schema["description"].is_null(), "{key:?}: {schema}");
                if key.default.starts_with('"') || key.default.parse::<f64>().is_ok() {
                    assert!(!schema["default"].is_null(), "{key:?}: {schema}");
                }
            }
        }
    }
}
