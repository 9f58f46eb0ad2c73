//! How fast work goes, and so how long it will still take: by its newer units, and not by the first, which is slow because
//! nothing is warm then.

use std::time::Duration;

/// Marks that are kept. Where there are more, every second one goes.
const MARKS: usize = 128;
/// The fewest units that a rate is taken over, where as many are done.
const NEWEST: u64 = 16;

/// When how many units were done.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Units, and seconds since the work began. The first mark is where it began, the second where the first units were done.
    marks: Vec<(u64, f64)>,
}

impl Pace {
    /// Work of which so many units were done when it began.
    pub fn new(done: u64) -> Pace {
        Pace { marks: vec![(done, 0.0)] }
    }

    /// So many units are done, so long after the work began.
    pub fn mark(&mut self, done: u64, elapsed: Duration) {
        if self.marks.last().is_some_and(|(before, _)| done <= *before) {
            return;
        }
        self.marks.push((done, elapsed.as_secs_f64()));
        if self.marks.len() > MARKS {
            let last = self.marks.len() - 1;
            let mut at = 0;
            self.marks.retain(|_| {
                at += 1;
                at <= 2 || at % 2 == 0 || at > last
            });
        }
    }

    /// Units a second, over the newer half of what is done; `None` before any is.
    pub fn rate(&self) -> Option<f64> {
        let [begin, first, later @ ..] = &self.marks[..] else { return None };
        let Some((done, at)) = later.last() else { return Some((first.0 - begin.0) as f64 / first.1.max(1e-9)) };
        let newer = ((done - first.0) / 2).max(NEWEST);
        let from = done.saturating_sub(newer);
        let (since, since_at) = later.iter().rev().find(|(done, _)| *done <= from).unwrap_or(first);
        Some((done - since) as f64 / (at - since_at).max(1e-9))
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::random;

    /// What the time that is left is told to be after each step, over what it is.
    fn told(steps: &[f64]) -> Vec<f64> {
        let mut pace = Pace::new(0);
        let mut elapsed = 0.0;
        let whole: f64 = steps.iter().sum();
        let told = steps.iter().zip(1..).map(|(step, done)| {
            elapsed += step;
            pace.mark(done, Duration::from_secs_f64(elapsed));
            (steps.len() as u64 - done) as f64 / pace.rate().unwrap() / (whole - elapsed)
        });
        told.take(steps.len() - 1).collect()
    }

    #[test]
    fn a_slow_first_step_is_forgotten_with_the_third() {
        let mut random = random::stream(4, &[]);
        let mut steps: Vec<f64> = (0..400).map(|_| random.random_range(0.9..1.1)).collect();
        steps[0] = 30.0;
        let told = told(&steps);
        assert!(told[0] > 10.0, "one step is all that is known: {}", told[0]);
        for (at, told) in told.iter().enumerate().skip(2).take(390) {
            assert!((0.8..1.2).contains(told), "{told} after step {}", at + 1);
        }
    }

    #[test]
    fn uneven_steps_are_right_early_and_steps_that_grow_are_followed() {
        // Every tenth takes five times as long, as where something is measured on the way.
        let uneven: Vec<f64> = (0..300).map(|at| if at % 10 == 9 { 5.0 } else { 1.0 }).collect();
        for (at, told) in told(&uneven).iter().enumerate().skip(25).take(240) {
            assert!((0.7..1.3).contains(told), "{told} after step {}", at + 1);
        }
        // The mean over all steps would still say a quarter of what it is.
        let mut grown = vec![1.0; 100];
        grown.extend([5.0; 200]);
        assert!((0.8..1.2).contains(&told(&grown)[205]), "{}", told(&grown)[205]);
    }

    #[test]
    fn long_work_keeps_few_marks_and_work_that_goes_on_counts_its_own() {
        let mut pace = Pace::new(1000);
        assert_eq!(pace.rate(), None);
        (1..=100_000).for_each(|done| pace.mark(1000 + done, Duration::from_millis(20 * done)));
        assert!(pace.marks.len() <= MARKS && (pace.rate().unwrap() - 50.0).abs() < 0.1);
        pace.mark(7, Duration::from_secs(5000));
        assert!((pace.rate().unwrap() - 50.0).abs() < 0.1, "what is behind is no mark");
    }
}
