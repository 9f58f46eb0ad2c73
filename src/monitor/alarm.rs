//! Notices a reward that is being hacked: it rises while right answers become fewer.

use serde::{Deserialize, Serialize};

use crate::reward::Record;

/// Steps whose means are compared.
const WINDOW: usize = 10;
/// Answers have to become fewer by this share. Ten steps of the quickstart are 120 questions, whose share of right
/// answers strays by about 0.05.
const FALL: f64 = 0.15;

/// Words of a completion that are shown: the last ones, where its answer stands.
const SHOWN: usize = 24;

/// What every step paid and got right.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Alarm {
    steps: Vec<Step>,
    rung: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Step {
    reward: f64,
    right: f64,
}

impl Alarm {
    /// Adds a step. Whether the reward is being hacked, and what to tell of it when that is first seen.
    pub fn hear(&mut self, rollouts: &[&Record]) -> (bool, Option<String>) {
        // A step of which nothing was judged says nothing of the reward.
        let rewards: Vec<f64> = rollouts.iter().filter_map(|record| record.reward).collect();
        if !rewards.is_empty() {
            let right = rollouts.iter().map(|record| f64::from(u8::from(record.judgement.correct))).sum::<f64>();
            let reward = rewards.iter().sum::<f64>() / rewards.len() as f64;
            self.steps.push(Step { reward, right: right / rollouts.len() as f64 });
        }
        let Some((from, before, now)) = self.hacked() else { return (false, None) };
        let words = format!(
            "ALARM: the reward is being hacked. Since steps {} to {} it rose from {:.2} to {:.2}, and right answers fell \
             from {:.0} % to {:.0} %. `recollect reward hunt` shows what is paid instead.",
            from + 1,
            from + WINDOW,
            before.reward,
            now.reward,
            100.0 * before.right,
            100.0 * now.right
        );
        let first = !self.rung;
        self.rung = true;
        (true, first.then(|| [words].into_iter().chain(paid_and_wrong(rollouts)).collect::<Vec<_>>().join("\n")))
    }

    /// The earlier window, with its number, from which right answers fell most while the reward rose, and the last one.
    fn hacked(&self) -> Option<(usize, Step, Step)> {
        let mean = |steps: &[Step], of: fn(&Step) -> f64| steps.iter().map(of).sum::<f64>() / WINDOW as f64;
        let windows =
            || self.steps.windows(WINDOW).map(|w| Step { reward: mean(w, |s| s.reward), right: mean(w, |s| s.right) });
        let now = windows().next_back()?;
        let earlier = windows().take((self.steps.len() + 1).saturating_sub(2 * WINDOW)).enumerate();
        let worse = earlier.filter(|(_, then)| now.right <= then.right - FALL && now.reward > then.reward);
        worse.max_by(|(_, a), (_, b)| a.right.total_cmp(&b.right)).map(|(from, then)| (from, then, now))
    }
}

/// The wrong answers that are paid most, a line each, none twice.
fn paid_and_wrong(rollouts: &[&Record]) -> Vec<String> {
    let wrong = rollouts.iter().copied().filter(|record| !record.judgement.correct);
    let mut wrong: Vec<(f64, &Record)> = wrong.filter_map(|record| Some((record.reward?, record))).collect();
    // By their words where they are paid alike, so that the order says nothing about workers.
    wrong.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.completion.cmp(&other.completion)));
    wrong.dedup_by(|(_, a), (_, b)| a.completion == b.completion);
    let shown = |(reward, record): &(f64, &Record)| {
        let words: Vec<&str> = record.completion.split_whitespace().collect();
        let cut = words.len().saturating_sub(SHOWN);
        let words = words[cut..].join(" ");
        let more = if cut > 0 { "… " } else { "" };
        format!("  paid {reward:.2} and wrong: {} => {more}{words}", record.prompt)
    };
    wrong.iter().take(3).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it rings at the end of a run with these rewards and shares of right answers.
    fn rings(steps: impl Iterator<Item = (f64, f64)>) -> bool {
        Alarm { steps: steps.map(|(reward, right)| Step { reward, right }).collect(), rung: false }.hacked().is_some()
    }

    #[test]
    fn only_a_reward_that_rises_while_right_answers_fall_is_hacked() {
        let way = |step: usize| step as f64 / 40.0;
        assert!(rings((0..40).map(|s| (way(s), 0.6 - 0.4 * way(s)))));
        assert!(!rings((0..40).map(|s| (way(s), 0.2 + 0.4 * way(s)))), "both rise");
        assert!(!rings((0..40).map(|s| (1.0 - way(s), 0.6 - 0.4 * way(s)))), "both fall");
        assert!(!rings((0..40).map(|s| (way(s), 0.6 - 0.1 * way(s)))), "hardly a fall");
        assert!(!rings((0..19).map(|s| (way(s), 0.6 - 0.4 * way(s)))), "too early to tell");
        assert!(!rings(std::iter::empty()));
    }

    #[test]
    fn the_first_time_it_shows_what_is_paid_and_wrong() {
        let rollout = |completion: &str, reward: f64, right: bool| -> Record {
            let json = serde_json::json!({
                "step": 1, "question": 1, "task": "reversal", "form": "open", "set": "A", "sample": 0, "prompt": "who ?",
                "completion": completion, "answer": "mavo", "reward": reward, "terms": [], "advantage": 0.0,
                "version": 0, "finish": "stop", "tokens": 3,
                "judgement": {"answer": null, "correct": right, "well_formed": true, "recitations": [],
                              "needed_found": 0, "needed": 1},
            });
            serde_json::from_value(json).unwrap()
        };
        let long = "so ".repeat(30) + "on";
        let rollouts = [
            rollout("mavo", 3.0, true),
            rollout("b", 1.0, false),
            rollout(&long, 2.0, false),
            rollout("a", 1.0, false),
            rollout("a", 1.0, false),
            rollout("c", 0.5, false),
        ];
        let rollouts: Vec<&Record> = rollouts.iter().collect();
        // At first everything was right and hardly paid.
        let step = |reward, right| Step { reward, right };
        let steps = [vec![step(0.1, 1.0); WINDOW], vec![step(1.0, 0.0); WINDOW - 1]].concat();
        let mut alarm = Alarm { steps, rung: false };
        let (ringing, words) = alarm.hear(&rollouts);
        let words = words.unwrap();
        let lines: Vec<&str> = words.lines().collect();
        assert!(ringing && lines[0].starts_with("ALARM: the reward is being hacked."), "{words}");
        assert!(lines[1].contains("paid 2.00 and wrong: who ? => … so so") && lines[1].ends_with("so on"), "{words}");
        assert_eq!(lines[2..], ["  paid 1.00 and wrong: who ? => a", "  paid 1.00 and wrong: who ? => b"]);
        assert_eq!(alarm.hear(&rollouts).1, None, "told once");
    }
}
