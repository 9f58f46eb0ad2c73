//! What transformers makes of every key of a config.json, as `make_config_golden.py` recorded it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Families, and what was recorded of each.
pub const FAMILIES: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];

#[derive(serde::Deserialize)]
pub struct Golden {
    /// All that transformers knows.
    pub keys: Vec<String>,
    pub sequence: Vec<u32>,
    /// Of the checkpoint as it is: the first few after the last token.
    pub logits: Vec<f32>,
    pub entries: Vec<Entry>,
}

/// What becomes of a change.
#[derive(serde::Deserialize)]
pub struct Entry {
    pub key: String,
    pub change: Map<String, Value>,
    /// Nothing.
    #[serde(default)]
    pub same: bool,
    pub logits: Option<Vec<f32>>,
    /// transformers cannot load it.
    pub error: Option<String>,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-config")
}

pub fn recorded(family: &str) -> Golden {
    serde_json::from_slice(&fs::read(folder().join(family).join("keys.json")).unwrap()).unwrap()
}

/// The checkpoint of a family with changes in its config.json.
pub fn changed(family: &str, change: &Map<String, Value>) -> tempfile::TempDir {
    let (from, to) = (folder().join(family), tempfile::tempdir().unwrap());
    let mut config: Map<String, Value> = serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
    config.extend(change.clone());
    fs::write(to.path().join("config.json"), Value::from(config).to_string()).unwrap();
    fs::copy(from.join("model.safetensors"), to.path().join("model.safetensors")).unwrap();
    to
}
