//! `recollect report`.

use std::path::PathBuf;

use recollect::Result;
use recollect::experiment::stages;

use super::arguments::RequireArgs;
use super::output;

/// Write the report of a run again, as a page and as JSON
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The directory of a run
    run: PathBuf,
    #[command(flatten)]
    require: RequireArgs,
}

const HELP: &str = "\
Examples:
  recollect report runs/quickstart
  recollect report runs/quickstart --require \"after-rl.B.reversal >= 0.9\"";

pub fn main(args: &Args) -> Result<()> {
    let report = stages::report(&args.run)?;
    output::reported(&report);
    args.require.check(&report.summary)
}
