//! The config of a run that is there, and what a new one takes over from it.

use std::path::Path;

use super::{paths, run_dir};
use crate::Result;
use crate::config::{Config, Override};
use crate::language::{Day, PromptConfig};

impl Config {
    /// The config in a file, or that of a run directory, with overrides (`train.steps=300`) applied in their order.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Config> {
        if !path.join(run_dir::CONFIG).is_file() {
            return Config::read(path, overrides);
        }
        let mut config = Config::read(&path.join(run_dir::CONFIG), overrides)?;
        // A run may have been moved since, or is gone on with from another working directory.
        let changed = |key: &str| overrides.iter().any(|text| Override::parse(text).is_ok_and(|c| c.sets(key)));
        if !changed("run.dir") {
            config.run.dir = path.to_path_buf();
        }
        paths::settle(&mut config, path, changed);
        Ok(config)
    }

    /// The same config with the day that chat templates are told: the one that it names, or that of the run that this
    /// goes on with, or today.
    pub fn dated(self) -> Config {
        let recorded = || Config::load(&self.run.dir, &[]).ok()?.prompt.date;
        let date = self.prompt.date.or_else(recorded).unwrap_or_else(Day::today);
        Config { prompt: PromptConfig { date: Some(date), ..self.prompt }, ..self }
    }
}
