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

Examples:
  recollect train configs/quickstart.toml
  recollect train configs/quickstart.toml --set train.learning_rate=1e-4 --set run.dir=runs/slow";

pub fn main(args: &Args) -> Result<()> {
    args.stage.perform(arithmetic::of_run, |experiment| {
        output::say(&format!("the trained policy is in {}", stages::train(experiment)?.dir.display()));
        Ok(())
    })
}
