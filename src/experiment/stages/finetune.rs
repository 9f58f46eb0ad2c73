//! Teaches the base the documents of A and B.

use rand::Rng;
use serde::Serialize;

use super::Start;
use crate::Result;
use crate::experiment::config::{Config, FinetuneConfig};
use crate::experiment::course::Checkpoints;
use crate::experiment::lessons::{KEPT, LessonPlan};
use crate::experiment::stage::Stage;
use crate::experiment::{Experiment, base};
use crate::kernels::Precision;
use crate::knowledge::curriculum::Curriculum;
use crate::knowledge::leak::Leaks;
use crate::knowledge::{Knowledge, Set};
use crate::learner::{OptimizerConfig, Schedule};
use crate::policy::LoraConfig;

/// Fine-tunes the base and gives the stage that holds the policy.
pub fn finetune(experiment: &Experiment) -> Result<Stage> {
    learn_documents(experiment, &Start::new(experiment)?)
}

#[derive(Serialize)]
struct Inputs<'a> {
    start: &'a str,
    precision: Precision,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<&'a LoraConfig>,
    finetune: &'a FinetuneConfig,
}

/// Name of the stage.
pub(super) const FINETUNE: &str = "finetune";

/// What the fine-tuned policy depends on.
pub(super) fn inputs<'a>(experiment: &'a Experiment, start: &'a Start) -> impl Serialize + 'a {
    let Config { run, finetune, lora, .. } = &experiment.config;
    Inputs { start: &start.digest, precision: run.precision, lora: lora.as_ref(), finetune }
}

pub(super) fn learn_documents(experiment: &Experiment, start: &Start) -> Result<Stage> {
    let finetune = &experiment.config.finetune;
    let lora = experiment.config.lora.as_ref();
    experiment.cache.get_or_make(FINETUNE, &inputs(experiment, start), |dir| {
        let plan = LessonPlan {
            name: "fine-tuning",
            seed: finetune.seed,
            steps: finetune.steps,
            tokens_per_step: finetune.tokens_per_step,
            schedule: Schedule::over(
                finetune.steps,
                finetune.learning_rate,
                finetune.warmup_steps,
                finetune.decay_share,
            ),
            optimizer: OptimizerConfig {
                beta1: 0.9,
                beta2: 0.98,
                weight_decay: finetune.weight_decay,
                max_gradient_norm: finetune.max_gradient_norm,
            },
            scales: &finetune.scales,
            checkpoints: Checkpoints::of(experiment, "finetune", &start.digest[..16], KEPT),
        };
        let fresh = || match lora {
            Some(lora) => start.base.policy.clone().with_lora(lora, finetune.seed),
            None => Ok(start.base.policy.clone()),
        };
        let policy = match &start.knowledge {
            Knowledge::Generated(world) => {
                let documents = world.documents();
                let curriculum = Curriculum::new(world, &finetune.habits);
                let leaks = Leaks::of(world, Set::B);
                plan.teach(experiment, fresh, |_, random| {
                    let lesson = match random.random_bool(finetune.replay) {
                        true => curriculum.lesson(&finetune.mixture, random),
                        false => {
                            let document = &documents[random.random_range(0..documents.len())];
                            curriculum.document(document, random)
                        }
                    };
                    leaks.check(&lesson)?;
                    Ok(lesson)
                })?
            }
            Knowledge::Files(jsonl) => {
                let longest = start.base.policy.config.longest_sequence();
                let lessons = jsonl.lessons(&start.base.tokenizer, longest)?;
                plan.teach(experiment, fresh, |_, random| Ok(lessons[random.random_range(0..lessons.len())].clone()))?
            }
        };
        plan.checkpoints.remove()?;
        base::save(dir, &policy, &start.base.tokenizer, start.base.known.as_ref())
    })
}
