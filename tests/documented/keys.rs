//! The reference of keys in `configs/README.md`: types and meanings from the source, defaults from the values.

use std::any::type_name;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use recollect::config::{Config, EvaluationConfig, HintConfig, OwnTextConfig, TrainConfig, WarmupConfig};
use recollect::knowledge::english::world::config::EnglishConfig;
use recollect::learner::Algorithm;
use recollect::sweep::Search;
use syn::{Fields, Item, ItemEnum, ItemStruct, Type};
use toml::{Table, Value};

use super::markdown::root;
use super::source::{Definition, Source, docs, has, name, serde, told, word};

const PAGE: &str = "configs/README.md";
/// Sections that are there only where they are written, with no more than has to be in them.
const WRITTEN: &str = "[lora]\n[finetune.augmentation]\nsets = ['A']\nkinds = ['reverse']\n[[pretrain.phases]]\n";
/// The section whose keys are fields of a preset, and which may be a preset's name as well.
const ALGORITHM: &str = "train.algorithm";
/// The longest default that a table shows, in characters.
const LONGEST: usize = 300;

/// What a key takes.
#[derive(Default)]
struct Takes {
    /// In words.
    words: String,
    /// The words that an enum has, with what they mean.
    explained: String,
    /// The sections that may stand there.
    sections: Vec<(PathBuf, ItemStruct)>,
    /// A list of such sections.
    listed: bool,
    /// What it is where nothing is written, if that can be told from the type alone.
    natural: Option<Value>,
}

struct Row {
    key: String,
    takes: String,
    /// For each place of the section.
    defaults: Vec<String>,
    meaning: String,
}

/// A type whose fields are keys, and all places where it is a section.
struct Section {
    file: PathBuf,
    item: ItemStruct,
    places: Vec<String>,
    abouts: Vec<String>,
    rows: Vec<Row>,
}

struct Reference {
    source: Source,
    /// Values by their keys; the first of these that has a key says its default.
    defaults: Vec<Table>,
    /// The same with [`WRITTEN`].
    written: Table,
    sections: Vec<Section>,
}

/// The value that a dotted key leads to; `lists` looks into the first section of a list as well.
fn lookup<'a>(table: &'a Table, key: &str, lists: bool) -> Option<&'a Value> {
    let mut parts = key.split('.');
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        let listed = || value.as_array().filter(|_| lists)?.first()?.as_table();
        value = value.as_table().or_else(listed)?.get(part)?;
    }
    Some(value)
}

fn config(text: &str) -> Config {
    Config::parse(text, "reference", "NAME", &[]).unwrap()
}

fn inline(value: &Value) -> String {
    match value {
        // As it was written, where it is kept in single precision.
        Value::Float(number) if f64::from(*number as f32) == *number => format!("{:?}", *number as f32),
        Value::Float(number) if *number != 0.0 && number.abs() < 1e-3 => format!("{number:e}"),
        Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let bare = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            let named = |key: &str| if bare(key) { key.to_string() } else { format!("{key:?}") };
            let pairs: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", named(key), inline(value))).collect();
            if pairs.is_empty() { "{}".into() } else { format!("{{ {} }}", pairs.join(", ")) }
        }
        other => other.to_string(),
    }
}

impl Reference {
    fn new() -> Reference {
        let algorithm = |preset: &str| {
            let fields = Value::try_from(Algorithm::preset(preset).unwrap()).unwrap();
            let train = Table::from_iter([("algorithm".to_string(), fields)]);
            Table::from_iter([("train".to_string(), Value::Table(train))])
        };
        let values = |text: &str| Table::try_from(config(text)).unwrap();
        // PPO has the sections that the default algorithm has a word for.
        // Sections that are left out where they are as usual.
        let english = Table::from_iter([("english".to_owned(), Value::try_from(EnglishConfig::default()).unwrap())]);
        let (train, evaluation) = (TrainConfig::default(), EvaluationConfig::default());
        let of_train = Table::from_iter([
            ("hint".to_owned(), Value::try_from(HintConfig::default()).unwrap()),
            ("top_p".to_owned(), Value::Float(train.top_p)),
            ("record_every".to_owned(), Value::Integer(train.record_every as i64)),
        ]);
        let of_evaluation = Table::from_iter([
            ("top_p".to_owned(), Value::Float(evaluation.top_p)),
            ("repetition_penalty".to_owned(), Value::Float(evaluation.repetition_penalty)),
        ]);
        let left_out = [
            ("world".to_owned(), Value::Table(english)),
            ("train".to_owned(), Value::Table(of_train)),
            ("evaluation".to_owned(), Value::Table(of_evaluation)),
            ("warmup".to_owned(), Value::try_from(WarmupConfig::default()).unwrap()),
            ("own_text".to_owned(), Value::try_from(OwnTextConfig::default()).unwrap()),
        ];
        let defaults = vec![values(""), algorithm("grpo"), algorithm("ppo"), Table::from_iter(left_out)];
        let source = Source::read(&root().join("src"));
        Reference { source, defaults, written: values(WRITTEN), sections: Vec::new() }
    }

    /// The definition of a type of the program.
    fn root<T>(&self) -> (PathBuf, ItemStruct) {
        let path = type_name::<T>().replace("recollect::", "src::").replace("::", "/");
        let name = path.rsplit('/').next().unwrap();
        let Definition { file, item } = self.source.find(name, &root().join(&path)).unwrap();
        let Item::Struct(item) = item else { panic!("{name} is no struct") };
        (file.to_path_buf(), item.clone())
    }

    fn takes(&self, ty: &Type, near: &Path) -> Takes {
        let (name, inner) = name(ty);
        let plain = |words: &str, natural: Option<Value>| Takes { words: words.into(), natural, ..Takes::default() };
        match name.as_str() {
            "bool" => plain("`true` or `false`", Some(Value::Boolean(false))),
            "f32" | "f64" => plain("number", Some(Value::Float(0.0))),
            "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => plain("whole number", Some(Value::Integer(0))),
            "String" => plain("text", Some(Value::String(String::new()))),
            "PathBuf" => plain("path", Some(Value::String(String::new()))),
            "BTreeMap" => {
                let sections = !self.takes(inner.unwrap(), near).sections.is_empty();
                let words = if sections { "section: names and sections" } else { "section: names and numbers" };
                plain(words, Some(Value::Table(Table::new())))
            }
            "Table" => plain("section", None),
            "Option" => Takes { natural: None, ..self.takes(inner.unwrap(), near) },
            "Vec" => {
                let element = self.takes(inner.unwrap(), near);
                let words = if element.sections.is_empty() {
                    format!("list: {}", element.words)
                } else {
                    "list of sections".into()
                };
                Takes { words, listed: true, natural: Some(Value::Array(Vec::new())), ..element }
            }
            other => match self.source.find(other, near) {
                // A name of something that the program has a list of is written as text, as below.
                Some(Definition { file, item: Item::Type(alias) }) if matches!(*alias.ty, Type::Path(_)) => {
                    self.takes(&alias.ty, file)
                }
                Some(Definition { file, item: Item::Enum(item) }) => self.words(item, file),
                Some(Definition { file, item: Item::Struct(item) }) if matches!(item.fields, Fields::Named(_)) => {
                    Takes { words: "section".into(), sections: vec![(file.into(), item.clone())], ..Takes::default() }
                }
                // A value that is written as text.
                _ => plain("text", None),
            },
        }
    }

    /// What an enum takes: words, sections, or a text that it reads by itself.
    fn words(&self, item: &ItemEnum, file: &Path) -> Takes {
        let mut takes = Takes { words: "text".into(), ..Takes::default() };
        if told(&item.attrs, "try_from").is_some() {
            takes.explained = item.variants.iter().map(|variant| docs(&variant.attrs)).collect::<Vec<_>>().join(" ");
            return takes;
        }
        let rule = told(&item.attrs, "rename_all");
        let mut words = Vec::new();
        for variant in &item.variants {
            let word = word(variant, rule.as_deref());
            let meaning = docs(&variant.attrs);
            match &variant.fields {
                Fields::Unit => words.push(format!("`\"{word}\"`")),
                Fields::Named(fields) => {
                    let keys: Vec<String> =
                        fields.named.iter().map(|f| f.ident.as_ref().unwrap().to_string()).collect();
                    words.push(format!("`{{ {word} = {{ {} }} }}`", keys.join(", ")));
                }
                Fields::Unnamed(fields) => {
                    let inner = self.takes(&fields.unnamed[0].ty, file);
                    words.push(inner.words);
                    takes.sections.extend(inner.sections);
                }
            }
            if !meaning.is_empty() && matches!(variant.fields, Fields::Unit | Fields::Named(_)) {
                write!(takes.explained, " `{word}`: {meaning}").unwrap();
            }
            if has(&variant.attrs, "default") {
                takes.natural = Some(Value::String(word));
            }
        }
        // What is told below needs no list, and longer lists are told elsewhere.
        takes.words = if words.len() > 8 { "name".into() } else { words.join(", ") };
        takes
    }

    /// The default of a key, as a cell of its table.
    fn default(&self, key: &str, takes: &Takes, required: bool) -> String {
        let plain = self.defaults.iter().find_map(|values| lookup(values, key, false));
        let value = match (plain, lookup(&self.written, key, true), &takes.natural) {
            (None, ..) if required => return "required".into(),
            (Some(value), ..) | (None, Some(value), _) => value,
            (None, None, Some(value)) => {
                // Not every key can stand alone, and none of a sweep's.
                let alone = toml::to_string(&nested(key, value.clone())).unwrap();
                let with = Config::parse(&alone, "reference", "NAME", &[]);
                // An empty table is written to open its section, whose other keys then have the defaults of the section.
                let opens = value.as_table().is_some_and(toml::Table::is_empty);
                let is_default = match with {
                    Ok(with) => opens || with == config(""),
                    Err(error) => !error.to_string().contains(&format!("{key}: ")),
                };
                assert!(is_default, "{key} is something else than {value} by default");
                value
            }
            (None, None, None) => return "none".into(),
        };
        let only_sections = !takes.sections.is_empty();
        match value {
            Value::Table(_) if only_sections => String::new(),
            Value::Array(list) if only_sections && list.iter().all(Value::is_table) => String::new(),
            value if inline(value).len() > LONGEST => "as `--dry-run` prints it".into(),
            value if required => format!("`{}`, required in this section", inline(value)),
            value => format!("`{}`", inline(value)),
        }
    }

    /// Takes the fields of a struct as the keys of a section, and those of the sections in it.
    fn walk(&mut self, place: &str, (file, item): (PathBuf, ItemStruct), about: String) {
        let at = match self.sections.iter().position(|s| s.file == file && s.item.ident == item.ident) {
            Some(at) => at,
            None => {
                let (file, item) = (file.clone(), item.clone());
                self.sections.push(Section { file, item, places: vec![], abouts: vec![], rows: vec![] });
                self.sections.len() - 1
            }
        };
        self.sections[at].places.push(place.to_string());
        self.sections[at].abouts.push(about);
        // Fields of an algorithm are those of its preset.
        let optional = told(&item.attrs, "default").is_some() || place.starts_with(ALGORITHM);
        for (number, field) in item.fields.iter().enumerate() {
            let field_name = field.ident.as_ref().unwrap().to_string();
            let key_name = told(&field.attrs, "rename").unwrap_or(field_name);
            let base = place.trim_start_matches('[').trim_end_matches(']');
            let key = if base.is_empty() { key_name.clone() } else { format!("{base}.{key_name}") };
            let takes = self.takes(&field.ty, &file);
            let optional = optional || told(&field.attrs, "default").is_some() || name(&field.ty).0 == "Option";
            let default = self.default(&key, &takes, !optional);
            let meaning = docs(&field.attrs);
            let only_section = takes.words == "section" || takes.words == "list of sections";
            if self.sections[at].rows.len() == number {
                let older: String = serde(&field.attrs)
                    .into_iter()
                    .filter(|(name, _)| name == "alias")
                    .map(|(_, old)| format!(" Older name: `{old}`."))
                    .collect();
                let meaning = format!("{meaning}{}{older}", spaced(&takes.explained));
                assert!(!meaning.trim().is_empty(), "{key} has no documentation in {}", file.display());
                let row = Row { key: key_name, takes: takes.words, defaults: vec![], meaning };
                self.sections[at].rows.push(row);
            }
            self.sections[at].rows[number].defaults.push(default);
            for section in takes.sections {
                let place = if takes.listed { format!("[{key}]") } else { key.clone() };
                self.walk(&place, section, if only_section { meaning.clone() } else { String::new() });
            }
        }
    }

    fn write(&self) -> String {
        let mut text = String::new();
        for section in self.sections.iter().filter(|section| section.places != [""]) {
            let places: Vec<String> = section.places.iter().map(|place| format!("`[{place}]`")).collect();
            writeln!(text, "\n### {}\n", places.join(", ")).unwrap();
            let same = section.abouts.iter().all(|about| *about == section.abouts[0]);
            let told = places.iter().zip(&section.abouts).map(|(place, about)| format!("{place}: {about}"));
            let abouts = if same { section.abouts[0].clone() } else { told.collect::<Vec<_>>().join(" ") };
            let of_type = docs(&section.item.attrs);
            let about = if of_type.starts_with(&abouts) { of_type } else { format!("{abouts} {of_type}") };
            writeln!(text, "{}\n", about.trim()).unwrap();
            if section.rows.iter().any(|row| row.defaults.iter().any(|default| *default != row.defaults[0])) {
                writeln!(text, "Where defaults differ they stand in the order of these sections.\n").unwrap();
            }
            text += "| key | takes | default | |\n|---|---|---|---|\n";
            for Row { key, takes, defaults, meaning } in &section.rows {
                let same = defaults.iter().all(|default| *default == defaults[0]);
                let default = if same { defaults[0].clone() } else { defaults.join("; ") };
                let cells = [&format!("`{key}`"), takes, &default, meaning].map(|cell| cell.replace('|', "\\|"));
                writeln!(text, "| {} |", cells.join(" | ")).unwrap();
            }
        }
        text
    }
}

/// With a space before it, if there is any.
fn spaced(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {}", text.trim()) }
}

/// A table in which a dotted key has a value.
fn nested(key: &str, value: Value) -> Table {
    let mut parts = key.rsplit('.');
    let last = Table::from_iter([(parts.next().unwrap().to_string(), value)]);
    parts.fold(last, |table, part| Table::from_iter([(part.to_string(), Value::Table(table))]))
}

/// Puts the text between the two lines that mark a part of the page, or compares it with what is there.
fn hold(part: &str, text: &str) {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    let (open, close) = (format!("<!-- {part} -->\n"), format!("\n<!-- /{part} -->"));
    let (before, rest) = page.split_once(&open).unwrap_or_else(|| panic!("{PAGE} has no line {open}"));
    let (there, after) = rest.split_once(&close).unwrap_or_else(|| panic!("{PAGE} has no line {close}"));
    if env::var_os("RECOLLECT_WRITE").is_some() {
        fs::write(&path, format!("{before}{open}{text}{close}{after}")).unwrap();
        return;
    }
    let differs = text.lines().zip(there.lines()).find(|(new, old)| new != old);
    let (new, old) = differs.unwrap_or_else(|| (text.lines().last().unwrap(), there.lines().last().unwrap()));
    assert!(
        there == text,
        "{PAGE} says\n{old}\nand the code\n{new}\nRECOLLECT_WRITE=1 cargo test --release --test documented writes it anew"
    );
}

#[test]
fn the_reference_of_keys_is_what_configs_and_sweeps_have() {
    let mut reference = Reference::new();
    let (config, algorithm) = (reference.root::<Config>(), reference.root::<Algorithm>());
    reference.walk("", config, String::new());
    let about = "How the policy is updated, field by field; `preset` names the algorithm whose fields these are where they \
                 are not written (`grpo` unless told).";
    reference.walk(ALGORITHM, algorithm, about.into());
    hold("keys", &reference.write());
    let mut reference = Reference::new();
    let search = reference.root::<Search>();
    reference.walk("search", search, String::new());
    hold("search", &reference.write());
}
