//! The rules: each a value with a name, what it watches, when it speaks, and what it says.

use std::collections::{BTreeMap, HashSet};

use super::observed::{Observed, RewardStats, StepStats, WINDOW, mean};
use super::resources::STEPS;
use crate::files::megabytes;
use crate::reward::Record;
use crate::rollout::Finish;

/// What a rule is about, which decides how long is remembered that it has spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watches {
    /// What the reward pays: until another one takes its place.
    Reward,
    /// What steps say: as long as the run goes on.
    Steps,
    /// What is left of the machine: as long as the process runs.
    Machine,
}

/// One thing that can go wrong.
pub struct Rule {
    pub name: &'static str,
    pub watches: Watches,
    /// What a page that has no room says while it speaks.
    pub short: &'static str,
    /// What it says where it speaks; nothing where it is too early to tell, or nothing was measured.
    pub speaks: fn(&Observed) -> Option<String>,
}

impl Rule {
    /// The metric that is 1 in each step in which it speaks. What depends on the machine stands beside the times, because a
    /// run on another one has other values there.
    pub fn metric(&self) -> String {
        let place = if self.watches == Watches::Machine { "time/alarm" } else { "alarm" };
        format!("{place}/{}", self.name)
    }
}

const fn rule(
    name: &'static str,
    watches: Watches,
    short: &'static str,
    speaks: fn(&Observed) -> Option<String>,
) -> Rule {
    Rule { name, watches, short, speaks }
}

/// All rules, in the order in which they speak.
pub static RULES: [Rule; 11] = [
    rule(
        "hacked",
        Watches::Reward,
        "the reward rises while right answers fall: `recollect reward hunt` shows what it pays",
        |observed| {
            let (from, before, now) = hacked(observed.rewards)?;
            let words = format!(
                "the reward is being hacked. Since steps {} to {} it rose from {:.2} to {:.2}, and right answers fell \
                 from {:.0} % to {:.0} %. `recollect reward hunt` shows what is paid instead.",
                from + 1,
                from + WINDOW,
                before.reward,
                now.reward,
                100.0 * before.right,
                100.0 * now.right
            );
            Some([words].into_iter().chain(paid_and_wrong(observed.rollouts)).collect::<Vec<_>>().join("\n"))
        },
    ),
    rule(
        "entropy",
        Watches::Steps,
        "entropy has fallen to a fifth: completions become copies of one another",
        |observed| {
            let of = |step: &StepStats| step.entropy;
            let (before, now) = (mean(observed.steps.get(..WINDOW)?, of)?, observed.recent(of)?);
            (now < before / 5.0).then(|| {
                format!(
                    "entropy fell from {before:.2} to {now:.2} nats (means of {WINDOW} steps): completions of a question \
                     become copies of one another and leave nothing to compare. Try train.algorithm.entropy = 0.003, a \
                     higher train.algorithm.clip.high or a lower train.learning_rate."
                )
            })
        },
    ),
    rule("kl", Watches::Steps, "the policy is far from the one that it started from", |observed| {
        let kl = observed.recent(|step| step.kl).filter(|kl| *kl > 1.0)?;
        Some(format!(
            "the policy is {kl:.1} nats a token away from the one that it started from (mean of {WINDOW} steps): \
             what that one could do is being lost. Try a larger train.algorithm.kl or a lower train.learning_rate."
        ))
    }),
    rule("mismatch_kl", Watches::Steps, "sampler and learner disagree about probabilities", |observed| {
        let kl = observed.recent(|step| step.mismatch_kl).filter(|kl| *kl > 0.01)?;
        Some(format!(
            "sampler and learner disagree by {kl:.3} nats a token (mean of {WINDOW} steps) before anything is \
             learned: the gradient is that of another policy. Try run.precision = \"f32\" or \
             train.algorithm.tis_cap = 2."
        ))
    }),
    rule("off_policy", Watches::Steps, "the policies that sample are far behind the one that learns", |observed| {
        let kl = observed.recent(|step| step.behind_kl).filter(|kl| *kl > 0.1)?;
        Some(format!(
            "the policies that sample are {kl:.2} nats a token behind the one that learns (mean of {WINDOW} steps): \
             what it learns from is no longer what it would say. Try a lower train.max_off_policy_steps, a lower \
             train.learning_rate, or train.algorithm.tis_cap = 2."
        ))
    }),
    rule("grad_norm", Watches::Steps, "the gradient is ten times as long as those before", |observed| {
        let now = observed.steps.last()?.gradient_norm?;
        let before = observed.steps.iter().rev().filter_map(|step| step.gradient_norm).skip(1);
        let mut before: Vec<f64> = before.take(WINDOW).collect();
        before.sort_by(f64::total_cmp);
        if before.len() < WINDOW {
            return None;
        }
        let usual = f64::midpoint(before[WINDOW / 2 - 1], before[WINDOW / 2]);
        (now > 10.0 * usual).then(|| {
            format!(
                "the gradient of step {} is {now:.1} long, and {usual:.1} was usual in the {WINDOW} steps before: a few \
                 completions pull far harder than all others. Where it comes again, lower train.max_gradient_norm or \
                 train.learning_rate.",
                observed.steps.len()
            )
        })
    }),
    rule("truncated", Watches::Steps, "half of the completions run out of tokens", |observed| {
        let share = observed.recent(|step| step.truncated).filter(|share| *share > 0.5)?;
        Some(format!(
            "{:.0} % of the completions of the last {WINDOW} steps ran out of tokens: without an answer, their \
             reward says nothing of their thoughts. Try a larger train.max_new_tokens, a cost of length in the \
             reward (kind = \"length\"), or train.algorithm.filter.keep = \"finished\".",
            100.0 * share
        ))
    }),
    rule(
        "no_signal",
        Watches::Steps,
        "all completions of a question are paid the same: there is nothing to compare",
        |observed| {
            let whose = if observed.steps.last()?.flat == Some(1.0) {
                "every completion of every group got the same reward".to_owned()
            } else {
                let share = observed.recent(|step| step.flat).filter(|share| *share > 0.8)?;
                format!("in {:.0} % of the groups every completion got the same reward", 100.0 * share)
            };
            let (why, remedy) = why_flat(observed.rollouts)?;
            Some(format!("{whose}, because {why}: there is nothing to compare, so nothing is learned. Try {remedy}."))
        },
    ),
    rule("value", Watches::Steps, "the value head foretells less than a constant would", |observed| {
        // A head begins with nothing: what it says of the first steps is no sign.
        let explained = observed.recent(|step| step.foretold).filter(|_| observed.steps.len() >= 3 * WINDOW)?;
        (explained < 0.0).then(|| {
            format!(
                "the value head foretells rewards worse than their mean would (explained variance {explained:.2} over \
                 {WINDOW} steps): advantages are mostly its errors. Try another train.algorithm.value.rate, \
                 and train.algorithm.advantage.lambda = 1, which trusts it least."
            )
        })
    }),
    rule("memory", Watches::Machine, "memory is about to run out", |observed| {
        let (room, swing) = (observed.headroom.memory?, observed.headroom.swing);
        // A hundredth of all memory comes and goes with whatever else runs.
        (room.left < swing.saturating_add(room.whole / 100)).then(|| {
            format!(
                "memory is about to run out: {} of {} are left, and a step takes up to {} more than is taken now. The \
                 system ends a process that takes more than there is, without a word; the same command then goes on \
                 from the newest checkpoint. Try fewer run.workers, a smaller train.questions_per_step or \
                 train.group_size, or adapters ([lora]); `--dry-run` says what takes how much.",
                megabytes(room.left),
                megabytes(room.whole),
                megabytes(swing)
            )
        })
    }),
    rule("disk", Watches::Machine, "the disk is nearly full", |observed| {
        let (free, next) = (observed.headroom.disk?, observed.headroom.next);
        (free < next).then(|| {
            format!(
                "the disk is nearly full: {} are free, and the next checkpoint with the rollouts of {STEPS} steps takes \
                 {}. The run ends where something does not fit. Make room, or keep fewer checkpoints (train.keep_last, \
                 train.keep_best).",
                megabytes(free),
                megabytes(next)
            )
        })
    }),
];

/// Answers have to become fewer by this share before a reward counts as hacked. Ten steps of the quickstart are 120
/// questions, whose share of right answers strays by about 0.05.
const FALL: f64 = 0.15;
/// Words of a completion that are shown: the last ones, where its answer stands.
const SHOWN: usize = 24;

/// The earlier window, with its number, from which right answers fell most while the reward rose, and the last one.
fn hacked(steps: &[RewardStats]) -> Option<(usize, RewardStats, RewardStats)> {
    let mean = |steps: &[RewardStats], of: fn(&RewardStats) -> f64| steps.iter().map(of).sum::<f64>() / WINDOW as f64;
    let window = |w: &[RewardStats]| RewardStats { reward: mean(w, |s| s.reward), right: mean(w, |s| s.right) };
    let windows = || steps.windows(WINDOW).map(window);
    let now = windows().next_back()?;
    let earlier = windows().take((steps.len() + 1).saturating_sub(2 * WINDOW)).enumerate();
    let worse = earlier.filter(|(_, then)| now.right <= then.right - FALL && now.reward > then.reward);
    worse.max_by(|(_, a), (_, b)| a.right.total_cmp(&b.right)).map(|(from, then)| (from, then, now))
}

/// The wrong answers that are paid most, a line each, none twice.
fn paid_and_wrong(rollouts: &[&Record]) -> Vec<String> {
    let wrong = rollouts.iter().copied().filter(|record| !record.judgement.correct);
    let mut wrong: Vec<(f64, &Record)> = wrong.filter_map(|record| Some((record.reward?, record))).collect();
    // By their words where they are paid alike, so that the order says nothing about workers.
    wrong.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.completion.cmp(&other.completion)));
    let mut shown_once = HashSet::new();
    wrong.retain(|(_, record)| shown_once.insert(record.completion.as_str()));
    let shown = |(reward, record): &(f64, &Record)| {
        let words: Vec<&str> = record.completion.split_whitespace().collect();
        let cut = words.len().saturating_sub(SHOWN);
        let words = words[cut..].join(" ");
        let more = if cut > 0 { "… " } else { "" };
        format!("  paid {reward:.2} and wrong: {} => {more}{words}", record.prompt)
    };
    wrong.iter().take(3).map(shown).collect()
}

/// Why the completions of most groups without spread got the same reward, and what to do about it.
fn why_flat(rollouts: &[&Record]) -> Option<(&'static str, &'static str)> {
    const REASONS: [(&str, &str); 5] = [
        ("all of them are right", "harder questions (train.forms), or end the run here: there is no more to gain"),
        (
            "all of them ran out of tokens before they answered",
            "a larger train.max_new_tokens, or shorter thoughts (finetune.cot_style.longest)",
        ),
        (
            "all of them are wrong",
            "more completions of each question (train.group_size), a reward that pays for parts of the way, or more \
             fine-tuning",
        ),
        (
            "the reward pays right and wrong ones alike",
            "`recollect reward explain` on the reward, and terms that tell them apart",
        ),
        (
            "fewer than two of them were judged",
            "the command of the reward by hand, on a line as rewards/README.md shows it; metrics.jsonl counts how it failed",
        ),
    ];
    let mut groups: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
    // That nothing is left to learn where a thought was given says nothing of the policy alone.
    let alone = rollouts.iter().filter(|record| record.given.is_empty());
    alone.for_each(|record| groups.entry(record.question).or_default().push(record));
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

    /// Whether a reward counts as hacked at the end of a run with these rewards and shares of right answers.
    fn is_hacked(steps: impl Iterator<Item = (f64, f64)>) -> bool {
        hacked(&steps.map(|(reward, right)| RewardStats { reward, right }).collect::<Vec<_>>()).is_some()
    }

    #[test]
    fn only_a_reward_that_rises_while_right_answers_fall_is_hacked() {
        let way = |step: usize| step as f64 / 40.0;
        assert!(is_hacked((0..40).map(|s| (way(s), 0.6 - 0.4 * way(s)))));
        assert!(!is_hacked((0..40).map(|s| (way(s), 0.2 + 0.4 * way(s)))), "both rise");
        assert!(!is_hacked((0..40).map(|s| (1.0 - way(s), 0.6 - 0.4 * way(s)))), "both fall");
        assert!(!is_hacked((0..40).map(|s| (way(s), 0.6 - 0.1 * way(s)))), "hardly a fall");
        assert!(!is_hacked((0..19).map(|s| (way(s), 0.6 - 0.4 * way(s)))), "too early to tell");
        assert!(!is_hacked(std::iter::empty()));
    }
}
