//! Which file a command would run, and a child process that is spoken to by lines. Nothing that is done with it waits for
//! it, and nothing that it prints is kept beyond a line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, thread};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::keeper;

/// Most bytes of an answer.
const LONGEST_LINE: u64 = 1 << 16;
/// How long the last words of a process that has ended may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What a process does. With its number, so that one that was ended is not taken for the one after it.
pub(super) struct Deed {
    pub process: u64,
    pub what: What,
}

pub(super) enum What {
    /// It wrote a line.
    Wrote(Vec<u8>),
    /// It wrote more than fits a line.
    Flooded(Vec<u8>),
    /// It closed its output, or takes no more input.
    Ended,
}

/// A running command. Dropping it kills the command and everything that it started.
pub(super) struct Process {
    pub number: u64,
    child: Child,
    to_write: Sender<Vec<u8>>,
    errors: Arc<Mutex<Vec<u8>>>,
    /// Closed when all errors have been read.
    errors_ended: Receiver<()>,
}

impl Process {
    /// Starts it, with the program first. What it does is sent to `deeds`.
    pub fn start(command: &[String], number: u64, deeds: &Sender<Deed>) -> io::Result<Process> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = keeper::spawn(program, arguments, |command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            // Python would keep its replies until thousands of bytes have come together.
            command.env("PYTHONUNBUFFERED", "1");
        })?;
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (to_write, lines) = unbounded::<Vec<u8>>();
        let (errors_end, errors_ended) = bounded(0);
        let errors = Arc::new(Mutex::new(Vec::new()));
        // The threads end when the pipes do. They are not waited for: a pipe may live on in a process that left the
        // group.
        let ended = deeds.clone();
        thread::spawn(move || {
            while let (Some(pipe), Ok(line)) = (&mut stdin, lines.recv()) {
                if pipe.write_all(&line).and_then(|()| pipe.flush()).is_err() {
                    let _ = ended.send(Deed { process: number, what: What::Ended });
                    break;
                }
            }
        });
        let deeds = deeds.clone();
        thread::spawn(move || stdout.into_iter().for_each(|pipe| read_lines(pipe, number, &deeds)));
        let tail = errors.clone();
        thread::spawn(move || {
            stderr.into_iter().for_each(|pipe| keep_tail(pipe, &tail));
            drop(errors_end);
        });
        Ok(Process { number, child, to_write, errors, errors_ended })
    }

    /// Sends a line, without waiting for the process to read it.
    pub fn send(&self, line: Vec<u8>) {
        // Where nobody writes any more, the process has ended, and that is told of.
        let _ = self.to_write.send(line);
    }

    /// The last line of its standard error, if there is one. Waits a moment for it where the process `has_ended`.
    pub fn last_words(&self, has_ended: bool) -> Option<String> {
        if has_ended {
            let _ = self.errors_ended.recv_timeout(LAST_WORDS);
        }
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&errors);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(|line| super::reply::shown(line.as_bytes()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        keeper::end(&mut self.child);
    }
}

fn read_lines(pipe: impl Read, process: u64, deeds: &Sender<Deed>) {
    let mut pipe = BufReader::new(pipe);
    loop {
        let mut line = Vec::new();
        let read = pipe.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        let what = match read {
            Ok(_) if line.ends_with(b"\n") => What::Wrote(line),
            Ok(length) if length as u64 == LONGEST_LINE => What::Flooded(line),
            // The last line of a command that ended without finishing it is none.
            Ok(_) | Err(_) => What::Ended,
        };
        let last = !matches!(what, What::Wrote(_));
        if deeds.send(Deed { process, what }).is_err() || last {
            return;
        }
    }
}

fn keep_tail(mut pipe: impl Read, tail: &Mutex<Vec<u8>>) {
    let mut block = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut block) {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&block[..length]);
        let surplus = tail.len().saturating_sub(block.len());
        tail.drain(..surplus);
    }
}

/// The file that a program names, found out without running it: itself where there is a separator in it, else the first of
/// this name that may be run on the search path. An error says in a few words what is wrong with it.
pub fn find(program: &str) -> Result<PathBuf, String> {
    let named = Path::new(program);
    if named.components().count() > 1 || program.contains(std::path::MAIN_SEPARATOR) {
        return runnable(named)
            .map(|()| named.to_path_buf())
            .map_err(|why| format!("cannot start {program:?} ({why})"));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&path).map(|folder| folder.join(program));
    let missing = || match runnable(named) {
        Ok(()) => format!("cannot start {program:?} (not on the PATH; write \"./{program}\" for the file here)"),
        Err(_) => format!("cannot start {program:?} (not on the PATH)"),
    };
    found.find(|path| runnable(path).is_ok()).ok_or_else(missing)
}

/// Whether this process may run a file.
#[cfg(unix)]
fn runnable(path: &Path) -> Result<(), String> {
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("no file".into());
    }
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK)
        .map_err(|_| "not executable: chmod +x, or name its interpreter first".into())
}

/// Whether this process may run a file; what ending it needs is known to the system alone.
#[cfg(not(unix))]
fn runnable(path: &Path) -> Result<(), String> {
    let with_ending =
        ["", "exe", "bat", "cmd"].iter().any(|ending| path.with_extension(ending).is_file() || path.is_file());
    if with_ending { Ok(()) } else { Err("no such file".into()) }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_cannot_be_run_is_told_without_running_anything() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("score.sh");
        let mark = folder.path().join("ran");
        fs::write(&script, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
        let mode = |mode| fs::set_permissions(&script, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o755);
        assert_eq!(find(script.to_str().unwrap()), Ok(script.clone()));
        assert!(!mark.exists());
        mode(0o644);
        let error = find(script.to_str().unwrap()).unwrap_err();
        assert!(error.starts_with("cannot start ") && error.contains("not executable"), "{error}");
        assert!(find("sh").unwrap().ends_with("sh"));
        assert!(find("no-such-program-here").unwrap_err().contains("not on the PATH"));
        assert!(find("no/such/program").unwrap_err().contains("No such file"));
        assert!(find(folder.path().to_str().unwrap()).unwrap_err().contains("no file"));
    }
}
