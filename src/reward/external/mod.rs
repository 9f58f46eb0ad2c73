//! A term that a command of the user decides. The command gets one JSON object a line and answers each with one:
//!
//! ```text
//! {"id":7,"prompt":"who guards bilu ?","completion":"… <eos>","expected":"mavo","answer":"mavo","correct":true,"tokens":12}
//! {"id":7,"value":0.5}
//! ```
//!
//! Whatever it does, the run goes on: a completion for which it gave no number from 0 to 1 has the value 0, and why
//! is counted.

mod process;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::strict_toml::Problem;
use crate::{Error, Result};
use process::Process;

/// A command and how long to wait for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// The program and its arguments. No shell reads them.
    pub command: Vec<String>,
    /// Seconds to wait for each answer.
    #[serde(default = "ten_seconds")]
    pub timeout_s: f64,
}

fn ten_seconds() -> f64 {
    10.0
}

/// Why a completion got no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No answer within the time.
    TimedOut,
    /// The command ended.
    Died,
    /// It answered something that is no value for this completion, or more than fits a line.
    Garbage,
    /// It failed several times in a row and was not asked.
    NotAsked,
}

impl Failure {
    pub const ALL: [Failure; 4] = [Failure::TimedOut, Failure::Died, Failure::Garbage, Failure::NotAsked];

    /// The name in metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Failure::TimedOut => "timed-out",
            Failure::Died => "died",
            Failure::Garbage => "garbage",
            Failure::NotAsked => "not-asked",
        }
    }
}

impl External {
    /// Parameters that are out of range.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.command.first().is_none_or(|program| program.is_empty()) {
            let allowed = "allowed is a program and its arguments, such as [\"python3\", \"score.py\"]";
            problems.push(Problem::new("command", "found no program", allowed));
        }
        if !(0.001..=3600.0).contains(&self.timeout_s) {
            let found = format!("found {}", self.timeout_s);
            problems.push(Problem::new("timeout_s", found, "allowed is a number of seconds from 0.001 to 3600"));
        }
        problems
    }
}

/// Failures in a row after which the command is left alone for a while.
const IN_A_ROW: u32 = 3;
/// Completions for which it is first left alone; twice as many each time, so that a command that always hangs
/// cannot stop a run.
const LEFT_ALONE: u64 = 64;

/// A command that is asked. It is started again after each failure.
pub(super) struct Command {
    external: External,
    process: Option<Process>,
    asked: u64,
    in_a_row: u32,
    /// Completions that it is still not asked for, and how many that were at first.
    alone: u64,
    alone_next: u64,
    failures: [u64; Failure::ALL.len()],
    /// The last words of a command that failed.
    complaint: Option<String>,
}

#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    prompt: &'a str,
    completion: &'a str,
    expected: &'a str,
    answer: Option<&'a str>,
    correct: bool,
    tokens: usize,
}

#[derive(Deserialize)]
struct Reply {
    id: u64,
    value: f64,
}

impl Command {
    /// Starts the command of the term called `name`. That it cannot be started is the one error that there is.
    pub fn start(name: &str, external: &External) -> Result<Command> {
        let process = Process::start(&external.command).map_err(|error| {
            let program = external.command.first().map_or("", String::as_str);
            let found = format!("cannot start {program:?} ({error})");
            let remedy = "install it, give its full path, or take the term out of the reward";
            Error::invalid(format!("reward term {name}: command"), found, remedy)
        })?;
        Ok(Command {
            external: external.clone(),
            process: Some(process),
            asked: 0,
            in_a_row: 0,
            alone: 0,
            alone_next: LEFT_ALONE,
            failures: [0; Failure::ALL.len()],
            complaint: None,
        })
    }

    /// The value of one completion, 0 where there is none.
    pub fn value(&mut self, evidence: &Evidence) -> f64 {
        if self.alone > 0 {
            self.alone -= 1;
            self.failures[Failure::NotAsked as usize] += 1;
            return 0.0;
        }
        match self.ask(evidence) {
            Ok(value) => {
                (self.in_a_row, self.alone_next) = (0, LEFT_ALONE);
                value
            }
            Err(failure) => {
                self.failures[failure as usize] += 1;
                if let Some(words) = self.process.take().and_then(|process| process.last_words()) {
                    self.complaint = Some(words);
                }
                self.in_a_row += 1;
                if self.in_a_row >= IN_A_ROW {
                    self.alone = self.alone_next;
                    self.alone_next = self.alone_next.saturating_mul(2);
                }
                0.0
            }
        }
    }

    /// How often each failure happened since this was last asked, those that never happened left out.
    pub fn take_failures(&mut self) -> impl Iterator<Item = (Failure, u64)> + use<> {
        let failures = std::mem::take(&mut self.failures);
        Failure::ALL.into_iter().zip(failures).filter(|(_, times)| *times > 0)
    }

    /// The last thing that a failed command wrote to its standard error.
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    fn ask(&mut self, evidence: &Evidence) -> Result<f64, Failure> {
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(Process::start(&self.external.command).map_err(|_| Failure::Died)?),
        };
        self.asked += 1;
        let Evidence { judgement, prompt, completion, expected, tokens, .. } = *evidence;
        let (id, answer, correct) = (self.asked, judgement.answer.as_deref(), judgement.correct);
        let request = Request { id, prompt, completion, expected, answer, correct, tokens };
        let mut line = serde_json::to_vec(&request).map_err(|_| Failure::Garbage)?;
        line.push(b'\n');
        let patience = Duration::from_secs_f64(self.external.timeout_s);
        let reply: Reply = serde_json::from_slice(&process.exchange(line, patience)?).map_err(|_| Failure::Garbage)?;
        let fits = reply.id == id && (0.0..=1.0).contains(&reply.value);
        fits.then_some(reply.value).ok_or(Failure::Garbage)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::reward::term::tests::{evidence, judgement};
    use std::time::Instant;

    fn shell(script: &str) -> External {
        External { command: ["sh", "-c", script].map(String::from).to_vec(), timeout_s: 0.5 }
    }

    /// Asks `times` times and gives the sum of the values and what was counted.
    fn asked(external: &External, times: usize) -> (f64, Vec<(&'static str, u64)>, Option<String>) {
        let mut command = Command::start("x", external).unwrap();
        let judgement = judgement(true, &[]);
        let sum = (0..times).map(|_| command.value(&evidence(&judgement))).sum();
        let counted = command.take_failures().map(|(failure, n)| (failure.name(), n)).collect();
        (sum, counted, command.complaint().map(String::from))
    }

    #[test]
    fn a_command_that_answers_decides_the_value() {
        let answers = shell("n=0; while read line; do n=$((n+1)); echo \"{\\\"id\\\":$n,\\\"value\\\":0.5}\"; done");
        assert_eq!(asked(&answers, 4), (2.0, vec![], None));
    }

    #[test]
    fn whatever_a_command_does_is_a_counted_outcome() {
        for (script, times, expected) in [
            ("exit 3", 2, vec![("died", 2)]),
            ("read line; echo no", 2, vec![("garbage", 2)]),
            ("read line; echo '{\"id\":1,\"value\":1.5}'", 1, vec![("garbage", 1)]),
            ("read line; echo '{\"id\":1,\"value\":-0.5}'", 1, vec![("garbage", 1)]),
            ("read line; echo '{\"id\":9,\"value\":0.5}'", 1, vec![("garbage", 1)]),
            ("read line; printf '\\377\\n'", 1, vec![("garbage", 1)]),
            ("read line; sleep 60", 1, vec![("timed-out", 1)]),
            ("exit 3", 70, vec![("died", 3 + 1), ("not-asked", 64 + 2)]),
        ] {
            let (sum, counted, _) = asked(&shell(script), times);
            assert_eq!((sum, counted), (0.0, expected), "{script}");
        }
    }

    #[test]
    fn a_flood_is_one_outcome_and_neither_memory_nor_time_is_lost() {
        let start = Instant::now();
        for script in ["read line; yes | tr -d '\\n'", "yes", "read line; cat /dev/zero >&2"] {
            let (sum, counted, _) = asked(&shell(script), 1);
            assert_eq!((sum, counted.len()), (0.0, 1), "{script}");
        }
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_child_of_the_command_is_killed_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("alive");
        // The grandchild would touch the file again and again.
        let script = format!("(while :; do echo x >> {0}; sleep 0.05; done) & read line; sleep 60", mark.display());
        asked(&shell(&script), 1);
        let size = || std::fs::metadata(&mark).map_or(0, |file| file.len());
        std::thread::sleep(Duration::from_millis(200));
        let before = size();
        std::thread::sleep(Duration::from_millis(400));
        assert!(before > 0 && size() == before, "{before} bytes, then {}", size());
    }

    #[test]
    fn the_last_words_of_a_command_are_kept() {
        let (_, _, complaint) = asked(&shell("echo first >&2; echo no module named x >&2; sleep 0.2; exit 1"), 1);
        assert_eq!(complaint.as_deref(), Some("no module named x"));
    }

    #[test]
    fn a_command_that_cannot_be_started_is_one_error() {
        let external = External { command: vec!["no/such/program".into()], timeout_s: 1.0 };
        let error = Command::start("style", &external).err().unwrap().to_string();
        assert!(error.starts_with("reward term style: command: cannot start \"no/such/program\" ("), "{error}");
        assert!(error.contains("full path") && error.lines().count() == 1);
    }

    #[test]
    fn a_command_that_does_not_read_cannot_block_the_run() {
        let mut command = Command::start("x", &shell("sleep 60")).unwrap();
        let (judgement, long) = (judgement(true, &[]), "x".repeat(1 << 20));
        assert_eq!(command.value(&Evidence { completion: &long, ..evidence(&judgement) }), 0.0);
        assert_eq!(command.failures[Failure::TimedOut as usize], 1);
    }
}
