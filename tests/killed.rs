//! A run that is killed or stopped at any instant, and taken up again, leaves what a run leaves that was left alone; also
//! where its metrics were edited, it was moved, a command of somebody else judges, or its terminal was closed under
//! `nohup`. `RECOLLECT_CASES=50` says how many instants are tried. And one whose files do not fit any more ends with a word on how to go on, and goes on from what it
//! has.
#![cfg(unix)]

#[path = "support/home.rs"]
mod home;
#[path = "support/left.rs"]
mod left;
#[path = "support/program.rs"]
mod program;
#[path = "support/tiny.rs"]
mod tiny;

use program::recollect;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use home::{Home, finish, interrupt};
use left::{left_by, same};

fn cases() -> usize {
    std::env::var("RECOLLECT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(16)
}

/// The newest checkpoint of a run's training that has its name: one that is still being written has none.
fn newest_checkpoint(run: &Path) -> Option<PathBuf> {
    let begins = |path: &PathBuf, with: &str| path.file_name().unwrap().to_string_lossy().starts_with(with);
    let inside = |dir: &Path| fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let training = inside(&run.join("checkpoints")).filter(|path| begins(path, "train-"));
    let saved = training.flat_map(|stage| inside(&stage).collect::<Vec<_>>()).filter(|path| begins(path, "step-"));
    // One that is still written has an ending, and one that was being removed may have lost its weights.
    saved.filter(|path| path.extension().is_none() && path.join("model.safetensors").exists()).max()
}

#[test]
fn whatever_the_instant_nothing_is_lost() {
    nothing_is_lost(Home::new(&[]), cases(), |_, _, _| {});
}

#[test]
fn nor_is_a_value_head_with_its_moments() {
    let algorithm = "train.algorithm={ preset = 'ppo', inner_epochs = 2, value.trunk = true }";
    nothing_is_lost(Home::new(&[algorithm]), cases() / 4, |_, _, _| {});
}

#[test]
fn nor_where_metrics_are_edited_and_the_run_is_moved_in_between() {
    nothing_is_lost(Home::new(&[]), cases(), |home, name, random| {
        edit(&home.path(name).join("metrics.jsonl"), random);
        let moved = home.path("moved").join(name);
        if !home.path(name).exists() {
            return;
        }
        fs::create_dir_all(home.path("moved")).unwrap();
        fs::rename(home.path(name), &moved).unwrap();
        // It goes on by its directory, for a while or to its end, and comes back.
        let mut by_directory = recollect();
        by_directory.args(["train", &moved.display().to_string()]).current_dir(home.path("moved"));
        by_directory.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let after = Duration::from_millis(random.random_range(1..100));
        // It was killed before it had a config of its own.
        if moved.join("config.toml").exists() {
            interrupt(by_directory.spawn().unwrap(), libc::SIGKILL, after);
        }
        fs::rename(moved, home.path(name)).unwrap();
    });
}

#[test]
fn nor_where_a_command_judges() {
    let home = Home::new(&[]);
    let judge = home.path("judge.sh");
    let answers = "while read -r line; do\n id=${line#*:}; id=${id%%,*}\n case \"$line\" in *in*) value=0.25;; *) value=0.75;; \
                   esac\n echo '{\"id\":'$id',\"value\":'$value'}'\ndone\n";
    fs::write(&judge, answers).unwrap();
    let term = format!("kind = 'external'\nname = 'judge'\ncommand = ['sh', '{}']\n", judge.display());
    let reward = format!("[[term]]\nkind = 'truncated'\nweight = -1.0\n[[term]]\n{term}");
    fs::write(home.path("reward.toml"), reward).unwrap();
    nothing_is_lost(home, cases() / 2, |_, _, _| {});
}

#[test]
fn nor_under_nohup_where_the_terminal_is_closed() {
    nothing_is_lost_by(under_nohup, Home::new(&[]), cases() / 4, |_, _, _| {});
}

/// Starts a run and lets a while go by. Gives how often its terminal was closed meanwhile.
type Start = fn(&Home, &str, &mut StdRng, Duration) -> (Child, usize);

fn plainly(home: &Home, name: &str, _: &mut StdRng, after: Duration) -> (Child, usize) {
    let child = home.recollect("run", name).spawn().unwrap();
    std::thread::sleep(after);
    (child, 0)
}

/// Starts a run that ignores SIGHUP, as `nohup` does, and sends it one at some instant.
fn under_nohup(home: &Home, name: &str, random: &mut StdRng, after: Duration) -> (Child, usize) {
    let mut command = home.recollect("run", name);
    // SAFETY: the call is allowed between fork and exec, and touches nothing of this process.
    unsafe {
        command.pre_exec(|| match libc::signal(libc::SIGHUP, libc::SIG_IGN) {
            libc::SIG_ERR => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let mut child = command.spawn().unwrap();
    let before = after.mul_f64(random.random_range(0.0..1.0));
    std::thread::sleep(before);
    let there = child.try_wait().unwrap().is_none();
    // SAFETY: the child is waited for by its handle alone, which keeps its number from being given to another one.
    unsafe { libc::kill(child.id() as i32, libc::SIGHUP) };
    std::thread::sleep(after - before);
    (child, usize::from(there))
}

/// Does to a file of metrics what an editor, a script or a bad copy may do.
fn edit(path: &Path, random: &mut StdRng) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    if lines.is_empty() {
        return;
    }
    let at = random.random_range(0..lines.len());
    match random.random_range(0..5) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => lines[at] = lines[at].replace("\"reward\":", "\"reward\":9"),
        3 => lines.insert(at, "buy milk".into()),
        _ => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

/// `between` is done to a run after it was interrupted.
fn nothing_is_lost(home: Home, cases: usize, between: impl Fn(&Home, &str, &mut StdRng)) {
    nothing_is_lost_by(plainly, home, cases, between);
}

/// The same of runs that are started in some way.
fn nothing_is_lost_by(start: Start, home: Home, cases: usize, between: impl Fn(&Home, &str, &mut StdRng)) {
    let started = Instant::now();
    home.finished("alone");
    // How long a run takes at most; one that ends before its instant says that the machine has become faster.
    let mut whole = started.elapsed();
    let expected = left_by(&home.path("alone"));
    let mut random = StdRng::seed_from_u64(5);
    let (mut killed, mut cut, mut hung_up) = (0, 0, 0);
    for case in 0..cases {
        let name = format!("case-{case}");
        // Twice, so that a run that goes on is killed as well; every third is asked to stop instead.
        for _ in 0..2 {
            let asked = case % 3 == 2;
            let signal = if asked { libc::SIGTERM } else { libc::SIGKILL };
            let after = whole.mul_f64(random.random_range(0.02..1.0));
            let (child, hangups) = start(&home, &name, &mut random, after);
            let (output, ended) = interrupt(child, signal, Duration::ZERO);
            hung_up += hangups;
            killed += usize::from(!ended);
            whole = if ended { after } else { whole };
            let said = String::from_utf8_lossy(&output.stderr);
            // What was not asked to stop goes on until it is killed.
            assert!(asked || output.status.success() || output.status.signal() == Some(libc::SIGKILL), "{said}");
            // A signal that comes before the handler is there ends the process as it always would.
            if asked && output.status.code().is_some_and(|code| code != 0) {
                assert_eq!(output.status.code(), Some(130), "{said}");
                assert!(said.contains("interrupted; "), "{said}");
            }
            between(&home, &name, &mut random);
        }
        // And the newest checkpoint may have been cut off.
        if let Some(checkpoint) = newest_checkpoint(&home.path(&name)).filter(|_| case % 2 == 1) {
            let weights = checkpoint.join("model.safetensors");
            let bytes = fs::read(&weights).unwrap();
            fs::write(&weights, &bytes[..random.random_range(0..bytes.len())]).unwrap();
            cut += 1;
        }
        let (child, hangups) = start(&home, &name, &mut random, whole.mul_f64(0.5));
        hung_up += hangups;
        let output = finish(child);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        same(&expected, &left_by(&home.path(&name)), &name);
        fs::remove_dir_all(home.path(&name)).unwrap();
    }
    println!("{cases} runs, interrupted {killed} times, hung up {hung_up} times, {cut} checkpoints cut off");
    assert!(killed >= cases, "{killed} of {} interruptions came before the end", 2 * cases);
}

/// Lets the process write no file of more bytes. Unlike a full disk this needs no disk of its own.
fn limited(home: &Home, name: &str, bytes: u64) -> Output {
    let mut command = home.recollect("run", name);
    // SAFETY: both calls are allowed between fork and exec, and touch nothing of this process.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // As a shell starts programs: it would end one that knows nothing of it.
            libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
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
