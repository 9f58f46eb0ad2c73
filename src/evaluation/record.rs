//! One answered question: what an evaluation writes down, and all that it needs to be summarised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Arm;
use crate::knowledge::{Form, Question, Set, TaskId};
use crate::statistics::Interval;
use crate::statistics::seeds::{self, OverSeeds};
use crate::verifier::Judgement;

/// One answered question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    pub arm: Arm,
    /// Optimizer steps of reinforcement learning behind the policy that answered.
    pub step: u64,
    /// Which of several runs that are put together this comes from, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub run: usize,
    /// Id of the question; the same question has the same id in every arm.
    pub question: u64,
    pub task: TaskId,
    pub form: Form,
    pub set: Set,
    /// Which of several answers to the same question this is, from 0.
    pub sample: usize,
    /// Accuracy of the best guess that does not use the needed facts.
    pub chance: f64,
    /// The question as a person reads it.
    pub asked: String,
    /// Everything the policy was given.
    pub prompt: String,
    /// Everything it wrote.
    pub completion: String,
    pub judgement: Judgement,
    /// The right answer.
    pub expected: String,
    /// Tokens that were sampled.
    pub tokens: usize,
    /// Tokens that were read: those of the prompt, and of every further one on the way to the answer.
    #[serde(default)]
    pub prompt_tokens: usize,
    /// The choice that is likeliest to follow, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likeliest: Option<String>,
}

/// For serde, which hands over a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_first(run: &usize) -> bool {
    *run == 0
}

impl Answered {
    /// The same with a question of that run's own: questions of different seeds are different questions, though worlds
    /// number theirs alike.
    pub fn told_apart(self, run: usize) -> Answered {
        Answered { question: self.question | (run as u64 + 1) << 48, ..self }
    }

    /// The record of one completion of a question.
    pub fn new(arm: Arm, step: u64, question: &Question, said: AnswerText) -> Answered {
        Answered {
            arm,
            step,
            run: 0,
            question: question.id,
            task: question.task,
            form: question.form,
            set: question.set,
            sample: said.sample,
            chance: question.chance,
            asked: question.text.clone(),
            prompt: said.prompt,
            completion: said.completion,
            judgement: said.judgement,
            expected: question.answer.clone(),
            tokens: said.tokens,
            prompt_tokens: said.prompt_tokens,
            likeliest: None,
        }
    }
}

/// What the policy was given and what it said, beside the question itself.
#[derive(Clone, Debug)]
pub struct AnswerText {
    pub sample: usize,
    pub prompt: String,
    pub completion: String,
    pub judgement: Judgement,
    pub tokens: usize,
    pub prompt_tokens: usize,
}

/// The answers of each arm at the last step at which it was evaluated.
pub(super) fn of_last_step(answered: &[Answered]) -> Vec<&Answered> {
    let mut last: BTreeMap<Arm, u64> = BTreeMap::new();
    for one in answered {
        let step = last.entry(one.arm).or_default();
        *step = one.step.max(*step);
    }
    answered.iter().filter(|one| last.get(&one.arm) == Some(&one.step)).collect()
}

/// The answers of each run.
pub(super) fn by_run<'a>(answers: &[&'a Answered]) -> Vec<Vec<&'a Answered>> {
    let mut runs: BTreeMap<usize, Vec<&Answered>> = BTreeMap::new();
    answers.iter().for_each(|one| runs.entry(one.run).or_default().push(one));
    runs.into_values().collect()
}

/// So many of so many answers, as a share with its 95 % interval over questions and runs ([`seeds::share`]).
pub(super) struct RightCount {
    pub correct: usize,
    pub n: usize,
    pub accuracy: f64,
    pub interval: Interval,
}

/// Counts what is right among the answers of which that can be said; `None` where it can be said of none.
pub(super) fn counted(answers: &[&Answered], is_right: impl Fn(&Answered) -> Option<bool>) -> Option<RightCount> {
    let count = |run: &Vec<&Answered>| {
        let decided = run.iter().filter_map(|one| is_right(one));
        decided.fold((0, 0), |(correct, n), right| (correct + usize::from(right), n + 1))
    };
    let runs: Vec<(usize, usize)> = by_run(answers).iter().map(count).collect();
    let clusters: Vec<(f64, usize)> = runs.iter().filter_map(|(right, n)| Some((share(*right, *n)?, *n))).collect();
    let OverSeeds { interval, .. } = seeds::share(&clusters)?;
    let (correct, n) = runs.iter().fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    Some(RightCount { correct, n, accuracy: share(correct, n)?, interval })
}

/// A part of a whole; `None` of nothing.
pub(super) fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
