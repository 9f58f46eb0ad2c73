//! Teaches how questions are thought about, by lessons about set C, before reinforcement learning.

use rand::Rng;
use serde::Serialize;

use super::budget::{TrainingStage, WARMING_UP};
use super::finetune::FINETUNE;
use super::own_text::{self, Replay};
use super::pretrain::{KEPT, LessonPlan};
use super::start::Start;
use crate::base::{self, Saved};
use crate::config::{OwnTextConfig, WarmupConfig};
use crate::experiment::Experiment;
use crate::knowledge::curriculum::TrainingSequence;
use crate::knowledge::{Jsonl, Knowledge};
use crate::store::checkpoint::Checkpoints;
use crate::store::learning;
use crate::store::stage::Stage;
use crate::{Error, Result};

/// Name of the stage.
pub(crate) const WARMUP: &str = "warmup";

/// The section, with that of own texts where some are replayed.
#[derive(Serialize)]
struct Section {
    #[serde(flatten)]
    warmup: WarmupConfig,
    #[serde(rename = "own_text_written", skip_serializing_if = "Option::is_none")]
    written: Option<OwnTextConfig>,
}

/// What the warmed-up policy depends on.
fn inputs(experiment: &Experiment, jsonl: &Jsonl, tuned: &Stage) -> Result<impl Serialize + use<>> {
    let section = |warmup: &WarmupConfig| {
        let written = own_text::inputs(experiment, warmup.own_text).cloned();
        Section { warmup: warmup.clone(), written }
    };
    let warmup = experiment.config.warmup.as_ref().map(section);
    Ok((tuned.content.clone(), jsonl.lessons_digest()?, warmup, experiment.config.run.precision))
}

/// The warmed-up policy, where it is made already; the fine-tuned one, where there is no warm-up.
pub(crate) fn find(experiment: &Experiment, start: &Start, tuned: Stage) -> Result<Option<Stage>> {
    match (&experiment.config.warmup, &start.knowledge) {
        (Some(_), Knowledge::Files(jsonl)) => experiment.cache.find(WARMUP, &inputs(experiment, jsonl, &tuned)?),
        _ => Ok(Some(tuned)),
    }
}

/// Goes on from the fine-tuned policy with lessons, and gives the stage that holds the result.
pub(crate) fn warm_up(experiment: &Experiment, start: &Start, tuned: Stage) -> Result<Stage> {
    let Some(warmup) = &experiment.config.warmup else { return Ok(tuned) };
    let Knowledge::Files(jsonl) = &start.knowledge else { return Ok(tuned) };
    if jsonl.lessons().is_empty() {
        let remedy = "give world.jsonl.lessons, or take the section out";
        return Err(Error::invalid("warmup", "no lessons in this world", remedy));
    }
    let own_text = Replay::new(experiment, start, warmup.own_text)?;
    let stage = experiment.cache.get_or_make(WARMUP, &inputs(experiment, jsonl, &tuned)?, |dir| {
        let tokenizer = &start.base.tokenizer;
        let longest = start.base.policy.config.longest_sequence();
        let lessons: Result<Vec<TrainingSequence>> =
            jsonl.lessons().iter().map(|lesson| lesson.sequence(tokenizer, longest)).collect();
        let (lessons, documents) = (lessons?, jsonl.document_sequences(tokenizer, longest)?);
        let plan = LessonPlan {
            name: "warming up",
            stage: WARMUP,
            seed: warmup.seed,
            steps: warmup.steps,
            tokens_per_step: warmup.tokens_per_step,
            keys: warmup.optimizer_keys(),
            checkpoints: Checkpoints::new(&experiment.run, WARMUP, &tuned.content[..16], KEPT),
            tokenizer,
            told: &|seen| experiment.budget.stepped(experiment, start, TrainingStage::WarmingUp, seen),
        };
        let fresh = || start.base.successor(Saved::within(&tuned.dir));
        let policy = plan.teach(experiment, dir, fresh, |_, random| {
            if let Some(own) = own_text.draw(random) {
                return Ok(own.clone());
            }
            let from = if random.random_bool(warmup.documents) { &documents } else { &lessons };
            Ok(from[random.random_range(0..from.len())].clone())
        })?;
        learning::hand_on(&tuned.dir, dir, FINETUNE)?;
        base::save(dir, &policy, tokenizer, start.base.known.as_ref())?;
        plan.checkpoints.remove()
    })?;
    experiment.budget.learned(WARMING_UP, warmup.steps.saturating_mul(warmup.tokens_per_step), &stage)?;
    Ok(stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_up_without_own_text_is_the_stage_that_it_was() {
        let warmup = WarmupConfig::default();
        let alone = Section { warmup: warmup.clone(), written: None };
        assert_eq!(serde_json::to_value(&alone).unwrap(), serde_json::to_value(&warmup).unwrap());
        let beside = Section { written: Some(OwnTextConfig::default()), ..alone };
        assert_ne!(serde_json::to_value(&beside).unwrap(), serde_json::to_value(&warmup).unwrap());
    }
}
