//! How long stages will take, by the tokens that they learn, read and sample and by how fast this machine is.

use crate::text::grouped;

/// Reading a token without learning from it takes this part of what learning it takes: one pass through the model for three.
const READING: f64 = 1.0 / 3.0;

/// What a stage consists of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Workload {
    /// The stage, by its name in a report.
    pub name: &'static str,
    /// How people are told of it: "reinforcement learning", "720 questions".
    pub told: String,
    /// Tokens that are learned, read and sampled.
    pub learned: f64,
    pub read: f64,
    pub sampled: f64,
}

/// Tokens a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MeasuredRates {
    pub learned: f64,
    pub sampled: f64,
}

/// Tokens in so many seconds, as measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub tokens: f64,
    pub seconds: f64,
}

impl Rate {
    /// Tokens a second, where there were any.
    pub fn per_second(self) -> Option<f64> {
        (self.tokens > 0.0 && self.seconds > 0.0).then(|| self.tokens / self.seconds)
    }
}

impl Workload {
    /// How long it takes.
    pub fn seconds(&self, speed: MeasuredRates) -> f64 {
        (self.learned + READING * self.read) / speed.learned + self.sampled / speed.sampled
    }
}

/// How fast tokens are sampled where so many were read and sampled in so many seconds. Most of the time is the sampling's, whatever
/// the reading is thought to take.
pub(super) fn sampling(read: f64, sampled: f64, seconds: f64, learned: Option<f64>) -> Rate {
    let reading = learned.map_or(0.0, |learned| READING * read / learned);
    Rate { tokens: sampled, seconds: (seconds - reading).max(seconds / 2.0) }
}

/// "about 1 h 52 min: fine-tuning 17 min, 720 questions 9 min".
pub(super) fn in_words(stages: &[(Workload, f64)]) -> String {
    let whole: f64 = stages.iter().map(|(_, seconds)| seconds).sum();
    let parts: Vec<String> =
        stages.iter().map(|(stage, seconds)| format!("{} {}", stage.told, span(*seconds))).collect();
    format!("about {}: {}", span(whole), parts.join(", "))
}

/// A time as roughly as it is known.
fn span(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        _ if seconds < 90.0 => format!("{} s", seconds.round()),
        0..60 => format!("{minutes} min"),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}

/// "1 200 questions".
pub(super) fn questions(count: usize) -> String {
    grouped(count as u64) + if count == 1 { " question" } else { " questions" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_takes_what_its_tokens_take() {
        let speed = MeasuredRates { learned: 100.0, sampled: 50.0 };
        let stage = Workload { learned: 1000.0, read: 300.0, sampled: 500.0, ..Workload::default() };
        assert!((stage.seconds(speed) - 21.0).abs() < 1e-9);
        assert_eq!(sampling(300.0, 500.0, 11.0, Some(100.0)), Rate { tokens: 500.0, seconds: 10.0 });
        assert_eq!(sampling(1e9, 500.0, 11.0, Some(100.0)).seconds, 5.5);
        assert_eq!(
            (Rate { tokens: 500.0, seconds: 10.0 }.per_second(), Rate::default().per_second()),
            (Some(50.0), None)
        );
    }

    #[test]
    fn an_estimate_is_a_line() {
        let stage = |told: &str, minutes: f64| (Workload { told: told.into(), ..Workload::default() }, 60.0 * minutes);
        let all = [
            stage("fine-tuning", 17.2),
            stage("warm-up", 23.0),
            stage(&questions(720), 9.0),
            stage("reinforcement learning", 58.0),
            stage(&questions(1200), 0.7),
        ];
        let words = "about 1 h 48 min: fine-tuning 17 min, warm-up 23 min, 720 questions 9 min, reinforcement learning 58 min, \
                     1\u{202f}200 questions 42 s";
        assert_eq!(in_words(&all), words);
        assert_eq!(questions(1), "1 question");
    }
}
