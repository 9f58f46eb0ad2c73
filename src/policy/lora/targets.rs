//! Which modules of a model an `adapter_config.json` names, by PEFT's rules.

use serde_json::Value;

use super::Target;
use super::fields::AdapterFields;
use super::patterns::Pattern;
use crate::Result;
use crate::policy::ModelConfig;

/// How a file stands for all linear layers.
const ALL_LINEAR: &str = "all-linear";

/// Names of modules, or of the ends of their names; or an expression for whole names.
enum Names {
    List(Vec<String>),
    Pattern(Pattern),
    /// Every linear layer but the head.
    Linear,
}

impl Names {
    /// What stands under a key; nothing where it is null or empty.
    fn read(fields: &AdapterFields, key: &str) -> Result<Option<Names>> {
        let value = fields.get(key);
        match value {
            Value::Null => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => match Pattern::whole(text) {
                Ok(pattern) => Ok(Some(Names::Pattern(pattern))),
                Err(error) => fields.refuse(key, &format!("it is no regular expression that can be read ({error})")),
            },
            list => match serde_json::from_value::<Vec<String>>(list.clone()) {
                Ok(list) => Ok((!list.is_empty()).then_some(Names::List(list))),
                Err(_) => fields.refuse(key, "it has to be a list of names or a regular expression"),
            },
        }
    }

    /// Whether a module is named, and whether by its full name.
    fn find(&self, module: &str) -> Result<(bool, bool), String> {
        Ok(match self {
            Names::Linear => (Target::from_layer(module).is_some(), true),
            Names::Pattern(pattern) => (pattern.matches(module)?, true),
            Names::List(names) => {
                let full = names.iter().any(|name| name == module);
                let ends =
                    |name: &String| module.strip_suffix(name.as_str()).is_some_and(|before| before.ends_with('.'));
                (full || names.iter().any(ends), full)
            }
        })
    }
}

/// The blocks that layers named by the ends of their names are adapted in.
struct Blocks {
    numbers: Vec<usize>,
    /// What stands before the number of a block; anything, where there is none.
    before: Vec<Pattern>,
}

impl Blocks {
    fn read(fields: &AdapterFields, targets: &Names) -> Result<Option<Blocks>> {
        let [chosen, pattern] = ["layers_to_transform", "layers_pattern"];
        let is_list = matches!(targets, Names::List(_));
        for key in [chosen, pattern] {
            if !is_list && !fields.get(key).is_null() {
                return fields.refuse(key, "PEFT allows it only beside target_modules that are a list");
            }
        }
        let numbers = match fields.get(chosen) {
            Value::Null => None,
            Value::Array(some) if some.is_empty() => None,
            Value::Array(some) => Some(some.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()),
            one => Some(one.as_u64().map(|one| vec![one])),
        };
        let texts = match fields.get(pattern) {
            Value::Null => Some(Vec::new()),
            Value::String(text) if text.is_empty() => Some(Vec::new()),
            Value::String(text) => Some(vec![text.clone()]),
            list => serde_json::from_value(list.clone()).ok(),
        };
        let Some(texts) = texts else { return fields.refuse(pattern, "it has to be a name or a list of names") };
        let numbers = match numbers {
            None if !texts.is_empty() && fields.get(chosen).is_null() => {
                return fields.refuse(pattern, "PEFT allows it only beside layers_to_transform");
            }
            None => return Ok(None),
            Some(None) => return fields.refuse(chosen, "it has to be a whole number or a list of these"),
            Some(Some(numbers)) => numbers.into_iter().map(|number| number as usize).collect(),
        };
        let before = if texts.is_empty() {
            Pattern::numbered("[^.]*").map(|any| vec![any])
        } else {
            texts.iter().map(|text| Pattern::numbered(text)).collect()
        };
        match before {
            Ok(before) => Ok(Some(Blocks { numbers, before })),
            Err(error) => fields.refuse(pattern, &format!("it is no regular expression that can be read ({error})")),
        }
    }

    fn contain(&self, module: &str) -> Result<bool, String> {
        for pattern in &self.before {
            if let Some(number) = pattern.number(module)? {
                return Ok(self.numbers.contains(&number));
            }
        }
        Ok(false)
    }
}

/// The layers of a model that are adapted. A module that is named and has no place for an adapter here is an error.
pub(super) fn layers(fields: &AdapterFields, config: &ModelConfig) -> Result<Vec<String>> {
    let targets = match fields.get("target_modules") {
        Value::String(text) if text.to_lowercase() == ALL_LINEAR => Some(Names::Linear),
        _ => Names::read(fields, "target_modules")?,
    };
    let some = format!("adapters stand beside some of {}", Target::ALL.map(Target::name).join(", "));
    let Some(targets) = targets else { return fields.refuse("target_modules", &some) };
    let excluded = Names::read(fields, "exclude_modules")?;
    let blocks = Blocks::read(fields, &targets)?;
    let mut layers = Vec::new();
    for module in modules(config) {
        let named = || -> Result<bool, (&str, String)> {
            if let Some(excluded) = &excluded
                && excluded.find(&module).map_err(|error| ("exclude_modules", error))?.0
            {
                return Ok(false);
            }
            let (found, full) = targets.find(&module).map_err(|error| ("target_modules", error))?;
            match &blocks {
                Some(blocks) if found && !full => blocks.contain(&module).map_err(|error| ("layers_pattern", error)),
                _ => Ok(found),
            }
        };
        match named() {
            Err((key, error)) => return fields.refuse(key, &format!("it cannot be matched with {module} ({error})")),
            Ok(true) if Target::from_layer(&module).is_none() => {
                return fields.refuse("target_modules", &format!("it names {module}; {some}"));
            }
            Ok(true) => layers.push(module),
            Ok(false) => {}
        }
    }
    if layers.is_empty() {
        let key = if blocks.is_some() { "layers_to_transform" } else { "target_modules" };
        return fields.refuse(key, &format!("that is no layer of the model; {some}"));
    }
    Ok(layers)
}

/// Every module of a model by its name in transformers: those that have weights, those that these are parts of, and
/// those without weights.
fn modules(config: &ModelConfig) -> Vec<String> {
    let mut all = vec!["lm_head".to_owned(), "model.rotary_emb".to_owned()];
    all.extend((0..config.num_hidden_layers).map(|layer| format!("model.layers.{layer}.mlp.act_fn")));
    for name in config.weight_shapes().into_keys() {
        let parts: Vec<&str> = name.split('.').collect();
        all.extend((1..parts.len()).map(|length| parts[..length].join(".")));
    }
    all.sort();
    all.dedup();
    all
}
