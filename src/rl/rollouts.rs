//! What is kept of every rollout: a JSON object a line, and the metrics of a step.

use std::path::Path;

use metrics::{gauge, histogram};

use crate::learner::advantage::Grouped;
use crate::reward::Record;
use crate::rollout::Finish;
use crate::verifier::Grounding;
use crate::{Result, files};

/// What was written of a step.
#[derive(Clone, Debug)]
pub struct RolloutsFile {
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal; none where nothing was.
    pub digest: Option<String>,
}

/// Writes the rollouts of a step, compressed where the name of the file says so, and says what was written.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: &Path, lines: &[&Record]) -> Result<RolloutsFile> {
    let text = files::to_jsonl(path, lines)?;
    let bytes = if files::is_compressed(path) { files::compressed(path, &text)? } else { text };
    files::write_atomic(path, &bytes)?;
    Ok(RolloutsFile { bytes: bytes.len() as u64, digest: Some(files::digest(&bytes)) })
}

/// The values of each term by group, with the term's weight; none of any term where a completion has no reward.
pub fn by_term(groups: &[&[Record]]) -> Vec<(f64, Grouped)> {
    let terms = groups.iter().find_map(|lines| lines.first()).map_or(&[][..], |line| &line.terms);
    let value = |line: &Record, at: usize| line.reward.and(line.terms.get(at)?.value);
    let values = |at: usize| groups.iter().map(|lines| lines.iter().map(|line| value(line, at)).collect()).collect();
    terms.iter().enumerate().map(|(at, term)| (term.weight, values(at))).collect()
}

/// Records the metrics of a step's rollouts. `groups` holds the rewards of each question's completions. Those that have
/// none are in no mean of rewards.
pub fn measure(lines: &[&Record], groups: &[Vec<Option<f64>>], without_spread: usize) {
    let share =
        |of: &dyn Fn(&Record) -> bool| lines.iter().filter(|line| of(line)).count() as f64 / lines.len().max(1) as f64;
    let rewards: Vec<f64> = lines.iter().filter_map(|line| line.reward).collect();
    if !rewards.is_empty() {
        gauge!("reward").set(rewards.iter().sum::<f64>() / rewards.len() as f64);
    }
    let unjudged = lines.len() - rewards.len();
    if unjudged > 0 {
        gauge!("completions/unjudged").set(unjudged as f64);
    }
    let spread = groups.iter().map(|group| deviation(group)).sum::<f64>() / groups.len().max(1) as f64;
    gauge!("reward_std").set(spread);
    gauge!("frac_reward_zero_std").set(without_spread as f64 / groups.len().max(1) as f64);
    for line in lines {
        for term in &line.terms {
            if let Some(value) = term.value {
                histogram!(format!("rewards/{}", term.name)).record(value);
            }
        }
        histogram!(format!("correct/{}", line.form)).record(f64::from(u8::from(line.judgement.correct)));
    }
    lengths("", lines.iter().copied());
    lengths("terminated_", lines.iter().copied().filter(|line| line.finish != Finish::Length));
    gauge!("completions/clipped_ratio").set(share(&|line| line.finish == Finish::Length));
    let sentences: usize = lines.iter().map(|line| line.judgement.recitations.len()).sum();
    let true_ones = lines.iter().flat_map(|line| &line.judgement.recitations).filter(|r| r.is_true).count();
    // Where nobody can say what is true, nothing was counted.
    if sentences > 0 || lines.iter().any(|line| line.judgement.grounding.is_some()) {
        gauge!("recited/facts").set(sentences as f64 / lines.len().max(1) as f64);
    }
    // Of nothing, no share is true. Questions from files do not say what they need.
    if sentences > 0 {
        gauge!("recited/true_share").set(true_ones as f64 / sentences as f64);
    }
    let right: Vec<_> =
        lines.iter().filter(|line| line.judgement.correct).map(|line| line.judgement.grounding).collect();
    if right.iter().any(Option::is_some) {
        let known = right.iter().filter(|grounding| **grounding == Some(Grounding::Known)).count();
        gauge!("recited/right_and_known").set(known as f64 / right.len() as f64);
    }
    if lines.iter().any(|line| line.judgement.needed > 0) {
        gauge!("recited/needed_found").set(share(&|line| line.judgement.needed_found == line.judgement.needed));
    }
}

/// Mean, least and most tokens of some completions; none where there are none.
fn lengths<'a>(which: &str, lines: impl Iterator<Item = &'a Record>) {
    let tokens: Vec<f64> = lines.map(|line| line.tokens as f64).collect();
    if tokens.is_empty() {
        return;
    }
    let said = [
        ("mean", tokens.iter().sum::<f64>() / tokens.len() as f64),
        ("min", tokens.iter().copied().fold(f64::INFINITY, f64::min)),
        ("max", tokens.iter().copied().fold(0.0, f64::max)),
    ];
    for (name, value) in said {
        gauge!(format!("completions/{name}_{which}length")).set(value);
    }
}

/// Of what there is.
fn deviation(values: &[Option<f64>]) -> f64 {
    let values: Vec<f64> = values.iter().flatten().copied().collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}
