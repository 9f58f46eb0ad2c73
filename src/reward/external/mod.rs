//! A term that a command of the user decides. The command gets one JSON object a line and answers each with one:
//!
//! ```text
//! {"id":7,"prompt":"who guards bilu ?","completion":"… <eos>","expected":"mavo","answer":"mavo","correct":true,"tokens":12}
//! {"id":7,"value":0.5}
//! ```
//!
//! It is sent lines before it has answered those before them, and may answer in any order. Whatever it does, the run goes
//! on: a completion for which it gave no number from 0 to 1 has no value, and why is counted.

pub mod keeper;
mod pool;
mod process;
mod reply;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde::{Deserialize, Serialize};
use strum::{EnumCount, IntoStaticStr, VariantArray};

use super::TermInput;
use super::scorer::FailedJudgements;
use crate::strict_toml::Problem;
use crate::{Error, Result};
use pool::JudgePool;

/// Lines that a command is sent before it has answered the first of them, unless told otherwise.
const IN_FLIGHT: usize = 8;
/// The most processes of a command, and lines that are out at once.
const MOST: usize = 1024;

/// A command, how many of it there are, and how long to wait for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct External {
    /// The program and its arguments. No shell reads them.
    pub command: Vec<String>,
    /// Seconds that it may take for each answer.
    pub timeout_s: f64,
    /// Seconds that a process may take for its first answer, if they are more: it may have much to load.
    // What nobody has changed is no part of a reward's digest, which is that of rewards from before there was this key.
    #[serde(skip_serializing_if = "are_two_minutes")]
    pub startup_timeout_s: f64,
    /// Processes among which completions are divided.
    pub processes: usize,
    /// Lines that all of them together are sent before they have answered; at least one for each process.
    pub in_flight: Option<usize>,
}

impl Default for External {
    fn default() -> Self {
        External { command: Vec::new(), timeout_s: 10.0, startup_timeout_s: 120.0, processes: 1, in_flight: None }
    }
}

fn are_two_minutes(seconds: &f64) -> bool {
    *seconds == 120.0
}

/// Why a completion got no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, EnumCount, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Failure {
    /// No answer within the time.
    TimedOut,
    /// The command ended.
    Died,
    /// It answered something that is no value for this completion, or more than fits a line.
    Garbage,
    /// It answered null: there is no value to give.
    Declined,
    /// It failed several times in a row and was not asked.
    NotAsked,
}

impl Failure {
    /// The name in metrics and tables.
    pub fn name(self) -> &'static str {
        self.into()
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
        for (key, seconds) in [("timeout_s", self.timeout_s), ("startup_timeout_s", self.startup_timeout_s)] {
            if !(0.001..=3600.0).contains(&seconds) {
                let allowed = "allowed is a number of seconds from 0.001 to 3600";
                problems.push(Problem::new(key, format!("found {seconds}"), allowed));
            }
        }
        if !(1..=MOST).contains(&self.processes) {
            let found = format!("found {}", self.processes);
            problems.push(Problem::new("processes", found, format!("allowed is a number from 1 to {MOST}")));
        } else if let Some(found) = self.in_flight.filter(|lines| !(self.processes..=MOST).contains(lines)) {
            let allowed = format!("allowed is a number from {} (one for each process) to {MOST}", self.processes);
            problems.push(Problem::new("in_flight", format!("found {found}"), allowed));
        }
        problems
    }

    /// Lines that are out at once.
    pub fn in_flight(&self) -> usize {
        self.in_flight.unwrap_or(IN_FLIGHT).max(self.processes)
    }

    /// The file that the command of the term called `name` would run; refused where there is none. Runs nothing.
    pub fn find(&self, name: &str) -> Result<std::path::PathBuf> {
        let program = self.command.first().map_or("", String::as_str);
        process::find(program).map_err(|found| cannot_start(name, found))
    }
}

/// The one error of a command: everything later is an outcome that is counted.
fn cannot_start(name: &str, found: String) -> Error {
    let remedy = "install it, give its full path, or take the term out of the reward";
    Error::invalid(format!("reward term {name}: command"), found, remedy)
}

/// Between two looks at whether a run is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// A command that is asked.
pub(super) struct JudgeCommand {
    name: String,
    pool: JudgePool,
    asked: AtomicU64,
}

/// A value that is still to come.
pub(super) struct Awaited {
    outcome: Receiver<pool::JudgeOutcome>,
    told: Arc<Mutex<pool::CommandWarnings>>,
}

#[derive(Serialize)]
struct JudgeRequest<'a> {
    id: u64,
    prompt: &'a str,
    completion: &'a str,
    /// What its thought was given, with which it begins.
    #[serde(skip_serializing_if = "str::is_empty")]
    given: &'a str,
    expected: &'a str,
    answer: Option<&'a str>,
    correct: bool,
    tokens: usize,
}

impl JudgeCommand {
    /// Starts the command of the term called `name`. That it cannot be started is the one error that there is.
    pub fn start(name: &str, external: &External) -> Result<JudgeCommand> {
        external.find(name)?;
        let pool = JudgePool::start(external).map_err(|error| {
            let program = external.command.first().map_or("", String::as_str);
            cannot_start(name, format!("cannot start {program:?} ({error})"))
        })?;
        Ok(JudgeCommand { name: name.into(), pool, asked: AtomicU64::new(0) })
    }

    /// Has a completion judged. Comes back at once.
    pub fn ask(&self, evidence: &TermInput) -> Awaited {
        let id = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let TermInput { judgement, prompt, completion, given, expected, tokens, .. } = *evidence;
        let (answer, correct) = (judgement.answer.as_deref(), judgement.correct);
        let request = JudgeRequest { id, prompt, completion, given, expected, answer, correct, tokens };
        // Strings and numbers can always be written.
        let mut line = serde_json::to_vec(&request).unwrap_or_default();
        line.push(b'\n');
        Awaited { outcome: self.pool.ask(id, line), told: self.pool.told().clone() }
    }

    /// Every failure on a completion that was waited for since this was last asked, those that never happened left out.
    pub fn take_failures(&self) -> Vec<FailedJudgements> {
        let mut told = pool::open(self.pool.told());
        let failures = Failure::VARIANTS.iter().zip(std::mem::take(&mut told.failures));
        let (term, complaint) = (&self.name, &told.complaint);
        let failed = |(failure, times): (&Failure, u64)| FailedJudgements {
            term: term.clone(),
            failure: *failure,
            times,
            complaint: complaint.clone(),
        };
        failures.filter(|(_, times)| *times > 0).map(failed).collect()
    }

    /// What was wrong with lines that it wrote, with the name of the term: of each kind the first line, once.
    pub fn take_remarks(&self) -> Vec<(String, String)> {
        let remarks = std::mem::take(&mut pool::open(self.pool.told()).remarks);
        remarks.into_iter().map(|words| (self.name.clone(), words)).collect()
    }
}

impl Awaited {
    /// Waits until it is there: a value, or none because the command failed. `Err` where the wait was broken off because
    /// of `stopping`. A failure is counted here, and not when it happens: a completion may be judged steps before its own.
    pub fn wait(&self, stopping: &dyn Fn() -> bool) -> Result<Option<f64>, Stopped> {
        loop {
            match self.outcome.recv_timeout(LOOK) {
                Ok(Ok(value)) => return Ok(Some(value)),
                Ok(Err(failure)) => {
                    pool::open(&self.told).failures[failure as usize] += 1;
                    return Ok(None);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) if stopping() => return Err(Stopped),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// A wait that was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;
