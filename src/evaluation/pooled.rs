//! An arm over all kinds of questions of a set: what headlines speak of.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::summary::{InRun, gap_closed, share};
use super::{AgainstBaseline, Arm, ArmResult, Pairs, Summary};
use crate::knowledge::Set;
use crate::statistics::holm::holm;
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
    pub recited: usize,
    pub recited_true: usize,
    pub against_baseline: Option<AgainstBaseline>,
    /// As [`ArmResult::gap_closed`].
    pub gap_closed: Option<f64>,
}

impl Summary {
    /// One arm over all tasks and forms of a set, every question counted once.
    pub fn pooled(&self, arm: Arm, set: Set) -> Option<Pooled> {
        let rows: Vec<&ArmResult> = self.latest().filter(|row| row.arm == arm && row.set == set).collect();
        let sum = |count: fn(&ArmResult) -> usize| rows.iter().map(|row| count(row)).sum::<usize>();
        let (correct, n, questions) = (sum(|row| row.correct), sum(|row| row.n), sum(|row| row.questions));
        if n == 0 {
            return None;
        }
        let accuracy = share(correct, n)?;
        let OverSeeds { interval, .. } = seeds::share(&clusters(&rows))?;
        let chance = rows.iter().map(|row| row.chance * row.n as f64).sum::<f64>() / n as f64;
        let against_baseline = self.pairs(arm, set).map(|pairs| {
            let arms: BTreeSet<Arm> = self.latest().filter(|row| row.set == set).map(|row| row.arm).collect();
            let p = |arm: &Arm| self.pairs(*arm, set).map(|pairs| (*arm, AgainstBaseline::of(&pairs).p));
            let (compared, all): (Vec<Arm>, Vec<f64>) = arms.iter().filter_map(p).unzip();
            let corrected = compared.into_iter().zip(holm(&all)).find(|(other, _)| *other == arm);
            let pair = AgainstBaseline::of(&pairs);
            AgainstBaseline { holm: corrected.map_or(pair.p, |(_, holm)| holm), ..pair }
        });
        let (recited, recited_true) = (sum(|row| row.recited), sum(|row| row.recited_true));
        let share_of = |arm: Arm| {
            let rows = || self.latest().filter(move |row| row.arm == arm && row.set == set);
            share(rows().map(|row| row.correct).sum(), rows().map(|row| row.n).sum())
        };
        let gap_closed = gap_closed(arm, accuracy, share_of(Arm::FineTuned), share_of(Arm::InContext));
        Some(Pooled {
            correct,
            n,
            questions,
            accuracy,
            low: interval.low,
            high: interval.high,
            chance,
            recited,
            recited_true,
            against_baseline,
            gap_closed,
        })
    }

    /// An arm and the baseline on the questions of a set, run by run. `None` where they are not compared on every kind of
    /// question.
    fn pairs(&self, arm: Arm, set: Set) -> Option<Vec<Pairs>> {
        let mut runs: Vec<Pairs> = Vec::new();
        for row in self.latest().filter(|row| row.arm == arm && row.set == set) {
            let of_row: Vec<Pairs> = row.runs().iter().map(|run| run.pairs).collect::<Option<_>>()?;
            runs.resize(of_row.len().max(runs.len()), Pairs::default());
            runs.iter_mut().zip(of_row).for_each(|(sum, pairs)| *sum += pairs);
        }
        (!runs.is_empty()).then_some(runs)
    }

    /// The set that a headline is measured on: B, which reinforcement learning never touched, or the last one
    /// there is.
    pub fn headline_set(&self) -> Option<Set> {
        let sets: BTreeSet<Set> = self.arms.iter().map(|row| row.set).collect();
        if sets.contains(&Set::B) { Some(Set::B) } else { sets.last().copied() }
    }
}

/// Share of right answers and number of questions of each run, over several kinds of questions.
fn clusters(rows: &[&ArmResult]) -> Vec<(f64, usize)> {
    let mut runs: Vec<(f64, usize)> = Vec::new();
    for row in rows {
        let of_row = row.runs();
        runs.resize(of_row.len().max(runs.len()), (0.0, 0));
        for ((right, n), InRun { accuracy, questions, .. }) in runs.iter_mut().zip(of_row) {
            *right += accuracy * questions as f64;
            *n += questions;
        }
    }
    runs.into_iter().map(|(right, n)| (right / n.max(1) as f64, n)).collect()
}
