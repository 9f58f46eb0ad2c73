//! A run that is killed or stopped at any instant, and taken up again, leaves what a run leaves that was left alone.
//! `RECOLLECT_CASES=50` says how many instants are tried.
#![cfg(unix)]

#[path = "support/home.rs"]
mod home;
#[path = "support/left.rs"]
mod left;
#[path = "support/tiny.rs"]
mod tiny;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use home::Home;
use left::{left_by, same};

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
    let home = Home::new(&[]);
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
