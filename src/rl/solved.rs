//! What of A is solved: how many completions of each question were right when it was asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::batch::Group;
use crate::knowledge::Form;

/// What a question counts for at least: one that is solved may be forgotten.
const LEAST: f64 = 0.05;

/// A step and the share of the completions of a question that were right in it.
type Outcome = (usize, f64);

/// By form and number of the question, the newest at the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Solved(BTreeMap<Form, BTreeMap<usize, Vec<Outcome>>>);

impl Solved {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes how the completions of these groups came out in a step. Batches are ordered so many steps ahead at most, and what
    /// they were ordered by has to be there should they be ordered once more.
    pub fn note<'a>(&mut self, step: usize, groups: impl Iterator<Item = &'a Group>, ahead: usize) {
        for group in groups {
            let right = group.lines.iter().filter(|line| line.judgement.correct).count();
            let outcomes = self.0.entry(group.form).or_default().entry(group.index).or_default();
            outcomes.push((step, right as f64 / group.lines.len().max(1) as f64));
            let needed = outcomes.iter().rposition(|(at, _)| at + ahead <= step).unwrap_or(0);
            outcomes.drain(..needed);
        }
    }

    /// What a question has left to teach, up to 1, by what was known before a step.
    pub fn left(&self, form: Form, index: usize, before: usize) -> f64 {
        let outcomes = self.0.get(form).and_then(|of_form| of_form.get(&index));
        let known = outcomes.and_then(|all| all.iter().rfind(|(step, _)| *step < before));
        known.map_or(1.0, |(_, right)| (1.0 - right).max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::reversal::{CANDIDATES, OPEN};
    use crate::learner::Filter;
    use crate::reward::Record;
    use crate::reward::examples::examples;

    /// A group of four completions, so many of which are right.
    fn group(form: Form, index: usize, right: usize) -> Group {
        let mut lines = vec![examples().swap_remove(0).record; 4];
        lines.iter_mut().enumerate().for_each(|(at, line): (usize, &mut Record)| line.judgement.correct = at < right);
        let (filter, prompt, completions, appraisals) = (Filter::default(), Vec::new(), Vec::new(), Vec::new());
        Group { form, index, filter, prompt, given: 0, completions, lines, appraisals }
    }

    #[test]
    fn a_question_counts_by_the_share_that_was_wrong_when_it_was_asked_last() {
        let mut solved = Solved::default();
        solved.note(0, [group(OPEN, 3, 1), group(OPEN, 4, 4)].iter(), 0);
        solved.note(1, [group(OPEN, 3, 3)].iter(), 0);
        let left = |index| solved.left(OPEN, index, 2);
        assert_eq!((left(3), left(4), left(5), solved.left(CANDIDATES, 3, 2)), (0.25, LEAST, 1.0, 1.0));
    }

    #[test]
    fn what_batches_ahead_were_ordered_by_is_kept_and_nothing_older() {
        let mut solved = Solved::default();
        for step in 0..=9 {
            solved.note(step, [group(OPEN, 0, step % 5)].iter(), 2);
        }
        // Batches 10, 11 and 12 may be ordered once more, by what was known before steps 8, 9 and 10.
        assert_eq!([8, 9, 10].map(|before| solved.left(OPEN, 0, before)), [0.5, 0.25, LEAST]);
        assert_eq!(solved.left(OPEN, 0, 7), 1.0);
        let text = serde_json::to_string(&solved).unwrap();
        assert_eq!(serde_json::from_str::<Solved>(&text).unwrap(), solved);
    }
}
