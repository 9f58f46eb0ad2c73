//! Arguments that subcommands share, and what they resolve to.

use std::path::PathBuf;
#[cfg(feature = "mpi")]
use std::sync::Arc;

use recollect::config::Config;
use recollect::config::arithmetic::DerivedNumber;
use recollect::evaluation::{Requirement, Summary};
#[cfg(feature = "mpi")]
use recollect::exchange::mpi::{self, Role};
use recollect::experiment::{Experiment, preflight};
use recollect::interrupt::Interrupt;
use recollect::kernels::DeviceChoice;
use recollect::report::{Column, ShownTable};
use recollect::store::machine_cache;
use recollect::telemetry::Progress;
use recollect::{Error, Result, experiment};

use super::output;
use super::progress::StderrProgress;

/// A config file and changes to it.
#[derive(Clone, clap::Args)]
pub struct ConfigArgs {
    /// The config, a TOML file, one that ships by its name (quickstart, tasks, …; see configs/), or the directory of a run
    pub config: PathBuf,
    /// Change one key, for example --set train.steps=300; can be given several times, the last one wins
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub changes: Vec<String>,
}

/// What the numbers have to be.
#[derive(clap::Args)]
pub struct RequireArgs {
    /// End with exit code 1 unless a share of right answers holds, as in "after-rl.B.reversal.open >= 0.9" (ARM.SET.TASK
    /// or ARM.SET.TASK.FORM); can be given several times
    #[arg(long = "require", value_name = "ARM.SET.TASK >= SHARE")]
    requirements: Vec<Requirement>,
}

impl RequireArgs {
    /// Refuses a report that does not meet all of them, a line for each.
    pub fn check(&self, summary: &Summary) -> Result<()> {
        Error::all(self.requirements.iter().filter_map(|requirement| requirement.check(summary).err()).collect())
    }
}

/// How a policy is sampled from.
#[derive(clap::Args)]
pub struct SamplerArgs {
    /// Seed of what is sampled
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where it is sampled: "auto", "cpu" or "cuda:N"
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Worker threads (0: one for each core)
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,
}

impl SamplerArgs {
    /// Worker threads; `None`: one for each core.
    pub fn workers(&self) -> Option<usize> {
        (self.workers > 0).then_some(self.workers)
    }
}

/// What every stage takes.
#[derive(Clone, clap::Args)]
pub struct StageArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print the resolved config and what it adds up to, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Serve the metrics of the last step to Prometheus at this address, for example 127.0.0.1:9187
    #[cfg(feature = "prometheus")]
    #[arg(long, value_name = "ADDRESS")]
    prometheus: Option<std::net::SocketAddr>,
}

impl ConfigArgs {
    /// The config with every change and every default.
    pub fn resolve(&self) -> Result<Config> {
        Config::load(&self.config, &self.changes)
    }
}

impl StageArgs {
    /// The config, where what is asked for is possible with it.
    pub fn resolve(&self, check: fn(&Config) -> Result<()>) -> Result<Config> {
        let config = self.config.resolve()?;
        check(&config)?;
        Ok(config)
    }

    /// Prints what the stage adds up to, opens the experiment and hands it to the stage. With `--dry-run`, prints
    /// the config and what it adds up to, and does no more. Of several ranks rank 0 alone does any of it: the others join
    /// first, and may have none of the files.
    pub fn perform(
        &self,
        resolve: impl FnOnce() -> Result<Config>,
        arithmetic: fn(&Config) -> Vec<DerivedNumber>,
        stage: impl FnOnce(&Experiment) -> Result<()>,
    ) -> Result<()> {
        let check = |config: &Config, (): &()| {
            preflight(config)?;
            experiment::look_into_files(config)
        };
        let open = |config, (): &(), interrupt, progress| Experiment::open(config, interrupt, progress);
        self.perform_opened(|| Ok((resolve()?, ())), arithmetic, check, open, |experiment, ()| stage(experiment))
    }

    /// The same with what else is found out on the way, and with an experiment that is checked, which gives notes on what was
    /// found, and opened in another way.
    pub fn perform_opened<T>(
        &self,
        resolve: impl FnOnce() -> Result<(Config, T)>,
        arithmetic: fn(&Config) -> Vec<DerivedNumber>,
        check: impl FnOnce(&Config, &T) -> Result<Vec<String>>,
        open: impl FnOnce(Config, &T, Interrupt, Box<dyn Progress>) -> Result<Experiment>,
        stage: impl FnOnce(&Experiment, T) -> Result<()>,
    ) -> Result<()> {
        let interrupt = output::interruptible()?;
        #[cfg(feature = "mpi")]
        let learner = {
            let interrupt = interrupt.clone();
            match mpi::join(move || interrupt.requested())? {
                Some(Role::Actor(actor)) => return actor.serve(),
                Some(Role::Learner(learner)) => Some(learner),
                None => None,
            }
        };
        let (config, found) = resolve()?;
        let sums = comments(&arithmetic(&config));
        if self.dry_run {
            let notes: String = check(&config, &found)?.iter().map(|note| format!("# {note}\n")).collect();
            return output::say(&format!("{}\n{sums}{notes}", config.to_toml()?));
        }
        #[cfg_attr(not(feature = "mpi"), expect(unused_mut, reason = "others sample only where there are other ranks"))]
        let mut experiment =
            open(config, &found, interrupt, Box::new(StderrProgress::detect()))?.sharing(machine_cache::directory());
        #[cfg(feature = "prometheus")]
        if let Some(address) = self.prometheus {
            serve_metrics(address)?;
        }
        output::say(&sums)?;
        #[cfg(feature = "mpi")]
        if let Some(learner) = &learner {
            let others = learner.others();
            output::say(&format!("# rank 0 learns, ranks 1 to {} sample and share the gradients", others.len()))?;
            experiment.actors = Arc::new(others);
        }
        stage(&experiment, found)
    }
}

/// Whatever reaches the global recorder from now on is served at this address, by a thread of its own.
#[cfg(feature = "prometheus")]
fn serve_metrics(address: std::net::SocketAddr) -> Result<()> {
    let exporter = metrics_exporter_prometheus::PrometheusBuilder::new().with_http_listener(address);
    exporter.install().map_err(|error| {
        let remedy = "name an address of this machine that nobody else listens at, such as 127.0.0.1:9187";
        Error::invalid(format!("--prometheus {address}"), error.to_string(), remedy)
    })
}

/// Derived numbers as TOML comments: the output of `--dry-run` is a config itself.
fn comments(lines: &[DerivedNumber]) -> String {
    let table = ShownTable::with_columns(
        lines,
        &[
            (Column::left(""), &|line| format!("# {}", line.name).into()),
            (Column::right(""), &|line| line.value.into()),
            (Column::left(""), &|line| format!("({})", line.because).into()),
        ],
    );
    table.compact() + "\n"
}
