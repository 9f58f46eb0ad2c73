//! `recollect compare`.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use recollect::report::{compare_page, compare_table};
use recollect::{Result, evaluate, files};

use super::output;

/// Put different runs side by side: what their configs differ in, their curves, their arms
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct CompareRunsArgs {
    /// Directories of runs that were evaluated; the others are compared with the first
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Write a page with their curves as well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

const HELP: &str = "\
Nothing is asked again: the answers that the runs have are compared, question by question where they were asked the same.
(`recollect eval A --against B` asks two checkpoints anew; `recollect report` puts seeds of one experiment together.)

Examples:
  recollect compare runs/quickstart runs/slower
  recollect compare runs/quickstart runs/correct runs/recall --html compared.html";

pub fn main(args: &CompareRunsArgs) -> Result<()> {
    let runs = evaluate::side_by_side(&args.runs)?;
    output::say_styled(&compare_table(&runs, io::stdout().is_terminal()))?;
    let Some(path) = &args.html else { return Ok(()) };
    files::write_atomic(path, compare_page(&runs)?.as_bytes())?;
    output::wrote(path)
}
