//! What came of a sweep: a ranked table for the terminal, and one page for the browser in the style of the report of a run.

use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

use super::bars::{self, BarPlace, css};
use super::findings::Findings;
use super::html::fill;
use super::table::{Column, ShownTable, TableCell, two_lines};
use super::tables;
use super::words::{kind, p_value, percent, points, range, seconds};
use crate::Result;
use crate::evaluation::sweep::{Lead, OnB, RankedCell};
use crate::evaluation::{Pooled, Summary, SweepSummary, described};
use crate::text::grouped;

/// Cells in the picture; all of them are in the table.
const PICTURED: usize = 24;
/// Axes that have a column each; more are written into one.
const COLUMNS: usize = 4;

/// A row for each cell, best first, and beneath it what the ranks say. `styled` adds bold type for a terminal.
#[cfg(feature = "cli")]
pub fn sweep_table(summary: &SweepSummary, styled: bool) -> String {
    let legend = "Right answers to held-out questions of A with the 95 % interval, and how far the winner is ahead on the same \
                  questions, in points (Tango's interval, exact McNemar test).";
    let command = format!("The winner, trained as the base config says:\n  {}", summary.command);
    let closing = (!summary.command.is_empty()).then_some(command);
    super::text::terminal(&[cells(summary)], &[legend.to_owned()], Findings::of_sweep(summary), closing, styled)
}

/// Everything about a sweep in one self-contained HTML document. The same summary gives the same document, byte for byte.
pub fn sweep_page(summary: &SweepSummary) -> Result<String> {
    let (ranking, halved) = (&summary.ranking, is_halved(summary));
    let on_b = Summary { arms: summary.b.as_ref().map_or(Vec::new(), |b| b.arms.clone()), ..Summary::default() };
    let pictured = ranking.iter().take(PICTURED).enumerate().map(|(at, cell)| {
        let steps = if halved { format!(", {} steps", cell.steps) } else { String::new() };
        let label = format!("{}. {}{steps}", at + 1, described(&summary.labels, &cell.settings));
        Rail::new(label, String::new(), at == 0, &cell.score)
    });
    let page = context! {
        kind => "sweep",
        name => &summary.name,
        findings => Serde(Findings::of_sweep(summary)),
        pictured => Serde(pictured.collect::<Vec<_>>()),
        left_out => ranking.len().saturating_sub(PICTURED),
        halved => halved,
        cells => Serde(cells(summary)),
        effects => Serde(effects(summary)),
        gaps => Serde(bars::gaps(&on_b)),
        on_b => Serde(tables::results(&on_b.arms)),
        command => &summary.command,
        provenance => Serde(provenance(summary)),
        file => &summary.file,
        config => &summary.config,
    };
    fill("sweep.html", page)
}

/// A share with its interval on a line.
#[derive(Serialize)]
struct Rail {
    label: String,
    note: String,
    best: bool,
    chance_at: String,
    #[serde(flatten)]
    place: BarPlace,
}

/// What one axis does.
#[derive(Serialize)]
struct EffectRow {
    axis: String,
    rails: Vec<Rail>,
}

impl Rail {
    fn new(label: String, note: String, best: bool, score: &Pooled) -> Rail {
        let class = if best { "after" } else { "tuned" };
        let place = BarPlace::new(class, score.accuracy, score.low, score.high);
        Rail { label, note, best, chance_at: css(score.chance), place }
    }
}

fn effects(summary: &SweepSummary) -> Vec<EffectRow> {
    let of = |effect: &crate::evaluation::sweep::AxisEffect| {
        // Where several are best, all of them stand out.
        let best = effect.values.iter().map(|value| value.score.accuracy).fold(0.0, f64::max);
        let rails = effect.values.iter().map(|one| {
            let cells = if one.cells == 1 { "1 cell".to_owned() } else { format!("{} cells", one.cells) };
            Rail::new(one.value.clone(), cells, one.score.accuracy == best, &one.score)
        });
        EffectRow { axis: effect.axis.clone(), rails: rails.collect() }
    };
    summary.effects.iter().map(of).collect()
}

/// Whether some cells were trained for longer than others.
fn is_halved(summary: &SweepSummary) -> bool {
    summary.ranking.iter().any(|cell| cell.rung > 0)
}

/// The ranked cells, best first; a terminal has the first half of the columns.
fn cells(summary: &SweepSummary) -> ShownTable {
    let (apart, halved) = (summary.labels.len() <= COLUMNS, is_halved(summary));
    let forms = summary.ranking.first().map_or(&[][..], |cell| &cell.forms);
    let mut columns = vec![Column::left("#"), Column::left("cell")];
    if apart {
        let label = |label: &String| Column::left(two_lines(&label.replace(['_', '.'], " ")));
        columns.extend(summary.labels.iter().map(label));
    } else {
        columns.push(Column::left("settings"));
    }
    columns.extend(halved.then(|| Column::left("steps")));
    columns.extend(["right", "winner is ahead by", "McNemar", "time"].map(Column::right));
    columns.extend(forms.iter().map(|row| Column::right(kind(row.task, row.form)).detail()));
    columns.extend(summary.seeds.iter().map(|seed| Column::right(format!("seed {seed}")).detail()));
    columns.extend([Column::right("tokens").detail(), Column::left("lies in").detail()]);
    let row = |(rank, cell): (usize, &RankedCell)| {
        let score = &cell.score;
        let mut cells: Vec<TableCell> = vec![(rank + 1).into(), cell.cell.into()];
        if apart {
            cells.extend(cell.settings.iter().map(|setting| setting.short().into()));
        } else {
            cells.push(described(&summary.labels, &cell.settings).replace(", ", ",\n").into());
        }
        cells.extend(halved.then(|| cell.steps.into()));
        let right = TableCell::share(score.accuracy, score.low, score.high, None);
        let behind = |lead: Lead| TableCell { range: lead_range(&lead), ..points(lead.difference).into() };
        cells.extend([
            TableCell { strong: rank == 0, ..right },
            cell.behind.map_or(TableCell::default(), behind),
            TableCell::optional(cell.behind.map(|lead| p_value(lead.p))),
            seconds(cell.cost.seconds).into(),
        ]);
        cells.extend(forms.iter().map(|wanted| {
            let found = cell.forms.iter().find(|row| (row.task, row.form) == (wanted.task, wanted.form));
            TableCell::or_dash(found.map(|row| TableCell::share(row.accuracy, row.low, row.high, None)))
        }));
        cells.extend(summary.seeds.iter().map(|seed| TableCell::or_dash(cell.seeds.get(seed).copied().map(percent))));
        cells.extend([grouped(cell.cost.tokens).into(), TableCell::from(&cell.dir)]);
        cells
    };
    let rows = summary.ranking.iter().enumerate().map(row).collect();
    ShownTable { columns, rows, ..ShownTable::default() }
}

fn lead_range(lead: &Lead) -> String {
    format!("{} to {}", points(lead.low), points(lead.high))
}

fn provenance(summary: &SweepSummary) -> ShownTable {
    let seeds: Vec<String> = summary.seeds.iter().map(u64::to_string).collect();
    let cost = &summary.cost;
    let facts = [
        ("recollect", summary.version.clone()),
        ("search", summary.search.clone()),
        ("axes", summary.axes.join(", ")),
        ("seeds (of world, fine-tuning and RL)", seeds.join(", ")),
        ("time in all, if nothing is shared with another sweep", seconds(cost.seconds)),
        ("of that, fine-tuning", seconds(summary.finetune_seconds)),
        ("completions sampled in training", grouped(cost.rollouts)),
        ("tokens sampled in training", grouped(cost.tokens)),
        ("hardware", summary.hardware.clone()),
    ];
    let digests = summary.digests.iter().map(|(of, digest)| (format!("SHA-256 of the {of}"), digest.clone()));
    ShownTable::facts(facts.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(digests))
}

/// From here on two cells count as different.
fn is_clear(lead: &Lead) -> bool {
    lead.p < 0.05
}

impl Findings {
    /// What the ranks say.
    pub fn of_sweep(summary: &SweepSummary) -> Findings {
        let Some(winner) = summary.ranking.first() else {
            return Findings { headline: "No cell was measured".into(), ..Findings::default() };
        };
        let name = described(&summary.labels, &winner.settings);
        let next = summary.ranking.get(1).and_then(|next| Some((next, next.behind?)));
        let clearly = match next {
            Some((_, lead)) if is_clear(&lead) => ", clearly ahead of the next",
            Some((_, lead)) if lead.difference > 0.0 => ", ahead of the next but not clearly",
            Some(_) => ", level with the next",
            None => "",
        };
        let failed = summary.failed.len();
        let failed = (failed > 0).then(|| format!("{failed} of all cells could not be trained, and have no rank."));
        let flattered = format!(
            "The ranks come from questions about set A that no training asked, and nothing else. The winner's score is the \
             best of {}, so it is somewhat flattered, and p-values do not know of how many cells it is the best; what it \
             answers about B is not flattered by the choice.",
            summary.ranking.len()
        );
        let notes = summary.failed.iter().map(|cell| {
            let what = described(&summary.labels, &cell.settings);
            format!("Cell {} ({what}) failed with seed {}: {}", cell.cell, cell.seed, cell.error)
        });
        let lead = [
            Some(judged(summary, winner, &name)),
            next.map(|(next, lead)| against(summary, next, &lead)),
            summary.b.as_ref().map(on_b),
        ];
        Findings {
            headline: format!("{name}: {} right{clearly}", percent(winner.score.accuracy)),
            lead: lead.into_iter().flatten().collect(),
            evidence: (summary.ranking.len() > 1).then_some(flattered).into_iter().chain(failed).collect(),
            notes: notes.collect(),
        }
    }
}

fn judged(summary: &SweepSummary, winner: &RankedCell, name: &str) -> String {
    let seeds: Vec<String> = summary.seeds.iter().map(u64::to_string).collect();
    let score = &winner.score;
    format!(
        "Of {}, each with {} {}, the best is {name}: it answers {} of {} questions that no training asked right ({}, \
         interval {} %, guessing gives {}).",
        summary.search,
        if seeds.len() == 1 { "seed" } else { "seeds" },
        seeds.join(", "),
        score.correct,
        score.n,
        percent(score.accuracy),
        range(score.low, score.high),
        percent(score.chance),
    )
}

fn against(summary: &SweepSummary, next: &RankedCell, lead: &Lead) -> String {
    let unclear = summary.ranking.iter().filter_map(|cell| cell.behind).filter(|lead| !is_clear(lead)).count();
    let others = summary.ranking.len() - 1;
    let told = match unclear {
        0 => "Every other cell is clearly behind.".to_owned(),
        1 if others == 1 => "The two cannot be told apart on so many questions.".to_owned(),
        _ if unclear == others => {
            format!("None of the {others} other cells can be told apart from it on so many questions.")
        }
        _ => format!("{unclear} of the {others} other cells cannot be told apart from it on so many questions."),
    };
    format!(
        "The next, {}, answers {}; the winner is ahead by {} points ({}) on the same questions, {}. {told}",
        described(&summary.labels, &next.settings),
        percent(next.score.accuracy),
        points(lead.difference),
        lead_range(lead),
        p_value(lead.p),
    )
}

fn on_b(b: &OnB) -> String {
    let test = b
        .after
        .against_baseline
        .map_or(String::new(), |pair| format!("; {} questions won and {} lost, {}", pair.b, pair.c, p_value(pair.p)));
    format!(
        "On set B, which was first asked about when the winner was known, it answers {} right ({} %), where the fine-tuned \
         model answers {} ({} %{test}).",
        percent(b.after.accuracy),
        range(b.after.low, b.after.high),
        percent(b.fine_tuned.accuracy),
        range(b.fine_tuned.low, b.fine_tuned.high),
    )
}

#[cfg(test)]
pub(super) mod fixture {
    use crate::evaluation::sweep::tests::cell;
    use crate::evaluation::sweep::{FailedCell, effects, on_b, rank};
    use crate::evaluation::{Arm, Cost, MeasuredCell, Setting, SweepSummary, fixture};
    use crate::knowledge::Set;

    /// Two rewards and two rates with two seeds, and a cell that failed.
    pub fn summary() -> SweepSummary {
        let [faithful, recall] = ["rewards/faithful.toml", "rewards/recall.toml"];
        let cells = [([faithful, "1e-4"], [10, 11]), ([faithful, "3e-4"], [12, 17]), ([recall, "1e-4"], [16, 18])];
        let measured: Vec<MeasuredCell> =
            cells.iter().enumerate().map(|(at, (settings, right))| cell(at + 1, settings, 0, *right)).collect();
        let run = |right| {
            [(Arm::FineTuned, 3), (Arm::AfterRl, right)]
                .map(|(arm, right)| fixture::right(arm, Set::B, 20, right))
                .concat()
        };
        let axes = vec!["train.reward".to_string(), "train.learning_rate".into()];
        let setting = |text: &str, number| Setting { text: text.into(), number };
        SweepSummary {
            name: "sweep".into(),
            version: "0.2.0".into(),
            search: "a grid of 4 cells, trained for 10 steps".into(),
            labels: vec!["reward".into(), "learning_rate".into()],
            effects: effects(&axes, &measured),
            axes,
            seeds: vec![0, 7],
            ranking: rank(&measured),
            failed: vec![FailedCell {
                cell: 4,
                settings: vec![setting(recall, None), setting("3e-4", Some(3e-4))],
                seed: 0,
                error: "reinforcement learning: the gradient of step 3 is not finite; lower train.learning_rate".into(),
            }],
            b: on_b(&[(0, run(15)), (7, run(17))]),
            command: "recollect run configs/quickstart.toml --set train.reward=rewards/recall.toml".into(),
            cost: Cost { seconds: 700.0, rollouts: 60, tokens: 3_000 },
            finetune_seconds: 386.0,
            file: "base = \"configs/quickstart.toml\"\n".into(),
            config: "[train]\nsteps = 10\n".into(),
            hardware: "AMD EPYC, 2 cores".into(),
            digests: [("base config".to_string(), crate::files::digest(b"base"))].into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::html::tests::{HOSTILE, demand_alone};
    use super::*;

    #[test]
    fn cells_stand_in_their_rank_with_what_they_are_and_what_failed() {
        let mut summary = fixture::summary();
        let text = sweep_table(&summary, false).replace('\u{a0}', " ");
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("e-4") && line.contains(" s")).take(3).collect();
        assert!(rows[0].contains("recall") && rows[0].contains("85 %"), "{text}");
        assert!(rows[1].contains("faithful") && rows[1].contains("3e-4") && rows[1].contains("+12.5"), "{text}");
        assert!(text.contains("Cell 4 (reward recall, learning_rate 3e-4) failed with seed 0"), "{text}");
        assert!(text.lines().filter(|line| !line.starts_with("  ")).all(|line| line.chars().count() <= 100), "{text}");
        assert!(!text.contains('\u{1b}') && sweep_table(&summary, true).contains('\u{1b}'));
        // Many axes share a column.
        summary.labels = (0..6).map(|n| format!("label{n}")).collect();
        for cell in &mut summary.ranking {
            cell.settings = vec![cell.settings[0].clone(); 6];
        }
        let text = cells(&summary).terminal(false);
        assert!(text.contains("settings") && text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(sweep_table(&SweepSummary::default(), false), "No cell was measured.\n");
    }

    #[test]
    fn every_part_of_the_page_is_there_and_the_same_every_time() {
        let document = sweep_page(&fixture::summary()).unwrap();
        assert_eq!(document, sweep_page(&fixture::summary()).unwrap());
        demand_alone(&document, 1);
        for part in [
            "1. reward recall, learning_rate 1e-4",
            "85\u{a0}%",
            "+12.5",
            "train.learning_rate",
            "2 cells",
            "set B",
            "the gradient of step 3 is not finite",
            "6 min 26 s",
            "SHA-256",
            "base config",
        ] {
            assert!(document.contains(part), "{part} is missing");
        }
        assert_eq!(document.matches("class=\"rail\"").count(), 3 + 4 + 2, "cells, values, kinds of questions on B");
        let document = sweep_page(&SweepSummary::default()).unwrap();
        assert!(document.contains("No cell was measured"));
        demand_alone(&document, 1);
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut summary = fixture::summary();
        for text in [&mut summary.name, &mut summary.file, &mut summary.config, &mut summary.command] {
            *text = HOSTILE.into();
        }
        summary.labels[0] = HOSTILE.into();
        summary.effects[0].values[0].value = HOSTILE.into();
        summary.ranking.iter_mut().for_each(|cell| cell.settings[0].text = HOSTILE.into());
        summary.failed[0].error = HOSTILE.into();
        demand_alone(&sweep_page(&summary).unwrap(), 1);
    }
}
