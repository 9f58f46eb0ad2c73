//! Makes a base model from scratch.

use std::path::PathBuf;
use std::sync::Arc;

use crate::experiment::Experiment;
use crate::experiment::lessons::{KEPT, LessonPlan};
use crate::knowledge::World;
use crate::knowledge::curriculum::Curriculum;
use crate::language::Tokenizer;
use crate::learner::{OptimizerConfig, Schedule};
use crate::policy::Policy;
use crate::store::checkpoint::Checkpoints;
use crate::store::stage::Stage;
use crate::{Result, base};

/// Trains a base on the lessons of the config and gives the directory that holds it.
///
/// # Errors
/// A world that cannot be made; a gradient that is not finite; a run that is to stop.
pub fn pretrain(experiment: &Experiment) -> Result<PathBuf> {
    make(experiment).map(|stage| stage.dir)
}

/// The same as a stage.
pub(crate) fn make(experiment: &Experiment) -> Result<Stage> {
    let config = &experiment.config;
    let pretrain = &config.pretrain;
    let inputs = (&config.known, &config.model, pretrain, config.run.precision);
    experiment.cache.get_or_make("base", &inputs, |dir| {
        let known = config.known.known();
        let world = World::known(&known)?;
        let tokenizer = Tokenizer::from_words(world.grammar.lexicon.words())?;
        let model = Arc::new(config.model.with_vocabulary(tokenizer.size()));
        let steps = pretrain.steps();
        let plan = LessonPlan {
            name: "pretraining",
            seed: pretrain.seed,
            steps,
            tokens_per_step: pretrain.tokens_per_step,
            schedule: Schedule::over(steps, pretrain.learning_rate, pretrain.warmup_steps, pretrain.decay_share),
            optimizer: OptimizerConfig {
                beta1: 0.9,
                beta2: 0.98,
                weight_decay: pretrain.weight_decay,
                max_gradient_norm: pretrain.max_gradient_norm,
            },
            scales: &pretrain.scales,
            checkpoints: Checkpoints::new(&experiment.run, "base", &pretrain.seed.to_string(), KEPT),
            tokenizer: &tokenizer,
        };
        let policy = plan.teach(
            experiment,
            || Policy::initialise(model.clone(), &pretrain.init, pretrain.seed),
            |step, random| {
                let phase = pretrain.phase(step);
                Ok(Curriculum::new(&world, &phase.cot_style).lesson(&phase.mixture, random))
            },
        )?;
        plan.checkpoints.remove()?;
        base::save(dir, &policy, &tokenizer, Some(&known))
    })
}
