//! By how much do two ways of answering differ, without any model of how answers come about?

use std::collections::BTreeMap;

use rand_distr::{Binomial, Distribution};

use super::Interval;
use crate::random::{self, Stream};

/// Resamples: the edges of an interval then move by about a fiftieth of its width from one seed to another.
const RESAMPLES: usize = 10_000;

/// The paired bootstrap (Efron 1979; Koehn 2004 for two systems on one test set): the 95 % percentile interval of the
/// mean difference when questions are drawn anew, with replacement. `differences` has one number for each question, what
/// the first way scored on it less what the second did. Without questions nothing is known: -1 to 1.
pub fn paired(differences: &[f64], seed: u64) -> Interval {
    if differences.is_empty() {
        return Interval { low: -1.0, high: 1.0 };
    }
    // Equal differences are the same thing drawn: how often each value comes is a multinomial, whatever the number of
    // questions. The bits of finite numbers stand for their values.
    let mut counts: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
    for value in differences {
        // Adding 0 makes -0 the same as 0.
        counts.entry((value + 0.0).to_bits()).or_insert((*value, 0)).1 += 1;
    }
    let counts: Vec<(f64, u64)> = counts.into_values().collect();
    let mut random = random::named(seed, "paired bootstrap");
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resampled_mean(&counts, &mut random)).collect();
    means.sort_by(f64::total_cmp);
    Interval { low: quantile(&means, 0.025), high: quantile(&means, 0.975) }
}

/// The mean of as many draws as there are questions. The multinomial is drawn as a chain of binomials.
fn resampled_mean(counts: &[(f64, u64)], random: &mut Stream) -> f64 {
    let n: u64 = counts.iter().map(|(_, count)| count).sum();
    let (mut draws, mut left, mut sum) = (n, n, 0.0);
    for (value, count) in counts {
        let share = *count as f64 / left as f64;
        let drawn = match Binomial::new(draws, share.min(1.0)) {
            Ok(binomial) => binomial.sample(random),
            // A share of a count is between 0 and 1.
            Err(_) => 0,
        };
        sum += value * drawn as f64;
        draws -= drawn;
        left -= count;
    }
    sum / n as f64
}

/// Between the two sorted values that are nearest, in a straight line.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_differences_leave_no_doubt_and_no_questions_leave_every() {
        assert_eq!(paired(&[0.5; 9], 1), Interval { low: 0.5, high: 0.5 });
        assert_eq!(paired(&[0.0, -0.0], 1), Interval { low: 0.0, high: 0.0 });
        assert_eq!(paired(&[], 1), Interval { low: -1.0, high: 1.0 });
        // It does not know which way is which, and depends on the seed alone.
        let differences: Vec<f64> = (0..60).map(|i| [1.0, 0.0, 0.0, -1.0, 0.5][i % 5]).collect();
        let opposite: Vec<f64> = differences.iter().map(|value| -value).collect();
        let (one, other) = (paired(&differences, 7), paired(&opposite, 7));
        assert!((one.low + other.high).abs() < 0.02 && (one.high + other.low).abs() < 0.02, "{one:?} {other:?}");
        assert_eq!(one, paired(&differences, 7));
    }
}
