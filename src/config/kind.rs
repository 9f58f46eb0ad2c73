//! Defaults that follow the kind of the base: one that ships learns from generated lessons at the rates of a model of 0.6 million
//! parameters with a structured start, a checkpoint from elsewhere has neither such lessons nor such a start.
//!
//! Rates for all weights were measured on SmolLM2-135M and fall with the root of the number of parameters; those for adapters
//! are five times as high.

use toml::{Table, Value};

use super::Config;
use super::finetune::RESTATED;
use super::model::BaseConfig;
use crate::base;
use crate::knowledge::curriculum::Mixture;

/// Parameters of the model that the rates were measured with.
const MEASURED: f64 = 135e6;
/// Peak learning rates there of documents, lessons and reinforcement learning.
const RATES: [(&str, f64); 3] = [("finetune", 3e-4), ("warmup", 2e-4), ("train", 4e-5)];
/// How much more adapters take.
const ADAPTERS: f64 = 5.0;

/// Share of the sequences that are the checkpoint's own text, where nothing else is there to replay.
const OWN_TEXT: f64 = 0.1;

/// A key with the value that it has where a config leaves it out.
pub struct KindDefault {
    section: &'static str,
    key: &'static str,
    value: Value,
}

/// What a config that names this base, and files or none, has where it is silent.
pub fn defaults(table: &Table) -> Vec<KindDefault> {
    let path = section(table, "base").and_then(|base| base.get("path")?.as_str()).unwrap_or("embedded").to_owned();
    let jsonl = section(table, "world").and_then(|world| world.get("jsonl")?.as_table());
    let files = jsonl.is_some_and(|jsonl| ["documents", "questions"].iter().any(|key| names_some(jsonl, key)));
    let language = section(table, "world").and_then(|world| world.get("language")?.as_str());
    let free_text = files || language == Some("english");
    let base = BaseConfig { path };
    // What recollect has pretrained is of the kind of those that ship.
    let checkpoint = base.dir().filter(|dir| !dir.join(base::KNOWN).exists());
    let none = || Value::Table(Table::new());
    let new = |section, key, value| KindDefault { section, key, value };
    let mut all = Vec::new();
    if files {
        all.push(new("train", "forms", Value::Array(vec!["completion".into()])));
    }
    if free_text {
        all.extend([new("finetune", "replay", 0.0.into()), new("train", "replay_tokens", 0.into())]);
    }
    if free_text || checkpoint.is_some() {
        // There is no structure to keep.
        all.extend([new("finetune", "scales", none()), new("train", "scales", none())]);
    }
    if free_text && checkpoint.is_some() {
        all.extend(["finetune", "warmup"].map(|section| new(section, "own_text", OWN_TEXT.into())));
    }
    if let Some(shape) = checkpoint.and_then(|_| base::shape(base.place()).ok()) {
        let adapters = if table.contains_key("lora") { ADAPTERS } else { 1.0 };
        let smaller = (MEASURED / shape.parameter_count().max(1) as f64).sqrt().min(3.0);
        all.extend(
            RATES.map(|(section, rate)| new(section, "learning_rate", rounded(rate * adapters * smaller).into())),
        );
        all.push(new("train", "max_new_tokens", 128.into()));
        all.push(new("evaluation", "max_new_tokens", 128.into()));
        all.push(new("train", "checkpoint_every", 10.into()));
    }
    // A config without the section has no warm-up.
    all.retain(|default| default.section != "warmup" || table.contains_key("warmup"));
    all
}

fn names_some(jsonl: &Table, key: &str) -> bool {
    jsonl.get(key).and_then(Value::as_array).is_some_and(|paths| !paths.is_empty())
}

/// Which keys of a config have the value that its kind of base suggests, in one line; `None` where it suggests nothing.
pub fn of_kind(config: &Config) -> Option<String> {
    let table = Table::try_from(config).ok()?;
    let mut chosen = defaults(&table);
    chosen.retain(|default| {
        section(&table, default.section).and_then(|section| section.get(default.key)) == Some(&default.value)
    });
    let keys: Vec<String> = chosen.iter().map(|one| format!("{}.{} = {}", one.section, one.key, one.value)).collect();
    (!keys.is_empty()).then(|| format!("as this kind of base suggests: {}", keys.join(", ")))
}

/// Two digits are enough.
fn rounded(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

fn section<'a>(table: &'a Table, name: &str) -> Option<&'a Table> {
    table.get(name)?.as_table()
}

impl KindDefault {
    /// Puts it where the config is silent.
    pub fn fill(self, table: &mut Table) {
        let section = table.entry(self.section).or_insert_with(|| Value::Table(Table::new()));
        // What is no section is refused by name later.
        if let Some(section) = section.as_table_mut() {
            section.entry(self.key).or_insert(self.value);
        }
    }
}

/// Whoever says a part of a style or of a mixture leaves the rest as it is in this section, which is not as it is in
/// pretraining.
pub fn rest_of_sections(table: &mut Table) {
    let restated = Table::from_iter([("restated".to_owned(), Value::from(f64::from(RESTATED)))]);
    let shares = |mixture: Mixture| Table::try_from(mixture).unwrap_or_default();
    for (section, key, usual) in [
        ("finetune", "cot_style", restated.clone()),
        ("finetune", "habits", restated),
        ("finetune", "mixture", shares(Mixture::rehearsal())),
        ("train", "mixture", shares(Mixture::reading())),
    ] {
        let said = table.get_mut(section).and_then(|section| section.get_mut(key)?.as_table_mut());
        if let Some(said) = said {
            usual.into_iter().for_each(|(key, value)| {
                said.entry(key).or_insert(value);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Table {
        let mut table: Table = text.parse().unwrap();
        defaults(&table).into_iter().for_each(|default| default.fill(&mut table));
        table
    }

    #[test]
    fn a_base_that_ships_has_the_defaults_of_the_sections() {
        for text in ["", "[base]\npath = 'embedded-versed'", "[base]\npath = 'pretrain'", "[lora]\nrank = 4"] {
            assert_eq!(filled(text), text.parse().unwrap());
        }
    }

    #[test]
    fn files_have_no_lessons_to_replay_and_no_structure_to_keep() {
        let table = filled("[world.jsonl]\ndocuments = ['a']\n[finetune]\nreplay = 0.5");
        assert_eq!(table["finetune"]["replay"].as_float(), Some(0.5), "what is said stays");
        assert_eq!(table["train"]["replay_tokens"].as_integer(), Some(0));
        assert_eq!(table["train"]["forms"][0].as_str(), Some("completion"));
        assert!(table["train"]["scales"].as_table().unwrap().is_empty());
    }

    #[test]
    fn rates_follow_the_size_and_adapters() {
        let dir = tempfile::tempdir().unwrap();
        let write = |hidden: usize| {
            let config = serde_json::json!({
                "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1000, "hidden_size": hidden,
                "intermediate_size": 4 * hidden, "num_hidden_layers": 12, "num_attention_heads": 8,
                "num_key_value_heads": 8, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 1e4,
                "tie_word_embeddings": true, "hidden_act": "silu",
            });
            std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        };
        let rate = |more: &str| {
            let table = filled(&format!("{more}\n[base]\npath = '{}'", dir.path().display()));
            assert!(!table.contains_key("warmup") || more.contains("warmup"));
            table["finetune"]["learning_rate"].as_float().unwrap()
        };
        write(1024);
        let large = rate("");
        assert!(rate("[lora]") > 4.0 * large && rate("[warmup]") == large);
        write(256);
        assert!(rate("") > 1.5 * large);
        assert_eq!(rate("[finetune]\nlearning_rate = 1e-6"), 1e-6);
        let own = |more: &str| {
            let table = filled(&format!("[base]\npath = '{}'\n{more}", dir.path().display()));
            ["finetune", "warmup"].map(|section| table.get(section)?.get("own_text")?.as_float())
        };
        let english = "[world]\nlanguage = 'english'";
        assert_eq!(own(english), [Some(0.1), None]);
        assert_eq!(own(&format!("{english}\n[warmup]\n[finetune]\nown_text = 0.0")), [Some(0.0), Some(0.1)]);
        assert_eq!(own(""), [None, None], "a generated world has lessons to replay");
    }
}
