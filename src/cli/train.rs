//! `recollect train`.

use recollect::Result;
use recollect::experiment::{arithmetic, stages};

use super::arguments::StageArgs;
use super::output;

/// Reinforcement learning on the questions of A
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    stage: StageArgs,
}

const HELP: &str = "\
Fine-tunes first where this has not been done. What a completion is worth stands in the file that train.reward
names; the questions of B are never used here.

Whatever stops a run, the same command goes on from its newest checkpoint; so does naming its directory. With
train.from a run branches off from a checkpoint of another one.

Examples:
  recollect train configs/quickstart.toml
  recollect train runs/quickstart
  recollect train configs/quickstart.toml --set train.from=runs/quickstart@100 \\
    --set train.reward=rewards/correct.toml --set run.dir=runs/branch
  recollect train configs/quickstart.toml --set train.learning_rate=1e-4 --set run.dir=runs/slow";

pub fn main(args: &Args) -> Result<()> {
    args.stage.perform(arithmetic::of_run, |experiment| {
        output::say(&format!("the trained policy is in {}", stages::train(experiment)?.dir.display()));
        Ok(())
    })
}
