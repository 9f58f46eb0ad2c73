//! Draws a token from logits.

use super::arithmetic::{exp, sum};
use super::params::SamplingParams;
use crate::kernels::simd::{LANES, max, vectorised};

/// Tokens whose weights are summed before the walk to the drawn one.
const BLOCK: usize = 4 * LANES;

/// A token and its log-probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    pub(super) token: u32,
    pub(super) log_prob: f32,
    /// The tokens that could be drawn, rising, where not all could.
    pub(super) mask: Vec<u32>,
    /// See [`likeliest`](crate::kernels::log_prob::likeliest).
    pub(super) top: Vec<(u32, f32)>,
}

impl Draw {
    /// Of a token that was drawn from all.
    pub(super) fn new(token: u32, log_prob: f32) -> Draw {
        Draw { token, log_prob, mask: Vec::new(), top: Vec::new() }
    }
}

/// Draws from `softmax(logits / temperature)`, or from what truncation leaves of it, by the inverse of the cumulative
/// distribution at `uniform()` in [0, 1). Temperature 0 takes the likeliest token (the first of equals), asks for no random
/// number and reports the log-probability at temperature 1. `weights` is scratch. None when a logit is not finite.
pub(super) fn draw(
    logits: &[f32],
    sampling: &SamplingParams,
    uniform: impl FnOnce() -> f64,
    weights: &mut Vec<f32>,
) -> Option<Draw> {
    weights.resize(logits.len(), 0.0);
    let greedy = sampling.temperature == 0.0;
    let scale = if greedy { 1.0 } else { 1.0 / sampling.temperature };
    let (most, all) = soften(logits, scale, weights)?;
    let (token, mask, total) = if greedy {
        (logits.iter().position(|logit| *logit == most)?, Vec::new(), all)
    } else if let Some((mask, left)) = sampling.mask(weights, all) {
        (pick(&mask, weights, uniform() * left)?, mask, left)
    } else {
        (walk(weights, uniform() * all), Vec::new(), all)
    };
    let log_prob = f64::from((logits[token] - most) * scale) - total.ln();
    Some(Draw { mask, ..Draw::new(token as u32, log_prob as f32) })
}

/// The same from all tokens but these, which rise; from all if nothing else is left.
pub(super) fn draw_without(
    banned: &[u32],
    logits: &[f32],
    sampling: &SamplingParams,
    uniform: impl FnOnce() -> f64,
    weights: &mut Vec<f32>,
) -> Option<Draw> {
    let left: Vec<u32> = (0..logits.len() as u32).filter(|token| banned.binary_search(token).is_err()).collect();
    if left.is_empty() || left.len() == logits.len() {
        return draw(logits, sampling, uniform, weights);
    }
    let of_left: Vec<f32> = left.iter().map(|token| logits[*token as usize]).collect();
    let Draw { token, mask, log_prob, top } = draw(&of_left, sampling, uniform, weights)?;
    let its = |at: u32| left[at as usize];
    let mask = if mask.is_empty() { left.clone() } else { mask.into_iter().map(its).collect() };
    Some(Draw { token: its(token), mask, log_prob, top })
}

/// The first of these tokens at which the running sum of weights exceeds `target`.
fn pick(kept: &[u32], weights: &[f32], target: f64) -> Option<usize> {
    let mut rest = target;
    let found = kept.iter().find(|token| {
        rest -= f64::from(weights[**token as usize]);
        rest < 0.0
    });
    found.or(kept.last()).map(|token| *token as usize)
}

vectorised! {
    /// Fills `weights` with `e^(scale (logit - most))`; gives the largest logit and the sum of the weights.
    fn soften(logits: &[f32], scale: f32, weights: &mut [f32]) -> Option<(f32, f64)> {
        // Zero times a finite number is zero, times anything else it is NaN.
        let finite = sum(logits, |logit| logit * 0.0) == 0.0;
        let most = max(logits);
        for (weight, logit) in weights.iter_mut().zip(logits) {
            *weight = exp((logit - most) * scale);
        }
        finite.then(|| (most, weights.chunks(BLOCK).map(block_sum).sum()))
    }
}

/// The sum of a block, in one fixed order.
#[inline(always)]
fn block_sum(block: &[f32]) -> f64 {
    f64::from(sum(block, |weight| weight))
}

/// The first token at which the running sum of weights exceeds `target`.
fn walk(weights: &[f32], target: f64) -> usize {
    let mut below = 0.0;
    for (index, block) in weights.chunks(BLOCK).enumerate() {
        let sum = block_sum(block);
        if below + sum > target {
            let mut rest = target - below;
            for (offset, weight) in block.iter().enumerate() {
                rest -= f64::from(*weight);
                if rest < 0.0 {
                    return index * BLOCK + offset;
                }
            }
            // The target fell into the rounding between a block's sum and its parts.
            return index * BLOCK + block.len() - 1;
        }
        below += sum;
    }
    // The same beyond the last block.
    weights.len() - 1
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    fn softmax(logits: &[f32], temperature: f32) -> Vec<f64> {
        let weights: Vec<f64> = logits.iter().map(|logit| (f64::from(*logit) / f64::from(temperature)).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    }

    #[test]
    fn frequencies_follow_the_softmax_at_every_temperature() {
        let logits: Vec<f32> = (0..7).map(|token| (token as f32 * 1.7).sin() * 2.0).collect();
        for temperature in [0.5f32, 1.0, 2.0] {
            let mut stream = crate::random::stream(1, &[u64::from(temperature.to_bits())]);
            let (mut counts, mut scratch) = ([0u32; 7], Vec::new());
            let draws = 20_000;
            for _ in 0..draws {
                counts[draw(&logits, &SamplingParams::at(temperature), || stream.random(), &mut scratch).unwrap().token
                    as usize] += 1;
            }
            let expected = softmax(&logits, temperature).into_iter().map(|probability| probability * f64::from(draws));
            let squares = counts.iter().zip(expected).map(|(count, mean)| (f64::from(*count) - mean).powi(2) / mean);
            // Six degrees of freedom: 22.46 is passed once in a thousand.
            assert!(squares.sum::<f64>() < 22.46, "{counts:?} at temperature {temperature}");
        }
    }

    #[test]
    fn every_point_of_the_unit_interval_belongs_to_the_right_token() {
        let logits: Vec<f32> = (0..1000).map(|token| (token as f32 * 0.37).cos() * 3.0).collect();
        let probabilities = softmax(&logits, 1.0);
        let (mut scratch, mut below) = (Vec::new(), 0.0);
        for (token, probability) in probabilities.iter().enumerate() {
            let draw = draw(&logits, &SamplingParams::at(1.0), || below + probability / 2.0, &mut scratch).unwrap();
            assert_eq!(draw.token as usize, token);
            assert!((f64::from(draw.log_prob) - probability.ln()).abs() < 1e-5);
            below += probability;
        }
        let last = draw(&logits, &SamplingParams::at(1.0), || 1.0 - f64::EPSILON / 2.0, &mut scratch).unwrap();
        assert!(last.token > 990);
    }

    #[test]
    fn truncated_draws_follow_the_softmax_over_what_is_left() {
        let logits: Vec<f32> = (0..40).map(|token| (token as f32 * 1.7).sin() * 2.0).collect();
        let usual = SamplingParams::at(0.8);
        for sampling in [
            SamplingParams { top_k: 5, ..usual },
            SamplingParams { top_p: 0.7, ..usual },
            SamplingParams { min_p: 0.4, ..usual },
            SamplingParams { top_k: 9, top_p: 0.9, min_p: 0.3, ..usual },
        ] {
            let mut stream = crate::random::stream(1, &[]);
            let mut scratch = Vec::new();
            let drawn: Vec<Draw> =
                (0..2000).map(|_| draw(&logits, &sampling, || stream.random(), &mut scratch).unwrap()).collect();
            let kept = &drawn[0].mask;
            let all = softmax(&logits, 0.8);
            let left: f64 = kept.iter().map(|token| all[*token as usize]).sum();
            assert!(kept.len() > 1 && kept.len() < 15, "{kept:?}");
            for one in &drawn {
                assert!(kept.contains(&one.token) && one.mask == *kept);
                assert!((f64::from(one.log_prob) - (all[one.token as usize] / left).ln()).abs() < 1e-5);
            }
            for token in kept {
                let share = drawn.iter().filter(|one| one.token == *token).count() as f64 / 2000.0;
                assert!((share - all[*token as usize] / left).abs() < 0.05);
            }
        }
    }

    #[derive(serde::Deserialize)]
    struct WarperGolden {
        logits: Vec<Vec<f32>>,
        said: Vec<Vec<u32>>,
        cases: Vec<WarperCase>,
    }

    #[derive(serde::Deserialize)]
    struct WarperCase {
        sampling: SamplingParams,
        log_probs: Vec<Vec<Option<f32>>>,
    }

    #[test]
    fn log_probs_are_those_of_transformers_warpers() {
        let golden: WarperGolden = serde_json::from_str(include_str!("../../tests/warpers.json")).unwrap();
        let mut drawn = 0;
        for WarperCase { sampling, log_probs } in &golden.cases {
            for ((logits, said), expected) in golden.logits.iter().zip(&golden.said).zip(log_probs) {
                let counts = said.iter().map(|token| (*token, 0)).collect();
                let logits = sampling.penalised(logits, &counts);
                let banned = sampling.banned(said, &[]);
                for at in 0..200 {
                    let uniform = || f64::from(at) / 200.0;
                    let one = draw_without(&banned, &logits, sampling, uniform, &mut Vec::new()).unwrap();
                    let theirs = expected[one.token as usize].unwrap();
                    assert!((theirs - one.log_prob).abs() < 1e-5, "{sampling:?}: {theirs}, not {}", one.log_prob);
                    let possible = (0..).zip(expected).filter(|(_, value)| value.is_some()).map(|(token, _)| token);
                    let possible: Vec<u32> = possible.collect();
                    assert_eq!(possible, if one.mask.is_empty() { (0..60).collect() } else { one.mask });
                    drawn += 1;
                }
            }
        }
        assert_eq!(drawn, 10 * 5 * 200);
    }

    #[test]
    fn what_is_banned_is_not_drawn_however_likely_it_is() {
        let logits = [0.0, 300.0, 3.0, 300.0, 1.0];
        for sampling in
            [SamplingParams::greedy(), SamplingParams::at(1.0), SamplingParams { top_k: 2, ..SamplingParams::at(0.5) }]
        {
            let one = draw_without(&[1, 3], &logits, &sampling, || 0.5, &mut Vec::new()).unwrap();
            assert_eq!(one.token, 2, "{sampling:?}");
            let by = if sampling.temperature == 0.0 { 1.0 } else { sampling.temperature };
            let among: &[f32] = if sampling.top_k == 2 { &[3.0, 1.0] } else { &[3.0, 0.0, 1.0] };
            assert!((f64::from(one.log_prob) - softmax(among, by)[0].ln()).abs() < 1e-6, "{sampling:?}");
            assert_eq!(one.mask, if sampling.top_k == 2 { vec![2, 4] } else { vec![0, 2, 4] });
            // Where nothing is left, everything is.
            let any = draw_without(&[0, 1, 2, 3, 4], &logits, &sampling, || 0.25, &mut Vec::new()).unwrap();
            assert!([1, 3].contains(&any.token));
        }
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest() {
        let draw = draw(&[0.0, 3.0, 3.0, 1.0], &SamplingParams::greedy(), || unreachable!(), &mut Vec::new()).unwrap();
        assert_eq!(draw.token, 1);
        assert!((f64::from(draw.log_prob) - softmax(&[0.0, 3.0, 3.0, 1.0], 1.0)[1].ln()).abs() < 1e-6);
    }

    #[test]
    fn logits_that_are_not_finite_give_nothing() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in [0, 17, 36] {
                let mut logits = vec![0.5; 37];
                logits[place] = bad;
                for temperature in [0.0, 1.0] {
                    assert_eq!(draw(&logits, &SamplingParams::at(temperature), || 0.5, &mut Vec::new()), None);
                }
            }
        }
    }
}
