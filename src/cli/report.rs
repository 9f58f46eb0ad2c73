//! `recollect report`.

use std::path::PathBuf;

use recollect::experiment::stages;
use recollect::report::over_runs_table;
use recollect::{Error, Result, files};

use super::arguments::RequireArgs;
use super::output;

/// Write the report of a run again, or put runs with different seeds together
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The directory of a run, or of several that differ in seeds alone
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// With several runs: also write what they say together to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    require: RequireArgs,
}

const HELP: &str = "\
One run: the table, and report.html, report.md and report.json in its directory. Several: the mean of every arm over the
runs, with an interval that holds what comes from the questions and what comes from the seeds.

Examples:
  recollect report runs/quickstart
  recollect report runs/seed-0 runs/seed-1 runs/seed-2 --json seeds.json
  recollect report runs/quickstart --require \"after-rl.B.reversal >= 0.9\"";

pub fn main(args: &Args) -> Result<()> {
    if let [run] = &args.runs[..] {
        let report = stages::report(run)?;
        output::reported(&report);
        return args.require.check(&report.summary);
    }
    let together = stages::report_together(&args.runs)?;
    output::say(&over_runs_table(&together, args.runs.len()));
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&together)
            .map_err(|error| Error::invalid(path.display().to_string(), error.to_string(), "it cannot be written"))?;
        files::write_atomic(path, &json)?;
        output::say(&format!("wrote {}", path.display()));
    }
    args.require.check_together(&together)
}
