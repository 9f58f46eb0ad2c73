//! A child process that is spoken to by lines. Nothing that is done with it waits for it, and nothing that it prints is
//! kept beyond a line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

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
