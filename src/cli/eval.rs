//! `recollect eval`.

use std::path::PathBuf;

use recollect::Result;
use recollect::experiment::{arithmetic, stages};

use super::arguments::StageArgs;

/// Measure a checkpoint against the fine-tuned baseline
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    stage: StageArgs,
    /// A checkpoint in the Hugging Face layout [default: the last one of the run]
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
}

const HELP: &str = "\
Every arm answers the same questions of A and B: fine-tuned, thinking before training, in context, after training.

Examples:
  recollect eval configs/quickstart.toml
  recollect eval configs/quickstart.toml --checkpoint runs/other/stages/train-0123456789abcdef \\
    --set run.dir=runs/compared";

pub fn main(args: &Args) -> Result<()> {
    args.stage.perform(arithmetic::of_run, |experiment| stages::eval(experiment, args.checkpoint.as_deref()))
}
