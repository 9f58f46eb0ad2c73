//! The stages in order. Each takes what it needs from the experiment, makes its part once and leaves it in the run
//! directory; a stage whose inputs have not changed is not made again.

mod evaluate;
mod finetune;
mod look;
mod pretrain;
mod report;
mod train;

use std::path::Path;

use super::base::{self, Base};
use super::{Config, Experiment};
use crate::knowledge::{World, audit};
use crate::{Error, Result};

pub use evaluate::eval;
pub use finetune::finetune;
pub use look::{WorldPart, export_world, world};
pub use pretrain::pretrain;
pub use report::{Reported, report};
pub use train::train;

/// Everything from the base to the report.
pub fn run(experiment: &Experiment) -> Result<Reported> {
    eval(experiment, None)?;
    report(experiment.run.root())
}

/// What every stage after `pretrain` starts from: the base, the world around it, and what identifies both.
struct Start {
    base: Base,
    world: World,
    /// Digest of base and world.
    digest: String,
}

impl Start {
    /// Loads the base and makes the world. A world with a shortcut is refused.
    fn new(config: &Config) -> Result<Self> {
        let base = Base::load(config.base.dir())?;
        let world = generated(config, &base)?;
        audit::check(&world)?;
        let digest = format!("{} {:?}", base::digest(config.base.dir())?, config.world.generated());
        Ok(Self { base, world, digest: crate::files::digest(digest.as_bytes()) })
    }
}

/// The world that the config asks for, around what the base knows.
fn generated(config: &Config, base: &Base) -> Result<World> {
    let Some(known) = &base.known else {
        let remedy = "take a base that `recollect pretrain` made, or give world.jsonl files";
        return Err(Error::invalid(config.base.path.clone(), "the base has no known.json", remedy));
    };
    World::new(known, &config.world.generated())
}

/// Seconds that a stage took, kept beside its results so that a later report can say so.
fn note_time(dir: &Path, started: std::time::Instant) -> Result<()> {
    let text = format!("{:.1}", started.elapsed().as_secs_f64());
    crate::files::write_atomic(&dir.join("seconds"), text.as_bytes())
}
