//! What is kept of every rollout: a JSON object a line, and the metrics of a step.

use std::path::Path;

use metrics::{gauge, histogram};
use serde::{Deserialize, Serialize};

use crate::knowledge::{Form, Question, Set, Task};
use crate::reward::{Score, TermScore};
use crate::rollout::{Completion, Finish};
use crate::verifier::Judgement;
use crate::{Error, Result, files};

/// One rollout as it stands in `rollouts/step-000123.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    pub step: u64,
    pub question: u64,
    pub task: Task,
    pub form: Form,
    pub set: Set,
    pub sample: usize,
    pub prompt: String,
    pub completion: String,
    pub answer: String,
    pub reward: f64,
    pub terms: Vec<TermScore>,
    pub advantage: f32,
    /// Optimizer steps behind the policy that sampled it.
    pub version: u64,
    pub finish: Finish,
    pub tokens: usize,
    pub judgement: Judgement,
}

impl Line {
    pub fn new(
        step: u64,
        question: &Question,
        completion: &Completion,
        text: String,
        judgement: Judgement,
        score: Score,
    ) -> Self {
        Self {
            step,
            question: question.id,
            task: question.task,
            form: question.form,
            set: question.set,
            sample: completion.sample,
            prompt: question.text.clone(),
            completion: text,
            answer: question.answer.clone(),
            reward: score.total,
            terms: score.terms,
            advantage: 0.0,
            version: completion.version,
            finish: completion.finish,
            tokens: completion.tokens.len(),
            judgement,
        }
    }
}

/// Writes the rollouts of a step.
pub fn write(path: &Path, lines: &[Line]) -> Result<()> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line).map_err(|error| {
            Error::invalid(path.display().to_string(), error.to_string(), "a rollout cannot be written")
        })?;
        text.push(b'\n');
    }
    files::write_atomic(path, &text)
}

/// Records the metrics of a step's rollouts. `groups` holds the rewards of each question's completions.
pub fn measure(lines: &[Line], groups: &[Vec<f64>], without_spread: usize) {
    let share =
        |of: &dyn Fn(&Line) -> bool| lines.iter().filter(|line| of(line)).count() as f64 / lines.len().max(1) as f64;
    let mean = |of: &dyn Fn(&Line) -> f64| lines.iter().map(of).sum::<f64>() / lines.len().max(1) as f64;
    gauge!("reward").set(mean(&|line| line.reward));
    let spread = groups.iter().map(|group| deviation(group)).sum::<f64>() / groups.len().max(1) as f64;
    gauge!("reward_std").set(spread);
    gauge!("frac_reward_zero_std").set(without_spread as f64 / groups.len().max(1) as f64);
    for line in lines {
        for term in &line.terms {
            histogram!(format!("rewards/{}", term.name)).record(term.value);
        }
        histogram!(format!("correct/{}", line.form)).record(f64::from(u8::from(line.judgement.correct)));
    }
    gauge!("completions/mean_length").set(mean(&|line| line.tokens as f64));
    gauge!("completions/clipped_ratio").set(share(&|line| line.finish == Finish::Length));
    let sentences: usize = lines.iter().map(|line| line.judgement.recitations.len()).sum();
    let true_ones = lines.iter().flat_map(|line| &line.judgement.recitations).filter(|r| r.is_true).count();
    gauge!("recited/count").set(sentences as f64 / lines.len().max(1) as f64);
    // Of nothing, no share is true. Questions from files do not say what they need.
    if sentences > 0 {
        gauge!("recited/true_share").set(true_ones as f64 / sentences as f64);
    }
    if lines.iter().any(|line| line.judgement.needed > 0) {
        gauge!("recited/needed_found").set(share(&|line| line.judgement.needed_found == line.judgement.needed));
    }
}

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}
