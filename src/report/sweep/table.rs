//! The ranked cells as a table for the terminal.

use comfy_table::Cell;

use super::super::table::{empty, finish, heading, two_lines, wrap};
use super::super::words::{p_value, percent, points, range, seconds};
use super::described;
use super::story::SweepFindings;
use crate::evaluation::SweepSummary;
use crate::evaluation::sweep::RankedCell;

/// Axes that have a column each; more are written into one.
const COLUMNS: usize = 4;

/// A row for each cell, best first, and beneath it what the ranks say. `styled` adds bold type for a terminal.
pub fn sweep_table(summary: &SweepSummary, styled: bool) -> String {
    let SweepFindings { headline, lead, evidence } = SweepFindings::new(summary);
    let mut text = String::new();
    if !summary.ranking.is_empty() {
        text.push_str(&grid(summary, styled));
        text.push_str("\n\n");
        text.push_str(&wrap(
            "Right answers to held-out questions of A with the 95 % interval, and how far the winner is ahead on the same \
             questions, in points (Tango's interval, exact McNemar test).",
        ));
        text.push('\n');
    }
    let told = if lead.is_empty() { headline + "." } else { lead.join(" ") };
    let failed = summary.failed.iter().map(|cell| {
        let what = described(&summary.labels, &cell.settings);
        format!("Cell {} ({what}) failed with seed {}: {}", cell.cell, cell.seed, cell.error)
    });
    let ways = (!summary.command.is_empty())
        .then(|| format!("The winner, trained as the base config says:\n  {}", summary.command));
    let told = [told, evidence.join(" ")].into_iter().chain(failed).map(|paragraph| wrap(&paragraph));
    for paragraph in told.chain(ways).filter(|paragraph| !paragraph.is_empty()) {
        text.push('\n');
        text.push_str(&paragraph);
        text.push('\n');
    }
    text
}

fn grid(summary: &SweepSummary, styled: bool) -> String {
    let wide = summary.labels.len() <= COLUMNS;
    let halved = summary.ranking.iter().any(|cell| cell.rung > 0);
    let mut table = empty(styled);
    let mut header = vec!["#".to_string(), "cell".into()];
    if wide {
        header.extend(summary.labels.iter().map(|label| two_lines(&label.replace(['_', '.'], " "))))
    } else {
        header.push("settings".into())
    }
    if halved {
        header.push("steps".into());
    }
    header.extend(["right", "winner is ahead by", "time"].map(String::from));
    table.set_header(header.iter().map(|text| heading(text, styled)));
    for (rank, cell) in summary.ranking.iter().enumerate() {
        let mut row = vec![Cell::new(rank + 1), Cell::new(cell.cell)];
        if wide {
            row.extend(cell.settings.iter().map(|setting| Cell::new(setting.short())))
        } else {
            row.push(Cell::new(described(&summary.labels, &cell.settings).replace(", ", "\n")))
        }
        if halved {
            row.push(Cell::new(cell.steps));
        }
        let score = &cell.score;
        let right = format!("{}\u{a0} {:>7}", percent(score.accuracy), range(score.low, score.high));
        row.extend([right, behind(cell), seconds(cell.cost.seconds)].map(Cell::new));
        table.add_row(row);
    }
    finish(table, header.len() - 3)
}

fn behind(cell: &RankedCell) -> String {
    let told = |lead: &crate::evaluation::sweep::Lead| {
        format!("{} ({} to {}), {}", points(lead.difference), points(lead.low), points(lead.high), p_value(lead.p))
    };
    cell.behind.as_ref().map_or(String::new(), told)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn cells_stand_in_their_rank_with_what_they_are_and_what_failed() {
        let text = sweep_table(&fixture::summary(), false).replace('\u{a0}', " ");
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("e-4") && line.contains(" s")).take(3).collect();
        assert!(rows[0].contains("recall") && rows[0].contains("85 %"), "{text}");
        assert!(rows[1].contains("faithful") && rows[1].contains("3e-4") && rows[1].contains("+12.5 ("), "{text}");
        assert!(text.contains("Cell 4 (reward recall, learning_rate 3e-4) failed with seed 0"), "{text}");
        assert!(text.lines().filter(|line| !line.starts_with("  ")).all(|line| line.chars().count() <= 100), "{text}");
        assert!(!text.contains('\u{1b}') && sweep_table(&fixture::summary(), true).contains('\u{1b}'));
    }

    #[test]
    fn many_axes_share_a_column() {
        let mut summary = fixture::summary();
        summary.labels = (0..6).map(|n| format!("label{n}")).collect();
        for cell in &mut summary.ranking {
            cell.settings = vec![cell.settings[0].clone(); 6];
        }
        let text = sweep_table(&summary, false);
        let grid = text.split("\n\n").next().unwrap();
        assert!(grid.contains("settings") && grid.lines().all(|line| line.chars().count() <= 100), "{grid}");
    }

    #[test]
    fn a_sweep_of_nothing_says_so() {
        assert_eq!(sweep_table(&SweepSummary::default(), false), "\nNo cell was measured.\n");
    }
}
