//! A run whose files do not fit any more ends with a word on how to go on, and goes on from what it has.
#![cfg(unix)]

#[path = "support/home.rs"]
mod home;
#[path = "support/left.rs"]
mod left;

use std::fs;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use home::{Home, finish, newest_checkpoint};
use left::{left_by, same};

/// Lets the process write no file of more bytes. Unlike a full disk this needs no disk of its own.
fn limited(home: &Home, name: &str, bytes: u64) -> std::process::Output {
    let mut command = home.recollect("run", name);
    // SAFETY: both calls are allowed between fork and exec, and touch nothing of this process.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // Ignored, the signal leaves an error behind, as a full disk does.
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    finish(command.spawn().unwrap())
}

#[test]
fn a_checkpoint_that_does_not_fit_ends_the_run_and_the_one_before_it_is_gone_on_from() {
    let home = Home::new(&[]);
    home.finished("alone");
    let expected = left_by(&home.path("alone"));

    // Stopped as soon as there is a checkpoint.
    let mut child = home.recollect("run", "full").spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while newest_checkpoint(&home.path("full")).is_none_or(|path| !path.join("complete.json").exists()) {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "no checkpoint was made");
        std::thread::sleep(Duration::from_millis(2));
    }
    // SAFETY: the child has not been waited for, so its number is its own.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert_eq!(finish(child).status.code(), Some(130));
    let kept = newest_checkpoint(&home.path("full")).unwrap();
    assert!(!kept.ends_with("step-000006"), "it was too late to stop the run");

    // Its weights fit, and the two moments of each do not.
    let weights = fs::metadata(kept.join("model.safetensors")).unwrap().len();
    let output = limited(&home, "full", weights + weights / 2);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    assert!(errors[0].contains("optimizer.safetensors") && errors[0].contains("no file become so large"), "{said}");
    assert!(errors[0].ends_with("make room, and the same command goes on from what is whole"), "{said}");
    assert_eq!(newest_checkpoint(&home.path("full")).unwrap(), kept, "nothing half-written stands beside it");

    home.finished("full");
    same(&expected, &left_by(&home.path("full")), "after there was room again");
}
