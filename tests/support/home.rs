//! A directory with everything that a tiny run needs, and runs in processes of their own.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::program::recollect;
use crate::tiny::TINY;

/// Longest wait for a process that has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Home {
    dir: Rc<tempfile::TempDir>,
    /// Changes of the config that all runs share.
    set: Vec<String>,
}

impl Home {
    /// The config, a reward and a base model that no run has to make.
    pub fn new(set: &[&str]) -> Home {
        let set = set.iter().map(|change| change.to_string()).collect();
        let home = Home { dir: Rc::new(tempfile::tempdir().unwrap()), set };
        fs::write(home.path("tiny.toml"), TINY).unwrap();
        fs::write(home.path("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
        let mut pretrain = home.recollect("pretrain", "pretrained");
        assert!(pretrain.args(["--set", "base.path=embedded"]).output().unwrap().status.success());
        let mut stages = fs::read_dir(home.path("pretrained/stages")).unwrap().map(|entry| entry.unwrap().path());
        let base = stages.find(|path| path.join("model.safetensors").exists()).unwrap();
        fs::rename(base, home.path("base")).unwrap();
        home
    }

    /// The same directory for runs that have more changes in common.
    #[allow(dead_code, reason = "not every test has more")]
    pub fn with(&self, set: &[&str]) -> Home {
        let set = self.set.iter().cloned().chain(set.iter().map(|change| change.to_string())).collect();
        Home { dir: self.dir.clone(), set }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What is asked of recollect for a run of this name.
    pub fn arguments(&self, command: &str, name: &str) -> Vec<String> {
        let mut arguments = vec![command.to_owned(), self.path("tiny.toml").display().to_string()];
        let paths = [("base.path", "base"), ("train.reward", "reward.toml"), ("run.dir", name)];
        let paths = paths.map(|(key, path)| format!("{key}={}", self.path(path).display()));
        let fixed = ["train.checkpoint_every=1", "run.workers=2"].map(str::to_owned);
        for change in paths.into_iter().chain(fixed).chain(self.set.iter().cloned()) {
            arguments.extend(["--set".to_owned(), change]);
        }
        arguments
    }

    pub fn recollect(&self, command: &str, name: &str) -> Command {
        let mut program = recollect();
        program.args(self.arguments(command, name));
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        program
    }

    pub fn finished(&self, name: &str) -> Output {
        let output = finish(self.recollect("run", name).spawn().unwrap());
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

/// Sends a process a signal after a while, and gives its output and whether it had come to its end before.
#[allow(dead_code, reason = "not every test interrupts")]
pub fn interrupt(mut child: Child, signal: i32, after: Duration) -> (Output, bool) {
    std::thread::sleep(after);
    let ended = child.try_wait().unwrap().is_some();
    // SAFETY: the child has not been waited for by anything else, so its number is its own.
    unsafe { libc::kill(child.id() as i32, signal) };
    (finish(child), ended)
}

/// Waits for the end of a process.
pub fn finish(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= deadline {
            let waits_for = waits_of(child.id());
            child.kill().unwrap();
            let said = child.wait_with_output().unwrap();
            panic!("the run does not end: {waits_for:?}\n{}", String::from_utf8_lossy(&said.stderr));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// What the threads of a process wait for, where the system says it.
fn waits_of(process: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default().trim().to_string();
    threads.map(|thread| ["comm", "wchan", "syscall"].map(|name| read(thread.path().join(name))).join(" ")).collect()
}
