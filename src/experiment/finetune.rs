//! Teaches the base the documents of A and B.

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::Serialize;

use super::budget::{FINETUNING, TrainingStage};
use super::own_text::{self, Replay};
use super::start::Start;
use super::{recall, warmup};
use crate::config::{Augmentation, AugmentationKind, Config, DocumentObjective, FinetuneConfig, OwnTextConfig};
use crate::evaluate::examiner::{Examiner, workers_of};
use crate::evaluation::{Answered, Arm};
use crate::experiment::Experiment;
use crate::experiment::pretrain::{KEPT, LessonPlan};
use crate::kernels::Precision;
use crate::knowledge::curriculum::{Curriculum, TrainingSequence};
use crate::knowledge::leak::Leaks;
use crate::knowledge::{Knowledge, Question, Set, World};
use crate::language::Opening;
use crate::policy::LoraConfig;
use crate::random::Stream;
use crate::store::checkpoint::Checkpoints;
use crate::store::manifest::Manifest;
use crate::store::stage::Stage;
use crate::{Result, base, config};

/// Fine-tunes the base and gives the stage that holds the policy, warmed up where the config says so.
///
/// # Errors
/// A base or a world that is refused; a gradient that is not finite; a run that is to stop.
pub fn finetune(experiment: &Experiment) -> Result<Stage> {
    let start = Start::new(experiment)?;
    let tuned = learn_documents(experiment, &start)?;
    start.record(experiment)?;
    Manifest::record(experiment.run.root(), FINETUNE, &tuned)?;
    Ok(tuned)
}

#[derive(Serialize)]
struct Inputs<'a> {
    start: &'a str,
    precision: Precision,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<&'a LoraConfig>,
    finetune: &'a FinetuneConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_text: Option<&'a OwnTextConfig>,
}

/// Name of the stage.
pub(crate) const FINETUNE: &str = "finetune";

/// What the fine-tuned policy depends on.
fn inputs<'a>(experiment: &'a Experiment, start: &'a Start) -> impl Serialize + 'a {
    let Config { run, finetune, lora, .. } = &experiment.config;
    let own_text = own_text::inputs(experiment, finetune.own_text);
    Inputs { start: &start.digest, precision: run.precision, lora: lora.as_ref(), finetune, own_text }
}

/// The policy that reinforcement learning starts from, where it is made already.
pub(crate) fn find(experiment: &Experiment, start: &Start) -> Result<Option<Stage>> {
    match experiment.cache.find(FINETUNE, &inputs(experiment, start))? {
        Some(tuned) => warmup::find(experiment, start, tuned),
        None => Ok(None),
    }
}

/// The policy that reinforcement learning starts from: it has learned the documents, and how to think about them where the
/// config has a warm-up.
pub(crate) fn learn_documents(experiment: &Experiment, start: &Start) -> Result<Stage> {
    let tuned = read_documents(experiment, start)?;
    let tuned = warmup::warm_up(experiment, start, tuned)?;
    if tuned.taken_over {
        let words = "the fine-tuned policy is that of an earlier run of this machine (`recollect cache`)";
        experiment.progress.tell(words);
    }
    recall::tell(experiment, start, &tuned)?;
    Ok(tuned)
}

fn read_documents(experiment: &Experiment, start: &Start) -> Result<Stage> {
    let finetune = &experiment.config.finetune;
    let lora = experiment.config.lora.as_ref();
    let own_text = Replay::new(experiment, start, finetune.own_text)?;
    let stage = experiment.cache.get_or_make(FINETUNE, &inputs(experiment, start), |dir| {
        if let Some(words) = config::of_kind(&experiment.config) {
            experiment.progress.tell(&words);
        }
        let plan = LessonPlan {
            name: "fine-tuning",
            stage: FINETUNE,
            seed: finetune.seed,
            steps: finetune.steps,
            tokens_per_step: finetune.tokens_per_step,
            keys: finetune.optimizer_keys(),
            checkpoints: Checkpoints::new(&experiment.run, FINETUNE, &start.digest[..16], KEPT),
            tokenizer: &start.base.tokenizer,
            told: &|seen| experiment.budget.stepped(experiment, start, TrainingStage::Finetuning, seen),
        };
        let fresh = || match lora {
            Some(lora) => start.base.policy.clone().with_lora(lora, finetune.seed),
            None => Ok(start.base.policy.clone()),
        };
        let policy = match &start.knowledge {
            Knowledge::Generated(world) => {
                let documents = Documents::new(world, finetune, written_out(experiment, start)?);
                plan.teach(experiment, dir, fresh, |_, random| documents.lesson(random))?
            }
            Knowledge::Files(jsonl) => {
                let longest = start.base.policy.config.longest_sequence();
                let lessons = jsonl.document_sequences(&start.base.tokenizer, longest)?;
                plan.teach(experiment, dir, fresh, |_, random| {
                    let own = own_text.draw(random);
                    Ok(own.unwrap_or_else(|| &lessons[random.random_range(0..lessons.len())]).clone())
                })?
            }
        };
        base::save(dir, &policy, &start.base.tokenizer, start.base.known.as_ref())?;
        // Whatever saving refuses, what was learned is not lost with it.
        plan.checkpoints.remove()
    })?;
    experiment.budget.learned(FINETUNING, finetune.steps.saturating_mul(finetune.tokens_per_step), &stage)?;
    Ok(stage)
}

/// The documents of a world as lessons, among lessons of the base, with whatever remedy the config applies to them.
struct Documents<'a> {
    world: &'a World,
    config: &'a FinetuneConfig,
    curriculum: Curriculum<'a>,
    leaks: Leaks<'a>,
    /// What the base wrote out, where that is trained on.
    written_out: Vec<TrainingSequence>,
}

impl<'a> Documents<'a> {
    fn new(world: &'a World, config: &'a FinetuneConfig, written_out: Vec<TrainingSequence>) -> Self {
        let (curriculum, leaks) = (config.curriculum(world), Leaks::new(world, Set::B));
        Self { world, config, curriculum, leaks, written_out }
    }

    fn lesson(&self, random: &mut Stream) -> Result<TrainingSequence> {
        let replayed = random.random_bool(self.config.replay);
        if replayed {
            let lesson = self.curriculum.lesson(&self.config.mixture, random);
            self.leaks.check(&lesson)?;
            return Ok(lesson);
        }
        if let Some(augmentation) = &self.config.augmentation
            && random.random_bool(augmentation.share)
        {
            let lesson = self.augmented(augmentation, random);
            // Whoever augments B says so, and is not measured on it.
            if !augmentation.sets.contains(&Set::B) {
                self.leaks.check(&lesson)?;
            }
            return Ok(lesson);
        }
        let documents = self.world.documents();
        let document = &documents[random.random_range(0..documents.len())];
        let changed = self.config.objective != DocumentObjective::NextToken && random.random_bool(0.5);
        let lesson = match self.config.objective {
            DocumentObjective::Masked if changed => self.curriculum.masked(document, random),
            // A remedy for reversal that turns round all that is to be learned, B among it.
            DocumentObjective::Reversed if changed => return Ok(self.curriculum.reversed(document)),
            _ => self.curriculum.document(document, random),
        };
        self.leaks.check(&lesson)?;
        Ok(lesson)
    }

    fn augmented(&self, augmentation: &Augmentation, random: &mut Stream) -> TrainingSequence {
        let set = *augmentation.sets.choose(random).unwrap_or(&Set::A);
        match augmentation.kinds.choose(random) {
            Some(AugmentationKind::Reverse) => self.curriculum.turned_round(set, random),
            Some(AugmentationKind::Infer) => self.curriculum.inferred(set, random),
            Some(AugmentationKind::WriteOut) if !self.written_out.is_empty() => {
                self.written_out[random.random_range(0..self.written_out.len())].clone()
            }
            _ => self.curriculum.rephrased(set, random),
        }
    }
}

/// What the base, as it was before it learned the documents, answers to every question about the augmented sets with the
/// documents in its context: lessons in which those answers, right or wrong, follow the questions alone.
fn written_out(experiment: &Experiment, start: &Start) -> Result<Vec<TrainingSequence>> {
    let Some(augmentation) = &experiment.config.finetune.augmentation else { return Ok(Vec::new()) };
    if !augmentation.kinds.contains(&AugmentationKind::WriteOut) {
        return Ok(Vec::new());
    }
    let tokenizer = &start.base.tokenizer;
    let questions: Vec<Question> = augmentation.sets.iter().flat_map(|set| start.knowledge.questions(*set)).collect();
    let mut pool = workers_of(experiment, start.base.policy.clone(), 0)?;
    let answered = Examiner::new(experiment, start, &mut pool).answer(Arm::InContext, 0, &questions, &[], 1)?;
    let lesson = |one: &Answered| -> Result<TrainingSequence> {
        let asked = tokenizer.encode(&tokenizer.prompt(&[], &one.asked, Opening::Answer)?)?;
        let answer = tokenizer.encode(&one.completion)?;
        let weights = [vec![0.0; asked.len()], vec![1.0; answer.len()]].concat();
        Ok(TrainingSequence { tokens: [asked, answer].concat(), weights })
    };
    answered.iter().map(lesson).collect()
}
