//! What several runs of one experiment with different seeds say together.
//!
//! A run's seed makes its world, so its questions are its own, and all of them share the luck of that run: answers of one
//! run are a cluster. An interval that counts every question as independent is too narrow; one over the means of the runs
//! holds what comes from the questions and what comes from the seeds alike, because both move those means.

use super::Interval;
use super::interval::Z;

/// A mean over runs, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverSeeds {
    pub mean: f64,
    pub interval: Interval,
    pub runs: usize,
    pub questions: usize,
}

/// The share of right answers over runs, each with its share and its questions.
///
/// The interval is that of Wilson for as many independent questions as the clustered ones are worth, by the variance
/// between the runs and with Student's t for their number, and for no more than there are (Korn and Graubard 1998, who do
/// this to another interval of a share; Franco et al. 2019 find that it serves Wilson's as well). A single run says nothing
/// about seeds: its interval is that of its questions. `None` without a question.
pub fn share(runs: &[(f64, usize)]) -> Option<OverSeeds> {
    let runs: Vec<(f64, f64)> =
        runs.iter().filter(|run| run.1 > 0).map(|run| (run.0 * run.1 as f64, run.1 as f64)).collect();
    let (right, n) = runs.iter().fold((0.0, 0.0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    if n == 0.0 {
        return None;
    }
    let (mean, count) = (right / n, runs.len());
    let apart: f64 = runs.iter().map(|(right, n)| (right - mean * n).powi(2)).sum();
    let worth = if apart > 0.0 {
        let variance = apart / (n * n) * count as f64 / (count - 1) as f64;
        (mean * (1.0 - mean) / variance * (Z / student(count - 1)).powi(2)).min(n)
    } else {
        // A single run, or runs that agree to the last answer.
        n
    };
    let interval = Interval::wilson_of(mean, worth, Z);
    Some(OverSeeds { mean, interval, runs: count, questions: n as usize })
}

/// The mean of what each question gives (the difference between two ways of answering it, for example), in `-1..=1`,
/// over runs: the mean of all, and Student's interval from the variance between the means of the runs, or the normal one from
/// that between questions where it is wider. `None` without a question.
pub fn mean(runs: &[Vec<f64>]) -> Option<OverSeeds> {
    let runs: Vec<&Vec<f64>> = runs.iter().filter(|run| !run.is_empty()).collect();
    let all = || runs.iter().flat_map(|run| run.iter());
    let (count, n) = (runs.len(), all().count() as f64);
    if count == 0 {
        return None;
    }
    let mean = all().sum::<f64>() / n;
    let between_questions = all().map(|value| (value - mean).powi(2)).sum::<f64>() / (n * (n - 1.0).max(1.0));
    let apart: f64 = runs.iter().map(|run| run.iter().map(|value| value - mean).sum::<f64>().powi(2)).sum();
    let between_runs = if count > 1 { apart / (n * n) * count as f64 / (count - 1) as f64 } else { 0.0 };
    let by_runs = if count > 1 { student(count - 1) * between_runs.sqrt() } else { 0.0 };
    let half = by_runs.max(Z * between_questions.sqrt());
    let interval = Interval { low: (mean - half).max(-1.0), high: (mean + half).min(1.0) };
    Some(OverSeeds { mean, interval, runs: count, questions: n as usize })
}

/// The deviate of Student's t that leaves 2.5 % on either side, for a whole number of degrees of freedom; infinite for
/// none.
fn student(freedom: usize) -> f64 {
    if freedom == 0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    // Each halving gains a bit.
    for _ in 0..f64::MANTISSA_DIGITS {
        let middle = f64::midpoint(low, high);
        if between(middle, freedom) < 0.95 { low = middle } else { high = middle }
    }
    low.tan() * (freedom as f64).sqrt()
}

/// The probability of a t between `-√freedom tan(angle)` and that: a finite sum of powers of the cosine (Abramowitz and
/// Stegun 1964, 26.7.3 and 26.7.4).
fn between(angle: f64, freedom: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    // cos + 2/3 cos³ + …, or 1 + 1/2 cos² + …
    let (mut term, mut sum) = (if odd { cosine } else { 1.0 }, 0.0);
    for power in ((freedom % 2)..freedom.saturating_sub(1)).step_by(2) {
        sum += term;
        term *= cosine * cosine * (power + 1) as f64 / (power + 2) as f64;
    }
    if odd { std::f64::consts::FRAC_2_PI * (angle + sine * sum) } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use rand::Rng;
    use rand_distr::{Distribution, Normal};

    /// Computed with `scipy.stats.t.ppf(0.975, freedom)`.
    const STUDENT: [(usize, f64); 7] = [
        (1, 12.706204736432095),
        (2, 4.302652729911275),
        (3, 3.182446305284263),
        (4, 2.7764451051977987),
        (7, 2.3646242510102993),
        (30, 2.0422724563012373),
        (101, 1.983731002885281),
    ];

    #[test]
    fn students_deviates_are_those_of_scipy() {
        for (freedom, expected) in STUDENT {
            let found = student(freedom);
            assert!((found - expected).abs() < 1e-9 * expected, "{freedom}: {found} against {expected}");
        }
    }

    #[test]
    fn one_run_is_its_questions_and_runs_that_differ_widen_the_interval() {
        let one = share(&[(0.8, 50)]).unwrap();
        assert_eq!(one.interval, Interval::wilson(0.8, 50));
        let (close, apart) = (share(&[(0.8, 50), (0.82, 50), (0.78, 50)]), share(&[(1.0, 50), (0.8, 50), (0.6, 50)]));
        let width = |of: Option<OverSeeds>| of.map(|of| of.interval.high - of.interval.low).unwrap();
        assert!(width(close) < width(apart));
        assert_eq!(close.unwrap().mean, apart.unwrap().mean);
        let all = share(&[(1.0, 50); 3]).unwrap();
        assert_eq!(all.interval, Interval::wilson(1.0, 150), "no run differs: the questions are what is left to doubt");
        assert_eq!((share(&[]), share(&[(0.0, 0)]), mean(&[vec![]])), (None, None, None));
    }

    #[test]
    fn differences_are_held_to_both_variances() {
        let same = mean(&[vec![1.0, 0.0, 0.0, 1.0], vec![1.0, 0.0, 1.0, 0.0]]).unwrap();
        assert!(same.mean == 0.5 && same.interval.low < 0.2, "the runs agree, the questions do not: {same:?}");
        let apart = mean(&[vec![1.0, 1.0, 1.0, 1.0], vec![1.0, 0.0, 1.0, 0.0], vec![0.0; 4]]).unwrap();
        assert!(apart.mean == 0.5 && apart.interval.low < -0.5, "three runs that differ so say little: {apart:?}");
        let certain = mean(&[vec![1.0; 9], vec![1.0; 9], vec![1.0; 9]]).unwrap();
        assert_eq!(certain.interval, Interval { low: 1.0, high: 1.0 });
    }

    /// Seeds move the chance of a right answer, and each of few questions is answered by that chance.
    #[test]
    fn holds_the_truth_about_95_times_in_100_whatever_the_seeds_do() {
        let mut random = random::named(0, "seeds");
        for (truth, spread, count) in [(0.8, 0.0, 3), (0.8, 0.08, 3), (0.5, 0.1, 3), (0.6, 0.15, 5), (0.9, 0.03, 8)] {
            let around = Normal::new(truth, spread).unwrap();
            let held = |interval: Interval| interval.low <= truth && truth <= interval.high;
            let (mut wilson, mut by_mean) = (0, 0);
            for _ in 0..1_000 {
                let runs: Vec<(usize, usize)> = (0..count)
                    .map(|_| {
                        let chance = around.sample(&mut random).clamp(0.0, 1.0);
                        ((0..50).filter(|_| random.random_bool(chance)).count(), 50)
                    })
                    .collect();
                let scores: Vec<Vec<f64>> = runs
                    .iter()
                    .map(|(right, n)| (0..*n).map(|index| f64::from(u8::from(index < *right))).collect())
                    .collect();
                let shares: Vec<(f64, usize)> = runs.iter().map(|(right, n)| (*right as f64 / *n as f64, *n)).collect();
                wilson += usize::from(held(share(&shares).unwrap().interval));
                by_mean += usize::from(held(mean(&scores).unwrap().interval));
            }
            // Where seeds do nothing, an interval that is never narrower than that of the questions is a bit wide.
            assert!((940..=995).contains(&wilson), "{truth} ± {spread}, {count} runs: {wilson} of 1000");
            assert!((935..=995).contains(&by_mean), "{truth} ± {spread}, {count} runs: {by_mean} of 1000");
        }
    }
}
