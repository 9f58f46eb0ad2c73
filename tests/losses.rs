//! Losses and gradients are those of TRL's GRPOTrainer (`tests/make_loss_golden.py` writes them), for every loss type
//! of both.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use recollect::learner::{
    Aggregation, Algorithm, Clip, ClipRange, Estimator, Loss, Ratio, TokenWeights, Tokens, policy_loss,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    longest: usize,
    lengths: Vec<usize>,
    masked: usize,
    now: Vec<Vec<f32>>,
    before: Vec<Vec<f32>>,
    sampled: Vec<Vec<f32>>,
    reference: Vec<Vec<f32>>,
    entropy: Vec<Vec<f32>>,
    advantages: Vec<f32>,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    options: Options,
    loss: f64,
    gradient: Vec<Vec<f64>>,
    entropy_gradient: Option<Vec<Vec<f64>>>,
}

/// What the trainer was told, in its own words, with its own defaults.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    loss_type: String,
    beta: f64,
    epsilon: f64,
    epsilon_high: Option<f64>,
    delta: f64,
    entropy_coef: f64,
    importance_sampling_level: String,
    importance: f64,
    masked: bool,
    unbiased_kl: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            loss_type: "dapo".into(),
            beta: 0.0,
            epsilon: 0.2,
            epsilon_high: None,
            delta: 0.0,
            entropy_coef: 0.0,
            importance_sampling_level: "token".into(),
            importance: 0.0,
            masked: false,
            unbiased_kl: false,
        }
    }
}

impl Options {
    /// The same in our words.
    fn algorithm(&self) -> Algorithm {
        let high = self.epsilon_high.unwrap_or(self.epsilon);
        let clip = match self.loss_type.as_str() {
            // Its bound is that of the ratio itself.
            "cispo" => ClipRange { low: 1.0, high: high - 1.0, dual: 0.0, detached: true },
            _ => ClipRange { low: self.epsilon, high, dual: self.delta, detached: false },
        };
        let aggregation = match self.loss_type.as_str() {
            "grpo" => Aggregation::Sequence,
            "dr_grpo" | "luspo" => Aggregation::Fixed,
            "dapo" | "bnpo" | "cispo" => Aggregation::Token,
            other => panic!("{other}: a loss type without a counterpart"),
        };
        let ratio = match self.importance_sampling_level.as_str() {
            "sequence" => Ratio::Sequence,
            _ => Ratio::Token,
        };
        Algorithm {
            ratio,
            clip: Clip::Range(clip),
            aggregation,
            kl: self.beta,
            kl_estimator: if self.unbiased_kl { Estimator::K3Unbiased } else { Estimator::K3 },
            entropy: self.entropy_coef,
            tis_cap: self.importance,
            ..Algorithm::grpo()
        }
    }
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("losses.json")).unwrap()
}

fn leaf(values: &[Vec<f32>]) -> Var {
    Var::from_tensor(&tensor(&values.concat())).unwrap()
}

fn tensor(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

/// The largest difference, relative to the largest number.
fn apart(found: &[f32], truth: &[Vec<f64>]) -> f64 {
    let truth = truth.concat();
    assert_eq!(found.len(), truth.len());
    let size = truth.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    found.iter().zip(&truth).fold(0.0, |most: f64, (a, b)| most.max((f64::from(*a) - b).abs())) / size.max(1e-30)
}

#[test]
fn losses_and_gradients_are_those_of_trl() {
    let golden = golden();
    assert_eq!(golden.cases.len(), 21);
    for (name, case) in &golden.cases {
        let algorithm = case.options.algorithm();
        // LUSPO adds up the tokens of a completion and divides by nothing but the number of completions.
        let longest = if case.options.loss_type == "luspo" { 1 } else { golden.longest };
        let learned = |number: usize| !(case.options.masked && number == golden.masked);
        let masks: Vec<Vec<bool>> =
            golden.lengths.iter().enumerate().map(|(number, length)| vec![learned(number); *length]).collect();
        let TokenWeights { tokens: weights, normaliser } = algorithm.aggregation.token_weights(&masks, longest);
        let of_completion = |number: usize, length: &usize| vec![golden.advantages[number]; *length];
        let advantages: Vec<Vec<f32>> =
            golden.lengths.iter().enumerate().map(|(number, length)| of_completion(number, length)).collect();
        let completion: Vec<u32> =
            golden.lengths.iter().zip(0..).flat_map(|(length, number)| vec![number; *length]).collect();
        let (log_prob, entropy) = (leaf(&golden.now), leaf(&golden.entropy));
        // Where TRL corrects for the sampler, it knows both; otherwise it takes the learner's own for the sampler's.
        let sampled = if algorithm.tis_cap == 0.0 { &golden.before } else { &golden.sampled };
        let tokens = Tokens {
            log_prob: &log_prob,
            sampler_logprobs: &tensor(&sampled.concat()),
            old_logprobs: Some(&tensor(&golden.before.concat())),
            completion: &completion,
            advantage: &tensor(&advantages.concat()),
            weight: &tensor(&weights.concat()),
            reference: Some(&tensor(&golden.reference.concat())),
            entropy: Some(&entropy),
        };
        let Loss { value, .. } = policy_loss(&algorithm, &tokens, normaliser).unwrap();
        let loss = f64::from(value.to_scalar::<f32>().unwrap());
        let gradients = value.backward().unwrap();
        let gradient = gradients.get(&log_prob).unwrap().to_vec1::<f32>().unwrap();
        assert!((loss - case.loss).abs() <= 2e-6 * case.loss.abs().max(0.1), "{name}: {loss} for {}", case.loss);
        let far = apart(&gradient, &case.gradient);
        assert!(far <= 1e-6, "{name}: gradients {far} apart: {gradient:?} for {:?}", case.gradient);
        match &case.entropy_gradient {
            None => assert!(gradients.get(&entropy).is_none(), "{name}"),
            Some(truth) => {
                let far = apart(&gradients.get(&entropy).unwrap().to_vec1::<f32>().unwrap(), truth);
                assert!(far <= 1e-6, "{name}: gradients of entropies {far} apart");
            }
        }
    }
}

#[test]
fn ratios_of_the_golden_batch_leave_their_ranges_on_both_sides() {
    let golden = golden();
    let ratios =
        golden.now.iter().zip(&golden.before).zip(&golden.advantages).flat_map(|((now, before), advantage)| {
            now.iter().zip(before).map(move |(now, before)| ((now - before).exp(), *advantage))
        });
    let ratios: Vec<(f32, f32)> = ratios.collect();
    for (low, high) in [(0.0, 0.8), (0.8, 1.2), (1.2, 1.4), (1.4, 9.0)] {
        for sign in [-1.0, 1.0] {
            let there =
                ratios.iter().filter(|(ratio, advantage)| low < *ratio && *ratio < high && advantage * sign > 0.0);
            assert!(there.count() > 0, "no ratio between {low} and {high} with an advantage of sign {sign}");
        }
    }
}
