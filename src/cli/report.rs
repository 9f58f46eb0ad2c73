//! `recollect report`.

use std::path::PathBuf;

use recollect::Result;
use recollect::experiment::stages;

use super::output;

/// Write the report of a run again, as a page and as JSON
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The directory of a run
    run: PathBuf,
}

const HELP: &str = "\
Example:
  recollect report runs/quickstart";

pub fn main(args: &Args) -> Result<()> {
    output::reported(&stages::report(&args.run)?);
    Ok(())
}
