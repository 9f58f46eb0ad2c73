//! `recollect report`.

use std::path::PathBuf;

use recollect::store::history;
use recollect::{Result, evaluate};

use super::arguments::RequireArgs;
use super::output;

/// Write the report of a run again, or put runs with different seeds together
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct ReportArgs {
    /// The directory of a run, or of several that differ in seeds alone
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// With several runs: write report.html, report.md and report.json of all of them into this directory
    #[arg(long, value_name = "DIRECTORY")]
    into: Option<PathBuf>,
    #[command(flatten)]
    require: RequireArgs,
}

const HELP: &str = "\
One run, or one with run.seeds: the table, and report.html, report.md and report.json in its directory. Several: the mean
of every arm over the runs, with an interval that holds what comes from the questions and what comes from the seeds.

Examples:
  recollect report runs/quickstart
  recollect report runs/seed-0 runs/seed-1 runs/seed-2 --into runs/together
  recollect report runs/quickstart --require \"after-rl.B.reversal.open >= 0.9\"";

pub fn main(args: &ReportArgs) -> Result<()> {
    for run in &args.runs {
        output::damaged(&history::damage(run)?);
    }
    let report = match &args.runs[..] {
        [run] if args.into.is_none() => evaluate::report(run)?,
        runs => evaluate::report_together(runs, args.into.as_deref())?,
    };
    output::reported(&report)?;
    args.require.check(&report.summary)
}
