//! Runs as a user starts them: processes of their own, which can be killed.

#[path = "tiny.rs"]
mod tiny;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tiny::TINY;

/// Longest wait for a process that has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A directory for runs of the tiny config.
pub struct Home {
    dir: tempfile::TempDir,
    set: Vec<String>,
}

impl Home {
    /// The config, with what all runs change of it, a reward, and a base model that no run has to make.
    pub fn new(set: &[&str]) -> Home {
        let home = Home { dir: tempfile::tempdir().unwrap(), set: set.iter().map(|text| text.to_string()).collect() };
        fs::write(home.path("tiny.toml"), TINY).unwrap();
        fs::write(home.path("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
        let mut pretrain = home.recollect("pretrain", "pretrained");
        assert!(pretrain.args(["--set", "base.path=embedded"]).output().unwrap().status.success());
        let mut stages = fs::read_dir(home.path("pretrained/stages")).unwrap().map(|entry| entry.unwrap().path());
        let base = stages.find(|path| path.join("model.safetensors").exists()).unwrap();
        fs::rename(base, home.path("base")).unwrap();
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command on the config, for the run of this name.
    pub fn recollect(&self, command: &str, name: &str) -> Command {
        let mut recollect = Command::new(env!("CARGO_BIN_EXE_recollect"));
        recollect.arg(command).arg(self.path("tiny.toml"));
        for (key, path) in [("base.path", "base"), ("train.reward", "reward.toml"), ("run.dir", name)] {
            recollect.arg("--set").arg(format!("{key}={}", self.path(path).display()));
        }
        recollect.args(["--set", "train.checkpoint_every=1", "--set", "run.workers=2"]);
        for set in &self.set {
            recollect.args(["--set", set]);
        }
        recollect.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        recollect
    }

    /// Runs to the end.
    pub fn finished(&self, name: &str) -> Output {
        let output = finish(self.recollect("run", name).spawn().unwrap());
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

/// Waits for a process.
pub fn finish(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the run does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// The newest checkpoint of a run's training that has its name: one that is still being written has none.
pub fn newest_checkpoint(run: &Path) -> Option<PathBuf> {
    let begins = |path: &PathBuf, with: &str| path.file_name().unwrap().to_string_lossy().starts_with(with);
    let inside = |dir: &Path| fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let training = inside(&run.join("checkpoints")).filter(|path| begins(path, "train-"));
    let saved = training.flat_map(|stage| inside(&stage).collect::<Vec<_>>()).filter(|path| begins(path, "step-"));
    saved.max()
}
