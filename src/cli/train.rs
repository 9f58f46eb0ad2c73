//! `recollect train`.

use std::path::Path;

use recollect::config::{Config, Override, arithmetic};
use recollect::experiment::{self, Experiment};
use recollect::store::{RunDir, checkpoint};
use recollect::{Error, Result, rl};

use super::arguments::{ConfigArgs, StageArgs};
use super::output;

/// Reinforcement learning on the questions of A
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct TrainArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// Go on with a run from its newest checkpoint; refused where there is none, so that nothing begins anew by mistake
    #[arg(long, conflicts_with = "from")]
    resume: bool,
    /// Branch off from a checkpoint of the run, in a directory of its own (the run's name with -from-STEP, unless
    /// run.dir is set); 0 is the fine-tuned policy before the first step, RUN@STEP names a checkpoint of another run
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
}

const HELP: &str = "\
Fine-tunes first where this has not been done. What a completion is worth stands in the file that train.reward
names; the questions of B are never used here.

Whatever stops a run, the same command goes on from its newest checkpoint; so does naming its directory, and with
--resume it is an error if there is nothing to go on from. --from is short for train.from and a run.dir.
A finished run goes on when train.steps is raised, with the learning rate of the new number of steps from there on.

Examples:
  recollect train configs/quickstart.toml
  recollect train runs/quickstart --resume
  recollect train runs/quickstart --resume --set train.steps=400
  recollect train runs/quickstart --from 100 --set train.reward=rewards/correct.toml
  recollect train configs/quickstart.toml --set train.from=runs/quickstart@200 --set run.dir=runs/branch
  recollect train configs/quickstart.toml --set train.learning_rate=1e-4 --set run.dir=runs/slow
  mpirun -np 4 recollect train configs/quickstart.toml     if built with --features mpi: rank 0 learns, prints and
                                                           writes, the others sample and share the gradients; only
                                                           rank 0 needs the files of the run";

pub fn main(args: &TrainArgs) -> Result<()> {
    args.stage.perform(
        || args.resolve(),
        arithmetic::of_run,
        |experiment| {
            let trained = rl::train(experiment)?;
            if args.resume && trained.reused {
                output::say(&finished(experiment))?;
            }
            output::say(&format!("the trained policy is in {}", output::shown(&trained.dir)))
        },
    )
}

/// What to say of a run that has nothing left to do.
fn finished(experiment: &Experiment) -> String {
    let (run, steps) = (experiment.run.root().display(), experiment.config.train.steps);
    let more = steps.saturating_mul(2);
    format!(
        "{run} is finished: all {steps} steps (train.steps) are done; to train it further, raise them: \
         `recollect train {run} --resume --set train.steps={more}`"
    )
}

impl TrainArgs {
    /// The config of the run, or of the branch, that is asked for.
    fn resolve(&self) -> Result<Config> {
        let mut config = self.stage.config.clone();
        if let Some(from) = &self.from {
            let branch = branch(&config, from)?;
            config.changes.extend(branch);
        }
        let config = config.resolve()?;
        if self.resume {
            demand_checkpoint(&config.run.dir)?;
        }
        experiment::can_run(&config)?;
        Ok(config)
    }
}

/// The changes that make a branch of a config: where it begins, and where it is written.
fn branch(config: &ConfigArgs, from: &str) -> Result<Vec<String>> {
    let names_dir = |text: &&String| Override::parse(text).is_ok_and(|change| change.sets("run.dir"));
    let changes = config.changes.iter().filter(|text| !names_dir(text)).cloned().collect();
    let trunk = ConfigArgs { config: config.config.clone(), changes }.resolve()?.run.dir;
    let (named, step) = match from.rsplit_once('@') {
        Some((_, step)) => (from.to_string(), step),
        None => (format!("{}@{from}", trunk.display()), from),
    };
    // Tells at once what is wrong with the name.
    checkpoint::origin(&named)?;
    let text = |key: &str, value: String| format!("{key}={}", toml::Value::String(value));
    let mut branch = vec![text("train.from", named)];
    if !config.changes.iter().any(|change| names_dir(&change)) {
        let name = trunk.file_name().unwrap_or_default().to_string_lossy();
        let dir = trunk.with_file_name(format!("{name}-from-{step}"));
        branch.push(text("run.dir", dir.display().to_string()));
    }
    Ok(branch)
}

/// Refuses a directory that holds nothing to go on from.
fn demand_checkpoint(dir: &Path) -> Result<()> {
    let there = dir.exists() && RunDir::read(dir).is_ok_and(|(run, _)| checkpoint::any(&run));
    if there {
        return Ok(());
    }
    let found = "no checkpoint in it to go on from";
    let remedy = "leave --resume out to begin, or name the directory of a run that was stopped";
    Err(Error::invalid(format!("--resume {}", dir.display()), found, remedy))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A run directory with these checkpoints.
    fn run(home: &Path, name: &str, steps: &[usize]) -> std::path::PathBuf {
        let dir = home.join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.toml"), "").unwrap();
        for step in steps {
            fs::create_dir_all(dir.join(format!("checkpoints/train-0/step-{step:06}"))).unwrap();
        }
        dir
    }

    #[test]
    fn a_step_names_a_checkpoint_of_the_run_and_a_directory_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let trunk = run(home.path(), "trunk", &[20, 40]);
        let args = |changes: &[&str]| ConfigArgs {
            config: trunk.clone(),
            changes: changes.iter().map(|change| change.to_string()).collect(),
        };
        let resolved = |changes: &[&str], from: &str| {
            let mut args = args(changes);
            let branch = branch(&args, from)?;
            args.changes.extend(branch);
            args.resolve()
        };
        let other = run(home.path(), "other", &[7]);
        let elsewhere = ["run.dir=elsewhere"];
        for (changes, from, named, dir) in [
            (&[][..], "40", format!("{}@40", trunk.display()), home.path().join("trunk-from-40")),
            (&elsewhere, "20", format!("{}@20", trunk.display()), "elsewhere".into()),
            (
                &[],
                &format!("{}@7", other.display()),
                format!("{}@7", other.display()),
                home.path().join("trunk-from-7"),
            ),
            // The fine-tuned policy.
            (&[], "0", format!("{}@0", trunk.display()), home.path().join("trunk-from-0")),
        ] {
            let config = resolved(changes, from).unwrap();
            assert_eq!((config.train.from, config.run.dir), (Some(named), dir));
        }
        let message = resolved(&[], "30").unwrap_err().to_string();
        assert!(message.contains("no checkpoint of step 30") && message.contains("steps 20, 40"), "{message}");
        assert!(resolved(&[], "soon").unwrap_err().to_string().contains("no RUN@STEP"));
    }

    #[test]
    fn only_a_run_with_a_checkpoint_is_resumed() {
        let home = tempfile::tempdir().unwrap();
        assert!(demand_checkpoint(&run(home.path(), "stopped", &[20])).is_ok());
        for dir in [run(home.path(), "begun", &[]), home.path().join("nowhere"), home.path().to_path_buf()] {
            let message = demand_checkpoint(&dir).unwrap_err().to_string();
            assert!(message.contains("no checkpoint in it to go on from; leave --resume out"), "{message}");
        }
    }
}
