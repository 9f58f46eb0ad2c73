//! The learning rate over a run.

use serde::{Deserialize, Serialize};

/// Rises linearly to the peak, stays, and falls linearly towards zero. All counts are optimizer steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub peak: f64,
    /// Steps of the rise; the first of them is taken at `peak / warmup`.
    pub warmup: usize,
    /// Steps of the fall, at the end of the run; the last of them is taken at `peak / (decay + 1)`.
    pub decay: usize,
    /// Steps of the run.
    pub total: usize,
}

impl Schedule {
    /// The schedule of a run that falls over its last share of the steps.
    pub fn over(total: usize, peak: f64, warmup: usize, decay_share: f64) -> Schedule {
        Schedule { peak, warmup, decay: (decay_share * total as f64) as usize, total }
    }

    /// The rate of a step, `0..total`; zero beyond.
    pub fn rate(&self, step: usize) -> f64 {
        let rise = (step + 1) as f64 / self.warmup.max(1) as f64;
        let fall = self.total.saturating_sub(step) as f64 / (self.decay + 1) as f64;
        self.peak * rise.min(fall).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_stays_and_falls() {
        let schedule = Schedule { peak: 8.0, warmup: 4, decay: 3, total: 10 };
        let rates: Vec<f64> = (0..11).map(|step| schedule.rate(step)).collect();
        assert_eq!(rates, [2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0, 6.0, 4.0, 2.0, 0.0]);
    }

    #[test]
    fn without_rise_and_fall_it_is_constant() {
        let schedule = Schedule { peak: 0.5, warmup: 0, decay: 0, total: 3 };
        assert_eq!([0, 1, 2].map(|step| schedule.rate(step)), [0.5; 3]);
    }

    #[test]
    fn a_rise_and_a_fall_that_overlap_meet_below_the_peak() {
        let schedule = Schedule { peak: 1.0, warmup: 4, decay: 3, total: 4 };
        assert_eq!([0, 1, 2, 3].map(|step| schedule.rate(step)), [0.25, 0.5, 0.5, 0.25]);
    }
}
