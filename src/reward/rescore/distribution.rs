//! How the values of a term are spread, and how they go with the answer being right. Constant memory.

/// Bars of the histogram.
pub const BARS: usize = 16;

/// A distribution that grows by one value at a time.
#[derive(Clone, Debug)]
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
        Distribution {
            n: 0,
            mean: 0.0,
            squares: 0.0,
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
            right: 0,
            sum_of_right: 0.0,
            sum_of_wrong: 0.0,
            range: (low, high),
            bars: [0; BARS],
        }
    }

    /// Adds the value of a completion whose answer is right, or is not.
    pub fn add(&mut self, value: f64, right: bool) {
        // Welford 1962: no difference of large sums.
        self.n += 1;
        let above = value - self.mean;
        self.mean += above / self.n as f64;
        self.squares += above * (value - self.mean);
        (self.least, self.most) = (self.least.min(value), self.most.max(value));
        match right {
            true => (self.right, self.sum_of_right) = (self.right + 1, self.sum_of_right + value),
            false => self.sum_of_wrong += value,
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
}
