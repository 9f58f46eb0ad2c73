//! What two runs are compared by.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What a run is compared by: metrics without times, every rollout, and the content of every stage.
pub fn left_by(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let metrics = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line.as_object_mut().unwrap().remove("time").is_some());
        line.to_string()
    });
    all.insert("metrics.jsonl".into(), lines.collect::<Vec<_>>().join("\n").into_bytes());
    for entry in fs::read_dir(root.join("rollouts")).unwrap() {
        let path = entry.unwrap().path();
        all.insert(path.file_name().unwrap().to_string_lossy().into(), fs::read(path).unwrap());
    }
    for entry in fs::read_dir(root.join("stages")).unwrap() {
        let stage = entry.unwrap();
        let name = stage.file_name().to_string_lossy().into_owned();
        for file in ["model.safetensors", "value_head.safetensors", "answers.jsonl"] {
            if let Ok(bytes) = fs::read(stage.path().join(file)) {
                all.insert(format!("{name}/{file}"), bytes);
            }
        }
    }
    all
}

/// Fails where two runs left different things.
pub fn same(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>, which: &str) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{which}");
    let differing: Vec<&String> = expected.keys().filter(|name| expected[*name] != found[*name]).collect();
    assert!(differing.is_empty(), "{which}: {differing:?} differ");
}
