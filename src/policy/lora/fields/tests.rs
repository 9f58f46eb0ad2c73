//! Every key of an `adapter_config.json` does here what it does in PEFT, or is refused by name: held to what
//! `tests/make_adapter_golden.py` has recorded of PEFT.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::policy::weight_files::{self, StoredPrecision};
use crate::policy::{ModelConfig, Policy, Weight};

/// What PEFT makes of each case.
#[derive(Deserialize)]
struct PeftGolden {
    /// All that its `LoraConfig` has.
    keys: Vec<String>,
    tokens: Vec<u32>,
    /// The `adapter_config.json` that cases change.
    plain: Map<String, Value>,
    cases: Vec<PeftCase>,
}

#[derive(Deserialize)]
struct PeftCase {
    changes: Map<String, Value>,
    /// Those of the changes of which the order counts.
    #[serde(skip)]
    patterns: Patterns,
    /// The layers that have adapters with their ranks; nothing where PEFT refuses the file.
    #[serde(default)]
    layers: BTreeMap<String, usize>,
    /// After the last token.
    logits: Option<Vec<f32>>,
}

fn golden() -> PeftGolden {
    #[derive(Deserialize)]
    struct InFile {
        cases: Vec<Ordered>,
    }
    #[derive(Deserialize)]
    struct Ordered {
        changes: Patterns,
    }
    let text = include_str!("../../../../tests/adapters.json");
    let mut golden: PeftGolden = serde_json::from_str(text).unwrap();
    let ordered: InFile = serde_json::from_str(text).unwrap();
    for (case, Ordered { changes }) in golden.cases.iter_mut().zip(ordered.cases) {
        case.patterns = changes;
    }
    golden
}

/// The text of an `adapter_config.json`.
fn text(mut fields: Map<String, Value>, patterns: &Patterns) -> String {
    fields.retain(|key, _| !["rank_pattern", "alpha_pattern"].contains(&key.as_str()));
    let rest = Value::Object(fields).to_string();
    let [ranks, alphas] =
        [&patterns.rank_pattern, &patterns.alpha_pattern].map(|all| serde_json::to_string(all).unwrap());
    format!("{}, \"rank_pattern\": {ranks}, \"alpha_pattern\": {alphas}}}", rest.strip_suffix('}').unwrap())
}

/// Numbers between -0.4 and 0.4 that follow from a name, as in the script.
fn drawn(name: &str, shape: [usize; 2]) -> Weight {
    let hashed = name.bytes().fold(0u32, |hashed, byte| hashed.wrapping_mul(31).wrapping_add(byte.into()));
    let number = |i: usize| hashed.wrapping_add((i as u32).wrapping_mul(2654435761));
    let values = (0..shape[0] * shape[1]).map(|i| ((f64::from(number(i)) / 2f64.powi(32) - 0.5) * 0.8) as f32);
    Weight { shape: shape.to_vec(), values: values.collect() }
}

/// The logits of a case here, or why there are none.
fn logits(golden: &PeftGolden, case: &PeftCase) -> Result<Vec<f32>> {
    let home = tempfile::tempdir().unwrap();
    let mut fields = golden.plain.clone();
    fields.extend(case.changes.clone());
    let key = "base_model_name_or_path";
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join(fields[key].as_str().unwrap());
    fields.insert(key.into(), base.to_str().unwrap().into());
    std::fs::write(home.path().join(CONFIG), text(fields, &case.patterns)).unwrap();
    let shapes: BTreeMap<String, [usize; 2]> =
        super::super::layers::linear_layers(&ModelConfig::read(&base.join("config.json"))?).collect();
    let mut weights = BTreeMap::new();
    // Where PEFT loads nothing, neither file nor shapes matter; where it adapts other modules, nor do theirs.
    for (layer, rank) in &case.layers {
        let Some([outputs, inputs]) = shapes.get(layer) else { continue };
        for (part, shape) in [("lora_A", [*rank, *inputs]), ("lora_B", [*outputs, *rank])] {
            let name = format!("{layer}.{part}.weight");
            weights.insert(format!("base_model.model.{name}"), drawn(&name, shape));
        }
    }
    weight_files::write(&home.path().join("adapter_model.safetensors"), &weights, StoredPrecision::F32)?;
    let policy = Policy::load(home.path())?;
    let last = |policy: &Policy| -> Result<Vec<f32>> {
        let logits = policy.logits(&golden.tokens, &[golden.tokens.len()].into_iter().collect())?;
        Ok(logits.get(golden.tokens.len() - 1)?.to_vec1()?)
    };
    let (beside, merged) = (last(&policy)?, last(&policy.merged()?)?);
    assert!(apart(&beside, &merged) < 1e-4, "{:?}: merged and not", case.changes);
    // Saved and loaded, they are the same.
    let again = home.path().join("again");
    policy.save(&again)?;
    assert_eq!(last(&Policy::load(&again)?)?, beside, "{:?}: saved and loaded", case.changes);
    Ok(beside)
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_key_does_what_it_does_in_peft_or_is_refused_by_name() {
    let golden = golden();
    let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    assert_eq!(golden.keys, known, "what PEFT's LoraConfig has");
    let plain = logits(&golden, &golden.cases[0]).unwrap();
    let [mut changing, mut idle, mut refused] = [(); 3].map(|()| BTreeSet::new());
    for case in &golden.cases {
        let keys: Vec<&String> = case.changes.keys().collect();
        match logits(&golden, case) {
            Ok(found) => {
                let Some(truth) = &case.logits else { panic!("{keys:?}: PEFT does not load {:?}", case.changes) };
                assert!(apart(&found, truth) < 2e-3, "{:?}: {} apart", case.changes, apart(&found, truth));
                if apart(&found, &plain) > 1e-2 { changing.extend(keys) } else { idle.extend(keys) }
            }
            Err(error) => {
                let message = error.to_string();
                let names = |key: &&String| message.contains(&format!("{CONFIG}: {key} is"));
                assert!(keys.iter().any(&names) && !message.contains('\n'), "{keys:?}: {message}");
                refused.extend(keys.into_iter().filter(|key| names(key)));
            }
        }
    }
    for (key, effect) in KEYS {
        let key = &key.to_owned();
        match effect {
            // What begins with another value and is trained the same is told by what is refused.
            Honoured if ["init_lora_weights", "peft_type"].contains(&key.as_str()) => assert!(refused.contains(key)),
            Honoured => assert!(changing.contains(key), "no case shows that {key} is honoured"),
            Nothing => assert!(idle.contains(key) && !refused.contains(key), "no case shows that {key} does nothing"),
            Refused | RefusedUnless(_) => assert!(refused.contains(key), "no case shows that {key} is refused"),
        }
    }
}

#[test]
fn the_documentation_says_of_every_key_what_it_does() {
    let table = include_str!("../../README.md");
    for (key, effect) in KEYS {
        let word = match effect {
            Honoured => "honoured",
            Nothing => "no effect",
            Refused | RefusedUnless(_) => "refused",
        };
        let beginning = format!("| `{key}` | {word}");
        assert!(table.lines().any(|line| line.starts_with(&beginning)), "src/policy/README.md: {beginning} …");
    }
}

#[test]
fn rank_and_strength_that_are_left_out_are_those_of_peft() {
    let home = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        std::fs::write(home.path().join(CONFIG), text).unwrap();
        AdapterFields::read(home.path()).unwrap().lora(|_| Ok(vec!["layer".to_owned()]))
    };
    let layers = read(r#"{"peft_type": "LORA"}"#).unwrap();
    assert_eq!(layers.get("layer"), Some(LoraLayer { rank: 8, alpha: 8.0 }));
    for key in ["r", "lora_alpha"] {
        let message = read(&format!(r#"{{"peft_type": "LORA", "{key}": null}}"#)).unwrap_err().to_string();
        assert!(message.contains(&format!("{key} is null")), "{message}");
    }
}
