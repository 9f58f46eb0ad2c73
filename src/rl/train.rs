//! The stage of reinforcement learning on the questions of A: what it depends on, and what it leaves.

use std::path::PathBuf;

use serde::Serialize;

use super::trainer::{Notes, Trainer, branched_from, tell};
use super::training_loop::TrainingLoop;
use crate::base::{self, Saved};
use crate::config::RunConfig;
use crate::evaluation::Curves;
use crate::experiment::budget::{LEARNING, TrainingStage};
use crate::experiment::finetune::{FINETUNE, learn_documents};
use crate::experiment::{Experiment, Start};
use crate::knowledge::Division;
use crate::learner::{Advantage, Algorithm, Ratio};
use crate::monitor::resources;
use crate::store::checkpoint::{self, Checkpoints};
use crate::store::history::History;
use crate::store::{Manifest, Stage};
use crate::{Result, files};

/// Name of the stage.
pub(crate) const TRAIN: &str = "train";
/// File in the stage's directory that holds the learning curves.
const CURVES: &str = "curves.json";

/// Trains the fine-tuned policy and gives the stage that holds the result.
///
/// # Errors
/// Whatever ends a stage before it; an algorithm that cannot learn from this base; a run that is to stop.
pub fn train(experiment: &Experiment) -> Result<Stage> {
    let start = Start::new(experiment)?;
    let tuned = learn_documents(experiment, &start)?;
    start.record(experiment)?;
    Manifest::record(experiment.run.root(), FINETUNE, &tuned)?;
    let trained = reinforce(experiment, &start, &tuned)?;
    Manifest::record(experiment.run.root(), TRAIN, &trained)?;
    Ok(trained)
}

/// What the trained policy depends on.
pub(crate) fn inputs<'a>(
    experiment: &'a Experiment,
    start: &'a Start,
    tuned: &'a Stage,
) -> Result<impl Serialize + 'a> {
    let config = &experiment.config;
    // A reward that may change on the way is known by the name of its file alone, any other by what it pays; a checkpoint
    // is known by its content.
    let mut train = config.train.learned();
    train.from = None;
    let reward = (!config.train.reload_reward).then(|| experiment.reward()).transpose()?;
    if reward.is_some() {
        train.reward = PathBuf::new();
    }
    let RunConfig { seed, precision, .. } = config.run;
    let from = branched_from(experiment)?;
    // How often a policy answers when it is finished is no part of how it came to be.
    let evaluation = config.train.evaluate_every.map(|_| config.evaluation.during_training());
    Ok((&tuned.content, train, reward, evaluation, seed, precision, &start.digest, from))
}

pub(crate) fn reinforce(experiment: &Experiment, start: &Start, tuned: &Stage) -> Result<Stage> {
    let config = &experiment.config;
    // Before anything is written.
    if let Some(notes) = checkpoint::newest_notes::<Notes>(&experiment.run) {
        notes.reward.demand_same(experiment)?;
    }
    let algorithm = config.train.algorithm.resolve()?;
    let stage = experiment.cache.get_or_make(TRAIN, &inputs(experiment, start, tuned)?, |dir| {
        if let Some(words) = uncorrected(config.train.max_off_policy_steps, &algorithm) {
            experiment.progress.tell(words);
        }
        let precision = config.run.precision;
        let reference = match algorithm.kl {
            0.0 => None,
            _ => {
                let temperature = config.train.temperature as f32;
                let reference =
                    start.base.successor(Saved::within(&tuned.dir))?.with_precision(precision).on(&experiment.device)?;
                Some(reference.with_temperature(temperature))
            }
        };
        let division = Division::new(&start.knowledge, config.train.held_out, config.world.seed)?;
        let trainer = Trainer { experiment, start, algorithm, reference, division };
        let there = checkpoint::of_training(&experiment.run).len();
        let forecasts = [resources::forecast(config), resources::disk_forecast(config, there)];
        forecasts.iter().flatten().for_each(|words| experiment.progress.tell(words));
        let checkpoints = Checkpoints::new(&experiment.run, TRAIN, &trainer.key(tuned)?, config.train.keep_last);
        let (policy, resumed) = trainer.resume(tuned, &checkpoints)?;
        experiment.budget.tell(experiment, start, TrainingStage::Learning, resumed.step)?;
        let curves = TrainingLoop::new(&trainer, &policy, &checkpoints, resumed)?.run()?;
        base::save(dir, &policy, &start.base.tokenizer, start.base.known.as_ref())?;
        files::write_json(&dir.join(CURVES), &curves)
    })?;
    if !stage.reused {
        experiment.budget.took(LEARNING, &stage)?;
    }
    if stage.reused
        && let Some(history) = History::newest(&experiment.run).filter(History::has_metrics)
    {
        tell(experiment, &history.restore(&experiment.run)?);
    }
    Ok(stage)
}

/// What to say of an algorithm that takes the tokens of older policies for its own.
fn uncorrected(staleness: usize, algorithm: &Algorithm) -> Option<&'static str> {
    let own = staleness == 0 || algorithm.ratio != Ratio::None || algorithm.tis_cap != 0.0;
    // Imitation asks nobody who wrote what it imitates.
    (!own && algorithm.advantage != Advantage::One).then_some(
        "warning: train.max_off_policy_steps without train.algorithm.ratio or tis_cap: the gradient takes tokens of older \
         policies for those of the one that learns; train.algorithm.tis_cap = 2 corrects for it",
    )
}

/// The learning curves of a finished stage.
pub(crate) fn read_curves(stage: &Stage) -> Result<Curves> {
    files::read_json(&stage.dir.join(CURVES), "train the run again")
}
