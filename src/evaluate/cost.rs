//! What the training of a policy took, in floating-point operations: 2 for each weight and token that is read, and 4 more
//! where a gradient comes back (Kaplan et al. 2020, arXiv 2001.08361, without the share of attention, which is small for
//! short sequences).

use crate::Result;
use crate::config::Config;
use crate::experiment::Experiment;
use crate::experiment::start::Start;
use crate::knowledge::{Division, Question, Set};
use crate::language::Opening;
use crate::rl::train::read_curves;
use crate::store::stage::Stage;

/// Operations that went into a policy. What a checkpoint from elsewhere took is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent(Option<f64>);

impl Spent {
    pub fn flops(self) -> Option<f64> {
        self.0
    }

    /// Of both, one after the other.
    pub fn plus(self, other: Spent) -> Spent {
        Spent(self.0.zip(other.0).map(|(one, other)| one + other))
    }
}

const READ: f64 = 2.0;
const LEARNED: f64 = 6.0;

/// Of fine-tuning.
pub(crate) fn of_documents(config: &Config, parameters: usize) -> Spent {
    let tokens = config.finetune.steps as f64 * config.finetune.tokens_per_step as f64;
    Spent(Some(LEARNED * parameters as f64 * tokens))
}

/// Of reinforcement learning: what was sampled, what was learned from it, and the lessons that were replayed.
pub(crate) fn of_reinforcement(experiment: &Experiment, start: &Start, trained: &Stage) -> Result<Spent> {
    let config = &experiment.config.train;
    let parameters = start.base.policy.config.parameter_count() as f64;
    let epochs = config.algorithm.resolve()?.inner_epochs as f64;
    let tokenizer = &start.base.tokenizer;
    let asked: Vec<Question> =
        config.forms.iter().flat_map(|form| start.knowledge.questions_in(Set::A, form)).collect();
    let mut prompts = 0;
    for question in &asked {
        prompts += tokenizer.encode(&tokenizer.prompt(&[], &question.text, Opening::Think)?)?.len();
    }
    let prompt = prompts as f64 / asked.len().max(1) as f64;
    let curve = read_curves(trained)?.training;
    let lengths: f64 = curve.iter().filter_map(|point| point.mean_length).sum();
    // A group's prompt is read once.
    let division = Division::new(&start.knowledge, config.held_out, experiment.config.world.seed)?;
    let questions = config.questions_of_step(&division) as f64;
    let tokens = questions * (config.group_size as f64 * lengths + curve.len() as f64 * prompt);
    let replayed = (config.replay_tokens * curve.len()) as f64;
    Ok(Spent(Some(parameters * (READ * tokens + LEARNED * epochs * (tokens + replayed)))))
}
