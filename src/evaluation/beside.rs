//! Different runs on the same questions: each of their arms beside that of the first run.

use std::collections::{BTreeMap, BTreeSet};

use super::arm_result::latest;
use super::record::of_last_step;
use super::{AgainstBaseline, Answered, Arm, ArmResult, Pairs, tally};
use crate::knowledge::{Form, Set, TaskId};

/// How one arm of several runs did on one kind of question.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmBeside {
    pub arm: Arm,
    pub task: TaskId,
    pub form: Form,
    pub set: Set,
    /// For each run, in their order; `None` where it was not asked.
    pub runs: Vec<Option<BesideFirst>>,
}

/// How it did in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BesideFirst {
    pub accuracy: f64,
    pub low: f64,
    pub high: f64,
    /// Against the first run, on the questions that both were asked word by word: `b` are those that only this one got right.
    /// `None` for the first, and where they have none in common.
    pub against_first: Option<AgainstBaseline>,
}

/// A row for each arm and kind of question that any of the runs was asked. The last step of each arm counts, and of several
/// answers to a question the first is compared. Holm's correction is over all comparisons.
pub fn beside(runs: &[Vec<Answered>]) -> Vec<ArmBeside> {
    let rows: Vec<Vec<ArmResult>> = runs.iter().map(|answered| tally(answered)).collect();
    let kinds: BTreeSet<(Set, TaskId, Form, Arm)> =
        rows.iter().flatten().map(|row| (row.set, row.task, row.form, row.arm)).collect();
    let firsts: Vec<BTreeMap<(Arm, u64), &Answered>> = runs.iter().map(|answered| first_of_each(answered)).collect();
    let mut table: Vec<ArmBeside> = kinds
        .into_iter()
        .map(|(set, task, form, arm)| {
            let of_run = |at: usize| {
                let row = latest(&rows[at])
                    .into_iter()
                    .find(|row| (row.set, row.task, row.form, row.arm) == (set, task, form, arm))?;
                let (first, own) = (firsts.first()?, &firsts[at]);
                let of_kind = |one: &&Answered| (one.arm, one.task, one.form, one.set) == (arm, task, form, set);
                let pairs = pairs(first, own.values().copied().filter(of_kind));
                let against_first = (at > 0 && pairs.n > 0).then(|| AgainstBaseline::from_runs(&[pairs]));
                Some(BesideFirst { accuracy: row.accuracy, low: row.low, high: row.high, against_first })
            };
            ArmBeside { arm, task, form, set, runs: (0..runs.len()).map(of_run).collect() }
        })
        .collect();
    let all = table.iter_mut().flat_map(|row| &mut row.runs).flatten().filter_map(|run| run.against_first.as_mut());
    AgainstBaseline::correct(all.collect());
    table
}

/// The first answer to each question in each arm.
fn first_of_each(answered: &[Answered]) -> BTreeMap<(Arm, u64), &Answered> {
    let first = of_last_step(answered).into_iter().filter(|one| one.sample == 0);
    first.map(|one| ((one.arm, one.question), one)).collect()
}

/// Answers against those of the first run to the same questions: of another world none is the same, whatever its number.
fn pairs<'a>(first: &BTreeMap<(Arm, u64), &Answered>, own: impl Iterator<Item = &'a Answered>) -> Pairs {
    let mut pairs = Pairs::default();
    for one in own {
        let other = first.get(&(one.arm, one.question));
        if let Some(other) = other.filter(|other| (&other.asked, &other.expected) == (&one.asked, &one.expected)) {
            pairs.won += u64::from(one.judgement.correct && !other.judgement.correct);
            pairs.lost += u64::from(!one.judgement.correct && other.judgement.correct);
            pairs.n += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::fixture::answer;

    fn run(arm: Arm, right: u64, asked: &str) -> Vec<Answered> {
        let one = |id: u64| Answered { asked: format!("{asked} {id}"), ..answer(arm, Set::B, 2 * id, id < right) };
        (0..20).map(one).collect()
    }

    #[test]
    fn runs_are_compared_with_the_first_on_the_questions_that_they_share() {
        let other = [run(Arm::AfterRl, 18, "who"), run(Arm::FineTuned, 4, "who")].concat();
        let table = beside(&[run(Arm::AfterRl, 6, "who"), other, run(Arm::AfterRl, 9, "another world")]);
        assert_eq!(table.iter().map(|row| row.arm).collect::<Vec<_>>(), [Arm::FineTuned, Arm::AfterRl]);
        assert!(table[0].runs[0].is_none() && table[0].runs[1].unwrap().against_first.is_none());
        let after = &table[1].runs;
        assert_eq!(after[0].unwrap().against_first, None);
        let pair = after[1].unwrap().against_first.unwrap();
        assert_eq!((pair.b, pair.c, pair.n, pair.difference), (12, 0, 20, 0.6));
        assert!(pair.low > 0.3 && pair.verdict(pair.holm) == 1);
        let stranger = after[2].unwrap();
        assert_eq!(
            (stranger.accuracy, stranger.against_first),
            (0.45, None),
            "questions are not the same by their number"
        );
    }
}
