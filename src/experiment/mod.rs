//! The order of stages: from the base to the report. Each takes what it needs from the experiment, makes its part once and
//! leaves it in the run directory; a stage whose inputs have not changed is not made again.

pub(crate) mod budget;
pub(crate) mod context;
mod feasible;
pub mod finetune;
pub(crate) mod held_back;
mod lm_eval;
pub(crate) mod own_text;
pub mod pretrain;
mod recall;
pub mod start;
pub(crate) mod warmup;
mod world;

pub(crate) use context::suits;
pub use context::{Experiment, Purpose, preflight, preflight_to_measure};
pub use feasible::{Feasible, can_pretrain, can_run};
pub use finetune::finetune;
pub use lm_eval::export_lm_eval;
pub use pretrain::pretrain;
pub use start::{Start, look_into_files};
pub use world::{WorldPart, export_world, propose_facts, proposed, world, write_facts};

use crate::Result;
use crate::config::Config;
use crate::evaluate::{Reported, evaluate, report};

/// Everything from the base to the report, once or for each of several seeds.
///
/// # Errors
/// Whatever ends one of the stages.
pub fn run(experiment: &Experiment) -> Result<Reported> {
    if !experiment.config.run.seeds.is_empty() {
        return run_seeds(experiment);
    }
    experiment.budget.begin(experiment.run.root())?;
    evaluate(experiment)?;
    report(experiment.run.root())
}

/// Makes every run, one after the other, from the same cache of stages; those that are finished are found again.
fn run_seeds(experiment: &Experiment) -> Result<Reported> {
    let seeds = &experiment.config.run.seeds;
    for (done, seed) in seeds.iter().enumerate() {
        experiment.progress.tell(&format!("seed {seed}, run {} of {}", done + 1, seeds.len()));
        let config = with_seed(&experiment.config, *seed);
        let of_seed = experiment.child(&experiment.run.of_seed(*seed), config, Purpose::Train)?;
        of_seed.budget.begin(of_seed.run.root())?;
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
