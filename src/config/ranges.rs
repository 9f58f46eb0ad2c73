//! Checks of values, each a problem with the key, what was found and what is allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::Error;
use crate::knowledge::curriculum::{CotStyle, Mixture};
use crate::knowledge::registry::check_further;
use crate::learner::Scales;
use crate::strict_toml::Problem;

/// The most steps, of any kind: what is counted by them never overflows.
pub const MOST_STEPS: usize = 1_000_000_000;
/// The most tokens that are held at once: of a step, or of one sequence.
pub const MOST_TOKENS: usize = 1_000_000_000;
/// The largest learning rate, decay and the like. AdamW moves every weight by the learning rate, so that far smaller ones
/// leave nothing of a model.
pub const LARGEST: f64 = 100.0;
/// Sentences in the longest thought of a lesson.
const LONGEST_THOUGHT: usize = 1000;

/// Collects what is out of range.
#[derive(Default)]
pub struct Ranges {
    pub problems: Vec<Problem>,
}

impl Ranges {
    /// A count. The most is far beyond what anybody needs, and little enough for every sum and product that is made of it.
    pub fn count(&mut self, key: &str, value: usize, range: RangeInclusive<usize>) {
        let (least, most) = (*range.start(), *range.end());
        let allowed = if value < least { format!("{least} or more") } else { format!("{least} to {most}") };
        self.demand(range.contains(&value), key, value, allowed);
    }

    /// A number above 0, up to a largest one.
    pub fn positive(&mut self, key: &str, value: f64, most: f64) {
        let allowed = if value > 0.0 { format!("a number above 0, {most} at most") } else { "a number above 0".into() };
        // What is computed with may be in single precision.
        self.demand(value as f32 > 0.0 && value <= most, key, value, allowed);
    }

    /// A number that is 0 or more, up to a largest one.
    pub fn not_negative(&mut self, key: &str, value: f64, most: f64) {
        let allowed =
            if value >= 0.0 { format!("a number from 0 to {most}") } else { "a number that is 0 or more".into() };
        self.demand(value >= 0.0 && value <= most, key, value, allowed);
    }

    /// What logits are divided by: they stay finite in single precision.
    pub fn temperature(&mut self, key: &str, value: f64) {
        self.demand((0.001..=1000.0).contains(&value), key, value, "a number from 0.001 to 1000");
    }

    /// What can be drawn at all; section `section` says it.
    pub fn truncation(&mut self, section: &str, top_k: usize, top_p: f64, min_p: f64) {
        self.count(&format!("{section}.top_k"), top_k, 0..=MOST_TOKENS);
        self.positive(&format!("{section}.top_p"), top_p, 1.0);
        self.within(&format!("{section}.min_p"), min_p, 0.0..=1.0);
    }

    /// Shares of a learning rate, by the beginning of a variable's name.
    pub fn scales(&mut self, key: &str, scales: &Scales) {
        for (name, scale) in scales {
            self.not_negative(&format!("{key}.{name:?}"), *scale, LARGEST);
        }
    }

    /// Weights that something can be drawn by.
    pub fn mixture(&mut self, key: &str, mixture: &Mixture) {
        let Mixture { read, read_trace, recite_context, document, answer, think, bring_up, guess, .. } = *mixture;
        let Mixture { repeat, read_many, .. } = *mixture;
        let weights = [
            ("read", read),
            ("read_trace", read_trace),
            ("recite_context", recite_context),
            ("document", document),
            ("answer", answer),
            ("think", think),
            ("bring_up", bring_up),
            ("guess", guess),
            ("repeat", repeat),
            ("read_many", read_many),
        ];
        for (name, weight) in weights {
            self.not_negative(&format!("{key}.{name}"), weight, 1e6);
        }
        let some = weights.iter().any(|(_, weight)| *weight != 0.0);
        self.demand(some, key, "nothing but zeros", "a weight above 0 for one kind of lessons or more");
    }

    /// Shares between none and all.
    pub fn cot_style(&mut self, key: &str, cot_style: &CotStyle) {
        let CotStyle { candidates, group, premise, follow, distinct, longest, single, free, restated, .. } = *cot_style;
        let CotStyle { distracted, codes, kinds, restoring, .. } = *cot_style;
        for (name, share) in [
            ("candidates", candidates),
            ("group", group),
            ("premise", premise),
            ("follow", follow),
            ("restoring", restoring),
            ("distinct", distinct),
            ("single", single),
            ("free", free),
            ("distracted", distracted),
            ("codes", codes),
            ("kinds", kinds),
        ] {
            self.within(&format!("{key}.{name}"), share, 0.0..=1.0);
        }
        if let Err(Error::Invalid { place, found, remedy }) =
            check_further(&format!("{key}.tasks"), cot_style.tasks.keys())
        {
            self.demand(false, &place, found, remedy);
        }
        for (task, share) in &cot_style.tasks {
            self.within(&format!("{key}.tasks.{task}"), *share, 0.0..=1.0);
        }
        self.count(&format!("{key}.longest"), longest, 1..=LONGEST_THOUGHT);
        self.not_negative(&format!("{key}.restated"), f64::from(restated), 1e6);
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
