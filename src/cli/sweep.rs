//! `recollect sweep`.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use recollect::Result;
use recollect::report::sweep_table;
use recollect::store::machine_cache;
use recollect::sweep::Sweep;

use super::output;
use super::progress::StderrProgress;

/// Search for the best reward, learning rate or any other key, with several seeds
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct SweepArgs {
    /// The sweep, a TOML file, or "sweep" for the one that ships (see configs/sweep.toml)
    sweep: PathBuf,
    /// Change one key of the config that the sweep names, for example --set train.steps=50
    #[arg(long = "set", value_name = "KEY=VALUE")]
    changes: Vec<String>,
    /// Print the cells and what they add up to, and do nothing
    #[arg(long)]
    dry_run: bool,
}

const HELP: &str = "\
A sweep trains every cell with every seed and ranks the cells by what they answer about a part of set A that training
does not ask about. Set B stays untouched until the winner is known; it alone is measured there, once.

A sweep's file:
  base = \"configs/quickstart.toml\"      # the config that is changed
  seeds = [0, 1]                        # each sets world.seed, finetune.seed and run.seed

  [search]
  kind = \"grid\"                         # every combination; or
  # kind = \"random\"                     # draws: cells = 20, seed = 0
  # kind = \"halving\"                    # short runs for all, longer ones for the best: eta = 3, rungs = 3, and
  #                                     # cells = 27 to draw them; without cells it begins with the grid
  [set]                                 # for all cells
  train.steps = 80
  train.held_out = 0.3                  # share of A that judges; a quarter unless it is said

  [axes]                                # any key of the config, and of the reward file
  train.learning_rate = [1e-4, 3e-4]    # a list; or, where cells are drawn, a range:
  # train.learning_rate = { from = 1e-5, to = 1e-3, log = true }
  train.reward = [\"rewards/correct.toml\", \"rewards/faithful.toml\"]
  reward.term.recitation.weight = [0.25, 0.5]    # KEY of the term that is called NAME: reward.term.NAME.KEY

Everything is left in the sweep's directory (run.dir; by default runs/ and the name of the sweep's file): sweep.html,
sweep.json, and a run directory for each cell and seed. Ctrl-C, or anything else that ends it, loses no finished cell:
the same command goes on from there. A cell that cannot be trained is named and left out, the others go on. A sweep that
gets more values, seeds or cells makes only what is new.

Examples:
  recollect sweep configs/sweep.toml --dry-run
  recollect sweep configs/sweep.toml
  recollect sweep configs/sweep.toml --set train.steps=60 --set run.dir=runs/sweep-short";

pub fn main(args: &SweepArgs) -> Result<()> {
    let sweep = Sweep::load(&args.sweep, &args.changes)?.sharing(machine_cache::directory());
    output::say(&listing(&sweep))?;
    if args.dry_run {
        return Ok(());
    }
    let interrupt = output::interruptible()?;
    let swept = sweep.run(&interrupt, Arc::new(StderrProgress::detect()))?;
    output::say_styled(&sweep_table(&swept.summary, io::stdout().is_terminal()))?;
    swept.files.iter().try_for_each(|path| output::wrote(path))
}

/// The cells, and what they add up to.
fn listing(sweep: &Sweep) -> String {
    let mut text = String::new();
    let file = &sweep.file;
    for cell in &sweep.cells {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# cell {:>3}  {}", cell.number, cell.what);
    }
    let seeds: Vec<String> = file.seeds.iter().map(u64::to_string).collect();
    let _ = writeln!(text, "# {}, with seeds {}, in {}", sweep.describe(), seeds.join(", "), sweep.root.display());
    let _ = writeln!(text, "# {} runs, {} rollouts at most", sweep.runs(), sweep.rollouts());
    text
}
