//! What to say where no checkpoint is: often it is near.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// What to do about a path under which there is no checkpoint, where that can be said: a directory that holds GGUF files
/// or checkpoints, one of which has to be named; a GGUF file that is not there; or the name of a model on the Hugging
/// Face hub, which has to be fetched.
/// What was found there, and the remedy.
pub fn no_checkpoint(path: &Path) -> Option<(String, String)> {
    if path.is_dir() {
        let files = inside(path, |path| has_gguf_ending(path) && path.is_file());
        let named = one_of(&files, "", "file");
        return named.or_else(|| one_of(&inside(path, is_checkpoint), "a checkpoint in ", "directory"));
    }
    if path.exists() {
        return None;
    }
    if has_gguf_ending(path) {
        let remedy =
            "fetch it first (a config that ships says how in its first lines), or name another file or directory";
        return Some(("no such file".into(), remedy.into()));
    }
    if !is_of_hub(path) {
        return None;
    }
    let name = path.display();
    let remedy = format!(
        "nothing is fetched from the Hugging Face hub; if it is a model there: `hf download {name} --local-dir {name}`"
    );
    Some(("no such directory".into(), remedy))
}

/// What to do where these are in a directory. `what` stands before the name of the first.
fn one_of(inside: &[PathBuf], what: &str, kind: &str) -> Option<(String, String)> {
    let (first, others) = inside.split_first()?;
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    let found = format!("a directory without config.json, but with {what}{}{more}", name(first));
    Some((found, format!("name the {kind} itself: {}", first.display())))
}

/// What is wanted of the things in a directory, sorted.
fn inside(directory: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut inside: Vec<PathBuf> = entries.filter(|path| wanted(path)).collect();
    inside.sort();
    inside
}

/// Whether a directory holds a model or adapters, as PEFT puts those with a name into one of their own.
fn is_checkpoint(path: &Path) -> bool {
    ["config.json", "adapter_config.json"].iter().any(|name| path.join(name).is_file())
}

fn has_gguf_ending(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether this is `OWNER/NAME`, and no path to something beside what is there.
fn is_of_hub(path: &Path) -> bool {
    let allowed = |part: &OsStr| {
        let part = part.to_string_lossy();
        !part.starts_with('.') && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match path.components().collect::<Vec<_>>()[..] {
        [Component::Normal(owner), Component::Normal(model)] => {
            allowed(owner) && allowed(model) && !Path::new(owner).exists()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_near_is_named() {
        let home = tempfile::tempdir().unwrap();
        assert!(no_checkpoint(home.path()).is_none());
        let file = home.path().join("b.gguf");
        std::fs::write(&file, "").unwrap();
        let (found, remedy) = no_checkpoint(home.path()).unwrap();
        assert!(found.ends_with("but with b.gguf"), "{found}");
        assert_eq!(remedy, format!("name the file itself: {}", file.display()));
        std::fs::write(home.path().join("a.GGUF"), "").unwrap();
        assert!(no_checkpoint(home.path()).unwrap().0.ends_with("but with a.GGUF and 1 more"));
        assert!(no_checkpoint(&file).is_none(), "it is there");

        let output = tempfile::tempdir().unwrap();
        for (name, file) in [("one", "adapter_config.json"), ("two", "config.json"), ("other", "notes.json")] {
            std::fs::create_dir(output.path().join(name)).unwrap();
            std::fs::write(output.path().join(name).join(file), "{}").unwrap();
        }
        let (found, remedy) = no_checkpoint(output.path()).unwrap();
        assert!(found.ends_with("but with a checkpoint in one and 1 more"), "{found}");
        assert_eq!(remedy, format!("name the directory itself: {}", output.path().join("one").display()));
        std::fs::remove_dir_all(output.path().join("two")).unwrap();
        assert!(no_checkpoint(output.path()).unwrap().0.ends_with("but with a checkpoint in one"));

        let (found, remedy) = no_checkpoint(Path::new("models/away.gguf")).unwrap();
        assert!(found == "no such file" && remedy.starts_with("fetch it first"), "{found}; {remedy}");

        let (found, remedy) = no_checkpoint(Path::new("an-owner/a-model-1.5B")).unwrap();
        assert_eq!(found, "no such directory");
        assert!(remedy.ends_with("`hf download an-owner/a-model-1.5B --local-dir an-owner/a-model-1.5B`"), "{remedy}");
        for path in ["model", "./an-owner/model", "a/b/c", "/an-owner/model", "../model", "src/model", "a b/model"] {
            assert!(no_checkpoint(Path::new(path)).is_none(), "{path}");
        }
    }
}
