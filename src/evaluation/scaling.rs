//! How answers get harder with what they need: accuracy by the number of facts that an answer takes (the length of a chain
//! of premises, the words of a message), and by the number of choices there are (entities that fit).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::{RightCount, counted, of_last_step};
use super::{Answered, Arm};
use crate::knowledge::{Form, Set, TaskId};
use crate::statistics::Interval;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Facts that the answer follows from.
    FactsNeeded,
    /// Choices that a guesser who does not use these facts is left with.
    Choices,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Measure::FactsNeeded => "facts needed",
            Measure::Choices => "choices",
        })
    }
}

/// How one arm did on those questions of a kind that are as hard as each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    pub task: TaskId,
    pub form: Form,
    pub set: Set,
    pub measure: Measure,
    pub arm: Arm,
    pub at: usize,
    pub correct: usize,
    pub n: usize,
    /// `correct / n`, with its 95 % interval over questions and seeds ([`crate::statistics::seeds::share`]).
    pub accuracy: f64,
    pub low: f64,
    pub high: f64,
}

impl Measure {
    const ALL: [Measure; 2] = [Measure::FactsNeeded, Measure::Choices];

    fn of(self, one: &Answered) -> Option<usize> {
        match self {
            Measure::FactsNeeded => Some(one.judgement.needed).filter(|needed| *needed > 0),
            Measure::Choices => (one.chance > 0.0).then(|| (1.0 / one.chance).round() as usize),
        }
    }
}

/// Answers by arm and by the number that is counted.
type Groups<'a> = BTreeMap<(Arm, usize), Vec<&'a Answered>>;

/// A row for each arm and each number of facts or choices, for kinds of questions that differ in it. The last step at
/// which an arm was evaluated counts, and the first answer to each question.
pub fn scaling(answered: &[Answered]) -> Vec<Scaling> {
    let answers = of_last_step(answered);
    let mut rows = Vec::new();
    for measure in Measure::ALL {
        let mut kinds: BTreeMap<(TaskId, Form, Set), Groups> = BTreeMap::new();
        for one in answers.iter().filter(|one| one.sample == 0) {
            let Some(at) = measure.of(one) else { continue };
            kinds.entry((one.task, one.form, one.set)).or_default().entry((one.arm, at)).or_default().push(one);
        }
        for ((task, form, set), groups) in kinds {
            let values: BTreeSet<usize> = groups.keys().map(|(_, at)| *at).collect();
            if values.len() < 2 {
                continue;
            }
            rows.extend(groups.into_iter().filter_map(|((arm, at), group)| {
                let RightCount { correct, n, accuracy, interval: Interval { low, high } } =
                    counted(&group, |one| Some(one.judgement.correct))?;
                Some(Scaling { task, form, set, measure, arm, at, correct, n, accuracy, low, high })
            }));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::fixture::answer;

    #[test]
    fn kinds_whose_questions_differ_have_a_row_for_each_number() {
        let of = |arm, step, needed: usize, right: u64| {
            (0..10).map(move |id| {
                let mut one = answer(arm, Set::B, 2 * (id + 10 * needed as u64), id < right);
                (one.step, one.judgement.needed) = (step, needed);
                one
            })
        };
        let all: Vec<Answered> = of(Arm::AfterRl, 50, 2, 9)
            .chain(of(Arm::AfterRl, 50, 3, 6))
            .chain(of(Arm::AfterRl, 10, 3, 0))
            .chain(of(Arm::FineTuned, 0, 3, 2))
            .collect();
        let rows = scaling(&all);
        let told: Vec<(Arm, usize, usize, usize)> =
            rows.iter().map(|row| (row.arm, row.at, row.correct, row.n)).collect();
        assert_eq!(told, [(Arm::FineTuned, 3, 2, 10), (Arm::AfterRl, 2, 9, 10), (Arm::AfterRl, 3, 6, 10)]);
        assert!(rows.iter().all(|row| row.measure == Measure::FactsNeeded), "all have the same number of choices");
        assert_eq!(rows[1].low, Interval::wilson(0.9, 10).low);
        let alike: Vec<Answered> = of(Arm::AfterRl, 50, 2, 9).collect();
        assert_eq!(scaling(&alike), []);
    }
}
