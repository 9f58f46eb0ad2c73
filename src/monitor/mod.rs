//! Watches a run that goes on, and says what goes wrong with it: one table of [`rules`], looked at after every step.
//!
//! What a rule says is a line that tells what happened, why it matters and what to try. It is said once; the metrics say in
//! which steps the rule spoke.

pub mod observed;
pub mod resources;
pub mod rules;

use std::collections::BTreeSet;

use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};

use crate::reward::Record;
use crate::{Error, Result};

pub use observed::{Observed, RewardStats, StepStats};
pub use resources::Headroom;
pub use rules::{RULES, Rule, Watches};

/// Steps in a row without a finite gradient that end a run.
const PATIENCE: usize = 3;

/// The steps of a run so far, and what has been said of them. A checkpoint keeps both.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Monitor {
    #[serde(default)]
    alarm: RewardHistory,
    #[serde(default)]
    health: StepHistory,
    /// What was said of the machine in this process: the next one may run on another.
    #[serde(skip)]
    machine: BTreeSet<&'static str>,
}

/// What one reward paid so far, and whether it was said that it is hacked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct RewardHistory {
    steps: Vec<RewardStats>,
    rung: bool,
}

/// What steps said, and the names of the rules that have spoken.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct StepHistory {
    steps: Vec<StepStats>,
    rung: BTreeSet<String>,
    skipped: usize,
}

impl Monitor {
    /// Adds a step, records which rules speak, and gives the words of those that never spoke before.
    pub fn observe(&mut self, stats: StepStats, rollouts: &[&Record], headroom: &Headroom) -> Vec<String> {
        self.health.steps.push(stats);
        self.alarm.steps.extend(RewardStats::from_rollouts(rollouts));
        let (steps, rewards) = (&self.health.steps, &self.alarm.steps);
        let observed = Observed { steps, rewards, rollouts, headroom };
        let spoken: Vec<(&Rule, String)> =
            RULES.iter().filter_map(|rule| Some((rule, (rule.speaks)(&observed)?))).collect();
        let mut told = Vec::new();
        for (rule, words) in spoken {
            gauge!(rule.metric()).set(1.0);
            if self.is_new(rule) {
                told.push(format!("ALARM: {words}"));
            }
        }
        told
    }

    /// Notes that a rule has spoken. Whether it never had.
    fn is_new(&mut self, rule: &Rule) -> bool {
        match rule.watches {
            Watches::Reward => !std::mem::replace(&mut self.alarm.rung, true),
            Watches::Steps => self.health.rung.insert(rule.name.into()),
            Watches::Machine => self.machine.insert(rule.name),
        }
    }

    /// Forgets what was paid so far: what another reward pays cannot be compared.
    pub fn forget_rewards(&mut self) {
        self.alarm = RewardHistory::default();
    }

    /// Notes a step that changed nothing because `what` was not finite, and gives the words for it.
    ///
    /// # Errors
    /// One such step too many in a row.
    pub fn skip(&mut self, step: usize, what: &str) -> Result<String> {
        self.health.skipped += 1;
        counter!("skipped_steps").increment(1);
        if self.health.skipped >= PATIENCE {
            let found = format!("{PATIENCE} steps in a row had a {what} that is not finite, the last was step {step}");
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
        self.health.skipped = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::observed::WINDOW;
    use super::resources::tests::room;
    use super::*;
    use crate::reward::examples::examples;
    use crate::rollout::Finish;

    /// Groups with completions that are right or wrong, as they come.
    fn records(groups: u64, right: &[bool]) -> Vec<Record> {
        let mut all = Vec::new();
        for question in 0..groups {
            for (sample, right) in right.iter().enumerate() {
                let example =
                    examples().into_iter().find(|example| example.record.judgement.correct == *right).unwrap();
                all.push(Record { question, ..example.sampled(1, sample) });
            }
        }
        all
    }

    fn observe(monitor: &mut Monitor, stats: StepStats, rollouts: &[Record]) -> Vec<String> {
        monitor.observe(stats, &rollouts.iter().collect::<Vec<_>>(), &Headroom::default())
    }

    fn told(steps: impl IntoIterator<Item = StepStats>) -> Vec<String> {
        let mut monitor = Monitor::default();
        steps.into_iter().flat_map(|stats| observe(&mut monitor, stats, &[])).collect()
    }

    fn each(count: usize, stats: impl Fn(usize) -> StepStats) -> impl Iterator<Item = StepStats> {
        (0..count).map(stats)
    }

    #[test]
    fn a_healthy_run_is_left_alone() {
        let healthy = |step: usize| StepStats {
            entropy: Some(0.8 - 0.005 * step as f64),
            kl: Some(0.002 * step as f64),
            mismatch_kl: Some(1e-12),
            behind_kl: Some(0.03),
            gradient_norm: Some(if step.is_multiple_of(7) { 4.0 } else { 1.0 }),
            truncated: Some(0.2),
            flat: Some(0.3),
            foretold: Some(if step < 15 { -3.0 } else { 0.2 }),
        };
        assert_eq!(told(each(100, healthy)), Vec::<String>::new());
        assert_eq!(told(each(100, |_| StepStats::default())), Vec::<String>::new());
    }

    #[test]
    fn each_rule_speaks_once_in_one_line_that_says_what_to_try() {
        let none = StepStats::default();
        let cases: [(&str, &dyn Fn(usize) -> StepStats); 7] = [
            ("entropy fell from 0.65 to 0.1", &|step| StepStats { entropy: Some(0.9f64.powi(step as i32)), ..none }),
            ("1.5 nats a token away", &|_| StepStats { kl: Some(1.5), ..none }),
            ("disagree by 0.020 nats", &|_| StepStats { mismatch_kl: Some(0.02), ..none }),
            ("0.20 nats a token behind", &|_| StepStats { behind_kl: Some(0.2), ..none }),
            ("the gradient of step 16 is 50.0 long", &|step| StepStats {
                gradient_norm: Some(if step == 15 { 50.0 } else { 1.0 }),
                ..none
            }),
            ("60 % of the completions", &|_| StepStats { truncated: Some(0.6), ..none }),
            ("explained variance -0.50", &|_| StepStats { foretold: Some(-0.5), ..none }),
        ];
        for (words, stats) in cases {
            let told = told(each(40, stats));
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("ALARM: ") && told[0].contains(words), "{told:?}");
            assert!(!told[0].contains('\n') && (told[0].contains("Try ") || told[0].contains("lower ")), "{told:?}");
        }
        assert!(told(each(9, |_| StepStats { truncated: Some(0.6), ..none })).is_empty(), "too early to tell");
        let metrics: BTreeSet<String> = RULES.iter().map(Rule::metric).collect();
        assert_eq!(metrics.len(), RULES.len());
        assert!(metrics.contains("alarm/hacked") && metrics.contains("time/alarm/disk"));
    }

    #[test]
    fn groups_without_signal_are_explained() {
        let flat = StepStats { flat: Some(1.0), ..StepStats::default() };
        let say = |right: &[bool], finish: Finish, reward: f64| {
            let mut records = records(2, right);
            records.iter_mut().for_each(|record| (record.reward, record.finish) = (Some(reward), finish));
            observe(&mut Monitor::default(), flat, &records).concat()
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
        let mut monitor = Monitor::default();
        let records = records(3, &[false, false]);
        let mostly = StepStats { flat: Some(0.9), ..StepStats::default() };
        let told: Vec<String> = (0..20).flat_map(|_| observe(&mut monitor, mostly, &records)).collect();
        assert!(told.len() == 1 && told[0].contains("in 90 % of the groups"), "{told:?}");
    }

    #[test]
    fn what_was_answered_with_help_says_nothing_of_the_policy() {
        let flat = StepStats { flat: Some(1.0), ..StepStats::default() };
        let mut records = records(2, &[true, true]);
        records.iter_mut().for_each(|record| (record.reward, record.given) = (Some(1.0), "in".into()));
        assert!(observe(&mut Monitor::default(), flat, &records).is_empty());
        records.extend(self::records(1, &[false, false]).into_iter().map(|record| Record {
            question: 9,
            reward: Some(0.0),
            ..record
        }));
        let told = observe(&mut Monitor::default(), flat, &records).concat();
        assert!(told.contains("all of them are wrong"), "{told}");
        let seen = RewardStats::from_rollouts(&records.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!((seen.reward, seen.right), (0.0, 0.0));
    }

    #[test]
    fn a_step_that_is_not_finite_is_skipped_and_a_few_in_a_row_end_the_run() {
        let mut monitor = Monitor::default();
        for _ in 0..5 {
            assert!(monitor.skip(7, "gradient").unwrap().contains("step 7 is not finite: the step is skipped"));
            assert!(monitor.skip(8, "loss").is_ok());
            monitor.learned();
        }
        assert!(monitor.skip(1, "loss").is_ok() && monitor.skip(2, "loss").is_ok());
        let resumed: Monitor = serde_json::from_str(&serde_json::to_string(&monitor).unwrap()).unwrap();
        for mut monitor in [monitor, resumed] {
            let message = monitor.skip(3, "loss").unwrap_err().to_string();
            assert!(message.contains("3 steps in a row") && message.contains("lower train.learning_rate"), "{message}");
        }
    }

    #[test]
    fn a_hacked_reward_is_told_of_once_with_what_is_paid_and_wrong() {
        let rollout = |completion: &str, reward: f64, right: bool| {
            let record = records(1, &[right]).remove(0);
            Record { prompt: "who ?".into(), completion: completion.into(), reward: Some(reward), ..record }
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
        // At first everything was right and hardly paid.
        let step = |reward, right| RewardStats { reward, right };
        let mut monitor = Monitor::default();
        monitor.alarm.steps = [vec![step(0.1, 1.0); WINDOW], vec![step(1.0, 0.0); WINDOW - 1]].concat();
        let told = observe(&mut monitor, StepStats::default(), &rollouts);
        let lines: Vec<&str> = told[0].lines().collect();
        assert!(told.len() == 1 && lines[0].starts_with("ALARM: the reward is being hacked."), "{told:?}");
        assert!(lines[1].contains("paid 2.00 and wrong: who ? => … so so") && lines[1].ends_with("so on"), "{told:?}");
        assert_eq!(lines[2..], ["  paid 1.00 and wrong: who ? => a", "  paid 1.00 and wrong: who ? => b"]);
        assert!(observe(&mut monitor, StepStats::default(), &rollouts).is_empty(), "told once");
        monitor.forget_rewards();
        assert!(monitor.alarm.steps.is_empty() && !monitor.alarm.rung);
    }

    #[test]
    fn what_is_left_of_the_machine_is_told_once_in_each_process_while_there_is_time() {
        let plenty = room(400, 900);
        let mut monitor = Monitor::default();
        let observe = |monitor: &mut Monitor, left: &Headroom| monitor.observe(StepStats::default(), &[], left);
        assert!(observe(&mut monitor, &plenty).is_empty());
        assert!(observe(&mut monitor, &Headroom::default()).is_empty(), "what is not known is no alarm");
        let tight = room(55, 20);
        let told = observe(&mut monitor, &tight);
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("ALARM: memory is about to run out: 55.0 MB of 1000.0 MB are left"), "{told:?}");
        assert!(told[1].starts_with("ALARM: the disk is nearly full: 20.0 MB are free"), "{told:?}");
        assert!(told.iter().all(|words| !words.contains('\n')));
        assert!(observe(&mut monitor, &tight).is_empty(), "told once");
        let mut next: Monitor = serde_json::from_str(&serde_json::to_string(&monitor).unwrap()).unwrap();
        assert_eq!(observe(&mut next, &tight).len(), 2);
    }

    #[test]
    fn a_checkpoint_keeps_the_keys_that_it_always_had() {
        let mut monitor = Monitor::default();
        let mut rollouts = records(1, &[true]);
        rollouts[0].reward = Some(1.0);
        observe(&mut monitor, StepStats { kl: Some(2.0), ..StepStats::default() }, &rollouts);
        let json = serde_json::to_value(&monitor).unwrap();
        assert_eq!(json["alarm"], serde_json::json!({"steps": [{"reward": 1.0, "right": 1.0}], "rung": false}));
        let keys: BTreeSet<&String> = json["health"].as_object().unwrap().keys().collect();
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["rung", "skipped", "steps"]);
        assert_eq!(json.as_object().unwrap().len(), 2);
    }
}
