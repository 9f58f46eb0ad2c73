//! `recollect run`.

use recollect::config::arithmetic;
use recollect::{Result, experiment};

use super::arguments::{RequireArgs, StageArgs};
use super::output;

/// The whole experiment: fine-tune, measure, train, measure again, report
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct RunArgs {
    #[command(flatten)]
    stage: StageArgs,
    #[command(flatten)]
    require: RequireArgs,
}

const HELP: &str = "\
Everything is left in the run directory (run.dir; by default runs/ and the name of the config): metrics.jsonl,
rollouts/, checkpoints/, report.html, report.md and report.json. Stages whose inputs have not changed are skipped.

Examples:
  recollect run configs/quickstart.toml
  recollect run configs/quickstart.toml --set train.steps=50 --set run.dir=runs/short
  recollect run configs/quickstart.toml --dry-run > resolved.toml";

pub fn main(args: &RunArgs) -> Result<()> {
    args.stage.perform(arithmetic::of_run, |experiment| {
        let report = experiment::run(experiment)?;
        output::reported(&report)?;
        args.require.check(&report.summary)
    })
}
