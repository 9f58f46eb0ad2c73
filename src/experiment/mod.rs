//! The order of stages: from the base to the report. Each takes what it needs from the experiment, makes its part once and
//! leaves it in the run directory; a stage whose inputs have not changed is not made again.

pub(crate) mod context;
mod feasible;
pub mod finetune;
mod lessons;
pub mod pretrain;
mod seeds;
pub mod start;
mod world;

pub(crate) use context::suits;
pub use context::{Experiment, Purpose, preflight, preflight_to_measure};
pub use feasible::{Feasible, can_pretrain, can_run};
pub use finetune::finetune;
pub use pretrain::pretrain;
pub use start::{Start, look_into_files};
pub use world::{WorldPart, export_world, world};

use crate::Result;
use crate::evaluate::{Reported, evaluate, report};

/// Everything from the base to the report, once or for each of several seeds.
///
/// # Errors
/// Whatever ends one of the stages.
pub fn run(experiment: &Experiment) -> Result<Reported> {
    if !experiment.config.run.seeds.is_empty() {
        return seeds::run(experiment);
    }
    evaluate(experiment)?;
    report(experiment.run.root())
}
