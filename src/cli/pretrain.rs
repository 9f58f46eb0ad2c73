//! `recollect pretrain`.

use recollect::config::arithmetic;
use recollect::{Result, experiment};

use super::arguments::StageArgs;
use super::output;

/// Make a base model from scratch
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct PretrainArgs {
    #[command(flatten)]
    stage: StageArgs,
}

const HELP: &str = "\
The base that ships was made by this command; [model] and [pretrain] say how.

Examples:
  recollect pretrain configs/base.toml
  recollect pretrain configs/base.toml --set pretrain.seed=1 --set run.dir=runs/base-1";

pub fn main(args: &PretrainArgs) -> Result<()> {
    args.stage.perform_checked(experiment::can_pretrain, arithmetic::of_pretraining, |experiment| {
        output::say(&format!("the base is in {}", output::shown(&experiment::pretrain(experiment)?)))
    })
}
