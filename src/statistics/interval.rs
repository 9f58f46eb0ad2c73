//! How far an accuracy can be trusted.

/// The standard normal deviate that leaves 2.5 % on either side.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// A range that holds the truth (a share, or a difference of shares) in 95 of 100 experiments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    /// Not below `low`.
    pub high: f64,
}

impl Interval {
    /// The 95 % interval of Wilson (1927) around an observed share in `0..=1` of independent trials. Unlike the
    /// textbook interval it keeps its coverage near 0 and 1 and for few trials. Without trials nothing is known:
    /// the interval is `0..=1`.
    pub fn wilson(share: f64, trials: usize) -> Interval {
        Self::wilson_at(share, trials, Z)
    }

    /// The same interval, `z` standard deviations to either side.
    pub fn wilson_at(share: f64, trials: usize, z: f64) -> Interval {
        Self::wilson_of(share, trials as f64, z)
    }

    /// The same for as many independent trials as dependent ones are worth, which need not be a whole number.
    pub(super) fn wilson_of(share: f64, n: f64, z: f64) -> Interval {
        if n <= 0.0 {
            return Interval { low: 0.0, high: 1.0 };
        }
        let shrink = 1.0 + z * z / n;
        let centre = (share + z * z / (2.0 * n)) / shrink;
        let half = z / shrink * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        // At the two ends centre and half width are equal in theory and differ by a rounding error in practice.
        let low = if share <= 0.0 { 0.0 } else { (centre - half).max(0.0) };
        let high = if share >= 1.0 { 1.0 } else { (centre + half).min(1.0) };
        Interval { low, high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use rand::Rng;

    /// Computed with `statsmodels.stats.proportion.proportion_confint(k, n, method="wilson")`.
    const REFERENCE: [(usize, usize, f64, f64); 6] = [
        (0, 10, 0.0, 0.27753279986288926),
        (1, 10, 0.017876213095072924, 0.40415002679523854),
        (41, 50, 0.692039463256992, 0.902298073297658),
        (50, 50, 0.9286524008666412, 1.0),
        (120, 240, 0.43724268978525527, 0.5627573102147447),
        (997, 1000, 0.9912169859464969, 0.9989792161188614),
    ];

    #[test]
    fn agrees_with_statsmodels() {
        for (correct, n, low, high) in REFERENCE {
            let interval = Interval::wilson(correct as f64 / n as f64, n);
            assert!((interval.low - low).abs() < 1e-12, "{correct}/{n}: {interval:?} against {low}");
            assert!((interval.high - high).abs() < 1e-12, "{correct}/{n}: {interval:?} against {high}");
        }
    }

    #[test]
    fn no_trials_say_nothing() {
        assert_eq!(Interval::wilson(0.0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn holds_the_truth_about_95_times_in_100() {
        let mut random = random::named(0, "coverage");
        let (runs, n) = (2_000, 60);
        let mut mean = 0.0;
        let truths = [0.03, 0.1, 0.25, 0.4, 0.5, 0.72, 0.85, 0.95];
        for truth in truths {
            let held = (0..runs)
                .filter(|_| {
                    let correct = (0..n).filter(|_| random.random_bool(truth)).count();
                    let interval = Interval::wilson(correct as f64 / n as f64, n);
                    interval.low <= truth && truth <= interval.high
                })
                .count() as f64
                / runs as f64;
            assert!((0.91..=0.985).contains(&held), "at {truth} the interval held the truth {held} of the time");
            mean += held / truths.len() as f64;
        }
        assert!((0.94..=0.965).contains(&mean), "mean coverage {mean}");
    }
}
