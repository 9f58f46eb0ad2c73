//! How far a share, or the difference of two, can be trusted.

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

/// The 95 % score interval of Tango (1998) for the difference of two shares that were measured on the same `n`
/// questions, of which `b` were right the first way only and `c` the second way only. Positive where the first is
/// ahead. 0 lies on its edge exactly where the statistic of McNemar (without correction) is at its critical value, so
/// interval and test tell the same. Without questions nothing is known: -1 to 1.
pub fn difference(b: u64, c: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval { low: -1.0, high: 1.0 };
    }
    let (b, c, n) = (b as f64, c as f64, n as f64);
    let observed = (b - c) / n;
    Interval { low: edge(b, c, n, -1.0, observed, Z), high: edge(b, c, n, observed, 1.0, -Z) }
}

/// Where the score statistic, which falls as the difference grows, passes `z`.
fn edge(b: f64, c: f64, n: f64, mut low: f64, mut high: f64, z: f64) -> f64 {
    // Each halving gains a bit.
    for _ in 0..f64::MANTISSA_DIGITS {
        let middle = (low + high) / 2.0;
        if score(b, c, n, middle) > z { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// How many standard deviations the observed difference is above a supposed one.
fn score(b: f64, c: f64, n: f64, supposed: f64) -> f64 {
    let above = b - c - n * supposed;
    let deviation = (n * (2.0 * second_only(b, c, n, supposed) + supposed * (1.0 - supposed))).sqrt();
    if deviation > 0.0 { above / deviation } else { above.signum() * f64::INFINITY }
}

/// The likeliest share of questions that only the second way gets right, if the first is ahead by `supposed`.
fn second_only(b: f64, c: f64, n: f64, supposed: f64) -> f64 {
    let linear = (2.0 * n - b + c) * supposed - b - c;
    let constant = -c * supposed * (1.0 - supposed);
    ((linear * linear - 8.0 * n * constant).max(0.0).sqrt() - linear) / (4.0 * n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use rand::Rng;

    /// The same by brute force: the likelihood of (b, c, rest) is maximised over a fine grid.
    fn second_only_by_search(b: f64, c: f64, n: f64, supposed: f64) -> f64 {
        let log = |count: f64, share: f64| if count == 0.0 { 0.0 } else { count * share.ln() };
        let (least, most) = ((-supposed).max(0.0), (1.0 - supposed) / 2.0);
        let steps = 400_000;
        let candidates = (1..steps).map(|i| least + (most - least) * i as f64 / steps as f64);
        let likelihood = |q: &f64| log(b, q + supposed) + log(c, *q) + log(n - b - c, 1.0 - 2.0 * q - supposed);
        candidates.max_by(|p, q| likelihood(p).total_cmp(&likelihood(q))).unwrap()
    }

    #[test]
    fn the_supposed_shares_are_the_likeliest_ones() {
        for (b, c, n) in [(12.0, 2.0, 50.0), (5.0, 9.0, 30.0), (3.0, 3.0, 100.0), (40.0, 1.0, 60.0)] {
            for supposed in [-0.3, -0.05, 0.0, 0.1, 0.4] {
                let (exact, searched) = (second_only(b, c, n, supposed), second_only_by_search(b, c, n, supposed));
                assert!((exact - searched).abs() < 1e-5, "{b} {c} {n} {supposed}: {exact} {searched}");
            }
        }
    }

    #[test]
    fn the_edges_are_where_the_score_is_critical_and_zero_agrees_with_mcnemar() {
        for (b, c, n) in [(12, 2, 50), (0, 7, 20), (30, 30, 80), (1, 0, 3)] {
            let Interval { low, high } = difference(b, c, n);
            let (b, c, n) = (b as f64, c as f64, n as f64);
            assert!(low < (b - c) / n && (b - c) / n < high);
            assert!((score(b, c, n, low) - Z).abs() < 1e-6 && (score(b, c, n, high) + Z).abs() < 1e-6);
            assert!((score(b, c, n, 0.0) - (b - c) / (b + c).sqrt()).abs() < 1e-9);
        }
        assert_eq!(difference(0, 0, 0), Interval { low: -1.0, high: 1.0 });
        assert_eq!(Interval::wilson(0.0, 0), Interval { low: 0.0, high: 1.0 });
        let (one, other) = (difference(9, 4, 40), difference(4, 9, 40));
        assert!((one.low + other.high).abs() < 1e-9 && (one.high + other.low).abs() < 1e-9);
    }

    #[test]
    fn holds_the_truth_about_95_times_in_100() {
        let mut random = random::named(0, "paired coverage");
        for (first, second) in [(0.2, 0.1), (0.05, 0.05), (0.4, 0.02)] {
            let held = (0..1_000)
                .filter(|_| {
                    let draws: Vec<f64> = (0..60).map(|_| random.random()).collect();
                    let b = draws.iter().filter(|d| **d < first).count();
                    let c = draws.iter().filter(|d| (first..first + second).contains(*d)).count();
                    let Interval { low, high } = difference(b as u64, c as u64, 60);
                    low <= first - second && first - second <= high
                })
                .count();
            assert!((925..=980).contains(&held), "{first} {second}: {held} of 1000");
        }
    }
}
