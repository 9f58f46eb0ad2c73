//! Measures what the policies of a run have forgotten: the perplexity of text that none of them trained on.

use super::examiner::Examined;
use crate::evaluation::{PolicyPerplexity, TextScore};
use crate::experiment::Experiment;
use crate::experiment::held_back::{HeldBack, WINDOW};
use crate::experiment::start::{BASE_FILES, Start};
use crate::learner::policy_gradient::{self, Sampled};
use crate::policy::Policy;
use crate::report;
use crate::store::manifest::Manifest;
use crate::store::stage::Stage;
use crate::{Error, Result, files};

/// Name of the stage, and what its names in a manifest begin with.
const PERPLEXITY: &str = "perplexity";
/// File in the stage's directory.
const SCORE: &str = "score.json";
/// Pieces that are scored between two looks at the progress.
const TOGETHER: usize = 8;

/// The held-back text of a run, and how likely its policies find it.
pub(crate) struct Forgetting<'a> {
    experiment: &'a Experiment,
    start: &'a Start,
    text: Option<HeldBack>,
    measured: Vec<PolicyPerplexity>,
}

impl<'a> Forgetting<'a> {
    /// Reads the text, where there is any, and measures the base.
    pub fn begin(experiment: &'a Experiment, start: &'a Start, manifest: &mut Manifest) -> Result<Self> {
        let text = HeldBack::new(experiment, start)?;
        let mut forgetting = Self { experiment, start, text, measured: Vec::new() };
        let base = start.named.get(BASE_FILES).unwrap_or(&start.digest);
        forgetting.measure("before training", Examined::base(base, 0), manifest)?;
        Ok(forgetting)
    }

    /// Measures a policy.
    fn measure(&mut self, name: &str, policy: Examined, manifest: &mut Manifest) -> Result<()> {
        let Some(text) = &self.text else { return Ok(()) };
        let (experiment, start) = (self.experiment, self.start);
        let stage = experiment.cache.get_or_make(PERPLEXITY, &(policy.content, &text.digest, WINDOW), |dir| {
            let model = policy.policy(start)?.on(&experiment.device)?;
            let workers = experiment.config.run.resolved_workers();
            let what = format!("perplexity ({name})");
            let mut meter = experiment.progress.begin(&what, "pieces of text", 0, text.pieces.len() as u64);
            let score = score(&model, text, workers, |done| {
                meter.set(done as u64);
                experiment.interrupt.check("what is finished is kept; the same command goes on from there")
            })?;
            files::write_json(&dir.join(SCORE), &score)
        })?;
        self.measured.push(PolicyPerplexity::new(name, read(&stage)?));
        let name = format!("{PERPLEXITY} {name}");
        manifest.add(&name, &stage);
        manifest.perplexity.push(name);
        Ok(())
    }

    /// Measures a policy, and says how it compares with those before it.
    pub fn measure_and_tell(&mut self, name: &str, policy: Examined, manifest: &mut Manifest) -> Result<()> {
        self.measure(name, policy, manifest)?;
        report::forgetting(&self.measured).iter().for_each(|words| self.experiment.progress.tell(words));
        Ok(())
    }
}

/// What the stages that a manifest names have measured.
pub(crate) fn measured(manifest: &Manifest) -> Result<Vec<PolicyPerplexity>> {
    let policy = |name: &String| -> Result<PolicyPerplexity> {
        let score = read(&manifest.stage(name)?)?;
        Ok(PolicyPerplexity::new(name.trim_start_matches(PERPLEXITY).trim_start(), score))
    };
    manifest.perplexity.iter().map(policy).collect()
}

fn read(stage: &Stage) -> Result<TextScore> {
    files::read_json(&stage.dir.join(SCORE), "evaluate the run again")
}

/// The likelihood of a text; `told` hears of how many pieces are done.
fn score(
    policy: &Policy,
    text: &HeldBack,
    workers: usize,
    mut told: impl FnMut(usize) -> Result<()>,
) -> Result<TextScore> {
    // Nobody sampled it, and scoring does not look at what a sampler would have said.
    let unsampled = vec![0.0; text.pieces.iter().map(|piece| piece.text.len()).max().unwrap_or(0)];
    let mut score = TextScore { characters: text.characters, ..TextScore::default() };
    let mut done = 0;
    for some in text.pieces.chunks(TOGETHER) {
        let sampled = some.iter().map(|piece| Sampled {
            prompt: &piece.given,
            tokens: &piece.text,
            sampler_logprobs: &unsampled[..piece.text.len()],
            sampling_mask: &[],
            old_logprobs: None,
            advantage: 0.0,
            gae: None,
            kept: true,
        });
        for log_probs in policy_gradient::score(policy, &sampled.collect::<Vec<_>>(), workers)? {
            score.tokens += log_probs.len() as u64;
            score.nats -= log_probs.iter().map(|log_prob| f64::from(*log_prob)).sum::<f64>();
        }
        done += some.len();
        told(done)?;
    }
    if !score.nats.is_finite() {
        let found = "its likelihood under the policy is no number";
        return Err(Error::invalid("held-back text", found, "the weights are broken: train with lower learning rates"));
    }
    Ok(score)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::ModelSection;
    use crate::experiment::held_back::ScoredText;
    use crate::policy::InitConfig;

    /// The sum of `-log p` over tokens behind what is given, by a softmax over all logits.
    fn plainly(policy: &Policy, piece: &ScoredText) -> f64 {
        let tokens = [&piece.given[..], &piece.text].concat();
        let logits = policy.logits(&tokens, &[tokens.len()].into_iter().collect()).unwrap().to_vec2::<f32>().unwrap();
        let of_token = |at: usize| {
            let row: Vec<f64> = logits[at - 1].iter().map(|logit| f64::from(*logit)).collect();
            let sum: f64 = row.iter().map(|logit| logit.exp()).sum();
            sum.ln() - row[tokens[at] as usize]
        };
        (piece.given.len()..tokens.len()).map(of_token).sum()
    }

    #[test]
    fn perplexity_is_that_of_a_plain_computation() {
        let model = ModelSection { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, ..Default::default() };
        let model = ModelSection { num_attention_heads: 2, num_key_value_heads: 2, head_dim: 8, ..model };
        let init = InitConfig { embedding_std: 0.3, matrix_gain: 1.0, structured: None };
        let policy = Policy::initialise(Arc::new(model.with_vocabulary(20)), &init, 3).unwrap();
        let piece = |given: &[u32], text: &[u32]| ScoredText { given: given.to_vec(), text: text.to_vec() };
        let pieces = vec![piece(&[1], &[4, 7, 7, 2]), piece(&[1], &[19]), piece(&[1, 5], &[6, 0, 11])];
        let expected: f64 = pieces.iter().map(|piece| plainly(&policy, piece)).sum();
        let text = HeldBack { digest: String::new(), pieces, characters: 30 };
        let mut told = Vec::new();
        let score = score(&policy, &text, 2, |done| {
            told.push(done);
            Ok(())
        });
        let score = score.unwrap();
        assert_eq!((score.tokens, score.characters, told), (8, 30, vec![3]));
        assert!((score.nats - expected).abs() < 1e-3, "{} for {expected}", score.nats);
        assert!((score.perplexity() / (expected / 8.0).exp() - 1.0).abs() < 1e-3);
        assert!(score.perplexity() > 5.0, "random weights know nothing: {}", score.perplexity());
    }
}
