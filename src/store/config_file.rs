//! Configs on disk: a file that somebody wrote, or that of a run directory.

use std::path::Path;

use super::{inputs, run_dir};
use crate::config::{Config, Override};
use crate::language::{Day, PromptConfig};
use crate::{Result, files};

impl Config {
    /// Reads a config file, or that of a run directory, and applies overrides (`train.steps=300`) in their order.
    /// Everything that is wrong is reported, a line each. A run directory that is not named is `runs/` and the name
    /// of the file.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Config> {
        if path.join(run_dir::CONFIG).is_file() {
            let mut config = Config::load(&path.join(run_dir::CONFIG), overrides)?;
            // A run may have been moved since, or is gone on with from another working directory.
            let changed = |key: &str| overrides.iter().any(|text| Override::parse(text).is_ok_and(|c| c.sets(key)));
            if !changed("run.dir") {
                config.run.dir = path.to_path_buf();
            }
            inputs::find_again(&mut config, path, changed);
            return Ok(config);
        }
        let text = files::read_small(path)?;
        let name = path.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
        Config::parse(&text, &path.display().to_string(), &name, overrides)
    }

    /// The same config with the day that chat templates are told: the one that it names, or that of the run that this
    /// goes on with, or today.
    pub fn dated(self) -> Config {
        let recorded = || Config::load(&self.run.dir, &[]).ok()?.prompt.date;
        let date = self.prompt.date.or_else(recorded).unwrap_or_else(Day::today);
        Config { prompt: PromptConfig { date: Some(date), ..self.prompt }, ..self }
    }
}
