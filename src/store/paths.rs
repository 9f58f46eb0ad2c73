//! Where the relative paths of a run's config lead: they were meant from the directory that the run was last worked on in,
//! or from the one that it was begun in, and whoever goes on with it or asks something of it may be elsewhere.

use std::env;
use std::path::{Path, PathBuf};

use super::Manifest;
use super::inputs::RunInputs;
use super::run_dir::CONFIG;
use crate::config::Config;

/// Makes the relative paths of a run's config lead where they led, whatever the working directory is now; those that lead
/// to nothing there are left as they are. `changed` says which keys the caller has just set: these are relative to where
/// the caller is.
pub fn settle(config: &mut Config, run: &Path, changed: impl Fn(&str) -> bool) {
    let folders = folders(run);
    let found = |path: &Path| find(&folders, path);
    settle_inputs(config, &folders, &changed);
    if let Some((trunk, step)) = config.train.from.as_deref().and_then(|from| from.rsplit_once('@'))
        && let Some(there) = found(Path::new(trunk)).filter(|_| !changed("train.from"))
    {
        config.train.from = Some(format!("{}@{step}", there.display()));
    }
    let Some(cache) = config.run.cache.as_mut().filter(|_| !changed("run.cache")) else { return };
    // The cache may be made later.
    if let Some(there) = found(cache).or_else(|| Some(folders.first()?.join(&cache))) {
        *cache = there;
    }
    // A run inside of another one, which may have been moved with it, shares its stages.
    if !cache.exists()
        && let Ok(run) = std::path::absolute(run)
    {
        let outer = run.ancestors().skip(1).take(2).find(|outer| outer.join(CONFIG).is_file());
        if let Some(stages) = outer.map(|outer| outer.join("stages")).filter(|stages| stages.is_dir()) {
            *cache = stages;
        }
    }
}

/// Makes the relative paths of what a config file names lead beside that file, where there is such a file; the others lead
/// from the working directory.
pub fn settle_beside(config: &mut Config, file: &Path, changed: impl Fn(&str) -> bool) {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    settle_inputs(config, &folder.map(Path::to_path_buf).into_iter().collect::<Vec<_>>(), &changed);
}

/// The same of what a run reads, in the first of these directories that has it.
fn settle_inputs(config: &mut Config, folders: &[PathBuf], changed: &impl Fn(&str) -> bool) {
    let settle = |key: &str, path: &mut PathBuf| {
        if let Some(there) = find(folders, path).filter(|_| !changed(key)) {
            *path = there;
        }
    };
    let jsonl = &mut config.world.jsonl;
    for (key, paths) in [
        ("world.jsonl.documents", &mut jsonl.documents),
        ("world.jsonl.questions", &mut jsonl.questions),
        ("world.jsonl.facts", &mut jsonl.facts),
        ("world.jsonl.lessons", &mut jsonl.lessons),
    ] {
        paths.iter_mut().for_each(|path| settle(key, path));
    }
    settle("train.reward", &mut config.train.reward);
    config.evaluation.held_back.iter_mut().for_each(|path| settle("evaluation.held_back", path));
    let base = config.base.dir().and_then(|base| find(folders, base));
    if let Some(there) = base.filter(|_| !changed("base.path")) {
        config.base.path = there.display().to_string();
    }
}

fn find(folders: &[PathBuf], path: &Path) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(path)).find(|there| there.exists())
}

/// The directories that relative paths may begin in, the likeliest first. "" is the working directory, in which everything
/// is looked for that is in none of them.
fn folders(run: &Path) -> Vec<PathBuf> {
    let newest = RunInputs::read(run).ok().flatten().map(|inputs| inputs.directory);
    let first = Manifest::at(run).ok().flatten().map(|manifest| manifest.begun_in(run));
    let there = newest.into_iter().chain(first.into_iter().flatten()).filter(|folder| folder.is_dir());
    let here = env::current_dir().and_then(|here| here.canonicalize()).ok();
    let is_here = |folder: &PathBuf| here.is_some() && folder.canonicalize().ok() == here;
    there.map(|folder| if is_here(&folder) { PathBuf::new() } else { folder }).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::RunDir;

    #[test]
    fn paths_lead_where_they_led_from_whatever_directory_a_run_is_gone_on_with() {
        let home = tempfile::tempdir().unwrap();
        let first = Config::parse("", "x.toml", "x", &[]).unwrap();
        let run = RunDir::open(&home.path().join("run"), &first).unwrap();
        fs::create_dir(home.path().join("rewards")).unwrap();
        fs::write(home.path().join("rewards/correct.toml"), "").unwrap();
        let mut inputs = RunInputs::default();
        inputs.directory = home.path().into();
        inputs.write(&run).unwrap();
        let found = |changed: &str| {
            let mut config = first.clone();
            config.run.cache = Some("cache".into());
            config.base.path = "nowhere".into();
            settle(&mut config, run.root(), |key| key == changed);
            config
        };
        let all = found("");
        assert_eq!(all.train.reward, home.path().join("rewards/correct.toml"));
        assert_eq!(all.run.cache, Some(home.path().join("cache")));
        assert_eq!(all.base.path, "nowhere", "what is not there stays as it is written");
        assert_eq!(found("train.reward").train.reward, first.train.reward, "the caller's own path");

        // A run inside of another one finds its stages after both were moved.
        let inner = home.path().join("run/seed-3");
        let mut inside = first.clone();
        inside.run.cache = Some("runs/before/stages".into());
        fs::create_dir_all(run.stages()).unwrap();
        settle(&mut inside, &inner, |_| false);
        assert_eq!(inside.run.cache, Some(run.stages()));
    }

    #[test]
    fn what_a_config_names_is_looked_for_beside_it_first() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let text = "[world.jsonl]\ndocuments = ['here.jsonl']\nquestions = ['nowhere.jsonl']\n[train]\nreward = 'r.toml'\n\
                    forms = ['completion']\n[finetune]\nreplay = 0\n[base]\npath = 'base'\n";
        fs::write(at("own.toml"), text.replace("\n[finetune]", "\nreplay_tokens = 0\n[finetune]")).unwrap();
        fs::write(at("here.jsonl"), "").unwrap();
        fs::write(at("r.toml"), "").unwrap();
        fs::create_dir(at("base")).unwrap();
        let config = Config::load(&at("own.toml"), &[]).unwrap();
        assert_eq!((&config.world.jsonl.documents[0], &config.train.reward), (&at("here.jsonl"), &at("r.toml")));
        assert_eq!(
            (config.world.jsonl.questions[0].as_path(), config.base.dir()),
            (Path::new("nowhere.jsonl"), Some(at("base").as_path()))
        );
        let set = Config::load(&at("own.toml"), &["train.reward=r.toml".into()]).unwrap();
        assert_eq!(set.train.reward, Path::new("r.toml"), "what the caller says is relative to where the caller is");
    }

    #[test]
    fn paths_lead_where_they_led_in_a_run_that_was_moved_with_its_files() {
        let (home, moved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let set = ["base.path=base", "train.reward=r.toml", "run.cache=/c"].map(str::to_owned);
        let config = Config::parse("", "x.toml", "x", &set).unwrap();
        let run = RunDir::open(&home.path().join("runs/one"), &config).unwrap();
        fs::create_dir(home.path().join("base")).unwrap();
        let text = format!(r#"{{"dir": "../..", "at": "{}"}}"#, home.path().display());
        Manifest { home: serde_json::from_str(&text).unwrap(), ..Manifest::default() }.write(run.root()).unwrap();
        let place = moved.path().join("all");
        fs::rename(home.path(), &place).unwrap();
        let mut found = config.clone();
        settle(&mut found, &place.join("runs/one"), |_| false);
        assert!(Path::new(&found.base.path).canonicalize().unwrap() == place.join("base").canonicalize().unwrap());
        assert_eq!((found.train.reward, found.run.cache), (config.train.reward.clone(), config.run.cache.clone()));
        let mut own = config.clone();
        settle(&mut own, &place.join("runs/one"), |key| key == "base.path");
        assert_eq!(own, config, "the caller's own path");
    }
}
