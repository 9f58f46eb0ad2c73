//! The keeper of a command on Linux.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// First argument of a process that is a keeper; after it come the number of the pipe that tells whether the command
/// could be started, the process of the run, the program and its arguments.
const KEEP: &str = "keep-a-command-of-a-run";
/// How long descendants may take to be gone after they were killed.
const GRACE: Duration = Duration::from_secs(5);

/// Whether this program can be started as a keeper.
static KEEPS: AtomicBool = AtomicBool::new(false);

pub fn begin() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != KEEP) {
        KEEPS.store(true, Ordering::SeqCst);
        return None;
    }
    let mut number = || arguments.next()?.to_str()?.parse::<i32>().ok();
    let (Some(pipe), Some(run)) = (number(), number()) else { return Some(ExitCode::from(2)) };
    Some(keep(pipe, run, &arguments.collect::<Vec<_>>()))
}

pub fn spawn(program: &str, arguments: &[String], prepare: impl FnOnce(&mut Command)) -> io::Result<Child> {
    if !KEEPS.load(Ordering::SeqCst) {
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        prepare(&mut command);
        on_its_own(&mut command);
        return command.spawn();
    }
    let (mut outcome, told) = io::pipe()?;
    let pipe = told.as_raw_fd();
    // The file of this very program, also where another one has taken its place on disk.
    let mut command = Command::new("/proc/self/exe");
    command.arg(KEEP).arg(pipe.to_string()).arg(std::process::id().to_string()).arg(program).args(arguments);
    prepare(&mut command);
    command.process_group(0);
    // SAFETY: between fork and exec a file descriptor of the child is changed, which is allowed there.
    unsafe {
        command.pre_exec(move || match libc::fcntl(pipe, libc::F_SETFD, 0) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let mut child = command.spawn()?;
    drop(told);
    // Nothing is said of a command that could be started.
    let mut failure = String::new();
    outcome.read_to_string(&mut failure)?;
    match failure.trim().parse::<i32>() {
        Err(_) if failure.is_empty() => Ok(child),
        code => {
            drop(child.wait());
            Err(code.map_or_else(|_| io::Error::other(failure), io::Error::from_raw_os_error))
        }
    }
}

/// Has a keeper kill its descendants and end. Whether it did: one that does not is to be killed, as is a child without.
pub fn has_ended(child: &mut Child) -> bool {
    if !KEEPS.load(Ordering::SeqCst) {
        return false;
    }
    // SAFETY: sends a signal and touches no memory. The child has not been waited for, so its number is its own.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
    let deadline = Instant::now() + 2 * GRACE;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(Duration::from_millis(1));
    }
    true
}

/// A command that dies with the thread that starts it, and that takes signals as programs expect them.
fn on_its_own(command: &mut Command) {
    // SAFETY: these calls are allowed between fork and exec, and touch nothing of this process.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
            Ok(())
        });
    }
}

/// Runs a command until it ends or the run does, and kills whatever is left of it.
fn keep(pipe: i32, run: i32, command: &[OsString]) -> ExitCode {
    // SAFETY: the run has opened this pipe for its keeper, and nobody else in this process knows of it.
    let told = PipeWriter::from(unsafe { OwnedFd::from_raw_fd(pipe) });
    let awaited = [libc::SIGCHLD, libc::SIGTERM, libc::SIGHUP, libc::SIGINT];
    // SAFETY: a set of signals that lives on the stack, and calls that concern this process alone.
    let set = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in awaited {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        // The command must not inherit the pipe, or it would seem never to have been started.
        libc::fcntl(pipe, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
        set
    };
    // The run may have ended before it was asked for.
    if std::os::unix::process::parent_id() as i32 != run {
        return ExitCode::FAILURE;
    }
    let Some((program, arguments)) = command.split_first() else { return ExitCode::from(2) };
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    on_its_own(&mut command);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return refuse(told, &error),
    };
    drop(told);
    let main = child.id() as i32;
    // Whoever reads or writes these pipes is to see when the command closes its ends.
    close_pipes();
    let mut outcome = ExitCode::FAILURE;
    loop {
        // SAFETY: waits for a signal of the set that was made above.
        let signal = unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) };
        if signal == libc::SIGCHLD {
            match reap(main) {
                Reaped::Main(status) => {
                    outcome = ExitCode::from(status.code().unwrap_or(128 + status.signal().unwrap_or(0)) as u8);
                    break;
                }
                Reaped::Others | Reaped::None => {}
            }
        } else if signal > 0 {
            break;
        }
    }
    kill_descendants(main);
    outcome
}

/// Says why a command could not be started.
fn refuse(mut told: PipeWriter, error: &io::Error) -> ExitCode {
    let words = error.raw_os_error().map_or_else(|| error.to_string(), |code| code.to_string());
    let _ = told.write_all(words.as_bytes());
    ExitCode::from(127)
}

fn close_pipes() {
    for stream in 0..3 {
        // SAFETY: nothing is read or written by this process from here on.
        unsafe { libc::close(stream) };
    }
}

enum Reaped {
    /// The command itself has ended, and perhaps others.
    Main(ExitStatus),
    /// There are children that have not.
    Others,
    /// There are no children.
    None,
}

/// Takes note of every child that has ended.
fn reap(main: i32) -> Reaped {
    let mut of_main = None;
    loop {
        let mut status = 0;
        // SAFETY: writes to a number on the stack.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
            0 => return of_main.map_or(Reaped::Others, Reaped::Main),
            -1 => return of_main.map_or(Reaped::None, Reaped::Main),
            child if child == main => of_main = Some(ExitStatus::from_raw(status)),
            _ => {}
        }
    }
}

/// Kills until there are no descendants any more: those whose parent dies become children of this process.
fn kill_descendants(main: i32) {
    let deadline = Instant::now() + GRACE;
    loop {
        // SAFETY: sends signals to the group of the command and to descendants of this process, and touches no memory.
        unsafe { libc::kill(-main, libc::SIGKILL) };
        for process in descendants() {
            // SAFETY: as above.
            unsafe { libc::kill(process, libc::SIGKILL) };
        }
        if matches!(reap(0), Reaped::None) || Instant::now() >= deadline {
            return;
        }
        sleep(Duration::from_millis(1));
    }
}

/// Every process that this one has started, or one that it has started, and so on.
fn descendants() -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // "7 (a name (with) anything) S 3 …": state and parent stand after the last parenthesis.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
        children.entry(parent.unwrap_or_default()).or_default().push(process);
    }
    let mut all = children.remove(&(std::process::id() as i32)).unwrap_or_default();
    let mut at = 0;
    while let Some(process) = all.get(at) {
        all.extend(children.remove(process).unwrap_or_default());
        at += 1;
    }
    all
}
