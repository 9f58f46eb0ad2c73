//! A file per subcommand: raw arguments to resolved ones, and all printing.

pub mod arguments;
pub mod arms;
pub mod ask;
pub mod cache;
pub mod compare;
pub mod config;
pub mod doctor;
pub mod eval;
pub mod export;
pub mod init;
pub mod output;
pub mod progress;
pub mod report;
pub mod reward;
pub mod run;
#[cfg(feature = "serve")]
pub mod serve;
pub mod sweep;
pub mod train;
pub mod watch;
pub mod world;

use std::io::{self, IsTerminal};
use std::process;

use clap::{Parser, Subcommand};
use recollect::Result;
use recollect::text::printable;

/// Teaches language models to recall what they already know.
///
/// A model is fine-tuned on documents, measured, trained by reinforcement learning to recite its own knowledge
/// into its chain of thought, and measured again on knowledge that this training never touched.
#[derive(Parser)]
#[command(name = "recollect", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  recollect init mine                                    begin an experiment of your own
  recollect run configs/quickstart.toml                  the whole experiment, left in runs/quickstart/
  recollect run configs/quickstart.toml --dry-run        what would be run, and what it adds up to
  recollect run configs/quickstart.toml --set run.seed=1 --set run.dir=runs/seed-1
  recollect world configs/quickstart.toml --show questions --limit 5
  recollect doctor path/to/checkpoint                    whether a model works here, how much it takes, how fast it is
  recollect watch runs/quickstart                        how it is going, from another terminal
  recollect report runs/quickstart                       write the report again
  recollect ask runs/quickstart                          ask its policy something, and read what it thinks
  recollect serve runs/quickstart                        the same for other programs, by OpenAI's protocol
  recollect reward explain rewards/faithful.toml         what a reward pays for
  recollect export runs/quickstart models/recalls        take the policy away, as transformers loads it
  recollect sweep configs/sweep.toml                     which reward, learning rate and group size is best
  recollect config train.group_size                      what a key means, takes and is unless told

Configs and rewards that ship are named without a file: `recollect run quickstart`, `--set train.reward=recall`.

Ctrl-C stops after the step that is going on; the same command goes on from there.
Exit codes: 0 done, 1 something is wrong (one line says what), 2 wrong usage, 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    Init(init::InitArgs),
    Run(run::RunArgs),
    World(world::WorldArgs),
    Doctor(doctor::DoctorArgs),
    #[command(about = "Make a base model from scratch", after_help = run::PRETRAIN)]
    Pretrain(arguments::StageArgs),
    #[command(about = "Teach the base the documents of A and B", after_help = run::FINETUNE)]
    Finetune(arguments::StageArgs),
    Train(train::TrainArgs),
    Eval(eval::EvalArgs),
    Watch(watch::WatchArgs),
    Report(report::ReportArgs),
    Compare(compare::CompareRunsArgs),
    Ask(ask::AskArgs),
    #[cfg(feature = "serve")]
    Serve(serve::ServeArgs),
    Export(export::ExportArgs),
    Reward(reward::RewardArgs),
    Sweep(sweep::SweepArgs),
    Config(config::ConfigReferenceArgs),
    Cache(cache::CacheArgs),
}

/// Reads the command line and does what it says.
pub fn run() -> Result<()> {
    match parse()?.command {
        Command::Init(args) => init::main(&args),
        Command::Run(args) => run::main(&args),
        Command::World(args) => world::main(&args),
        Command::Doctor(args) => doctor::main(&args),
        Command::Pretrain(args) => run::pretrain(&args),
        Command::Finetune(args) => run::finetune(&args),
        Command::Train(args) => train::main(&args),
        Command::Eval(args) => eval::main(&args),
        Command::Watch(args) => watch::main(&args),
        Command::Report(args) => report::main(&args),
        Command::Compare(args) => compare::main(&args),
        Command::Ask(args) => ask::main(&args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::main(&args),
        Command::Export(args) => export::main(&args),
        Command::Reward(args) => reward::main(&args),
        Command::Sweep(args) => sweep::main(&args),
        Command::Config(args) => config::main(&args),
        Command::Cache(args) => cache::main(&args),
    }
}

/// The command line. What is asked for instead (`--help`, `--version`) is printed as everything is, and a usage that is
/// wrong ends the process: without what else stood on the line, nothing can be done.
fn parse() -> Result<Cli> {
    let error = match Cli::try_parse() {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    let (plain, styled) = (error.render().to_string(), error.render().ansi().to_string());
    if error.use_stderr() {
        // An argument may hold what a terminal obeys; then nothing is styled.
        if printable(&plain) == plain {
            drop(error.print())
        } else {
            eprint!("{}", printable(&plain))
        }
        process::exit(error.exit_code());
    }
    if io::stdout().is_terminal() {
        output::say_styled(&styled)?
    } else {
        output::say(&plain)?
    }
    process::exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
