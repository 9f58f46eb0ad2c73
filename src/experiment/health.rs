//! Watches the signs of a run that goes wrong. Each alarm is a line that says what happened, why it matters and what to
//! try, told when it first rings; `alarm/NAME` in the metrics says in which steps it rang.

use std::collections::{BTreeMap, BTreeSet};

use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};

use crate::reward::Record;
use crate::rollout::Finish;
use crate::{Error, Result};

/// Steps whose means are looked at.
const WINDOW: usize = 10;
/// Steps in a row without a finite gradient that end a run.
const PATIENCE: usize = 3;

/// What one step says. Numbers that a step did not measure, or that are not finite, are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signs {
    /// Of the tokens that were learned from, in nats.
    pub entropy: Option<f64>,
    /// Divergence from the reference, in nats a token.
    pub kl: Option<f64>,
    /// Divergence of the learner from the sampler of the same weights, in nats a token.
    pub mismatch_kl: Option<f64>,
    /// Divergence of the learner from the policies that sampled, where these are versions behind it, in nats a token.
    #[serde(default)]
    pub behind_kl: Option<f64>,
    pub gradient_norm: Option<f64>,
    /// Share of completions that ran out of tokens.
    pub truncated: Option<f64>,
    /// Share of groups whose completions all got the same reward.
    pub flat: Option<f64>,
    /// Share of the variance of returns that the value head foretold.
    pub foretold: Option<f64>,
}

/// The signs of a run so far, and the alarms that have rung.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Health {
    steps: Vec<Signs>,
    rung: BTreeSet<String>,
    skipped: usize,
}

impl Health {
    /// Adds a step: records which alarms ring and gives the words of those that never rang before. `rollouts` are those
    /// of this step.
    pub fn hear(&mut self, signs: Signs, rollouts: &[&Record]) -> Vec<String> {
        self.steps.push(signs);
        let alarms = [
            ("entropy", self.entropy()),
            ("kl", self.kl()),
            ("mismatch_kl", self.mismatch()),
            ("off_policy", self.off_policy()),
            ("grad_norm", self.gradient()),
            ("truncated", self.truncated()),
            ("no_signal", self.no_signal(rollouts)),
            ("value", self.value()),
        ];
        let mut told = Vec::new();
        for (name, words) in alarms.into_iter().filter_map(|(name, words)| Some((name, words?))) {
            gauge!(format!("alarm/{name}")).set(1.0);
            if self.rung.insert(name.to_string()) {
                told.push(format!("ALARM: {words}"));
            }
        }
        told
    }

    /// Notes a step that changed nothing because `what` was not finite, and gives the words for it. Refused: one step
    /// too many in a row.
    pub fn skip(&mut self, step: usize, what: &str) -> Result<String> {
        self.skipped += 1;
        counter!("skipped_steps").increment(1);
        if self.skipped >= PATIENCE {
            let found =
                format!("{} steps in a row had a {what} that is not finite, the last was step {step}", PATIENCE);
            let remedy = "go on from the last checkpoint with a lower train.learning_rate, or with run.precision = \
                          \"f32\"";
            return Err(Error::invalid("reinforcement learning", found, remedy));
        }
        Ok(format!(
            "the {what} of step {step} is not finite: the step is skipped and the weights stay as they are; after \
             {PATIENCE} such steps in a row the run ends. Try a lower train.learning_rate."
        ))
    }

    /// Notes a step that was learned from.
    pub fn learned(&mut self) {
        self.skipped = 0;
    }

    fn entropy(&self) -> Option<String> {
        let of = |signs: &Signs| signs.entropy;
        let (first, now) = (mean(self.steps.get(..WINDOW)?, of)?, self.recent(of)?);
        (now < first / 5.0).then(|| {
            format!(
                "entropy fell from {first:.2} to {now:.2} nats (means of {WINDOW} steps): completions of a question \
                 become copies of one another and leave nothing to compare. Try train.algorithm.entropy = 0.003, a \
                 higher train.algorithm.clip.high or a lower train.learning_rate."
            )
        })
    }

    fn kl(&self) -> Option<String> {
        let now = self.recent(|signs| signs.kl)?;
        (now > 1.0).then(|| {
            format!(
                "the policy is {now:.1} nats a token away from the one that it started from (mean of {WINDOW} steps): \
                 what that one could do is being lost. Try a larger train.algorithm.kl or a lower train.learning_rate."
            )
        })
    }

    fn mismatch(&self) -> Option<String> {
        let now = self.recent(|signs| signs.mismatch_kl)?;
        (now > 0.01).then(|| {
            format!(
                "sampler and learner disagree by {now:.3} nats a token (mean of {WINDOW} steps) before anything is \
                 learned: the gradient is that of another policy. Try run.precision = \"f32\" or \
                 train.algorithm.importance_cap = 2."
            )
        })
    }

    fn off_policy(&self) -> Option<String> {
        let now = self.recent(|signs| signs.behind_kl)?;
        (now > 0.1).then(|| {
            format!(
                "the policies that sample are {now:.2} nats a token behind the one that learns (mean of {WINDOW} steps): \
                 what it learns from is no longer what it would say. Try a lower train.staleness, a lower \
                 train.learning_rate, or train.algorithm.importance_cap = 2."
            )
        })
    }

    fn gradient(&self) -> Option<String> {
        let norms: Vec<f64> =
            self.steps.iter().rev().filter_map(|signs| signs.gradient_norm).take(WINDOW + 1).collect();
        let (now, before) = norms.split_first().filter(|(_, before)| before.len() == WINDOW)?;
        self.steps.last()?.gradient_norm?;
        let mut before = before.to_vec();
        before.sort_by(f64::total_cmp);
        let median = f64::midpoint(before[WINDOW / 2 - 1], before[WINDOW / 2]);
        (*now > 10.0 * median).then(|| {
            format!(
                "the gradient of step {} is {now:.1} long, and {median:.1} was usual in the {WINDOW} steps before: a few \
                 completions pull far harder than all others. Where it comes again, lower train.max_gradient_norm or \
                 train.learning_rate.",
                self.steps.len()
            )
        })
    }

    fn truncated(&self) -> Option<String> {
        let now = self.recent(|signs| signs.truncated)?;
        (now > 0.5).then(|| {
            format!(
                "{:.0} % of the completions of the last {WINDOW} steps ran out of tokens: without an answer, their \
                 reward says nothing of their thoughts. Try a larger train.max_new_tokens, a cost of length in the \
                 reward (kind = \"length\"), or train.algorithm.filter.keep = \"finished\".",
                100.0 * now
            )
        })
    }

    fn value(&self) -> Option<String> {
        // A head begins with nothing: what it says of the first steps is no sign.
        let now = self.recent(|signs| signs.foretold).filter(|_| self.steps.len() >= 3 * WINDOW)?;
        (now < 0.0).then(|| {
            format!(
                "the value head foretells rewards worse than their mean would (explained variance {now:.2} over \
                 {WINDOW} steps): advantages are mostly its errors. Try another train.algorithm.value.rate, \
                 and train.algorithm.advantage.lambda = 1, which trusts it least."
            )
        })
    }

    fn no_signal(&self, rollouts: &[&Record]) -> Option<String> {
        let of = |signs: &Signs| signs.flat;
        let all = of(self.steps.last()?) == Some(1.0);
        let share = if all { 1.0 } else { self.recent(of).filter(|share| *share > 0.8)? };
        let (why, remedy) = why_flat(rollouts)?;
        let whose = match all {
            true => "every completion of every group got the same reward".to_string(),
            false => format!("in {:.0} % of the groups every completion got the same reward", 100.0 * share),
        };
        Some(format!("{whose}, because {why}: there is nothing to compare, so nothing is learned. Try {remedy}."))
    }

    /// The mean over the last steps, when there are enough of them.
    fn recent(&self, of: impl Fn(&Signs) -> Option<f64>) -> Option<f64> {
        mean(&self.steps[self.steps.len().checked_sub(WINDOW)?..], of)
    }
}

/// The mean of a sign over the steps that have it.
fn mean(steps: &[Signs], of: impl Fn(&Signs) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = steps.iter().filter_map(of).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Why the completions of most groups without spread got the same reward, and what to do about it.
fn why_flat(rollouts: &[&Record]) -> Option<(&'static str, &'static str)> {
    const REASONS: [(&str, &str); 5] = [
        ("all of them are right", "harder questions (train.forms), or end the run here: there is no more to gain"),
        ("all of them ran out of tokens before they answered", "a larger train.max_new_tokens, or shorter habits"),
        (
            "all of them are wrong",
            "more completions of each question (train.group_size), a reward that pays for parts of \
          the way, or more fine-tuning",
        ),
        (
            "the reward pays right and wrong ones alike",
            "`recollect reward explain` on the reward, and terms that tell \
          them apart",
        ),
        (
            "fewer than two of them were judged",
            "the command of the reward by hand, on a line as rewards/README.md shows it; metrics.jsonl counts how it failed",
        ),
    ];
    let mut groups: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
    rollouts.iter().for_each(|record| groups.entry(record.question).or_default().push(record));
    let mut counts = [0; REASONS.len()];
    let is_flat = |group: &Vec<&Record>| {
        let mut rewards = group.iter().filter_map(|record| record.reward);
        let first = rewards.next();
        rewards.all(|reward| Some(reward) == first)
    };
    for group in groups.values().filter(|group| is_flat(group)) {
        let right = group.iter().filter(|record| record.judgement.correct).count();
        let judged = group.iter().filter(|record| record.reward.is_some()).count();
        let reason = match right {
            _ if judged < group.len() && judged < 2 => 4,
            0 if group.iter().all(|record| record.finish == Finish::Length) => 1,
            0 => 2,
            right if right == group.len() => 0,
            _ => 3,
        };
        counts[reason] += 1;
    }
    let most = counts.iter().copied().max().filter(|most| *most > 0)?;
    Some(REASONS[counts.iter().position(|count| *count == most)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::examples::examples;

    /// Groups with completions that are right or wrong, as they come.
    fn records(groups: u64, right: &[bool]) -> Vec<Record> {
        let mut all = Vec::new();
        for question in 0..groups {
            for (sample, right) in right.iter().enumerate() {
                let example = examples().into_iter().find(|example| example.judgement.correct == *right).unwrap();
                all.push(Record { question, ..example.record(1, sample) });
            }
        }
        all
    }

    fn heard(steps: impl IntoIterator<Item = Signs>) -> Vec<String> {
        let mut health = Health::default();
        steps.into_iter().flat_map(|signs| health.hear(signs, &[])).collect()
    }

    fn each(count: usize, signs: impl Fn(usize) -> Signs) -> impl Iterator<Item = Signs> {
        (0..count).map(signs)
    }

    #[test]
    fn a_healthy_run_is_left_alone() {
        let healthy = |step: usize| Signs {
            entropy: Some(0.8 - 0.005 * step as f64),
            kl: Some(0.002 * step as f64),
            mismatch_kl: Some(1e-12),
            behind_kl: Some(0.03),
            gradient_norm: Some(if step.is_multiple_of(7) { 4.0 } else { 1.0 }),
            truncated: Some(0.2),
            flat: Some(0.3),
            foretold: Some(if step < 15 { -3.0 } else { 0.2 }),
        };
        assert_eq!(heard(each(100, healthy)), Vec::<String>::new());
        assert_eq!(heard(each(100, |_| Signs::default())), Vec::<String>::new());
    }

    #[test]
    fn each_alarm_is_told_once_in_one_line_that_says_what_to_try() {
        let entropy = |step: usize| Signs { entropy: Some(0.9f64.powi(step as i32)), ..Signs::default() };
        let kl = |_| Signs { kl: Some(1.5), ..Signs::default() };
        let mismatch = |_| Signs { mismatch_kl: Some(0.02), ..Signs::default() };
        let behind = |_| Signs { behind_kl: Some(0.2), ..Signs::default() };
        let gradient = |step| Signs { gradient_norm: Some(if step == 15 { 50.0 } else { 1.0 }), ..Signs::default() };
        let truncated = |_| Signs { truncated: Some(0.6), ..Signs::default() };
        let value = |_| Signs { foretold: Some(-0.5), ..Signs::default() };
        let cases: [(Vec<Signs>, &str); 7] = [
            (each(40, entropy).collect(), "entropy fell from 0.65 to 0.1"),
            (each(40, kl).collect(), "1.5 nats a token away"),
            (each(40, mismatch).collect(), "disagree by 0.020 nats"),
            (each(40, behind).collect(), "0.20 nats a token behind"),
            (each(40, gradient).collect(), "the gradient of step 16 is 50.0 long"),
            (each(40, truncated).collect(), "60 % of the completions"),
            (each(40, value).collect(), "explained variance -0.50"),
        ];
        for (steps, words) in cases {
            let told = heard(steps);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("ALARM: ") && told[0].contains(words), "{told:?}");
            assert!(!told[0].contains('\n') && (told[0].contains("Try ") || told[0].contains("lower ")), "{told:?}");
        }
        assert!(heard(each(9, truncated)).is_empty(), "too early to tell");
    }

    #[test]
    fn groups_without_signal_are_explained() {
        let flat = Signs { flat: Some(1.0), ..Signs::default() };
        let say = |right: &[bool], finish: Finish, reward: f64| {
            let mut records = records(2, right);
            records.iter_mut().for_each(|record| (record.reward, record.finish) = (Some(reward), finish));
            Health::default().hear(flat, &records.iter().collect::<Vec<_>>()).concat()
        };
        let start = "ALARM: every completion of every group got the same reward, because ";
        for (right, finish, why) in [
            (&[true, true][..], Finish::Stop, "all of them are right"),
            (&[false, false], Finish::Stop, "all of them are wrong"),
            (&[false, false], Finish::Length, "all of them ran out of tokens"),
            (&[true, false], Finish::Stop, "the reward pays right and wrong ones alike"),
        ] {
            let words = say(right, finish, 0.5);
            assert!(words.starts_with(&format!("{start}{why}")), "{words}");
        }
        let mut health = Health::default();
        let records = records(3, &[false, false]);
        let mostly = Signs { flat: Some(0.9), ..Signs::default() };
        let told: Vec<String> =
            (0..20).flat_map(|_| health.hear(mostly, &records.iter().collect::<Vec<_>>())).collect();
        assert!(told.len() == 1 && told[0].contains("in 90 % of the groups"), "{told:?}");
    }

    #[test]
    fn a_step_that_is_not_finite_is_skipped_and_a_few_in_a_row_end_the_run() {
        let mut health = Health::default();
        for _ in 0..5 {
            assert!(health.skip(7, "gradient").unwrap().contains("step 7 is not finite: the step is skipped"));
            assert!(health.skip(8, "loss").is_ok());
            health.learned();
        }
        assert!(health.skip(1, "loss").is_ok() && health.skip(2, "loss").is_ok());
        let resumed: Health = serde_json::from_str(&serde_json::to_string(&health).unwrap()).unwrap();
        for mut health in [health, resumed] {
            let message = health.skip(3, "loss").unwrap_err().to_string();
            assert!(message.contains("3 steps in a row") && message.contains("lower train.learning_rate"), "{message}");
        }
    }
}
