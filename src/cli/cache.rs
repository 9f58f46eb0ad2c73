//! `recollect cache`.

use std::time::Duration;

use recollect::store::machine_cache::{self, CachedStage, VARIABLE};
use recollect::{Result, files};

use super::output;
use super::progress::span;

const DAY: u64 = 24 * 3600;

/// What the runs of this machine share: stages before reinforcement learning
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct CacheArgs {
    /// Remove what was not used for so many days; 0 removes everything
    #[arg(long, value_name = "DAYS")]
    remove: Option<u32>,
}

const HELP: &str = "\
A base, own texts, fine-tuning, the warm-up and the questions before reinforcement learning are made once for all runs with the
same documents, base and keys, so that another reward begins with its first step. They are in the directory that
RECOLLECT_CACHE names, or in `recollect` among the caches of the user ($XDG_CACHE_HOME, or ~/.cache). RECOLLECT_CACHE=off makes
every run for itself, and so does run.cache, which names a directory for the runs that name it.

A run has every file of its stages under a name of its own, as a hard link where both are on one disk: it takes no further
room, and nothing is lost when the cache is emptied.

Examples:
  recollect cache                 what is there
  recollect cache --remove 30     remove what nobody used for a month
  recollect cache --remove 0      remove everything";

pub fn main(args: &CacheArgs) -> Result<()> {
    let Some(cache) = machine_cache::directory() else {
        return output::say(&format!("there is no cache: {VARIABLE} is off, or no directory for caches is known"));
    };
    let place = output::shown(&cache);
    let (words, stages) = match args.remove {
        Some(days) => ("removed", machine_cache::remove(&cache, Duration::from_secs(u64::from(days) * DAY))?),
        None => ("in all", machine_cache::list(&cache)?),
    };
    if stages.is_empty() {
        let none = if args.remove.is_some() { "nothing to remove" } else { "empty" };
        return output::say(&format!("{place}: {none}"));
    }
    let bytes = stages.iter().map(|stage| stage.bytes).sum();
    let lines: Vec<String> = stages.iter().map(line).collect();
    output::say(&format!("{place}\n{}\n{:>12} {words}", lines.join("\n"), files::megabytes(bytes)))
}

fn line(stage: &CachedStage) -> String {
    let unused = span(stage.unused.as_secs_f64());
    format!("{:>12}  {:28} used {unused} ago", files::megabytes(stage.bytes), stage.name)
}
