//! What recollect saves, transformers and PEFT load. Needs a Python with torch, transformers and peft: RECOLLECT_PYTHON
//! names it, and without it these tests say that they are skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use recollect::policy::Policy;

/// Runs a script of this folder on what `folders` hold, where there is a Python to run it.
fn python(script: &str, folders: &[PathBuf]) {
    let Some(python) = std::env::var_os("RECOLLECT_PYTHON") else {
        eprintln!("skipped: RECOLLECT_PYTHON names no Python with torch, transformers and peft");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let output = Command::new(python).arg(script).args(folders).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{said}{wrong}");
}

/// Loads everything that Python has recorded in a folder, saves it again and has Python compare.
fn compare(recorded: &str, count: usize) {
    let home = tempfile::tempdir().unwrap();
    let mut saved = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(recorded)).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), home.path().join(entry.unwrap().file_name()));
        // A value head beside the weights is nothing to other programs.
        Policy::load(&from).unwrap().with_value_head(&from, false).unwrap().save(&to).unwrap();
        fs::copy(from.join("logits.json"), to.join("logits.json")).unwrap();
        saved.push(to);
    }
    assert_eq!(saved.len(), count);
    python("check_saved.py", &saved);
}

#[test]
fn saved_checkpoints_give_the_same_logits_in_transformers() {
    compare("tests/golden", 12);
}

#[test]
fn saved_adapters_give_the_same_logits_in_peft() {
    compare("tests/golden-adapters", 3);
}
