//! A child process in a group of its own, spoken to by lines. No wait on it is longer than its time-out, and nothing
//! that it prints is kept beyond a line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::Failure;

/// Most bytes of an answer.
const LONGEST_LINE: u64 = 1 << 16;

/// A running command. Dropping it kills the command and everything that it started.
pub struct Process {
    child: Child,
    requests: Sender<Vec<u8>>,
    replies: Receiver<Result<Vec<u8>, Failure>>,
    errors: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    /// Starts it, with the program first.
    pub fn start(command: &[String]) -> io::Result<Process> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own is killed as a whole, and Ctrl-C at the terminal does not reach it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (requests, to_write) = bounded::<Vec<u8>>(1);
        let (read, replies) = bounded(1);
        let errors = Arc::new(Mutex::new(Vec::new()));
        // The threads end when the pipes do. They are not waited for: a pipe may live on in a process that left the
        // group.
        thread::spawn(move || {
            while let (Some(pipe), Ok(line)) = (&mut stdin, to_write.recv()) {
                if pipe.write_all(&line).and_then(|()| pipe.flush()).is_err() {
                    break;
                }
            }
        });
        thread::spawn(move || stdout.into_iter().for_each(|pipe| read_lines(pipe, &read)));
        let tail = errors.clone();
        thread::spawn(move || stderr.into_iter().for_each(|pipe| keep_tail(pipe, &tail)));
        Ok(Process { child, requests, replies, errors })
    }

    /// Sends a line and waits for one.
    pub fn exchange(&self, line: Vec<u8>, patience: Duration) -> Result<Vec<u8>, Failure> {
        // There is room for one line, so this waits only if the command has not read the one before.
        self.requests.send_timeout(line, patience).map_err(|error| match error.is_timeout() {
            true => Failure::TimedOut,
            false => Failure::Died,
        })?;
        match self.replies.recv_timeout(patience) {
            Ok(reply) => reply,
            Err(RecvTimeoutError::Timeout) => Err(Failure::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::Died),
        }
    }

    /// Ends it and gives the last line of its standard error, if there is one.
    pub fn last_words(self) -> Option<String> {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&errors);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(|line| line.chars().take(200).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        #[cfg(unix)]
        // SAFETY: sends a signal and touches no memory. The child has not been waited for, so its number is still its
        // own, and so is that of the group.
        unsafe {
            libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL);
        }
        // Where there are no groups, and harmless where there are. Nothing can be done about a child that lives on.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read_lines(pipe: impl Read, replies: &Sender<Result<Vec<u8>, Failure>>) {
    let mut pipe = BufReader::new(pipe);
    loop {
        let mut line = Vec::new();
        let read = pipe.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        let reply = match read {
            Ok(0) | Err(_) => return,
            Ok(_) if line.ends_with(b"\n") => Ok(line),
            Ok(length) if length as u64 == LONGEST_LINE => Err(Failure::Garbage),
            // The last line of a command that ended without finishing it.
            Ok(_) => return,
        };
        let last = reply.is_err();
        if replies.send(reply).is_err() || last {
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
