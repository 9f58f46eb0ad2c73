//! Every arm by task, all forms of a task put together, and what it takes: the table that a summary begins with.

use std::collections::BTreeSet;

use serde::Serialize;

use super::bars::class;
use super::words::{operations, percent, range, seconds, set_purpose, sign};
use crate::evaluation::{Arm, Pooled, Summary, TaskResult};
use crate::knowledge::{Set, TaskId};

/// One set.
#[derive(Serialize)]
pub(super) struct ByTask {
    pub set: String,
    pub purpose: &'static str,
    pub tasks: Vec<String>,
    pub rows: Vec<TaskRow>,
}

/// One arm.
#[derive(Serialize)]
pub(super) struct TaskRow {
    pub class: &'static str,
    pub arm: &'static str,
    /// Trained on text that gives B away, so that B is no measure of what carries over.
    pub gives_away: bool,
    /// For each task, where it was asked.
    pub cells: Vec<Option<CorrectShare>>,
    pub gap: String,
    /// Tokens read and sampled for an answer; nothing where that is not known.
    pub read: String,
    pub sampled: String,
    pub seconds: String,
    /// Floating-point operations of its training.
    pub training: String,
}

/// Right answers.
#[derive(Serialize)]
pub(super) struct CorrectShare {
    pub accuracy: String,
    pub sign: &'static str,
    pub range: String,
}

/// A table for each set, the headline's first.
pub(super) fn by_task(summary: &Summary) -> Vec<ByTask> {
    let sets: BTreeSet<Set> = summary.by_task.iter().map(|result| result.set).collect();
    sets.into_iter().rev().map(|set| of_set(summary, set)).collect()
}

fn of_set(summary: &Summary, set: Set) -> ByTask {
    let results: Vec<&TaskResult> = summary.by_task.iter().filter(|result| result.set == set).collect();
    let tasks: BTreeSet<TaskId> = results.iter().map(|result| result.task).collect();
    let arms: BTreeSet<Arm> = results.iter().map(|result| result.arm).collect();
    let share = |arm: Arm, task: TaskId| {
        let result = results.iter().find(|result| (result.arm, result.task) == (arm, task))?;
        let Pooled { accuracy, low, high, against_baseline, .. } = result.pooled;
        Some(CorrectShare { accuracy: percent(accuracy), sign: sign(against_baseline), range: range(low, high) })
    };
    let row = |arm: Arm| {
        let cost = summary.run.costs.get(&arm);
        let gap = summary.pooled(arm, set).and_then(|pooled| pooled.gap_closed);
        TaskRow {
            class: class(arm),
            arm: arm.label(),
            gives_away: arm.training().gives_b_away(),
            cells: tasks.iter().map(|task| share(arm, *task)).collect(),
            gap: gap.map_or(String::new(), |gap| format!("{}\u{a0}%", (100.0 * gap).round() + 0.0)),
            read: cost.map_or(String::new(), |cost| format!("{:.0}", cost.read)),
            sampled: cost.map_or(String::new(), |cost| format!("{:.0}", cost.sampled)),
            seconds: cost.and_then(|cost| cost.seconds).map_or(String::new(), seconds),
            training: cost.map_or(String::new(), |cost| cost.training_flops.map_or("?".into(), operations)),
        }
    };
    ByTask {
        set: set.to_string(),
        purpose: set_purpose(set, &summary.run),
        tasks: tasks.iter().map(TaskId::to_string).collect(),
        rows: arms.into_iter().map(row).collect(),
    }
}
