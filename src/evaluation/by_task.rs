//! An arm over all kinds of questions of a set: what headlines speak of.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::arm_result::gap_closed;
use super::record::share;
use super::{AgainstBaseline, Arm, ArmResult, Pairs};
use crate::knowledge::{Set, TaskId};
use crate::statistics::holm;
use crate::statistics::seeds::{self, OverSeeds};

/// An arm over several tasks and forms of one set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pooled {
    pub correct: usize,
    pub n: usize,
    pub questions: usize,
    pub accuracy: f64,
    pub low: f64,
    pub high: f64,
    pub chance: f64,
    /// As [`ArmResult::unanswered`].
    #[serde(default)]
    pub unanswered: usize,
    pub recited: usize,
    pub recited_true: usize,
    pub against_baseline: Option<AgainstBaseline>,
    /// As [`ArmResult::gap_closed`].
    pub gap_closed: Option<f64>,
}

/// An arm over all forms of a task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    pub set: Set,
    pub arm: Arm,
    pub task: TaskId,
    #[serde(flatten)]
    pub pooled: Pooled,
}

/// One row for each (set, arm, task), in this order, made from the latest row of every kind of question.
pub(super) fn by_task(latest: &[&ArmResult]) -> Vec<TaskResult> {
    let mut pools: BTreeMap<(Set, TaskId), Vec<&ArmResult>> = BTreeMap::new();
    for row in latest {
        pools.entry((row.set, row.task)).or_default().push(row);
    }
    let mut results = Vec::new();
    for ((set, task), rows) in pools {
        let (arms, pool): (BTreeSet<Arm>, _) = (rows.iter().map(|row| row.arm).collect(), Pool(rows));
        let result = |arm: Arm| pool.arm(arm).map(|pooled| TaskResult { set, arm, task, pooled });
        results.extend(arms.into_iter().filter_map(result));
    }
    results.sort_by_key(|result| (result.set, result.arm, result.task));
    results
}

/// Every arm on some kinds of questions, a row for each.
pub(super) struct Pool<'a>(pub Vec<&'a ArmResult>);

impl<'a> Pool<'a> {
    fn rows(&self, arm: Arm) -> Vec<&'a ArmResult> {
        self.0.iter().copied().filter(|row| row.arm == arm).collect()
    }

    /// One arm over all of them.
    pub fn arm(&self, arm: Arm) -> Option<Pooled> {
        let rows = self.rows(arm);
        let sum = |count: fn(&ArmResult) -> usize| rows.iter().map(|row| count(row)).sum::<usize>();
        let (correct, n, questions) = (sum(|row| row.correct), sum(|row| row.n), sum(|row| row.questions));
        let accuracy = share(correct, n)?;
        let share_of_run = |(right, n, _): (f64, usize, _)| (right / n.max(1) as f64, n);
        let OverSeeds { interval, .. } = seeds::share(&runs(&rows).into_iter().map(share_of_run).collect::<Vec<_>>())?;
        let chance = rows.iter().map(|row| row.chance * row.n as f64).sum::<f64>() / n as f64;
        let against_baseline = pairs(&rows).map(|pairs| {
            let pair = AgainstBaseline::from_runs(&pairs);
            AgainstBaseline { holm: self.corrected(arm).unwrap_or(pair.p), ..pair }
        });
        let share_of = |arm: Arm| {
            let rows = self.rows(arm);
            share(rows.iter().map(|row| row.correct).sum(), rows.iter().map(|row| row.n).sum())
        };
        Some(Pooled {
            correct,
            n,
            questions,
            accuracy,
            low: interval.low,
            high: interval.high,
            chance,
            unanswered: sum(|row| row.unanswered),
            recited: sum(|row| row.recited),
            recited_true: sum(|row| row.recited_true),
            against_baseline,
            gap_closed: gap_closed(arm, accuracy, share_of(Arm::FineTuned), share_of(Arm::InContext)),
        })
    }

    /// The p-value of an arm, corrected for all that are compared with the baseline on these questions.
    fn corrected(&self, arm: Arm) -> Option<f64> {
        let arms: BTreeSet<Arm> = self.0.iter().map(|row| row.arm).collect();
        let p = |arm: Arm| Some((arm, Pairs::p(&pairs(&self.rows(arm))?)));
        let (compared, all): (Vec<Arm>, Vec<f64>) = arms.into_iter().filter_map(p).unzip();
        compared.into_iter().zip(holm(&all)).find(|(other, _)| *other == arm).map(|(_, holm)| holm)
    }
}

/// Right answers, questions and pairs of each run over several kinds of questions; no pairs where one kind has none.
fn runs(rows: &[&ArmResult]) -> Vec<(f64, usize, Option<Pairs>)> {
    let mut runs = Vec::new();
    for row in rows {
        let of_row = row.runs();
        runs.resize(of_row.len().max(runs.len()), (0.0, 0, Some(Pairs::default())));
        for ((right, n, pairs), run) in runs.iter_mut().zip(of_row) {
            *right += run.accuracy * run.questions as f64;
            *n += run.questions;
            *pairs = pairs.zip(run.pairs).map(|(sum, pairs)| sum + pairs);
        }
    }
    runs
}

/// An arm and the baseline on several kinds of questions, run by run. `None` where they are not compared on every kind.
fn pairs(rows: &[&ArmResult]) -> Option<Vec<Pairs>> {
    runs(rows).into_iter().map(|(.., pairs)| pairs).collect::<Option<Vec<_>>>().filter(|pairs| !pairs.is_empty())
}
