//! Several runs of one experiment with different seeds, put together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Answered, Arm};
use crate::knowledge::{Form, Set, Task};
use crate::statistics::holm::holm;
use crate::statistics::mcnemar::mcnemar;
use crate::statistics::seeds::{self, OverSeeds};

/// How one arm did on one kind of question in all runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverRuns {
    pub arm: Arm,
    pub task: Task,
    pub form: Form,
    pub set: Set,
    /// Share of right answers in each run.
    pub shares: Vec<f64>,
    /// Their mean over all questions, with a 95 % interval that holds the variance of questions and of seeds
    /// ([`seeds::share`]).
    pub mean: f64,
    pub low: f64,
    pub high: f64,
    pub chance: f64,
    /// The comparison with the fine-tuned baseline; absent for the baseline.
    pub against_baseline: Option<AgainstInRuns>,
}

/// An arm and the baseline of the same run, on the same questions (the first answer of each), over all runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgainstInRuns {
    /// Questions that only the arm, that only the baseline got right.
    pub b: u64,
    pub c: u64,
    /// Two-sided p-value of the exact McNemar test over the questions of all runs, and corrected by Holm's method for the
    /// number of arms. It speaks of these runs; what other seeds would give is in the interval.
    pub p: f64,
    pub holm: f64,
    /// Mean difference of right answers, with a 95 % interval that holds both variances ([`seeds::mean`]).
    pub difference: f64,
    pub low: f64,
    pub high: f64,
}

type Kind = (Task, Form, Set);

/// A row for each arm that answered in every run, and each kind of question.
pub fn over_runs(runs: &[Vec<Answered>]) -> Vec<OverRuns> {
    let arms = |run: &Vec<Answered>| -> BTreeSet<Arm> { run.iter().map(|one| one.arm).collect() };
    let common = runs.iter().map(arms).reduce(|all, of_run| &all & &of_run).unwrap_or_default();
    let kinds: BTreeSet<Kind> = runs.iter().flatten().map(|one| (one.task, one.form, one.set)).collect();
    let mut rows: Vec<OverRuns> = Vec::new();
    for kind in kinds {
        let from = rows.len();
        rows.extend(common.iter().filter_map(|arm| row(runs, *arm, kind)));
        let mut pairs: Vec<&mut AgainstInRuns> =
            rows[from..].iter_mut().filter_map(|row| row.against_baseline.as_mut()).collect();
        let corrected = holm(&pairs.iter().map(|pair| pair.p).collect::<Vec<f64>>());
        pairs.iter_mut().zip(corrected).for_each(|(pair, holm)| pair.holm = holm);
    }
    rows.sort_by_key(|row| (row.arm, row.task, row.form, row.set));
    rows
}

fn row(runs: &[Vec<Answered>], arm: Arm, kind: Kind) -> Option<OverRuns> {
    let of = |run: &Vec<Answered>, arm: Arm| -> BTreeMap<u64, bool> {
        let counts = |one: &&Answered| one.arm == arm && one.sample == 0 && (one.task, one.form, one.set) == kind;
        run.iter().filter(counts).map(|one| (one.question, one.judgement.correct)).collect()
    };
    let answers: Vec<BTreeMap<u64, bool>> = runs.iter().map(|run| of(run, arm)).collect();
    let right = |answers: &BTreeMap<u64, bool>| answers.values().filter(|right| **right).count();
    let counts: Vec<(usize, usize)> = answers.iter().map(|run| (right(run), run.len())).collect();
    let OverSeeds { mean, interval, .. } = seeds::share(&counts)?;
    let chances: Vec<f64> = runs
        .iter()
        .flatten()
        .filter(|one| one.arm == arm && (one.task, one.form, one.set) == kind)
        .map(|one| one.chance)
        .collect();
    let (task, form, set) = kind;
    Some(OverRuns {
        arm,
        task,
        form,
        set,
        shares: counts.iter().filter(|run| run.1 > 0).map(|run| run.0 as f64 / run.1 as f64).collect(),
        mean,
        low: interval.low,
        high: interval.high,
        chance: chances.iter().sum::<f64>() / chances.len().max(1) as f64,
        against_baseline: match arm {
            Arm::FineTuned => None,
            _ => against(&answers, &runs.iter().map(|run| of(run, Arm::FineTuned)).collect::<Vec<_>>()),
        },
    })
}

fn against(arm: &[BTreeMap<u64, bool>], baseline: &[BTreeMap<u64, bool>]) -> Option<AgainstInRuns> {
    let difference = |right: bool, before: bool| f64::from(i8::from(right) - i8::from(before));
    let differences: Vec<Vec<f64>> = arm
        .iter()
        .zip(baseline)
        .map(|(arm, baseline)| {
            arm.iter().filter_map(|(id, right)| Some(difference(*right, *baseline.get(id)?))).collect()
        })
        .collect();
    let OverSeeds { mean, interval, .. } = seeds::mean(&differences)?;
    let count = |value: f64| differences.iter().flatten().filter(|one| **one == value).count() as u64;
    let (b, c) = (count(1.0), count(-1.0));
    let p = mcnemar(b, c);
    Some(AgainstInRuns { b, c, p, holm: p, difference: mean, low: interval.low, high: interval.high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::sweep::tests::answer;

    #[test]
    fn runs_are_put_together_with_the_baseline_of_each() {
        // Even numbers: one form. The same ids in both runs are different questions.
        let run = |arm, right: u64| (0..20u64).map(move |id| answer(arm, Set::B, 2 * id, id < right));
        let first: Vec<Answered> = run(Arm::FineTuned, 4).chain(run(Arm::AfterRl, 18)).collect();
        let second: Vec<Answered> =
            run(Arm::FineTuned, 2).chain(run(Arm::AfterRl, 12)).chain(run(Arm::InContext, 20)).collect();
        let rows = over_runs(&[first.clone(), second]);
        assert_eq!(rows.iter().map(|row| row.arm).collect::<Vec<_>>(), [Arm::FineTuned, Arm::AfterRl], "in every run");
        assert_eq!((&rows[1].shares[..], rows[1].mean), (&[0.9, 0.6][..], 0.75));
        assert!(rows[1].low < 0.5, "two runs say little: {:?}", rows[1]);
        let pair = rows[1].against_baseline.unwrap();
        assert_eq!((pair.b, pair.c, pair.difference), (24, 0, 0.6));
        assert!(pair.low < pair.difference && pair.p == pair.holm && pair.p < 1e-6);
        let alone = over_runs(&[first]);
        assert_eq!((alone[1].mean, alone[1].low), (0.9, crate::statistics::Interval::wilson(0.9, 20).low));
        assert_eq!(over_runs(&[]), []);
    }
}
