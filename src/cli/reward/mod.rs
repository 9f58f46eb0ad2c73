//! `recollect reward`.

mod file;
mod init;
mod judge;
mod rollouts;
mod text;

use std::path::PathBuf;

use clap::Subcommand;
use recollect::Result;
use recollect::reward::Reward;
use recollect::reward::rescore::{Options, Rescored, rescore};
use recollect::store::history;

use super::output;
use super::progress::StderrProgress;

/// Tune what a completion is worth, without a run
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct RewardArgs {
    #[command(subcommand)]
    job: RewardCommand,
}

const HELP: &str = "\
A reward is a TOML file of terms with weights (see rewards/), or one that ships by its name. Rollouts are what a run wrote: its directory, its
rollouts/ or single step-*.jsonl files.

Examples:
  recollect reward init mine --python
  recollect reward check rewards/mine.toml
  recollect reward explain rewards/mine.toml
  recollect reward score rewards/mine.toml runs/quickstart
  recollect reward compare rewards/correct.toml rewards/mine.toml runs/quickstart
  recollect reward hunt rewards/mine.toml runs/quickstart/rollouts/step-000020.jsonl";

#[derive(Subcommand)]
enum RewardCommand {
    Init(init::RewardInitArgs),
    Check(file::CheckArgs),
    Explain(file::ExplainArgs),
    Score(rollouts::ScoreArgs),
    Compare(rollouts::CompareArgs),
    Hunt(rollouts::HuntArgs),
    #[command(hide = true)]
    Judge(judge::JudgeArgs),
}

/// The rollouts to score and how.
#[derive(clap::Args)]
struct RolloutArgs {
    /// Run directories or files of rollouts
    #[arg(required = true, value_name = "ROLLOUTS")]
    rollouts: Vec<PathBuf>,
    /// Completions that are shown
    #[arg(long, value_name = "N", default_value_t = 5)]
    show: usize,
    /// Threads [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

/// One reward on rollouts.
#[derive(clap::Args)]
struct RescoreArgs {
    /// The reward, a TOML file, or one that ships by its name (recall, correct, …; see rewards/)
    reward: PathBuf,
    #[command(flatten)]
    rollouts: RolloutArgs,
}

impl RescoreArgs {
    fn rescore(&self) -> Result<Rescored> {
        self.rollouts.rescore(&[Reward::load(&self.reward)?])
    }
}

impl RolloutArgs {
    fn rescore(&self, rewards: &[Reward]) -> Result<Rescored> {
        for path in &self.rollouts {
            output::damaged(&history::damage_to_rollouts(path)?);
        }
        let there = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = self.workers.unwrap_or(there).clamp(1, 64);
        rescore(rewards, &self.rollouts, Options { kept: self.show, workers }, &StderrProgress::detect())
    }
}

pub fn main(args: &RewardArgs) -> Result<()> {
    match &args.job {
        RewardCommand::Init(args) => init::init(args),
        RewardCommand::Check(args) => file::check(args),
        RewardCommand::Explain(args) => file::explain(args),
        RewardCommand::Score(args) => rollouts::score(args),
        RewardCommand::Compare(args) => rollouts::compare(args),
        RewardCommand::Hunt(args) => rollouts::hunt(args),
        RewardCommand::Judge(args) => judge::judge(args),
    }
}
