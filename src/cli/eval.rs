//! `recollect eval`.

use std::path::PathBuf;

use recollect::Result;
use recollect::experiment::{arithmetic, stages};

use super::arguments::{RequireArgs, StageArgs};
use super::output;

/// Measure a checkpoint against the fine-tuned baseline
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    stage: StageArgs,
    /// A checkpoint in the Hugging Face layout [default: the last one of the run]
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    require: RequireArgs,
}

const HELP: &str = "\
Every arm answers the same questions of A and B: fine-tuned, thinking before training, in context, after training.

Examples:
  recollect eval configs/quickstart.toml
  recollect eval configs/quickstart.toml --checkpoint runs/other/stages/train-0123456789abcdef \\
    --set run.dir=runs/compared
  recollect eval configs/quickstart.toml --require \"after-rl.B.reversal >= 0.9\"";

pub fn main(args: &Args) -> Result<()> {
    args.stage.perform(arithmetic::of_run, |experiment| {
        stages::eval(experiment, args.checkpoint.as_deref())?;
        let report = stages::report(experiment.run.root())?;
        output::reported(&report);
        args.require.check(&report.summary)
    })
}
