//! `recollect eval`.

use std::path::PathBuf;

use recollect::config::{Config, arithmetic};
use recollect::evaluate::{self, Comparison, Measuring};
use recollect::evaluation::Arm;
use recollect::experiment::Experiment;
use recollect::{Result, experiment, report};

use super::arguments::{ConfigArgs, RequireArgs, StageArgs};
use super::arms::{self, AskedArms};
use super::output;

/// Measure every arm on the same questions, or one checkpoint against another
#[derive(clap::Args)]
#[command(after_help = help())]
#[command(mut_arg("config", |arg| {
    // Whoever wants to see the list has nothing to evaluate yet.
    arg.help(CONFIG).required_unless_present("arms").required(false).default_value_if("arms", "list", "list")
}))]
pub struct EvalArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// A checkpoint (in the Hugging Face layout, or a GGUF file) in place of the policy that the run trains
    #[arg(long, value_name = "PATH", conflicts_with = "against")]
    checkpoint: Option<PathBuf>,
    /// Compare with this checkpoint (named as the first one) on the same questions, with paired tests
    #[arg(long, value_name = "BASELINE")]
    against: Option<String>,
    /// With --against: ask the questions of this file (rows of prompt and completion, or what `recollect world --export`
    /// wrote) rather than those of the run; can be given several times
    #[arg(long, value_name = "FILE", requires = "against")]
    questions: Vec<PathBuf>,
    /// With --questions: the documents that they are about, for contexts and retrieval; can be given several times
    #[arg(long, value_name = "FILE", requires = "questions")]
    documents: Vec<PathBuf>,
    /// Which arms to evaluate, separated by commas: names from the list below, `standard` (what a run evaluates), `all`, or
    /// `list` to print them; the fine-tuned baseline is always one of them
    #[arg(long, value_name = "ARM,…", value_delimiter = ',')]
    arms: Vec<AskedArms>,
    /// Also score by which of a question's choices is the likeliest to follow, where they are not shown
    #[arg(long)]
    likelihood: bool,
    #[command(flatten)]
    require: RequireArgs,
}

const CONFIG: &str = "The config, a TOML file or one that ships by its name, the directory of a run, or RUN@STEP (RUN@0 is fine-tuned \
    only); with --against a checkpoint: a directory in the Hugging Face layout, a run, or RUN@STEP";

fn help() -> String {
    format!(
        "\
Arms, ways of answering that get the same questions of A and B:
{}

A run is asked as it is: its policies are never trained again, and what is asked of it beside what its config asks for
(other arms, more samples, another temperature, a checkpoint on the way) goes to RUN/evaluations/NAME, with a report of
its own, or to --set run.dir=DIR. An arm whose policy the run has not trained says so, and trains it first. Every arm is
compared with the fine-tuned baseline: exact McNemar test with Holm's correction, and a paired bootstrap of the difference.

Examples:
  recollect eval configs/quickstart.toml
  recollect eval runs/quickstart --arms standard,filler,filler-after-rl,retrieval --likelihood
  recollect eval runs/quickstart --set evaluation.samples=4 --set evaluation.temperature=0.8
  recollect eval runs/quickstart@200
  recollect eval configs/quickstart.toml --checkpoint runs/other/stages/train-0123456789abcdef \\
    --set run.dir=runs/compared
  recollect eval runs/quickstart --against runs/quickstart@0 --require \"after-rl.B.reversal.open >= 0.9\"
  recollect eval models/mine --against models/theirs --questions questions.jsonl",
        arms::list()
    )
}

pub fn main(args: &EvalArgs) -> Result<()> {
    if args.arms.contains(&AskedArms::List) {
        return output::say(&arms::list());
    }
    let mut stage = args.stage.clone();
    stage.config.changes.extend(arms::change(&args.arms));
    stage.config.changes.extend(args.likelihood.then(|| "arms.likelihood=true".to_owned()));
    match &args.against {
        None => {
            let find = || -> Result<(Config, Measuring)> {
                let ConfigArgs { config, changes } = &stage.config;
                let measuring = Measuring::find(config, changes, args.checkpoint.as_deref())?;
                Ok((measuring.config().clone(), measuring))
            };
            let open = |_, measuring: &Measuring, interrupt, progress| measuring.open(interrupt, progress);
            let measure = |experiment: &Experiment, measuring| {
                evaluate::eval(experiment, &measuring)?;
                let report = evaluate::report(experiment.run.root())?;
                output::reported(&report)?;
                args.require.check(&report.summary)
            };
            let check = |config: &Config, measuring: &Measuring| {
                measuring.check()?;
                experiment::look_into_files(config)
            };
            stage.perform_opened(find, arithmetic::of_run, check, open, measure)
        }
        Some(baseline) => {
            let name = stage.config.config.display().to_string();
            let found = || -> Result<(Config, Comparison)> {
                let comparison = Comparison::new(&name, baseline, &args.questions, &args.documents)?;
                let config = comparison.config(&stage.config.changes)?;
                comparison.check(&config)?;
                Ok((config, comparison))
            };
            let compare = |experiment: &Experiment, comparison| {
                evaluate::compare(experiment, &comparison)?;
                let report = evaluate::report(experiment.run.root())?;
                output::say(&format!(
                    "{name} answers as \"{}\", \"{}\", …; {baseline} as \"{}\", \"{}\", …\n",
                    Arm::AfterRl.label(),
                    Arm::DirectAfterRl.label(),
                    Arm::ThinkingBeforeRl.label(),
                    Arm::FineTuned.label()
                ))?;
                output::reported(&report)?;
                output::say(&report::matched_arms_table(&report.summary))?;
                args.require.check(&report.summary)
            };
            let check = |config: &Config, comparison: &Comparison| comparison.check(config);
            let open =
                |config, comparison: &Comparison, interrupt, progress| comparison.open(config, interrupt, progress);
            stage.perform_opened(found, |_| Vec::new(), check, open, compare)
        }
    }
}
