//! Progress for people: a bar with rate and remaining time on a terminal, a plain line now and then elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use recollect::telemetry::{Meter, Pace, Progress};
use recollect::text::one_line;

/// Between two plain lines of one piece of work.
const EVERY: Duration = Duration::from_secs(5);

/// Prints to standard error, so that standard output holds results only.
pub struct StderrProgress {
    /// Absent where standard error is no terminal.
    bars: Option<MultiProgress>,
}

impl StderrProgress {
    /// Bars where standard error is a terminal, plain lines elsewhere.
    pub fn detect() -> StderrProgress {
        StderrProgress { bars: io::stderr().is_terminal().then(MultiProgress::new) }
    }
}

impl Progress for StderrProgress {
    fn begin(&self, name: &str, unit: &str, done: u64, total: u64) -> Box<dyn Meter> {
        let work = TaskProgress::new(name, unit, done, total);
        match &self.bars {
            Some(bars) => Box::new(BarMeter::new(bars, work)),
            None => Box::new(PlainMeter { work, next: Instant::now() + EVERY }),
        }
    }

    fn tell(&self, text: &str) {
        match &self.bars {
            // A terminal that went away is no reason to end a run.
            Some(bars) => drop(bars.println(one_line(text))),
            None => print_line(text),
        }
    }
}

/// A bar that is redrawn in place; when the work ends a line stays.
struct BarMeter {
    bar: ProgressBar,
    work: TaskProgress,
}

impl BarMeter {
    fn new(bars: &MultiProgress, work: TaskProgress) -> BarMeter {
        let bar = bars.add(ProgressBar::new(work.total).with_position(work.done));
        // The template is a constant; should it be wrong the default bar still works.
        if let Ok(style) = ProgressStyle::with_template("{prefix:<14} {bar:24} {msg}") {
            bar.set_style(style.progress_chars("━━╌"));
        }
        bar.set_prefix(work.name.clone());
        bar.set_message(work.state());
        BarMeter { bar, work }
    }
}

impl Meter for BarMeter {
    fn set(&mut self, done: u64) {
        self.work.set(done);
        self.bar.set_position(done);
        self.bar.set_message(self.work.state());
    }

    fn note(&mut self, text: &str) {
        self.work.note = one_line(text);
        self.bar.set_message(self.work.state());
    }
}

impl Drop for BarMeter {
    fn drop(&mut self) {
        self.bar.set_message(self.work.outcome());
        self.bar.abandon();
    }
}

/// A line every few seconds and one at the end.
struct PlainMeter {
    work: TaskProgress,
    next: Instant,
}

impl Meter for PlainMeter {
    fn set(&mut self, done: u64) {
        self.work.set(done);
        let now = Instant::now();
        if now >= self.next && done < self.work.total {
            self.next = now + EVERY;
            print_line(&format!("{}: {}", self.work.name, self.work.state()));
        }
    }

    fn note(&mut self, text: &str) {
        self.work.note = one_line(text);
    }
}

impl Drop for PlainMeter {
    fn drop(&mut self) {
        print_line(&format!("{}: {}", self.work.name, self.work.outcome()));
    }
}

/// How far a piece of work is, and how that is said.
struct TaskProgress {
    name: String,
    unit: String,
    /// Done when this run began; the rate does not count it.
    before: u64,
    done: u64,
    total: u64,
    note: String,
    started: Instant,
    /// How fast its newer units were done.
    pace: Pace,
}

impl TaskProgress {
    fn new(name: &str, unit: &str, done: u64, total: u64) -> TaskProgress {
        let (name, unit) = (one_line(name), one_line(unit));
        let pace = Pace::new(done);
        TaskProgress { name, unit, before: done, done, total, note: String::new(), started: Instant::now(), pace }
    }

    fn set(&mut self, done: u64) {
        self.set_after(done, self.started.elapsed());
    }

    fn set_after(&mut self, done: u64, elapsed: Duration) {
        self.done = done;
        self.pace.mark(done, elapsed);
    }

    fn state(&self) -> String {
        let mut parts = vec![format!("{}/{} {}", self.done, self.total, self.unit)];
        if let Some(rate) = self.pace.rate() {
            parts.push(format!("{}/s", three_digits(rate)));
            let left = self.total.saturating_sub(self.done) as f64 / rate;
            parts.push(format!("{} left", span(left)));
        }
        parts.extend((!self.note.is_empty()).then(|| self.note.clone()));
        parts.join(", ")
    }

    fn outcome(&self) -> String {
        self.outcome_after(self.started.elapsed())
    }

    fn outcome_after(&self, elapsed: Duration) -> String {
        let done = if self.done == self.total {
            format!("{} {}", self.done, self.unit)
        } else {
            format!("stopped at {}/{} {}", self.done, self.total, self.unit)
        };
        let mut parts = vec![format!("{done} in {}", span(elapsed.as_secs_f64()))];
        let rate = self.rate(elapsed);
        parts.extend((rate > 0.0).then(|| format!("{}/s", three_digits(rate))));
        parts.extend((!self.note.is_empty()).then(|| self.note.clone()));
        parts.join(", ")
    }

    fn rate(&self, elapsed: Duration) -> f64 {
        let done = self.done.saturating_sub(self.before) as f64;
        if elapsed.is_zero() { 0.0 } else { done / elapsed.as_secs_f64() }
    }
}

/// A positive number with about three digits.
pub fn three_digits(value: f64) -> String {
    match value {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A time in words: "8 s", "3 min 05 s", "2 h 10 min".
pub fn span(seconds: f64) -> String {
    // Casting saturates, so a rate of nearly nothing gives a long time and not a wrong one.
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Standard error that is closed is no reason to end a run.
fn print_line(text: &str) {
    drop(writeln!(io::stderr(), "{}", one_line(text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(before: u64, done: u64, seconds: u64) -> TaskProgress {
        let mut work = TaskProgress::new("fine-tuning", "steps", before, 900);
        work.set_after(done, Duration::from_secs(seconds));
        work
    }

    #[test]
    fn says_how_far_how_fast_and_how_long_still() {
        let mut going = work(0, 300, 40);
        assert_eq!(going.state(), "300/900 steps, 7.50/s, 1 min 20 s left");
        // The first ones were slow.
        going.set_after(400, Duration::from_secs(45));
        assert_eq!(going.state(), "400/900 steps, 20.0/s, 25 s left");
        let mut begun = work(0, 0, 0);
        begun.note = "loss 0.41".into();
        assert_eq!(begun.state(), "0/900 steps, loss 0.41");
    }

    #[test]
    fn the_rate_is_that_of_this_run() {
        assert_eq!(work(600, 700, 100).state(), "700/900 steps, 1.00/s, 3 min 20 s left");
        assert_eq!(work(600, 600, 9).state(), "600/900 steps");
    }

    #[test]
    fn ends_with_what_was_done() {
        assert_eq!(work(0, 900, 9).outcome_after(Duration::from_secs(9)), "900 steps in 9 s, 100/s");
        assert_eq!(work(0, 90, 9).outcome_after(Duration::from_secs(9)), "stopped at 90/900 steps in 9 s, 10.0/s");
    }

    #[test]
    fn spans_are_read_at_a_glance() {
        assert_eq!(["8 s", "1 min 05 s", "2 h 10 min"], [8.2, 65.0, 7_830.0].map(span).each_ref().map(String::as_str));
    }
}
