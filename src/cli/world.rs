//! `recollect world`.

use std::path::PathBuf;

use recollect::Result;
use recollect::experiment::{self, WorldPart};

use super::arguments::ConfigArgs;
use super::output;

/// Look at the knowledge of a config: documents, questions, answers, the shortcut audit
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct WorldArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What to print; can be given several times
    #[arg(long, value_enum, value_name = "PART", default_value = "audit")]
    show: Vec<WorldPart>,
    /// Print at most this many entries of each part
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Write everything into this directory instead of printing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["show", "limit"])]
    export: Option<PathBuf>,
    /// Write its questions about B as tasks of lm-evaluation-harness into this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["show", "limit", "export"])]
    export_lm_eval: Option<PathBuf>,
    /// Propose the facts that your own documents state, for you to check: print them, or write them into a new file
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with_all = ["show", "export"])]
    propose_facts: Option<Option<PathBuf>>,
}

const HELP: &str = "\
The audit looks for ways to answer without knowing: the majority answer, the position of a candidate, frequencies,
a single premise. A world in which one of them beats chance is refused.

Examples:
  recollect world configs/quickstart.toml
  recollect world configs/quickstart.toml --show documents --show questions --limit 5
  recollect world configs/quickstart.toml --set world.seed=1 --export /tmp/world
  recollect world configs/smollm2.toml --export-lm-eval tasks   ask any model the same by lm-evaluation-harness
  recollect world own.toml --propose-facts facts.jsonl         what your documents state, to be checked by you";

pub fn main(args: &WorldArgs) -> Result<()> {
    let config = args.config.resolve()?;
    if let Some(file) = &args.propose_facts {
        let proposal = experiment::propose_facts(&config)?;
        if let Some(file) = file {
            experiment::write_facts(&proposal, file)?;
            output::wrote(file)?;
        }
        return output::say(&experiment::proposed(&proposal, file.as_deref(), args.limit)?);
    }
    if let Some(dir) = &args.export_lm_eval {
        experiment::export_lm_eval(&config, dir)?.iter().try_for_each(|path| output::wrote(path))?;
        return output::say(&format!("\n  lm_eval --include_path {} --tasks recollect …", output::shown(dir)));
    }
    match &args.export {
        Some(dir) => experiment::export_world(&config, dir)?.iter().try_for_each(|path| output::wrote(path)),
        None => output::say(&experiment::world(&config, &args.show, args.limit)?),
    }
}
