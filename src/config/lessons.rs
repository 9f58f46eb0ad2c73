//! What every section with lessons in it says of them: how often each kind comes, and what lessons are like.

use super::Ranges;
use crate::knowledge::curriculum::{CotStyle, Mixture};

/// Sentences in the longest thought of a lesson.
const LONGEST: usize = 1000;

/// Weights that something can be drawn by.
pub fn mixture(key: &str, mixture: &Mixture, ranges: &mut Ranges) {
    let Mixture { read, read_trace, recite_context, document, answer, think, bring_up, guess } = *mixture;
    let weights = [
        ("read", read),
        ("read_trace", read_trace),
        ("recite_context", recite_context),
        ("document", document),
        ("answer", answer),
        ("think", think),
        ("bring_up", bring_up),
        ("guess", guess),
    ];
    for (name, weight) in weights {
        ranges.not_negative(&format!("{key}.{name}"), weight, 1e6);
    }
    let some = weights.iter().any(|(_, weight)| *weight != 0.0);
    ranges.demand(some, key, "nothing but zeros", "a weight above 0 for one kind of lessons or more");
}

/// Shares between none and all.
pub fn cot_style(key: &str, cot_style: &CotStyle, ranges: &mut Ranges) {
    let CotStyle { candidates, group, premise, follow, distinct, longest, single, free, restated, .. } = *cot_style;
    let CotStyle { distracted, codes, kinds, .. } = *cot_style;
    for (name, share) in [
        ("candidates", candidates),
        ("group", group),
        ("premise", premise),
        ("follow", follow),
        ("distinct", distinct),
        ("single", single),
        ("free", free),
        ("distracted", distracted),
        ("codes", codes),
        ("kinds", kinds),
    ] {
        ranges.within(&format!("{key}.{name}"), share, 0.0..=1.0);
    }
    for (task, share) in &cot_style.tasks {
        ranges.within(&format!("{key}.tasks.{task}"), *share, 0.0..=1.0);
    }
    ranges.count(&format!("{key}.longest"), longest, 1..=LONGEST);
    ranges.not_negative(&format!("{key}.restated"), f64::from(restated), 1e6);
}
