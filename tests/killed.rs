//! A run that is killed or stopped at any instant, and taken up again, leaves what a run leaves that was left alone.
//! `RECOLLECT_CASES=50` says how many instants are tried.
#![cfg(unix)]

#[path = "support/left.rs"]
mod left;
#[path = "support/tiny.rs"]
mod tiny;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use left::{left_by, same};
use tiny::TINY;

/// Longest wait for a process that has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(120);

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// The config, a reward and a base model that no run has to make.
    fn new() -> Home {
        let home = Home { dir: tempfile::tempdir().unwrap() };
        fs::write(home.path("tiny.toml"), TINY).unwrap();
        fs::write(home.path("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
        let mut pretrain = home.recollect("pretrain", "pretrained");
        assert!(pretrain.args(["--set", "base.path=embedded"]).output().unwrap().status.success());
        let mut stages = fs::read_dir(home.path("pretrained/stages")).unwrap().map(|entry| entry.unwrap().path());
        let base = stages.find(|path| path.join("model.safetensors").exists()).unwrap();
        fs::rename(base, home.path("base")).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn recollect(&self, command: &str, name: &str) -> Command {
        let mut recollect = Command::new(env!("CARGO_BIN_EXE_recollect"));
        recollect.arg(command).arg(self.path("tiny.toml"));
        for (key, path) in [("base.path", "base"), ("train.reward", "reward.toml"), ("run.dir", name)] {
            recollect.arg("--set").arg(format!("{key}={}", self.path(path).display()));
        }
        recollect.args(["--set", "train.checkpoint_every=1", "--set", "run.workers=2"]);
        recollect.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        recollect
    }

    /// Starts a run, sends it a signal after a while, and gives its output and whether it had come to its end.
    fn interrupted(&self, name: &str, signal: i32, after: Duration) -> (Output, bool) {
        let mut child = self.recollect("run", name).spawn().unwrap();
        std::thread::sleep(after);
        let ended = child.try_wait().unwrap().is_some();
        // SAFETY: the child has not been waited for by anything else, so its number is its own.
        unsafe { libc::kill(child.id() as i32, signal) };
        (finish(child), ended)
    }

    fn finished(&self, name: &str) -> Output {
        let output = finish(self.recollect("run", name).spawn().unwrap());
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

fn finish(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the run does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

fn cases() -> usize {
    std::env::var("RECOLLECT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(16)
}

/// A checkpoint directory of a run, the newest.
fn newest_checkpoint(run: &Path) -> Option<PathBuf> {
    let stages = fs::read_dir(run.join("checkpoints")).ok()?.map(|entry| entry.unwrap().path());
    let training = stages.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("train-"));
    training.flat_map(|stage| fs::read_dir(stage).unwrap().map(|entry| entry.unwrap().path())).max()
}

#[test]
fn whatever_the_instant_nothing_is_lost() {
    let home = Home::new();
    let started = Instant::now();
    home.finished("alone");
    let whole = started.elapsed();
    let expected = left_by(&home.path("alone"));
    let mut random = StdRng::seed_from_u64(5);
    let (mut killed, mut cut) = (0, 0);
    for case in 0..cases() {
        let name = format!("case-{case}");
        // Twice, so that a run that goes on is killed as well; every third is asked to stop instead.
        for _ in 0..2 {
            let asked = case % 3 == 2;
            let signal = if asked { libc::SIGTERM } else { libc::SIGKILL };
            let after = whole.mul_f64(random.random_range(0.02..1.0));
            let (output, ended) = home.interrupted(&name, signal, after);
            killed += usize::from(!ended);
            let said = String::from_utf8_lossy(&output.stderr);
            // A signal that comes before the handler is there ends the process as it always would.
            if asked && output.status.code().is_some_and(|code| code != 0) {
                assert_eq!(output.status.code(), Some(130), "{said}");
                assert!(said.contains("interrupted; "), "{said}");
            }
        }
        // And the newest checkpoint may have been cut off.
        if let Some(checkpoint) = newest_checkpoint(&home.path(&name)).filter(|_| case % 2 == 1) {
            let weights = checkpoint.join("model.safetensors");
            let bytes = fs::read(&weights).unwrap();
            fs::write(&weights, &bytes[..random.random_range(0..bytes.len())]).unwrap();
            cut += 1;
        }
        home.finished(&name);
        same(&expected, &left_by(&home.path(&name)), &name);
        fs::remove_dir_all(home.path(&name)).unwrap();
    }
    println!("{} runs, interrupted {killed} times, {cut} checkpoints cut off", cases());
    assert!(killed >= cases(), "{killed} of {} interruptions came before the end", 2 * cases());
}
