//! One experiment with several seeds: a whole run for each of them, and what they say together.

use crate::Result;
use crate::config::Config;
use crate::evaluate::{Reported, evaluate, report};
use crate::experiment::{Experiment, Purpose};

/// Makes every run, one after the other, from the same cache of stages; those that are finished are found again.
pub(crate) fn run(experiment: &Experiment) -> Result<Reported> {
    let seeds = &experiment.config.run.seeds;
    for (done, seed) in seeds.iter().enumerate() {
        experiment.progress.tell(&format!("seed {seed}, run {} of {}", done + 1, seeds.len()));
        let config = with_seed(&experiment.config, *seed);
        let of_seed = experiment.child(&experiment.run.of_seed(*seed), config, Purpose::Train)?;
        evaluate(&of_seed)?;
        report(of_seed.run.root())?;
    }
    report(experiment.run.root())
}

/// What one of the runs is a run of. Its world, what is trained and what is sampled are its own.
fn with_seed(config: &Config, seed: u64) -> Config {
    let mut config = config.clone();
    config.run.seeds = Vec::new();
    (config.world.seed, config.finetune.seed, config.run.seed) = (seed, seed, seed);
    config
}
