//! What a config adds up to, worked out before anything runs: nobody should have to multiply batch sizes.

use super::Config;
use super::footprint::{self, Footprint};
use crate::learner::Algorithm;

/// One derived number: what it is, how many, and how it comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedNumber {
    pub name: &'static str,
    pub value: u128,
    pub because: String,
}

/// What making a base model adds up to.
pub fn of_pretraining(config: &Config) -> Vec<DerivedNumber> {
    let pretrain = &config.pretrain;
    let because = format!("{} steps × {} tokens", pretrain.steps(), pretrain.tokens_per_step);
    vec![line("pretraining tokens", product(&[pretrain.steps(), pretrain.tokens_per_step]), because)]
}

/// What a run adds up to, in the order of its stages.
pub fn of_run(config: &Config) -> Vec<DerivedNumber> {
    let Config { finetune, train, .. } = config;
    let (questions, group, steps, length) =
        (train.questions_per_step, train.group_size, train.steps, train.longest_completion().1);
    // An algorithm that is wrong is refused elsewhere.
    let algorithm = train.algorithm.resolve().unwrap_or_else(|_| Algorithm::grpo());
    let (epochs, extra) = (algorithm.inner_epochs, train.most_extra_rounds(algorithm.filter));
    let optimizer_steps = match epochs {
        1 => "one for each step".to_string(),
        _ => format!("{steps} steps × {epochs} inner epochs"),
    };
    let rollouts = product(&[questions, group]);
    let sampled = product(&[questions, group, length]);
    let shares = [(finetune.replay, "replayed"), (finetune.own_text.unwrap_or(0.0), "own text")];
    let because = format!("{} steps × {} tokens{}", finetune.steps, finetune.tokens_per_step, of_them(&shares));
    let mut lines = Vec::new();
    if let seeds @ 1.. = config.run.seeds.len() {
        lines.push(line(
            "runs",
            product(&[seeds]),
            "one for each of run.seeds; what follows is for one of them".into(),
        ));
    }
    lines.extend([line("fine-tuning tokens", product(&[finetune.steps, finetune.tokens_per_step]), because)]);
    lines.extend(config.warmup.as_ref().map(|warmup| {
        let shares = [(warmup.documents, "documents"), (warmup.own_text.unwrap_or(0.0), "own text")];
        let because = format!("{} steps × {} tokens{}", warmup.steps, warmup.tokens_per_step, of_them(&shares));
        line("warm-up tokens", product(&[warmup.steps, warmup.tokens_per_step]), because)
    }));
    lines.extend([
        line("rollouts per step", rollouts, format!("{questions} questions × {group} completions of each")),
        line("optimizer steps", product(&[steps, epochs]), optimizer_steps),
        line("rollouts in all", product(&[questions, group, steps]), format!("{rollouts} × {steps} steps")),
        line("sampled tokens per step", sampled, format!("at most, {rollouts} rollouts × {length} new tokens")),
        line(
            "sampled tokens in all",
            product(&[questions, group, length, steps]),
            format!("at most, {sampled} × {steps} steps"),
        ),
    ]);
    if extra > 0 {
        let because = format!("at most, {rollouts} × {extra} rounds that replace groups without spread");
        lines.push(line("extra rollouts per step", product(&[questions, group, extra]), because));
    }
    if train.replay_tokens > 0 {
        let because = format!("{} tokens × {} optimizer steps", train.replay_tokens, product(&[steps, epochs]));
        lines.push(line("replayed tokens", product(&[train.replay_tokens, steps, epochs]), because));
    }
    // The one that falls on the last step is the one at the end.
    let between = train.evaluate_every.map_or(0, |every| steps.saturating_sub(1) / every);
    let because = format!("before step 1, {between} on the way, and at the end");
    lines.push(line("evaluations", product(&[between]).saturating_add(2), because));
    if let Some([full, lora]) = footprint::for_config(config) {
        let chosen = |chosen: bool| if chosen { ", as this config does" } else { "" };
        lines.push(memory("MB to train all weights", &full, chosen(config.lora.is_none())));
        lines.push(memory("MB to train adapters", &lora, chosen(config.lora.is_some())));
        let (one, most) = (if config.lora.is_some() { lora } else { full }, footprint::checkpoints(train));
        let mb = one.checkpoint().div_ceil(1_000_000);
        let kept =
            format!("at most {most} × {mb} MB on disk: those that stay, the last step's among them, and one more");
        lines.push(line("MB of checkpoints", one.checkpoint().saturating_mul(most as u128).div_ceil(1_000_000), kept));
    }
    lines.extend(workers(config));
    lines
}

/// Who samples, and how far ahead.
fn workers(config: &Config) -> Vec<DerivedNumber> {
    let (workers, staleness) = (config.run.resolved_workers(), config.train.max_off_policy_steps);
    let line = |value: usize, name, because: String| line(name, product(&[value]), because);
    if staleness == 0 {
        return vec![line(workers, "rollout workers", "the result does not depend on it".into())];
    }
    let shared =
        format!("beside {workers} threads that learn, on the same cores: whoever waits leaves them to the other");
    let ahead = format!(
        "at most, so a token is at most {staleness} versions behind the policy that learns; no two runs are the same"
    );
    vec![line(workers, "rollout workers", shared), line(staleness, "batches sampled ahead", ahead)]
}

fn memory(name: &'static str, footprint: &Footprint, chosen: &str) -> DerivedNumber {
    let mb = |bytes: u128| bytes.div_ceil(1_000_000);
    let Footprint { weights, gradients, moments, sampling, activations } = *footprint;
    let because = format!(
        "weights {}, gradients {}, moments {}, sampling {}, activations about {}{chosen}",
        mb(weights),
        mb(gradients),
        mb(moments),
        mb(sampling),
        mb(activations)
    );
    line(name, mb(footprint.total()), because)
}

fn line(name: &'static str, value: u128, because: String) -> DerivedNumber {
    DerivedNumber { name, value, because }
}

/// What some of them are, in words; nothing of shares of 0.
fn of_them(shares: &[(f64, &str)]) -> String {
    let told = shares.iter().filter(|(share, _)| *share > 0.0);
    let told: Vec<String> = told.map(|(share, what)| format!("{:.0} % {what}", share * 100.0)).collect();
    if told.is_empty() { String::new() } else { format!(", of them {}", told.join(" and ")) }
}

/// A product that a hostile config cannot make overflow.
fn product(factors: &[usize]) -> u128 {
    factors.iter().fold(1, |product: u128, factor| product.saturating_mul(*factor as u128))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AlgorithmChoice, WarmupConfig};

    fn value(config: &Config, name: &str) -> Option<u128> {
        of_run(config).into_iter().find(|line| line.name == name).map(|line| line.value)
    }

    #[test]
    fn the_numbers_are_products_of_the_config() {
        let mut config = Config::default();
        config.train.questions_per_step = 8;
        config.train.group_size = 16;
        config.train.max_new_tokens = 64;
        config.train.steps = 100;
        config.train.evaluate_every = Some(50);
        config.train.replay_tokens = 0;
        assert_eq!(value(&config, "rollouts per step"), Some(128));
        assert_eq!(value(&config, "rollouts in all"), Some(12_800));
        assert_eq!(value(&config, "sampled tokens in all"), Some(819_200));
        // At 0, 50 and 100.
        assert_eq!(value(&config, "evaluations"), Some(3));
        assert_eq!(value(&config, "replayed tokens"), None);
        assert_eq!(value(&config, "extra rollouts per step"), None);
        config.train.algorithm = AlgorithmChoice::Custom("preset = 'dapo'\ninner_epochs = 2".parse().unwrap());
        assert_eq!(value(&config, "optimizer steps"), Some(200));
        assert_eq!(value(&config, "extra rollouts per step"), Some(3 * 128));
    }

    #[test]
    fn what_is_learned_before_is_told_with_its_parts() {
        let mut config = Config::default();
        let because = |config: &Config, name: &str| {
            of_run(config).into_iter().find(|line| line.name == name).map(|line| line.because)
        };
        config.finetune.replay = 0.0;
        let told = because(&config, "fine-tuning tokens").unwrap();
        assert!(told.ends_with(" tokens") && because(&config, "warm-up tokens").is_none(), "{told}");
        (config.finetune.replay, config.finetune.own_text) = (0.25, Some(0.1));
        assert!(
            because(&config, "fine-tuning tokens")
                .unwrap()
                .ends_with("tokens, of them 25 % replayed and 10 % own text")
        );
        config.warmup =
            Some(WarmupConfig { steps: 20, tokens_per_step: 1024, documents: 0.4, ..WarmupConfig::default() });
        assert_eq!(because(&config, "warm-up tokens").unwrap(), "20 steps × 1024 tokens, of them 40 % documents");
    }

    #[test]
    fn absurd_sizes_do_not_overflow() {
        let mut config = Config::default();
        config.train.questions_per_step = usize::MAX;
        config.train.group_size = usize::MAX;
        assert_eq!(value(&config, "sampled tokens in all"), Some(u128::MAX));
        config.train.steps = 0;
        config.train.evaluate_every = None;
        assert_eq!(value(&config, "evaluations"), Some(2));
    }
}
