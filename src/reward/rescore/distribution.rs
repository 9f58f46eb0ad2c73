//! How the values of a term are spread, how they go with the answer being right, and in which order they put completions.

/// Bars of the histogram.
pub const BARS: usize = 16;

/// A distribution that grows by one value at a time.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    n: u64,
    mean: f64,
    squares: f64,
    least: f64,
    most: f64,
    right: u64,
    sum_of_right: f64,
    sum_of_wrong: f64,
    range: (f64, f64),
    bars: [u64; BARS],
}

impl Distribution {
    /// No values yet; those to come lie within the range, or are counted at its nearer end.
    pub fn within(low: f64, high: f64) -> Distribution {
        let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
        Distribution { least, most, range: (low, high), ..Distribution::default() }
    }

    /// Adds the value of a completion whose answer is right, or is not.
    pub fn add(&mut self, value: f64, right: bool) {
        // Welford 1962: no difference of large sums.
        self.n += 1;
        let above = value - self.mean;
        self.mean += above / self.n as f64;
        self.squares += above * (value - self.mean);
        (self.least, self.most) = (self.least.min(value), self.most.max(value));
        if right {
            (self.right, self.sum_of_right) = (self.right + 1, self.sum_of_right + value)
        } else {
            self.sum_of_wrong += value
        }
        let (low, high) = self.range;
        let way = if high > low { (value - low) / (high - low) } else { 0.0 };
        self.bars[((way * BARS as f64) as usize).min(BARS - 1)] += 1;
    }

    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard deviation.
    pub fn deviation(&self) -> f64 {
        (self.squares / self.n.max(1) as f64).sqrt()
    }

    /// The least and the greatest value; `None` without values.
    pub fn extremes(&self) -> Option<(f64, f64)> {
        (self.n > 0).then_some((self.least, self.most))
    }

    /// How many values lie in each part of the range, from low to high.
    pub fn bars(&self) -> &[u64; BARS] {
        &self.bars
    }

    /// The mean over right answers, and over wrong ones.
    pub fn means(&self) -> (f64, f64) {
        let wrong = self.n - self.right;
        (self.sum_of_right / self.right.max(1) as f64, self.sum_of_wrong / wrong.max(1) as f64)
    }

    /// Pearson's correlation with the answer being right; `None` where one of the two does not vary.
    pub fn correlation(&self) -> Option<f64> {
        let (n, right) = (self.n as f64, self.right as f64);
        let deviation = self.deviation();
        let varies = self.right > 0 && self.right < self.n && deviation > 1e-12;
        let (of_right, of_wrong) = self.means();
        varies.then(|| ((of_right - of_wrong) * (right / n * (1.0 - right / n)).sqrt() / deviation).clamp(-1.0, 1.0))
    }
}

/// For each value how many are greater, those that are equal counted half: 0 for a best one alone.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for run in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = start as f64 + (run.len() - 1) as f64 / 2.0;
        run.iter().for_each(|index| ranks[*index] = rank);
        start += run.len();
    }
    ranks
}

/// Pairs of a right and a wrong answer in a group, and how many of them the reward puts in the wrong order, ties
/// counted half (the statistic of Mann and Whitney 1947).
pub fn inversions(values: &[f64], right: &[bool]) -> (f64, f64) {
    let right_ranks: Vec<f64> =
        ranks(values).into_iter().zip(right).filter(|(_, right)| **right).map(|(r, _)| r).collect();
    let (n, wrong) = (right_ranks.len() as f64, (right.len() - right_ranks.len()) as f64);
    // What is before a right answer is right or wrong; right ones among themselves are n (n - 1) / 2 pairs.
    (right_ranks.iter().sum::<f64>() - n * (n - 1.0) / 2.0, n * wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_definitions(values in prop::collection::vec((0.0..=1.0f64, any::<bool>()), 1..200)) {
            let mut distribution = Distribution::within(0.0, 1.0);
            values.iter().for_each(|(value, right)| distribution.add(*value, *right));
            let n = values.len() as f64;
            let mean = |of: &dyn Fn(&(f64, bool)) -> f64| values.iter().map(of).sum::<f64>() / n;
            let (x, y) = (mean(&|v| v.0), mean(&|v| f64::from(u8::from(v.1))));
            let deviation = mean(&|v| (v.0 - x).powi(2)).sqrt();
            prop_assert!((distribution.mean() - x).abs() < 1e-12);
            prop_assert!((distribution.deviation() - deviation).abs() < 1e-9);
            prop_assert_eq!(distribution.bars().iter().sum::<u64>(), values.len() as u64);
            if let Some(found) = distribution.correlation() {
                let together = mean(&|v| (v.0 - x) * (f64::from(u8::from(v.1)) - y));
                let expected = together / (deviation * (y * (1.0 - y)).sqrt());
                prop_assert!((found - expected).abs() < 1e-6, "{} for {}", found, expected);
            }
        }
    }

    #[test]
    fn nothing_and_constants_have_no_correlation() {
        let mut distribution = Distribution::within(0.0, 0.0);
        assert_eq!((distribution.correlation(), distribution.extremes()), (None, None));
        (0..9).for_each(|i| distribution.add(0.1, i % 2 == 0));
        assert_eq!(distribution.correlation(), None);
        assert_eq!(distribution.bars()[0], 9);
    }

    #[test]
    fn hand_computed_ranks() {
        assert_eq!(ranks(&[0.5, 1.0, 0.5, 0.0]), [1.5, 0.0, 1.5, 3.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [0.5, 0.5]);
        assert_eq!(ranks(&[]), [] as [f64; 0]);
    }

    proptest! {
        #[test]
        fn inversions_are_those_of_all_pairs(group in prop::collection::vec((0..5u8, any::<bool>()), 0..30)) {
            let (values, right): (Vec<f64>, Vec<bool>) = group.iter().map(|(v, r)| (f64::from(*v), *r)).unzip();
            let (mut inverted, mut pairs) = (0.0, 0.0);
            for (value, _) in group.iter().filter(|(_, right)| *right) {
                for (other, _) in group.iter().filter(|(_, right)| !right) {
                    pairs += 1.0;
                    inverted += if other > value { 1.0 } else if other == value { 0.5 } else { 0.0 };
                }
            }
            prop_assert_eq!(inversions(&values, &right), (inverted, pairs));
        }
    }
}
