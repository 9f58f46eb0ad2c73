//! What the stages of a run consist of, in tokens.

use std::collections::BTreeSet;

use super::estimate::{Workload, questions};
use super::{AFTER, BEFORE, FINETUNING, LEARNING, TrainingStage, WARMING_UP};
use crate::Result;
use crate::config::Config;
use crate::evaluate::prompts::has_passages;
use crate::evaluation::{Arm, PromptMode, Training};
use crate::experiment::Experiment;
use crate::experiment::start::Start;
use crate::knowledge::curriculum::lesson::{ANSWER, THINK};
use crate::knowledge::jsonl::task::is_of;
use crate::knowledge::{Knowledge, Question, Set, World};
use crate::language::Opening;
use crate::random;

/// Questions, and lessons, whose lengths stand for all.
const LOOKED_AT: usize = 48;
/// Tokens that complete a sentence of a document.
const COMPLETED: f64 = 16.0;
/// Tokens between two searches of an arm that searches while it thinks.
const STRETCH: f64 = 16.0;

/// Tokens of a completion, with a thought and without.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lengths {
    pub thinking: Option<f64>,
    pub direct: Option<f64>,
}

/// What is asked, and the mean length of a prompt alone and with the passages of its question.
struct Asked {
    all: [Vec<Question>; 2],
    plain: f64,
    in_context: f64,
}

/// The stages from `part` on, of which so many steps are done. `measured` are lengths of completions as far as they are known.
pub(super) fn remaining(
    experiment: &Experiment,
    start: &Start,
    part: TrainingStage,
    done: usize,
    measured: Lengths,
) -> Result<Vec<Workload>> {
    let config = &experiment.config;
    let asked = Asked::new(start)?;
    let lengths = Lengths {
        thinking: measured.thinking.or(of_lessons(start, config, true)?),
        direct: measured.direct.or(of_lessons(start, config, false)?),
    };
    let mut stages = Vec::new();
    let lessons = |name: &'static str, steps: usize, tokens: usize, done: usize| Workload {
        name,
        told: name.into(),
        learned: steps.saturating_sub(done) as f64 * tokens as f64,
        ..Workload::default()
    };
    if part == TrainingStage::Finetuning {
        stages.push(lessons(FINETUNING, config.finetune.steps, config.finetune.tokens_per_step, done));
    }
    if let Some(warmup) = config.warmup.as_ref().filter(|_| part != TrainingStage::Learning) {
        let done = if part == TrainingStage::WarmingUp { done } else { 0 };
        stages.push(lessons(WARMING_UP, warmup.steps, warmup.tokens_per_step, done));
    }
    if part != TrainingStage::Learning {
        stages.extend(answering(start, config, BEFORE, Training::Documents, &asked, lengths));
    }
    let reinforced = answering(start, config, AFTER, Training::Rl, &asked, lengths);
    if reinforced.is_some() {
        let done = if part == TrainingStage::Learning { done } else { 0 };
        stages.push(learning(config, &asked, lengths, done)?);
    }
    stages.extend(reinforced);
    Ok(stages)
}

impl Asked {
    fn new(start: &Start) -> Result<Asked> {
        let all = [Set::A, Set::B].map(|set| start.knowledge.questions(set));
        let tokenizer = &start.base.tokenizer;
        let count = all.iter().map(Vec::len).sum::<usize>();
        let some = all.iter().flatten().step_by(count.div_ceil(LOOKED_AT).max(1));
        let (mut plain, mut in_context, mut looked_at) = (0, 0, 0);
        for question in some {
            plain += tokenizer.encode(&tokenizer.prompt(&[], &question.text, Opening::Think)?)?.len();
            in_context +=
                tokenizer.encode(&tokenizer.prompt(&question.context, &question.text, Opening::Answer)?)?.len();
            looked_at += 1;
        }
        let mean = |sum: usize| sum as f64 / f64::from(looked_at.max(1));
        Ok(Asked { plain: mean(plain), in_context: mean(in_context), all })
    }

    /// How many of these forms an evaluation on the way asks.
    fn on_the_way(&self, config: &Config) -> usize {
        let limit = config.evaluation.questions_during_training.unwrap_or(usize::MAX);
        let of_form =
            |form| self.all.iter().map(move |all| all.iter().filter(|one| is_of(one, form)).count().min(limit));
        config.train.forms.iter().flat_map(|form| of_form(*form)).sum()
    }
}

/// The mean length of what lessons with or without a thought teach to write, where there are some: those that a generated world
/// rehearses, or those of a warm-up.
fn of_lessons(start: &Start, config: &Config, thinking: bool) -> Result<Option<f64>> {
    let jsonl = match &start.knowledge {
        Knowledge::Generated(world) => return Ok(Some(rehearsed(config, world, thinking))),
        Knowledge::Files(jsonl) => jsonl,
    };
    let of_kind: Vec<_> = jsonl.lessons().iter().filter(|lesson| lesson.row.thought.is_some() == thinking).collect();
    if config.warmup.is_none() || of_kind.is_empty() {
        return Ok(None);
    }
    let longest = start.base.policy.config.longest_sequence();
    let (mut tokens, mut looked_at) = (0, 0);
    for lesson in of_kind.iter().step_by(of_kind.len().div_ceil(LOOKED_AT)) {
        let sequence = lesson.sequence(&start.base.tokenizer, longest)?;
        tokens += sequence.weights.iter().filter(|weight| **weight > 0.0).count();
        looked_at += 1;
    }
    Ok(Some(tokens as f64 / f64::from(looked_at)))
}

/// The mean length of what stands behind the question in some lessons of a generated world.
fn rehearsed(config: &Config, world: &World, thinking: bool) -> f64 {
    let curriculum = config.finetune.curriculum(world);
    let mut random = random::stream(config.finetune.seed, &[LOOKED_AT as u64]);
    let mut written = || {
        let (lesson, opening) = if thinking {
            (curriculum.think(&mut random), THINK)
        } else {
            (curriculum.answer_at_once(&mut random), ANSWER)
        };
        lesson.tokens.iter().rev().take_while(|token| **token != opening).count()
    };
    (0..LOOKED_AT).map(|_| written()).sum::<usize>() as f64 / LOOKED_AT as f64
}

/// All questions put to the policy of a training, in the arms that are asked for and those that are asked with them.
fn answering(
    start: &Start,
    config: &Config,
    name: &'static str,
    training: Training,
    asked: &Asked,
    lengths: Lengths,
) -> Option<Workload> {
    let of_training = |arm: &Arm| arm.training() == training && has_passages(&start.knowledge, *arm);
    let mut arms: BTreeSet<Arm> = config.arms.resolved().into_iter().filter(of_training).collect();
    if arms.is_empty() {
        return None;
    }
    arms.extend(Arm::STANDARD.into_iter().filter(of_training));
    let most = config.evaluation.max_new_tokens as f64;
    let [thought, direct] = [lengths.thinking, lengths.direct].map(|length| length.unwrap_or(most).min(most));
    let count = asked.all.iter().map(Vec::len).sum::<usize>();
    let mut work = Workload { name, ..Workload::default() };
    let mut answers = 0;
    for arm in &arms {
        let samples = config.evaluation.samples;
        let (samples, read, sampled) = match arm.way() {
            PromptMode::Think => (samples, asked.plain, thought),
            PromptMode::Direct | PromptMode::Restore => (samples, asked.plain, direct),
            PromptMode::Swapped | PromptMode::Filler(_) => (1, asked.plain + thought, direct),
            PromptMode::InContext(_) | PromptMode::Oracle | PromptMode::Retrieved => {
                (samples, asked.in_context, direct)
            }
            PromptMode::RetrievedWhileThinking => (samples, asked.in_context * (thought / STRETCH).max(1.0), thought),
            PromptMode::Forward => (1, asked.plain, COMPLETED.min(most)),
        };
        answers += count * samples;
        work.read += count as f64 * read;
        work.sampled += (count * samples) as f64 * sampled;
    }
    work.told = questions(answers);
    Some(work)
}

/// Reinforcement learning, with the evaluations on its way.
fn learning(config: &Config, asked: &Asked, lengths: Lengths, done: usize) -> Result<Workload> {
    let train = &config.train;
    let algorithm = train.algorithm.resolve()?;
    let length = lengths.thinking.unwrap_or(f64::MAX).min(train.longest_completion().1 as f64);
    let rollouts = train.rollouts_per_step() as f64;
    // A group's prompt is read once.
    let prompts = train.questions_per_step as f64 * asked.plain;
    let batch = prompts + rollouts * length;
    let reference = if algorithm.kl == 0.0 { 0.0 } else { batch };
    let steps = train.steps.saturating_sub(done) as f64;
    let evaluated =
        train.evaluate_every.map_or(0, |every| (done..train.steps).filter(|at| at.is_multiple_of(every)).count());
    let on_the_way = (evaluated * asked.on_the_way(config)) as f64;
    let answered = lengths.thinking.unwrap_or(f64::MAX).min(config.evaluation.max_new_tokens as f64);
    Ok(Workload {
        name: LEARNING,
        told: LEARNING.into(),
        learned: steps * (algorithm.inner_epochs as f64 * batch + train.replay_tokens as f64),
        read: steps * (prompts + reference) + on_the_way * asked.plain,
        sampled: steps * rollouts * length + on_the_way * answered,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::reversal::OPEN;

    #[test]
    fn reinforcement_learning_samples_and_learns_what_its_steps_ask() {
        let text = "[train]\nsteps = 10\nquestions_per_step = 3\ngroup_size = 4\nmax_new_tokens = 20\nreplay_tokens = 7\n\
                    evaluate_every = 5";
        let config = Config::parse(text, "x.toml", "x", &[]).unwrap();
        let asked = Asked { all: [Vec::new(), Vec::new()], plain: 10.0, in_context: 50.0 };
        let whole = learning(&config, &asked, Lengths::default(), 0).unwrap();
        assert_eq!((whole.sampled, whole.learned, whole.read), (2400.0, 10.0 * (30.0 + 240.0 + 7.0), 300.0));
        let lengths = Lengths { thinking: Some(5.0), direct: None };
        assert_eq!(learning(&config, &asked, lengths, 6).unwrap().sampled, 4.0 * 12.0 * 5.0);
    }

    #[test]
    fn lessons_of_a_generated_world_say_how_long_completions_are() {
        let config = Config::default();
        let base = crate::base::Base::load(crate::base::Place::from_name("embedded")).unwrap();
        let world = crate::experiment::start::generated(&config, base.known.as_ref()).unwrap();
        let [thought, direct] = [true, false].map(|thinking| rehearsed(&config, &world, thinking));
        // A sentence has five tokens or six; an answer its cue, a colon, itself and an end.
        assert!((8.0..60.0).contains(&thought) && (3.0..10.0).contains(&direct), "{thought} {direct}");
    }

    #[test]
    fn an_evaluation_on_the_way_asks_some_of_each_form_and_set() {
        let config = Config::parse("[evaluation]\nquestions_during_training = 2", "x.toml", "x", &[]).unwrap();
        let base = crate::base::Base::load(crate::base::Place::from_name("embedded")).unwrap();
        let world = crate::experiment::start::generated(&config, base.known.as_ref()).unwrap();
        let all = [Set::A, Set::B].map(|set| world.questions(set));
        assert!(all.iter().all(|all| all.iter().filter(|one| one.form == OPEN).count() > 2));
        let asked = Asked { all, plain: 1.0, in_context: 1.0 };
        assert_eq!(asked.on_the_way(&config), 2 * 2 * config.train.forms.len());
    }
}
