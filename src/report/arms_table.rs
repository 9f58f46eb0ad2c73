//! Tables in which every arm has a row: for many of them, and for two policies against each other.

use std::collections::BTreeSet;

use comfy_table::Cell;

use super::by_task::{ByTask, CorrectShare, by_task};
use super::table::{accuracy, empty, finish, heading, two_lines, wrap};
use super::words::{gap_legend, kind, operations, p_value, percent, points, range, seconds};
use crate::evaluation::{Arm, ArmResult, Summary};
use crate::knowledge::{Form, Set, TaskId};

/// What stands beside accuracies.
const COSTS: [&str; 4] = ["gap", "tokens", "seconds", "training"];
/// Most kinds of questions that find room beside each other.
const KINDS: usize = 5;

/// One table for each set, the headline's first: a row for each arm, a column for each kind of question, or for each task
/// where there are too many, and what the arm takes. Beneath, the same scored by the likelihood of the choices, where that
/// was asked for.
pub(super) fn arms_tables(summary: &Summary, styled: bool) -> String {
    let sets: BTreeSet<Set> = summary.latest().map(|row| row.set).collect();
    let crowded = sets.iter().any(|set| {
        let rows: Vec<&ArmResult> = summary.latest().filter(|row| row.set == *set).collect();
        kinds(&rows).len() > KINDS
    });
    let mut tables: Vec<String> = if crowded {
        by_task(summary).iter().map(|set| task_table(set, styled)).collect()
    } else {
        sets.iter().rev().map(|set| arms_table(summary, *set, styled)).collect()
    };
    let scored: BTreeSet<Set> = summary.latest().filter(|row| row.likelihood.is_some()).map(|row| row.set).collect();
    tables.extend(scored.into_iter().rev().map(|set| likelihood_table(summary, set, styled)));
    if crowded {
        tables.push(wrap("A task is all of its forms; the report has each of them."));
    }
    tables.push(wrap(&format!(
        "{}Tokens: read and sampled for an answer. \
         Seconds: for all questions of A and B. Training: floating-point operations after the base. †: trained on text \
         that gives B away, so that B is no measure of what carries over.",
        gap_legend(summary)
    )));
    tables.join("\n\n")
}

fn kinds(rows: &[&ArmResult]) -> Vec<(TaskId, Form)> {
    rows.iter().map(|row| (row.task, row.form)).collect::<BTreeSet<_>>().into_iter().collect()
}

fn arms_table(summary: &Summary, set: Set, styled: bool) -> String {
    let rows: Vec<&ArmResult> = summary.latest().filter(|row| row.set == set).collect();
    let (arms, kinds): (BTreeSet<Arm>, _) = (rows.iter().map(|row| row.arm).collect(), kinds(&rows));
    let mut table = empty(styled);
    let mut header = vec![heading(&format!("set {set}"), styled)];
    header.extend(kinds.iter().map(|(task, form)| heading(&format!("{task}\n{form}"), styled)));
    header.extend(COSTS.map(|name| heading(name, styled)));
    table.set_header(header);
    for arm in arms {
        let mark = if arm.training().gives_b_away() { " †" } else { "" };
        let mut cells = vec![heading(&(two_lines(arm.label()) + mark), styled)];
        cells.extend(
            kinds.iter().map(|(task, form)| Cell::new(summary.find(arm, task, form, set).map_or("—".into(), accuracy))),
        );
        let gap = summary.pooled(arm, set).and_then(|pooled| pooled.gap_closed);
        cells.push(Cell::new(gap.map_or(String::new(), |gap| format!("{}\u{a0}%", (100.0 * gap).round() + 0.0))));
        let cost = summary.run.costs.get(&arm).copied().unwrap_or_default();
        cells.push(Cell::new(format!("{:.0}\n+ {:.0}", cost.read, cost.sampled)));
        cells.push(Cell::new(cost.seconds.map_or(String::new(), |s| seconds(s).trim_end_matches(" s").to_owned())));
        cells.push(Cell::new(cost.training_flops.map_or("?".into(), operations)));
        table.add_row(cells);
    }
    finish(table, 1)
}

fn task_table(set: &ByTask, styled: bool) -> String {
    let mut table = empty(styled);
    let mut header = vec![heading(&format!("set {}", set.set), styled)];
    header.extend(set.tasks.iter().map(String::as_str).chain(COSTS).map(|name| heading(name, styled)));
    table.set_header(header);
    for row in &set.rows {
        let mut cells = vec![heading(&(two_lines(row.arm) + if row.gives_away { " †" } else { "" }), styled)];
        let share = |share: &CorrectShare| {
            // A space that is not trimmed keeps numbers with and without a sign in one column.
            let sign = if share.sign.is_empty() { "\u{a0}" } else { share.sign };
            format!("{}{sign}\n{}\u{a0}", share.accuracy, share.range)
        };
        cells.extend(row.cells.iter().map(|cell| Cell::new(cell.as_ref().map_or("—".into(), share))));
        cells.push(Cell::new(&row.gap));
        cells.push(Cell::new(if row.read.is_empty() {
            String::new()
        } else {
            format!("{}\n+ {}", row.read, row.sampled)
        }));
        cells.extend([&row.seconds, &row.training].map(Cell::new));
        table.add_row(cells);
    }
    finish(table, 1)
}

/// By which choice is the likeliest, and in brackets by what was written, on the same kinds of questions.
fn likelihood_table(summary: &Summary, set: Set, styled: bool) -> String {
    let rows: Vec<&ArmResult> = summary.latest().filter(|row| row.set == set && row.likelihood.is_some()).collect();
    let (arms, kinds): (BTreeSet<Arm>, _) = (rows.iter().map(|row| row.arm).collect(), kinds(&rows));
    let mut table = empty(styled);
    let mut header = vec![heading(&format!("set {set}, likeliest choice (written)"), styled)];
    header.extend(kinds.iter().map(|(task, form)| heading(&format!("{task}\n{form}"), styled)));
    table.set_header(header);
    for arm in arms {
        let mut cells = vec![Cell::new(arm.label())];
        cells.extend(kinds.iter().map(|(task, form)| {
            let row = summary.find(arm, task, form, set);
            Cell::new(row.and_then(|row| Some((row, row.likelihood?))).map_or("—".into(), |(row, scored)| {
                format!("{} ({})", percent(scored.accuracy), percent(row.accuracy))
            }))
        }));
        table.add_row(cells);
    }
    finish(table, 1)
}

/// The two policies of an evaluation, asked the same way: a row for each way and kind of question.
pub fn same_way_table(summary: &Summary) -> String {
    if summary.same_way.is_empty() {
        return "No question was asked of both the same way.".into();
    }
    let mut table = empty(false);
    let header = ["asked", "questions", "set", "baseline", "checkpoint", "difference", "won, lost", "test"];
    table.set_header(header.map(Cell::new));
    for row in &summary.same_way {
        let share = |right: u64| percent(right as f64 / row.pair.n.max(1) as f64);
        table.add_row([
            format!("{},\n{}", row.with.label(), row.arm.label()),
            kind(row.task, row.form).replacen(", ", ",\n", 1),
            row.set.to_string(),
            share(row.with_correct),
            share(row.correct),
            format!("{}\n{}", points(row.pair.difference), range(row.pair.low, row.pair.high)),
            format!("{}, {}", row.pair.b, row.pair.c),
            p_value(row.pair.holm),
        ]);
    }
    let legend = wrap(
        "The same questions, asked the same way of both (the first answer to each). Difference in points with its 95 % \
         interval (paired bootstrap); won, lost: questions that only the checkpoint, only the baseline got right; exact \
         McNemar test with Holm's correction over all rows.",
    );
    format!("{}\n\n{legend}", finish(table, 2))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::evaluation::{Answered, Curves};
    use crate::knowledge::reversal::CANDIDATES;

    #[test]
    fn many_arms_fit_a_terminal_one_below_the_other() {
        let mut answers = fixture::answers();
        for further in Arm::ALL.into_iter().filter(|arm| !Arm::STANDARD.contains(arm)) {
            let like: Vec<Answered> = answers.iter().filter(|one| one.arm == Arm::InContext).cloned().collect();
            let likeliest = |one: &Answered| Some(one.expected.clone()).filter(|_| one.form != CANDIDATES);
            answers.extend(like.into_iter().map(|one| Answered { arm: further, likeliest: likeliest(&one), ..one }));
        }
        let summary = Summary::new(&answers, Curves::default(), fixture::summary().run);
        let text = super::super::table(&summary, false);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100, "{widest} columns:\n{text}");
        for label in ["oracle", "retrieval after", "gap", "likeliest choice", "100\u{a0}% (9"] {
            assert!(text.contains(label), "{label} is missing in\n{text}");
        }
    }

    #[test]
    fn two_policies_are_compared_way_by_way() {
        let text = same_way_table(&fixture::summary());
        // Three ways that both were asked, three kinds of questions, two sets.
        assert_eq!(text.matches("thinking before RL,").count(), 6, "{text}");
        assert!(text.contains("direct after RL") && text.contains("McNemar test"), "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 110, "{widest} columns:\n{text}");
    }
}
