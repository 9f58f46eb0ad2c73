//! Where the relative paths of a config are looked for: those of a run were meant from the directory that it was begun
//! in, and whoever asks something of it later may be elsewhere.

use std::path::{Path, PathBuf};

use crate::config::Config;

/// Folders in which relative paths may begin, those first that are looked at first; "" is the working directory, where
/// everything is looked for that is in none of them.
#[derive(Clone, Debug, Default)]
pub struct Paths(Vec<PathBuf>);

impl Paths {
    /// These folders. Paths that begin in the working directory stay as they are.
    pub fn of(folders: &[PathBuf]) -> Paths {
        let here = Path::new(".").canonicalize().ok();
        let is_here = |folder: &PathBuf| here.is_some() && folder.canonicalize().ok() == here;
        Paths(folders.iter().map(|folder| if is_here(folder) { PathBuf::new() } else { folder.clone() }).collect())
    }

    /// A config whose relative paths name what is there.
    pub fn resolve(&self, config: Config) -> Config {
        let mut config = config;
        if let Some(dir) = config.base.dir() {
            config.base.path = self.find(dir).display().to_string();
        }
        let world = &mut config.world.jsonl;
        for path in world.documents.iter_mut().chain(&mut world.questions) {
            *path = self.find(path);
        }
        config.train.reward = self.find(&config.train.reward);
        config.run.cache = config.run.cache.map(|cache| self.find(&cache));
        config
    }

    /// The first that is there; what is nowhere stays as it is.
    fn find(&self, path: &Path) -> PathBuf {
        let places = self.0.iter().map(|folder| folder.join(path));
        places.into_iter().find(|place| place.exists()).unwrap_or_else(|| path.to_path_buf())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_begin_where_the_run_was_begun() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("base")).unwrap();
        let set = ["base.path=base", "train.reward=r.toml", "run.cache=/c"].map(str::to_owned);
        let config = Config::parse("", "x.toml", "x", &set).unwrap();
        let found = Paths::of(&[home.path().join("gone"), home.path().to_path_buf()]).resolve(config.clone());
        assert_eq!(found.base.path, home.path().join("base").display().to_string());
        assert_eq!((found.train.reward, found.run.cache), (config.train.reward.clone(), config.run.cache.clone()));
        let here = Paths::of(&[PathBuf::from("."), home.path().join("gone")]).resolve(config.clone());
        assert_eq!(here, config);
        let shipped = Config::parse("", "x.toml", "x", &[]).unwrap();
        assert_eq!(Paths::of(&[home.path().to_path_buf()]).resolve(shipped.clone()), shipped);
    }
}
