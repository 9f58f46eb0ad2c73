//! `recollect run`, and its first stages alone: `recollect pretrain`, `recollect finetune`.

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
    let resolve = || args.stage.resolve(experiment::can_run);
    args.stage.perform(resolve, arithmetic::of_run, |experiment| {
        let report = experiment::run(experiment)?;
        output::reported(&report)?;
        args.require.check(&report.summary)
    })
}

pub const PRETRAIN: &str = "\
The base that ships was made by this command; [model] and [pretrain] say how.

Examples:
  recollect pretrain configs/base.toml
  recollect pretrain configs/base.toml --set pretrain.seed=1 --set run.dir=runs/base-1";

pub fn pretrain(stage: &StageArgs) -> Result<()> {
    stage.perform(
        || stage.resolve(experiment::can_pretrain),
        arithmetic::of_pretraining,
        |experiment| output::say(&format!("the base is in {}", output::shown(&experiment::pretrain(experiment)?))),
    )
}

pub const FINETUNE: &str = "\
What comes out is the fine-tuned baseline: it knows the documents and can hardly use them.

Example:
  recollect finetune configs/quickstart.toml";

pub fn finetune(stage: &StageArgs) -> Result<()> {
    stage.perform(
        || stage.resolve(experiment::can_run),
        arithmetic::of_run,
        |experiment| {
            output::say(&format!(
                "the fine-tuned policy is in {}",
                output::shown(&experiment::finetune(experiment)?.dir)
            ))
        },
    )
}
