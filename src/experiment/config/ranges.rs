//! Checks of values, each a problem with the key, what was found and what is allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::strict_toml::Problem;

/// Collects what is out of range.
#[derive(Default)]
pub struct Ranges {
    pub problems: Vec<Problem>,
}

impl Ranges {
    /// A count that has a least value.
    pub fn at_least(&mut self, key: &str, value: usize, least: usize) {
        self.demand(value >= least, key, value, format!("{least} or more"));
    }

    /// A number above 0, and finite.
    pub fn positive(&mut self, key: &str, value: f64) {
        self.demand(value > 0.0 && value.is_finite(), key, value, "a number above 0");
    }

    /// A number that is 0 or more, and finite.
    pub fn not_negative(&mut self, key: &str, value: f64) {
        self.demand(value >= 0.0 && value.is_finite(), key, value, "a number that is 0 or more");
    }

    /// A number between two others, both included.
    pub fn within(&mut self, key: &str, value: f64, range: RangeInclusive<f64>) {
        self.demand(range.contains(&value), key, value, format!("{} to {}", range.start(), range.end()));
    }

    /// Anything else: `allowed` ends the line "key: found VALUE; allowed is …".
    pub fn demand(&mut self, holds: bool, key: &str, found: impl Display, allowed: impl Display) {
        if !holds {
            self.problems.push(Problem::new(key, format!("found {found}"), format!("allowed is {allowed}")));
        }
    }
}
