//! A run that is killed or stopped at any instant, and taken up again, leaves what a run leaves that was left alone.
//! `RECOLLECT_CASES=50` says how many instants are tried.
#![cfg(unix)]

#[path = "support/home.rs"]
mod home;
#[path = "support/left.rs"]
mod left;

use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use home::{Home, finish, newest_checkpoint};
use left::{left_by, same};

/// Starts a run, sends it a signal after a while, and gives its output and whether it had come to its end.
fn interrupted(home: &Home, name: &str, signal: i32, after: Duration) -> (Output, bool) {
    let mut child = home.recollect("run", name).spawn().unwrap();
    std::thread::sleep(after);
    let ended = child.try_wait().unwrap().is_some();
    // SAFETY: the child has not been waited for by anything else, so its number is its own.
    unsafe { libc::kill(child.id() as i32, signal) };
    (finish(child), ended)
}

fn cases() -> usize {
    std::env::var("RECOLLECT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(16)
}

#[test]
fn whatever_the_instant_nothing_is_lost() {
    nothing_is_lost(Home::new(&[]), cases());
}

#[test]
fn nor_is_a_value_head_with_its_moments() {
    let algorithm = "train.algorithm={ preset = 'ppo', inner_epochs = 2, value.trunk = true }";
    nothing_is_lost(Home::new(&[algorithm]), cases() / 4);
}

fn nothing_is_lost(home: Home, cases: usize) {
    let started = Instant::now();
    home.finished("alone");
    let whole = started.elapsed();
    let expected = left_by(&home.path("alone"));
    let mut random = StdRng::seed_from_u64(5);
    let (mut killed, mut cut) = (0, 0);
    for case in 0..cases {
        let name = format!("case-{case}");
        // Twice, so that a run that goes on is killed as well; every third is asked to stop instead.
        for _ in 0..2 {
            let asked = case % 3 == 2;
            let signal = if asked { libc::SIGTERM } else { libc::SIGKILL };
            let after = whole.mul_f64(random.random_range(0.02..1.0));
            let (output, ended) = interrupted(&home, &name, signal, after);
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
    println!("{cases} runs, interrupted {killed} times, {cut} checkpoints cut off");
    assert!(killed >= cases, "{killed} of {} interruptions came before the end", 2 * cases);
}
