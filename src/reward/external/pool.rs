//! The processes of a command, and a thread that deals lines to them, collects their replies, looks at the clock and
//! starts processes anew. Whoever asks gets a channel on which the value will come.
//!
//! A fault costs the line that caused it and no other. A process that falls silent is ended, the line that it has had
//! longest has timed out, and the others are sent again. A process that dies may have died of any line that it had: each
//! of them is asked again alone, in a process that has no other, so that a value does not depend on what a line was sent
//! together with.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select, unbounded};
use strum::EnumCount;

use super::process::{Deed, Process, What};
use super::reply::{self, Spoken};
use super::{External, Failure};

/// Failures in a row after which the command is left alone for a while.
const IN_A_ROW: u32 = 3;
/// Completions for which it is first left alone; twice as many each time, so that a command that always hangs
/// cannot stop a run.
const LEFT_ALONE: u64 = 64;
/// Lines in a row that are no replies after which a process is ended: it does nothing else.
const MOST_NOISE: usize = 1000;

/// What became of a completion.
pub(super) type JudgeOutcome = Result<f64, Failure>;

/// The processes of one command. Dropping it ends them.
pub(super) struct JudgePool {
    asks: Option<Sender<Ask>>,
    told: Arc<Mutex<CommandWarnings>>,
    thread: Option<JoinHandle<()>>,
}

/// A line and whoever waits for its value.
struct Ask {
    id: u64,
    line: Vec<u8>,
    answer: Sender<JudgeOutcome>,
}

/// What is to be told of a command.
#[derive(Default)]
pub(super) struct CommandWarnings {
    /// How often a completion that was waited for had each failure, since this was last asked.
    pub failures: [u64; Failure::COUNT],
    /// The last words of a process that failed.
    pub complaint: Option<String>,
    /// What was wrong with its lines, of each kind the first, as long as it has not been told of.
    pub remarks: Vec<String>,
    /// The kinds of which one was found.
    seen: Vec<Oddity>,
}

/// What can be wrong with a line.
#[derive(Clone, Copy, PartialEq)]
enum Oddity {
    Banner,
    Noise,
    Misread,
    Value,
    Id,
    Length,
}

/// What is to be told, also after a panic.
pub(super) fn open(told: &Mutex<CommandWarnings>) -> MutexGuard<'_, CommandWarnings> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

impl JudgePool {
    /// Starts all processes. That one cannot be started is the one error that there is.
    pub fn start(external: &External) -> io::Result<JudgePool> {
        let told = Arc::new(Mutex::new(CommandWarnings::default()));
        let (asks, received) = unbounded();
        let (started, outcome) = bounded(1);
        let (external, shared) = (external.clone(), told.clone());
        let thread = std::thread::Builder::new().name("judge".into()).spawn(move || {
            // Processes end with the thread that started them, so this one has to.
            let dealer = Dealer::open(external, shared);
            match dealer {
                Ok(dealer) => {
                    let _ = started.send(Ok(()));
                    dealer.deal(&received);
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        outcome.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended")))?;
        Ok(JudgePool { asks: Some(asks), told, thread: Some(thread) })
    }

    /// Sends a line, the value of which comes on the channel; nothing comes where the processes are gone.
    pub fn ask(&self, id: u64, line: Vec<u8>) -> Receiver<JudgeOutcome> {
        let (answer, awaited) = bounded(1);
        if let Some(asks) = &self.asks {
            let _ = asks.send(Ask { id, line, answer });
        }
        awaited
    }

    /// What is to be told.
    pub fn told(&self) -> &Arc<Mutex<CommandWarnings>> {
        &self.told
    }
}

impl Drop for JudgePool {
    fn drop(&mut self) {
        drop(self.asks.take());
        // A panic has been told of where it happened.
        self.thread.take().map(JoinHandle::join);
    }
}

/// A line that is with a process.
struct Sent {
    ask: Ask,
    since: Instant,
    /// When every line before it and itself would have taken all of their time.
    limit: Instant,
}

/// How long is waited for an answer.
#[derive(Clone, Copy)]
struct Patience {
    each: Duration,
    /// For the first answer of a process.
    first: Duration,
}

/// A place for a process, and what it has to answer, oldest first.
#[derive(Default)]
struct Lane {
    process: Option<Process>,
    sent: VecDeque<Sent>,
    /// When its process last replied.
    heard: Option<Instant>,
    /// The line that it has is asked alone.
    alone: bool,
    /// Whether its process has ever replied.
    has_replied: bool,
    /// Lines in a row that were no replies, and how many it had been sent meanwhile.
    noise: usize,
    sent_meanwhile: usize,
}

struct Dealer {
    external: External,
    patience: Patience,
    lanes: Vec<Lane>,
    deeds: (Sender<Deed>, Receiver<Deed>),
    /// Processes that were started so far.
    started: u64,
    waiting: VecDeque<Ask>,
    /// Lines one of which a process has died of.
    suspects: VecDeque<Ask>,
    in_a_row: u32,
    /// Completions that it is still not asked for, and how many they will be the next time.
    left_alone: u64,
    left_alone_next: u64,
    told: Arc<Mutex<CommandWarnings>>,
}

impl Dealer {
    fn open(external: External, told: Arc<Mutex<CommandWarnings>>) -> io::Result<Dealer> {
        let each = Duration::from_secs_f64(external.timeout_s);
        let mut dealer = Dealer {
            patience: Patience { each, first: each.max(Duration::from_secs_f64(external.startup_timeout_s)) },
            lanes: (0..external.processes).map(|_| Lane::default()).collect(),
            // A process that writes without end waits here.
            deeds: bounded(64),
            started: 0,
            waiting: VecDeque::new(),
            suspects: VecDeque::new(),
            in_a_row: 0,
            left_alone: 0,
            left_alone_next: LEFT_ALONE,
            told,
            external,
        };
        (0..dealer.lanes.len()).try_for_each(|lane| dealer.launch(lane))?;
        Ok(dealer)
    }

    /// Works until nobody can ask any more.
    fn deal(mut self, asks: &Receiver<Ask>) {
        let deeds = self.deeds.1.clone();
        loop {
            self.fill();
            let alarm = self.deadline().map_or_else(never, at);
            select! {
                recv(asks) -> ask => match ask {
                    Ok(ask) => self.waiting.push_back(ask),
                    Err(_) => return,
                },
                recv(deeds) -> deed => deed.into_iter().for_each(|deed| self.hear(deed)),
                recv(alarm) -> _ => self.end_overdue(),
            }
        }
    }

    fn launch(&mut self, lane: usize) -> io::Result<()> {
        self.started += 1;
        let process = Process::start(&self.external.command, self.started, &self.deeds.0)?;
        self.lanes[lane] = Lane { process: Some(process), ..Lane::default() };
        Ok(())
    }

    /// Sends as many lines as may be out.
    fn fill(&mut self) {
        loop {
            while self.left_alone > 0 {
                let Some(ask) = self.suspects.pop_front().or_else(|| self.waiting.pop_front()) else { return };
                self.left_alone -= 1;
                let _ = ask.answer.send(Err(Failure::NotAsked));
            }
            let out: usize = self.lanes.iter().map(|lane| lane.sent.len()).sum();
            let free = || self.lanes.iter().enumerate().filter(|(_, lane)| !lane.alone);
            let Some((lane, load)) = free().map(|(at, lane)| (at, lane.sent.len())).min_by_key(|(_, load)| *load)
            else {
                return;
            };
            if out >= self.external.in_flight() {
                return;
            }
            // A suspect needs a process that has no other line.
            let suspect = load == 0 && !self.suspects.is_empty();
            let Some(ask) = (if suspect { self.suspects.pop_front() } else { self.waiting.pop_front() }) else {
                return;
            };
            self.send(lane, ask, suspect);
        }
    }

    fn send(&mut self, lane: usize, ask: Ask, alone: bool) {
        if self.lanes[lane].process.is_none()
            && let Err(error) = self.launch(lane)
        {
            self.told().complaint = Some(error.to_string());
            self.charge(ask, Failure::Died);
            return;
        }
        let now = Instant::now();
        let lane = &mut self.lanes[lane];
        if let Some(process) = &lane.process {
            process.send(ask.line.clone());
        }
        let limit = now + self.patience.each * (lane.sent.len() as u32 + 1);
        lane.sent.push_back(Sent { ask, since: now, limit });
        lane.alone = alone;
        lane.sent_meanwhile += 1;
    }

    /// When a process has been silent for too long.
    fn deadline(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.deadline(self.patience)).min()
    }

    fn end_overdue(&mut self) {
        let now = Instant::now();
        for at in 0..self.lanes.len() {
            let lane = &self.lanes[at];
            if lane.deadline(self.patience).is_some_and(|deadline| deadline <= now) {
                // Of a process that never answered it is the line that it has had longest.
                let over = lane.sent.iter().position(|sent| lane.has_replied && sent.limit <= now).unwrap_or(0);
                self.fault(at, Failure::TimedOut, over);
            }
        }
    }

    fn hear(&mut self, Deed { process, what }: Deed) {
        let of = |lane: &Lane| lane.process.as_ref().is_some_and(|there| there.number == process);
        // One that was ended may have said more.
        let Some(at) = self.lanes.iter().position(of) else { return };
        match what {
            What::Wrote(line) => self.read(at, &line),
            What::Flooded(line) => {
                self.remark(Oddity::Length, &line);
                self.fault(at, Failure::Garbage, 0);
            }
            What::Ended => self.fault(at, Failure::Died, 0),
        }
    }

    fn read(&mut self, at: usize, line: &[u8]) {
        match reply::read(line) {
            Spoken::Blank => {}
            Spoken::Reply(id, outcome) => {
                let lane = &mut self.lanes[at];
                match lane.sent.iter().position(|sent| sent.ask.id == id).and_then(|place| lane.sent.remove(place)) {
                    Some(sent) => {
                        let now = Instant::now();
                        if !lane.has_replied {
                            // What it was sent while it began has its time from now on.
                            for (sent, count) in lane.sent.iter_mut().zip(1..) {
                                (sent.since, sent.limit) = (now, now + self.patience.each * count);
                            }
                        }
                        (lane.heard, lane.has_replied, lane.alone) = (Some(now), true, false);
                        (lane.noise, lane.sent_meanwhile) = (0, lane.sent.len());
                        self.answer(sent.ask, outcome, line);
                    }
                    None => self.noise(at, Oddity::Id, line),
                }
            }
            Spoken::Misread => {
                self.remark(Oddity::Misread, line);
                self.fault(at, Failure::Garbage, 0);
            }
            Spoken::Noise => {
                let oddity = if self.lanes[at].has_replied { Oddity::Noise } else { Oddity::Banner };
                self.noise(at, oddity, line);
            }
        }
    }

    /// Hands a value on, or that there is none. Either is a sign of life.
    fn answer(&mut self, ask: Ask, outcome: JudgeOutcome, line: &[u8]) {
        (self.in_a_row, self.left_alone_next) = (0, LEFT_ALONE);
        if outcome == Err(Failure::Garbage) {
            self.remark(Oddity::Value, line);
        }
        let _ = ask.answer.send(outcome);
    }

    /// Passes over a line that answers nothing.
    fn noise(&mut self, at: usize, oddity: Oddity, line: &[u8]) {
        self.remark(oddity, line);
        self.lanes[at].noise += 1;
        if self.lanes[at].noise >= MOST_NOISE {
            self.fault(at, Failure::Garbage, 0);
        }
    }

    /// Ends a process that cannot go on. Where it fell silent, by the fault of the line at this place of those it had.
    fn fault(&mut self, at: usize, failure: Failure, place: usize) {
        let lane = std::mem::take(&mut self.lanes[at]);
        let Some(process) = lane.process else { return };
        if let Some(words) = process.last_words(failure == Failure::Died) {
            self.told().complaint = Some(words);
        }
        drop(process);
        let mut asks: VecDeque<Ask> = lane.sent.into_iter().map(|sent| sent.ask).collect();
        // It has answered each of its lines with something else than a reply.
        let answered = lane.noise > 0 && lane.noise >= lane.sent_meanwhile;
        let words = if answered { Failure::Garbage } else { failure };
        match failure {
            Failure::TimedOut => {
                if let Some(guilty) = asks.remove(place) {
                    self.charge(guilty, words);
                }
                asks.into_iter().rev().for_each(|ask| self.waiting.push_front(ask));
            }
            _ if asks.len() > 1 => self.suspects.extend(asks),
            _ => asks.into_iter().for_each(|guilty| self.charge(guilty, words)),
        }
    }

    /// Notes that a line got no value.
    fn charge(&mut self, ask: Ask, failure: Failure) {
        self.in_a_row += 1;
        if self.in_a_row >= IN_A_ROW {
            self.left_alone = self.left_alone_next;
            self.left_alone_next = self.left_alone_next.saturating_mul(2);
        }
        let _ = ask.answer.send(Err(failure));
    }

    /// Keeps the first line of each kind.
    fn remark(&self, oddity: Oddity, line: &[u8]) {
        let mut told = self.told();
        if !told.seen.contains(&oddity) {
            told.seen.push(oddity);
            told.remarks.push(oddity.words(&reply::shown(line)));
        }
    }

    fn told(&self) -> MutexGuard<'_, CommandWarnings> {
        open(&self.told)
    }
}

impl Lane {
    /// When it has been silent for too long.
    fn deadline(&self, patience: Patience) -> Option<Instant> {
        let oldest = self.sent.front()?;
        if !self.has_replied {
            return Some(oldest.since + patience.first);
        }
        let silent = self.heard.map_or(oldest.since, |heard| heard.max(oldest.since)) + patience.each;
        self.sent.iter().map(|sent| sent.limit).chain([silent]).min()
    }
}

impl Oddity {
    /// What is said of a line.
    fn words(self, line: &str) -> String {
        const REPLY: &str = "{\"id\": 7, \"value\": 0.5}";
        let beside = "print nothing but replies to stdout, everything else to stderr";
        match self {
            Oddity::Banner => format!("the command printed \"{line}\" before it answered; {beside}"),
            Oddity::Noise => format!("the command printed \"{line}\" among its replies; {beside}"),
            Oddity::Misread => format!("the command answered \"{line}\", which is no reply such as {REPLY}"),
            Oddity::Value => format!(
                "the command answered \"{line}\"; a value is a number from 0 to 1, or null where there is none to give"
            ),
            Oddity::Id => format!(
                "the command answered \"{line}\", and no line with this id waits for an answer: a reply has the id of its \
                 line, and there is one for each"
            ),
            Oddity::Length => {
                format!("the command printed \"{line}\" and more without an end of line; a reply is a short line")
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests;
