use candle_core::{Device, Var};

use super::*;
use crate::learner::{Aggregation, TokenWeights};

/// Tokens of three completions of 1, 4 and 6 tokens; two tokens of the last are masked.
struct LossInputs {
    log_prob: Vec<f32>,
    sampled: Vec<f32>,
    advantage: Vec<f32>,
    reference: Vec<f32>,
    entropy: Vec<f32>,
    before: Vec<f32>,
    completion: Vec<u32>,
    weights: TokenWeights,
}

fn batch(aggregation: Aggregation) -> LossInputs {
    let lengths = [1, 4, 6];
    let masks: Vec<Vec<bool>> =
        lengths.iter().map(|length| (0..*length).map(|position| position < 4).collect()).collect();
    let wave = |phase: f32, size: f32| (0..11).map(|i| -1.5 + size * (i as f32 * 1.3 + phase).sin()).collect();
    let advantages = [1.5, -0.7, 0.4];
    let advantage =
        lengths.iter().zip(advantages).flat_map(|(length, value)| vec![value; *length]).collect::<Vec<f32>>();
    LossInputs {
        log_prob: wave(0.0, 0.6),
        sampled: wave(0.4, 0.5),
        advantage,
        reference: wave(2.0, 0.3),
        entropy: (0..11).map(|i| 0.5 + i as f32 * 0.1).collect(),
        before: wave(0.3, 0.55),
        completion: lengths.iter().zip(0..).flat_map(|(length, number)| vec![number; *length]).collect(),
        weights: aggregation.token_weights(&masks, 8),
    }
}

fn tensor(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

/// Loss, gradient in the log-probs and statistics of the tokens `span` of a batch.
fn part(algorithm: &Algorithm, batch: &LossInputs, span: std::ops::Range<usize>) -> (f64, Vec<f32>, Statistics) {
    let cut = |values: &[f32]| tensor(&values[span.clone()]);
    let log_prob = Var::from_tensor(&cut(&batch.log_prob)).unwrap();
    let tokens = Tokens {
        log_prob: &log_prob,
        sampler_logprobs: &cut(&batch.sampled),
        old_logprobs: Some(&cut(&batch.before)),
        completion: &batch.completion[span.clone()],
        advantage: &cut(&batch.advantage),
        weight: &cut(&batch.weights.tokens.concat()),
        reference: Some(&cut(&batch.reference)),
        entropy: Some(&cut(&batch.entropy)),
    };
    let Loss { value, statistics } = policy_loss(algorithm, &tokens, batch.weights.normaliser).unwrap();
    let gradient = value.backward().unwrap().get(&log_prob).unwrap().to_vec1().unwrap();
    (f64::from(value.to_scalar::<f32>().unwrap()), gradient, statistics)
}

fn every_algorithm() -> Vec<Algorithm> {
    let clip = Clip::range(0.2, 0.28);
    let dual = Clip::Range(ClipRange { low: 0.2, high: 0.2, dual: 1.5, detached: false });
    let presets = Algorithm::PRESETS.map(|name| Algorithm::preset(name).unwrap());
    let variants = [
        Algorithm { clip, kl: 0.1, entropy: 0.01, ..Algorithm::grpo() },
        Algorithm { kl: 0.1, kl_estimator: Estimator::K2, tis_cap: 1.02, ..Algorithm::gspo() },
        Algorithm { kl: 0.1, kl_estimator: Estimator::K3Unbiased, ..Algorithm::gspo() },
        Algorithm { kl: 0.1, kl_estimator: Estimator::K3Unbiased, ..Algorithm::rloo() },
        Algorithm { aggregation: Aggregation::Sequence, clip: Clip::None, ..Algorithm::grpo() },
        Algorithm { clip: Clip::None, tis_cap: 1.02, ..Algorithm::gspo() },
        Algorithm { clip: dual, ..Algorithm::grpo() },
    ];
    presets.into_iter().chain(variants).collect()
}

fn close(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn gradients_agree_with_finite_differences() {
    // A detached weight is no derivative of anything: what its gradient is, is computed by hand below.
    let detached = |a: &Algorithm| matches!(a.clip, Clip::Range(ClipRange { detached: true, .. }));
    for algorithm in every_algorithm().into_iter().filter(|algorithm| !detached(algorithm)) {
        let mut batch = batch(algorithm.aggregation);
        let (_, gradient, _) = part(&algorithm, &batch, 0..11);
        for (token, exact) in gradient.iter().enumerate() {
            let (kept, step) = (batch.log_prob[token], 2e-3);
            let mut at = |value: f32| {
                batch.log_prob[token] = value;
                part(&algorithm, &batch, 0..11).0
            };
            let numeric = (at(kept + step) - at(kept - step)) / (2.0 * f64::from(step));
            at(kept);
            assert!((numeric - f64::from(*exact)).abs() < 2e-4, "{algorithm:?} at {token}: {exact} for {numeric}");
        }
    }
}

#[test]
fn the_number_of_micro_batches_does_not_change_the_gradient() {
    for algorithm in every_algorithm() {
        let batch = batch(algorithm.aggregation);
        let (loss, gradient, statistics) = part(&algorithm, &batch, 0..11);
        let whole_completions = [vec![0, 5, 11], vec![0, 1, 5, 11]];
        let cuts = match algorithm.ratio {
            Ratio::Sequence => whole_completions,
            _ => [vec![0, 5, 11], vec![0, 1, 2, 4, 5, 8, 10, 11]],
        };
        for cuts in cuts {
            let parts: Vec<_> = cuts.windows(2).map(|cut| part(&algorithm, &batch, cut[0]..cut[1])).collect();
            let (mut sum, mut joined, mut total) = (0.0, Vec::new(), Statistics::default());
            for (loss, gradient, statistics) in parts {
                sum += loss;
                joined.extend(gradient);
                total += statistics;
            }
            assert!((sum - loss).abs() < 1e-6);
            assert!(close(&joined, &gradient, 1e-6), "{algorithm:?}");
            assert!((total.kl() - statistics.kl()).abs() < 1e-9 && total.tokens() == statistics.tokens());
        }
    }
}

#[test]
fn hand_computed_values() {
    // Ratios 1.5, 1.5, 0.5, 0.5 with advantages of both signs; the fifth token is masked.
    let ratios = [1.5f32, 1.5, 0.5, 0.5, 3.0];
    let batch = LossInputs {
        log_prob: ratios.iter().map(|ratio| ratio.ln() - 2.0).collect(),
        sampled: vec![-2.0; 5],
        advantage: vec![1.0, -1.0, 1.0, -1.0, 1.0],
        reference: vec![-2.0; 5],
        entropy: vec![0.25, 0.75, 0.25, 0.75, 9.0],
        before: vec![-2.0; 5],
        completion: vec![0; 5],
        weights: TokenWeights { tokens: vec![vec![1.0, 1.0, 1.0, 1.0, 0.0]], normaliser: 4.0 },
    };
    let (loss, gradient, statistics) = part(&Algorithm::grpo(), &batch, 0..5);
    // -(1.2 - 1.5 + 0.5 - 0.8) / 4: the first and the last are clipped.
    assert!((loss - 0.15).abs() < 1e-6);
    assert!(close(&gradient, &[0.0, 0.375, -0.125, 0.0, 0.0], 1e-6), "{gradient:?}");
    assert_eq!((statistics.clip_ratio_high(), statistics.clip_ratio_low()), (0.25, 0.25));
    assert_eq!(statistics.clip_ratio_region(), 0.5);
    assert_eq!((statistics.tokens(), statistics.entropy()), (4, 0.5));
    let ratio_k3 = |ratio: f64| ratio - ratio.ln() - 1.0;
    assert!((statistics.mismatch_kl() - (ratio_k3(1.5) + ratio_k3(0.5)) / 2.0).abs() < 1e-6);
    assert!((statistics.kl() - (ratio_k3(1.0 / 1.5) + ratio_k3(2.0)) / 2.0).abs() < 1e-6);

    // The dual bound: the second ratio counts as 1.4 only, and its token has no gradient.
    let dual = Clip::Range(ClipRange { low: 0.2, high: 0.2, dual: 1.4, detached: false });
    let (loss_of_dual, gradient, _) = part(&Algorithm { clip: dual, ..Algorithm::grpo() }, &batch, 0..5);
    assert!((loss_of_dual - 0.125).abs() < 1e-6);
    assert!(close(&gradient, &[0.0, 0.0, -0.125, 0.0, 0.0], 1e-6), "{gradient:?}");

    // Detached: a weight of log p, cut at 1.2 above and 0.8 below, for every token.
    let detached = Clip::Range(ClipRange { low: 0.2, high: 0.2, dual: 0.0, detached: true });
    let (_, gradient, _) = part(&Algorithm { clip: detached, ..Algorithm::grpo() }, &batch, 0..5);
    assert!(close(&gradient, &[-0.3, 0.3, -0.2, 0.2, 0.0], 1e-6), "{gradient:?}");

    let rich = Algorithm { kl: 0.5, entropy: 0.1, ..Algorithm::grpo() };
    let (with_terms, _, _) = part(&rich, &batch, 0..5);
    assert!((with_terms - (loss + 0.5 * statistics.kl() - 0.1 * 0.5)).abs() < 1e-6);
}

#[test]
fn the_unbiased_estimate_has_the_gradient_of_the_divergence() {
    // The policy is softmax(x) over three tokens; the mean over what it samples is taken exactly.
    let (x, reference) = ([0.3f32, -0.2, 0.1], [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()]);
    let p: Vec<f32> = {
        let sum: f32 = x.iter().map(|x| x.exp()).sum();
        x.iter().map(|x| x.exp() / sum).collect()
    };
    let divergence: f32 = p.iter().zip(&reference).map(|(p, r)| p * (p.ln() - r)).sum();
    // d KL / d x_i = p_i (ln p_i - ln r_i - KL)
    let truth: Vec<f32> = (0..3).map(|i| p[i] * (p[i].ln() - reference[i] - divergence)).collect();
    let gradient = |kl_estimator| {
        let log_prob = Var::from_tensor(&tensor(&p.iter().map(|p| p.ln()).collect::<Vec<_>>())).unwrap();
        let tokens = Tokens {
            log_prob: &log_prob,
            sampler_logprobs: &log_prob.detach(),
            old_logprobs: None,
            completion: &[0, 1, 2],
            advantage: &tensor(&[0.0; 3]),
            weight: &tensor(&p),
            reference: Some(&tensor(&reference)),
            entropy: None,
        };
        let loss = policy_loss(&Algorithm { kl: 1.0, kl_estimator, ..Algorithm::grpo() }, &tokens, 1.0).unwrap();
        let by_log_prob: Vec<f32> = loss.value.backward().unwrap().get(&log_prob).unwrap().to_vec1().unwrap();
        // Through the softmax: d ln p_j / d x_i = [i = j] - p_i.
        let total: f32 = by_log_prob.iter().sum();
        (0..3).map(|i| by_log_prob[i] - p[i] * total).collect::<Vec<f32>>()
    };
    assert!(close(&gradient(Estimator::K3Unbiased), &truth, 1e-6));
    assert!(close(&gradient(Estimator::K2), &truth, 1e-6), "in the mean k2 has it too");
    assert!(!close(&gradient(Estimator::K3), &truth, 1e-2), "k3 has that of another divergence");
    assert!(close(&gradient(Estimator::K1), &[0.0; 3], 1e-6), "k1 has none");
}

#[test]
fn importance_is_cut_at_its_cap_and_ratios_are_then_to_the_learner_before_the_step() {
    let mut batch = batch(Aggregation::Token);
    let corrected = Algorithm { tis_cap: 1.03, clip: Clip::None, ..Algorithm::grpo() };
    let (_, found, statistics) = part(&corrected, &batch, 0..11);
    let truth: Vec<f32> = (0..11)
        .map(|i| {
            let importance = (batch.before[i] - batch.sampled[i]).exp().min(1.03);
            let ratio = (batch.log_prob[i] - batch.before[i]).exp();
            -importance * ratio * batch.advantage[i] * batch.weights.tokens.concat()[i] / 9.0
        })
        .collect();
    assert!(close(&found, &truth, 1e-6), "{found:?} for {truth:?}");
    // Masked tokens count nowhere; some of the others are capped and some are not.
    let capped = (0..9).filter(|i| (batch.before[*i] - batch.sampled[*i]).exp() > 1.03).count();
    assert!((1..9).contains(&capped) && statistics.importance_capped() == capped as f64 / 9.0);
    // A cap that nothing reaches makes PPO's own ratio of it.
    let loose = Algorithm { tis_cap: 1e6, ..corrected };
    let plain = Algorithm { tis_cap: 0.0, ..corrected };
    assert!(close(&part(&loose, &batch, 0..11).1, &part(&plain, &batch, 0..11).1, 1e-6));
    // Where sampler and learner are the same, the correction does nothing.
    batch.before = batch.sampled.clone();
    assert_eq!(part(&corrected, &batch, 0..11).1, part(&plain, &batch, 0..11).1);
}

#[test]
fn what_is_missing_is_named_and_nothing_overflows() {
    let (values, weight) = (tensor(&[-200.0, 0.0]), tensor(&[1.0, 1.0]));
    let sampled = tensor(&[0.0, -200.0]);
    let tokens = Tokens {
        log_prob: &values,
        sampler_logprobs: &sampled,
        old_logprobs: None,
        completion: &[0, 0],
        advantage: &weight,
        weight: &weight,
        reference: None,
        entropy: None,
    };
    let unclipped = Algorithm { clip: Clip::None, ..Algorithm::grpo() };
    assert!(policy_loss(&unclipped, &tokens, 1.0).unwrap().value.to_scalar::<f32>().unwrap().is_finite());
    let missing = |algorithm| policy_loss(&algorithm, &tokens, 1.0).unwrap_err().to_string();
    assert!(missing(Algorithm { kl: 0.1, ..Algorithm::grpo() }).contains("kl without"));
    assert!(missing(Algorithm { entropy: 0.1, ..Algorithm::grpo() }).contains("entropy without"));
    assert!(policy_loss(&unclipped, &tokens, 0.0).is_err());
}
