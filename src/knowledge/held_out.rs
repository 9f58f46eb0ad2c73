//! Questions of set A that reinforcement learning does not ask, to choose between runs by: whatever is chosen by its
//! results on B cannot be measured on B any more.
//!
//! What is held out is whole topics: groups of facts in every form, whole squares of syllogisms, all questions about a
//! fact of a file. The documents about them are fine-tuned like all others.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom;

use super::{Form, Knowledge, Question, Set};
use crate::{Error, Result, random};

/// Which questions of set A are trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    forms: BTreeMap<Form, Indices>,
}

/// Numbers of questions of one form, rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Indices {
    trained: Vec<usize>,
    held_out: Vec<usize>,
}

impl Division {
    /// Holds out a share of the topics of each task, drawn by the seed: at least one where the share is above 0, and
    /// none where it is 0.
    ///
    /// Errors: a share that leaves no topic to train on.
    pub fn new(knowledge: &Knowledge, share: f64, seed: u64) -> Result<Division> {
        let mut forms = BTreeMap::new();
        for form in knowledge.askable_forms() {
            let there = knowledge.questions_of(Set::A, form);
            let topic = |index: &usize| knowledge.topic(Set::A, form, *index);
            // Forms of one task draw the same topics: a fact is held out in every form or in none.
            let drawn = draw((0..there).map(|index| topic(&index)).collect(), share, seed, form)?;
            let (held_out, trained) = (0..there).partition(|index| drawn.contains(&topic(index)));
            forms.insert(form, Indices { trained, held_out });
        }
        Ok(Division { forms })
    }

    /// Numbers of the questions of a form that are trained on.
    pub fn trained(&self, form: Form) -> &[usize] {
        self.forms.get(&form).map_or(&[], |indices| &indices.trained)
    }

    /// Numbers of the questions of a form that are held out.
    pub fn held_out(&self, form: Form) -> &[usize] {
        self.forms.get(&form).map_or(&[], |indices| &indices.held_out)
    }

    /// The held-out questions of these forms, in the wording in which every evaluation asks them.
    pub fn questions(&self, knowledge: &Knowledge, forms: &[Form]) -> Vec<Question> {
        let of = |form: &Form| {
            let of_form = knowledge.questions_in(Set::A, form);
            self.held_out(form).iter().filter_map(|index| of_form.get(*index).cloned()).collect::<Vec<_>>()
        };
        forms.iter().flat_map(of).collect()
    }
}

/// The topics that are held out of one task.
fn draw(topics: BTreeSet<usize>, share: f64, seed: u64, form: Form) -> Result<BTreeSet<usize>> {
    if share <= 0.0 || topics.is_empty() {
        return Ok(BTreeSet::new());
    }
    let count = ((topics.len() as f64 * share).round() as usize).max(1);
    if count >= topics.len() {
        let found = format!("{share} of {} topics of {form} questions leaves none to train on", topics.len());
        return Err(Error::invalid("train.held_out", found, "hold out less, or make set A larger"));
    }
    let mut topics: Vec<usize> = topics.into_iter().collect();
    topics.shuffle(&mut random::named(seed, &format!("held out {}", form.task)));
    topics.truncate(count);
    Ok(topics.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::world::tests::known;
    use super::*;
    use crate::knowledge::syllogism::ENTAILMENT;
    use crate::knowledge::{Claim, World, WorldConfig};
    use proptest::prelude::*;

    fn knowledge(seed: u64) -> Knowledge {
        Knowledge::Generated(Box::new(World::new(&known(), &WorldConfig { seed, ..Default::default() }).unwrap()))
    }

    #[test]
    fn nothing_is_held_out_unless_it_is_asked_for() {
        let knowledge = knowledge(0);
        let division = Division::new(&knowledge, 0.0, 5).unwrap();
        for form in knowledge.forms() {
            let all: Vec<usize> = (0..knowledge.questions_of(Set::A, form)).collect();
            assert_eq!((division.trained(form), division.held_out(form)), (&all[..], &[][..]));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_is_held_out_shares_no_fact_with_what_is_trained_on(share in 0.01f64..0.9, seed in 0u64..4) {
            let knowledge = knowledge(seed);
            let division = Division::new(&knowledge, share, seed).unwrap();
            let held = division.questions(&knowledge, knowledge.forms());
            let ids: HashSet<u64> = held.iter().map(|question| question.id).collect();
            let needed: HashSet<&Claim> = held.iter().flat_map(|question| &question.needed).collect();
            let all = knowledge.questions(Set::A);
            for form in knowledge.forms() {
                let (trained, held) = (division.trained(form), division.held_out(form));
                prop_assert!(!trained.is_empty() && !held.is_empty());
                prop_assert_eq!(trained.len() + held.len(), knowledge.questions_of(Set::A, form));
                prop_assert!(!held.iter().any(|index| trained.contains(index)));
            }
            for question in all.iter().filter(|question| !ids.contains(&question.id)) {
                prop_assert!(!question.needed.iter().any(|claim| needed.contains(claim)));
            }
            let answers: Vec<&str> =
                held.iter().filter(|q| q.form == ENTAILMENT).map(|q| q.answer.as_str()).collect();
            let open = answers.iter().filter(|answer| **answer == "unknown").count();
            prop_assert_eq!(2 * open, answers.len(), "whole squares are balanced");
            prop_assert_eq!(division, Division::new(&knowledge, share, seed).unwrap());
        }
    }

    #[test]
    fn a_share_that_leaves_nothing_is_refused() {
        let error = Division::new(&knowledge(0), 0.99, 0).unwrap_err().to_string();
        assert!(error.starts_with("train.held_out: 0.99 of 10 topics of candidates questions leaves none"), "{error}");
    }
}
