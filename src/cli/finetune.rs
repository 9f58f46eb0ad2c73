//! `recollect finetune`.

use recollect::config::arithmetic;
use recollect::{Result, experiment};

use super::arguments::StageArgs;
use super::output;

/// Teach the base the documents of A and B
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct FinetuneArgs {
    #[command(flatten)]
    stage: StageArgs,
}

const HELP: &str = "\
What comes out is the fine-tuned baseline: it knows the documents and can hardly use them.

Example:
  recollect finetune configs/quickstart.toml";

pub fn main(args: &FinetuneArgs) -> Result<()> {
    args.stage.perform(arithmetic::of_run, |experiment| {
        output::say(&format!("the fine-tuned policy is in {}", output::shown(&experiment::finetune(experiment)?.dir)))
    })
}
