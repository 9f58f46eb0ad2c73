//! Configs and rewards that ship with the program, for whoever has no clone of its sources. A file of the same name comes
//! first.

use std::path::Path;

use crate::{Error, Result, files};

/// A file by its name, without folder and ending.
type ShippedFile = (&'static str, &'static str);

macro_rules! shipped {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../", $folder, "/", $name, ".toml")))),+]
    };
}

/// In the order in which they are named to people.
static CONFIGS: &[ShippedFile] = shipped!(
    "configs": "quickstart", "tasks", "masked", "smollm2", "checkpoint", "berglund", "paper", "sweep", "base", "versed",
    "unstructured"
);
static REWARDS: &[ShippedFile] = shipped!(
    "rewards": "recall", "enumerate", "needed", "correct", "faithful", "concise", "exploratory", "english", "hackable"
);

/// The text of a config or of a sweep: of the file, or, where there is none, of the one that ships under this name
/// ("quickstart", "configs/quickstart.toml").
///
/// # Errors
/// Neither is there; a file that cannot be read.
pub fn config_text(path: &Path) -> Result<String> {
    text(path, config(path), CONFIGS)
}

/// The same of a reward ("recall", "rewards/recall.toml").
///
/// # Errors
/// Neither is there; a file that cannot be read.
pub fn reward_text(path: &Path) -> Result<String> {
    text(path, reward(path), REWARDS)
}

/// The config that ships under a name which is no file's.
pub fn config(path: &Path) -> Option<&'static str> {
    find(path, "configs", CONFIGS)
}

/// The reward that ships under a name which is no file's.
pub fn reward(path: &Path) -> Option<&'static str> {
    find(path, "rewards", REWARDS)
}

/// The names of the configs that ship.
pub fn configs() -> impl Iterator<Item = &'static str> {
    CONFIGS.iter().map(|(name, _)| *name)
}

/// The names of the rewards that ship.
pub fn rewards() -> impl Iterator<Item = &'static str> {
    REWARDS.iter().map(|(name, _)| *name)
}

fn find(path: &Path, folder: &str, all: &[ShippedFile]) -> Option<&'static str> {
    if path.exists() {
        return None;
    }
    let named = path.strip_prefix(folder).unwrap_or(path).to_str()?;
    let name = named.strip_suffix(".toml").unwrap_or(named);
    all.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

fn text(path: &Path, shipped: Option<&str>, all: &[ShippedFile]) -> Result<String> {
    if let Some(text) = shipped {
        return Ok(text.to_owned());
    }
    if !path.exists() {
        let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let remedy = format!("name a file, or one that ships: {names}");
        return Err(Error::invalid(path.display().to_string(), "no such file", remedy));
    }
    files::read_small(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn everything_in_the_folders_ships_under_its_name() {
        for (folder, all) in [("configs", CONFIGS), ("rewards", REWARDS)] {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let mut there: Vec<String> = fs::read_dir(&dir)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
                .collect();
            let mut shipped: Vec<String> = all.iter().map(|(name, _)| (*name).to_owned()).collect();
            there.sort();
            shipped.sort();
            assert_eq!(there, shipped);
        }
    }

    #[test]
    fn a_name_is_a_file_first() {
        let home = tempfile::tempdir().unwrap();
        let own = home.path().join("recall.toml");
        fs::write(&own, "[[term]]\nkind = 'format'\n").unwrap();
        assert!(reward(&own).is_none() && reward_text(&own).unwrap().contains("format"));
        for name in ["faithful", "faithful.toml"] {
            assert!(reward(Path::new(name)).unwrap().contains("kind = \"recitation\""), "{name}");
        }
        // The tests run where these two are files.
        assert!(config(Path::new("configs/quickstart.toml")).is_none() && config(Path::new("quickstart")).is_some());
        for none in ["quickstrat", "rewards/recall.toml.toml", "../configs/quickstart", ""] {
            let error = config_text(Path::new(none)).unwrap_err().to_string();
            assert!(error.contains("no such file") && error.contains("quickstart, tasks"), "{error}");
        }
    }
}
