//! What the metrics of a run mean, in a line each: for whoever meets them under their names alone, as Prometheus does.

use metrics::{describe_gauge, gauge};

use super::MetricsLine;

/// Names, and beginnings of names that end in `/`. The first that fits is taken.
const MEANINGS: &[(&str, &str)] = &[
    ("step", "Optimizer steps of reinforcement learning that are done."),
    ("reward_std", "Standard deviation of the reward within a group, in the mean of all groups."),
    ("reward_changes", "How often the reward file was changed and read again."),
    ("reward", "Mean reward of a step's completions."),
    ("rewards/", "A term of the reward over a step's completions, or how often it failed."),
    ("correct/", "Share of right answers among a step's completions, by form of question."),
    (
        "frac_reward_zero_std",
        "Share of groups whose completions all got one reward, so that nothing is learned from them.",
    ),
    ("num_tokens", "Tokens of all steps so far: prompts, each as often as it was completed, and completions."),
    ("completions/mean_length", "Mean length of a step's completions in tokens."),
    ("completions/min_length", "Tokens of the shortest completion of a step."),
    ("completions/max_length", "Tokens of the longest completion of a step."),
    ("completions/mean_terminated_length", "Mean length of the completions that ended by themselves, in tokens."),
    ("completions/min_terminated_length", "Tokens of the shortest completion that ended by itself."),
    ("completions/max_terminated_length", "Tokens of the longest completion that ended by itself."),
    ("completions/unjudged", "Completions without a reward: a command that judges gave no value for them."),
    ("completions/clipped_ratio", "Share of completions that ran out of tokens."),
    ("recited/facts", "Sentences in a chain of thought, in the mean."),
    ("recited/true_share", "Share of recited sentences that are true."),
    ("recited/needed_found", "Share of chains of thought that hold all that their answer needs."),
    ("recited/right_and_known", "Share of right answers that follow from the true facts that were recited."),
    ("loss", "Loss of the step, after its normaliser."),
    ("replay/loss", "Loss on the documents that are rehearsed beside reinforcement learning, in nats a token."),
    ("entropy", "Entropy of the policy at the sampled tokens, in nats a token."),
    ("kl", "Divergence from the policy that training started from, in nats a token."),
    ("mismatch_kl", "Divergence between what sampled a token and what learns from it, in nats a token."),
    ("grad_norm", "Length of the gradient before it is clipped."),
    ("learning_rate", "Learning rate of the step."),
    ("clip_ratio/low_mean", "Share of tokens whose ratio was held at the lower bound."),
    (
        "clip_ratio/low_min",
        "The smallest such share among the optimizer steps of a step (`train.algorithm.inner_epochs`).",
    ),
    ("clip_ratio/high_mean", "Share of tokens whose ratio was held at the upper bound."),
    ("clip_ratio/high_max", "The largest such share among the optimizer steps of a step."),
    ("clip_ratio/region_mean", "Share of tokens whose ratio was held at either bound."),
    ("importance/capped_ratio", "Share of tokens whose importance weight was cut off at its bound."),
    ("filter/extra_rounds", "Further rounds of sampling in place of groups without spread."),
    ("filter/replaced_groups", "Groups without spread that were replaced."),
    ("hint/given", "Mean tokens of a thought that it was given to begin with."),
    ("staleness/", "Share of tokens that were sampled so many policy versions ago."),
    ("queue/finished", "Completions that have ended before it is their turn to be learned from."),
    ("queue/begun", "Completions that are being sampled."),
    ("queue/waiting", "Completions that wait for a slot."),
    ("value/", "What the value head makes of the tokens of a step."),
    ("skipped_steps", "Steps that changed nothing, because a loss or a gradient was not finite."),
    ("alarm/", "1 at the steps at which this alarm rang."),
    ("time/tokens_per_second", "Sampled tokens a second of the whole step."),
    ("time/step_time", "Seconds that the step took."),
    ("time/judge", "Seconds for which the learner waited for judgements when all completions were there."),
    ("time/wait_for_batch", "Seconds for which the learner waited for completions."),
    ("time/wait_for_weights", "Seconds for which a worker waited for leave to sample further ahead, on average."),
    ("time/learned_elsewhere", "Share of a step's tokens whose gradient other ranks computed."),
    ("time/alarm/", "1 at the steps at which what the machine has left rang this alarm."),
    ("time/", "Seconds that a part of the step took."),
];

/// What a metric means; `None` for a name that no run writes.
pub fn meaning(name: &str) -> Option<&'static str> {
    let fits = |known: &str| name == known || (known.ends_with('/') && name.starts_with(known));
    MEANINGS.iter().find(|(known, _)| fits(known)).map(|(_, meaning)| *meaning)
}

/// Gives the metrics of a step to the global recorder, should the program that this runs in have one: as gauges
/// `recollect/NAME`, each with what it means.
pub fn export(line: &MetricsLine) {
    let set = |name: &str, value: f64| {
        let known = format!("recollect/{name}");
        describe_gauge!(known.clone(), meaning(name).unwrap_or_default());
        gauge!(known).set(value);
    };
    set("step", line.step as f64);
    line.finite().for_each(|(name, value)| set(&name, value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_name_is_not_taken_for_a_shorter_one() {
        assert!(meaning("reward_std").unwrap().contains("deviation"));
        assert!(meaning("rewards/correct/mean").unwrap().contains("term"));
        assert!(meaning("time/sample").unwrap().contains("part"));
        assert_eq!(meaning("rewards"), None);
    }

    /// The rules of Prometheus that a gauge's name can break (`promtool check metrics` names the same).
    #[test]
    fn names_are_those_that_prometheus_likes() {
        for (name, meaning) in MEANINGS {
            for end in ["_count", "_sum", "_bucket", "_total", "_sec", "_ms", "_mb", "/count", "/sum", "/total"] {
                assert!(!name.ends_with(end), "{name} ends in {end}");
            }
            assert!(meaning.ends_with('.') && meaning.len() < 120, "{name}");
        }
    }
}
