//! A directory with a tiny config and a base for it. The program runs inside of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use recollect::config::Config;
use recollect::evaluation::Summary;
use recollect::experiment::{self, Experiment};
use recollect::interrupt::Interrupt;
use recollect::telemetry::Silent;

use crate::program::recollect;
use crate::tiny::TINY;

pub struct Home(tempfile::TempDir);

impl Home {
    /// With a small config, tiny.toml, and a base for it.
    pub fn new() -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir(home.path("rewards")).unwrap();
        let reward = Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/correct.toml");
        fs::copy(reward, home.path("rewards/correct.toml")).unwrap();
        let set = [
            format!("run.dir={}", home.path("made").display()),
            format!("train.reward={}", home.path("rewards/correct.toml").display()),
        ];
        let config = Config::parse(TINY, "tiny", "tiny", &set).unwrap();
        let made =
            experiment::pretrain(&Experiment::open(config, Interrupt::default(), Box::new(Silent)).unwrap()).unwrap();
        fs::rename(made, home.path("base")).unwrap();
        fs::write(home.path("tiny.toml"), format!("{TINY}\n[base]\npath = \"base\"\n")).unwrap();
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn recollect(&self, arguments: &[&str]) -> Output {
        self.recollect_in("", arguments)
    }

    pub fn recollect_in(&self, folder: &str, arguments: &[&str]) -> Output {
        recollect().args(arguments).current_dir(self.path(folder)).output().unwrap()
    }

    pub fn does(&self, arguments: &[&str]) -> String {
        let output = self.recollect(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Where the report of an evaluation was written, from what it printed.
    pub fn place(&self, said: &str) -> String {
        let line = said.lines().rev().find_map(|line| line.strip_prefix("wrote ")).unwrap();
        Path::new(line).parent().unwrap().display().to_string()
    }

    /// The last line of stderr.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.recollect(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap().trim_end().lines().last().unwrap().to_owned()
    }

    pub fn report(&self, run: &str) -> Summary {
        serde_json::from_str(&fs::read_to_string(self.path(run).join("report.json")).unwrap()).unwrap()
    }

    /// Directories of finished stages whose names begin so.
    pub fn stages(&self, run: &str, name: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(run).join("stages")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(name)).collect()
    }
}
