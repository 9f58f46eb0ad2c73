//! The result as a table for the terminal.

use std::collections::BTreeSet;
use std::fmt::Write;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};

use super::arms_table::arms_tables;
use super::findings::Findings;
use super::words::{legend, percent, range, seconds, sign};
use crate::evaluation::{Arm, ArmResult, Summary};
use crate::knowledge::{Form, Set, TaskId};

/// Columns of a line of text.
const WIDTH: usize = 96;

/// A row for each kind of question and set, a column for each arm, and beneath it what the numbers say. At most
/// 100 columns wide. `styled` adds bold type for a terminal; without it the text is plain.
pub fn table(summary: &Summary, styled: bool) -> String {
    let rows: Vec<&ArmResult> = summary.latest().collect();
    let arms: BTreeSet<Arm> = rows.iter().map(|row| row.arm).collect();
    let kinds: BTreeSet<(TaskId, Form, Set)> = rows.iter().map(|row| (row.task, row.form, row.set)).collect();
    let story = Findings::new(summary);
    let mut text = String::new();
    if !rows.is_empty() {
        if arms.iter().all(|arm| Arm::STANDARD.contains(arm)) {
            text.push_str(&grid(summary, &arms, &kinds, styled))
        } else {
            text.push_str(&arms_tables(summary, styled))
        }
        text.push_str("\n\n");
        text.push_str(&wrap(&legend(&summary.run)));
        text.push('\n');
    }
    // A line of its own, which is found by whoever looks for it.
    if let Some(line) = story.equal {
        let _ = writeln!(text, "\n{line}");
    }
    let told = if story.lead.is_empty() { vec![story.headline + "."] } else { story.lead };
    for paragraph in [told.join(" "), story.evidence.join(" ")].iter().filter(|paragraph| !paragraph.is_empty()) {
        text.push('\n');
        text.push_str(&wrap(paragraph));
        text.push('\n');
    }
    let (answering, all) = summary.run.answering();
    if answering > 0.0 {
        let share = percent(answering / all);
        let _ = writeln!(text, "\nAnswering took {} of {}: {share}.", seconds(answering), seconds(all));
    }
    text
}

/// A table in the style of all of them, still empty.
pub(super) fn empty(styled: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    if styled {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// A cell that stands out on a terminal.
pub(super) fn heading(text: &str, styled: bool) -> Cell {
    let cell = Cell::new(text);
    if styled { cell.add_attribute(Attribute::Bold) } else { cell }
}

/// The table as text, with all columns from number `right` on aligned to the right.
pub(super) fn finish(mut table: Table, right: usize) -> String {
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index >= right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn grid(summary: &Summary, arms: &BTreeSet<Arm>, kinds: &BTreeSet<(TaskId, Form, Set)>, styled: bool) -> String {
    let heading = |text: &str| heading(text, styled);
    let mut table = empty(styled);
    let mut header = vec![heading("questions"), heading("set"), heading("chance")];
    header.extend(arms.iter().map(|arm| heading(&two_lines(arm.label()))));
    table.set_header(header);
    for &(task, form, set) in kinds {
        let rows: Vec<Option<&ArmResult>> = arms.iter().map(|&arm| summary.find(arm, task, form, set)).collect();
        let chance = rows.iter().flatten().next().map_or(String::new(), |row| percent(row.chance));
        let mut cells = vec![heading(&format!("{task}\n{form}")), Cell::new(set), Cell::new(chance)];
        cells.extend(rows.into_iter().map(|row| Cell::new(row.map_or("—".into(), accuracy))));
        table.add_row(cells);
    }
    finish(table, 2)
}

pub(super) fn accuracy(row: &ArmResult) -> String {
    // A space that is not trimmed keeps numbers with and without a sign in one column.
    let sign = Some(sign(row.against_baseline)).filter(|sign| !sign.is_empty()).unwrap_or("\u{a0}");
    format!("{}{sign}\n{}\u{a0}", percent(row.accuracy), range(row.low, row.high))
}

/// Breaks a label at its middle space, so that a column is as narrow as it can be.
pub(super) fn two_lines(label: &str) -> String {
    let middle = label.match_indices(' ').map(|(index, _)| index);
    match middle.min_by_key(|index| index.abs_diff(label.len() / 2)) {
        Some(index) => format!("{}\n{}", &label[..index], &label[index + 1..]),
        None => label.to_owned(),
    }
}

/// Text in lines of at most `WIDTH` characters.
pub(super) fn wrap(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::evaluation::{Curves, RunInfo, RunResult, merge_runs};
    use crate::knowledge::reversal::{CANDIDATES, REVERSAL};

    #[test]
    fn fits_a_terminal_and_is_plain_without_one() {
        let text = table(&fixture::summary(), false);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100, "{widest} columns:\n{text}");
        assert!(!text.contains('\u{1b}'), "escape codes without a terminal");
        assert!(table(&fixture::summary(), true).contains('\u{1b}'));
        assert!(text.contains("reversal") && text.contains("thinking") && text.contains("→"), "{text}");
    }

    #[test]
    fn shows_every_arm_with_its_interval() {
        let summary = fixture::summary();
        let text = table(&summary, false);
        for row in summary.latest() {
            assert!(text.contains(&range(row.low, row.high)), "{} is missing in\n{text}", range(row.low, row.high));
        }
    }

    #[test]
    fn several_runs_fit_a_terminal_and_say_what_their_intervals_hold() {
        let one = RunResult { answered: fixture::answers(), curves: Curves::default(), info: fixture::summary().run };
        let (summary, _) = merge_runs("three", "", vec![one; 3]);
        let text = table(&summary, false);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100 && text.contains("over 3 runs"), "{widest} columns:\n{text}");
        let row = summary.find(Arm::AfterRl, REVERSAL, CANDIDATES, Set::B).unwrap();
        assert!(text.contains(&format!("{}+", percent(row.accuracy))), "{text}");
    }

    #[test]
    fn an_empty_evaluation_says_so() {
        let text = table(&Summary::new(&[], Curves::default(), RunInfo::default()), false);
        assert_eq!(text, "\nNo question was answered in this run.\n");
    }
}
