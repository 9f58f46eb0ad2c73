//! The page of a sweep: one file that needs nothing else.

use serde::Serialize;

use super::super::bars::{self, css};
use super::super::html::fill;
use super::super::words::{grouped, kind, p_value, percent, points, range, seconds};
use super::described;
use super::story::SweepFindings;
use crate::Result;
use crate::evaluation::sweep::{EffectOf, RankedCell};
use crate::evaluation::{ArmResult, Curves, Pooled, RunInfo, Summary, SweepSummary};

/// Cells in the picture; all of them are in the table.
const PICTURED: usize = 24;

/// Everything about a sweep in one self-contained HTML document, in the style of the report of a run. The same summary
/// gives the same document, byte for byte.
pub fn sweep_page(summary: &SweepSummary) -> Result<String> {
    fill("sweep.html", SweepPage::new(summary))
}

/// What the template is filled with.
#[derive(Serialize)]
struct SweepPage<'a> {
    headline: String,
    lead: Vec<String>,
    evidence: Vec<String>,
    name: &'a str,
    pictured: Vec<Rail>,
    left_out: usize,
    labels: &'a [String],
    kinds: Vec<String>,
    seeds: &'a [u64],
    halved: bool,
    rows: Vec<CellRow>,
    effects: Vec<EffectRow>,
    /// For the fragment that the report of a run shows, too.
    gaps: Vec<bars::Gap>,
    b: Vec<RowOnB>,
    failed: Vec<FailedRow>,
    command: &'a str,
    facts: Vec<(String, String)>,
    digests: Vec<(String, String)>,
    file: &'a str,
    config: &'a str,
}

/// A share with its interval on a line from 0 to 100 %.
#[derive(Serialize)]
struct Rail {
    label: String,
    note: String,
    best: bool,
    at: String,
    low: String,
    spread: String,
    chance_at: String,
    value: String,
    range: String,
}

/// What one axis does.
#[derive(Serialize)]
struct EffectRow {
    axis: String,
    rails: Vec<Rail>,
}

/// A cell in the table of all.
#[derive(Serialize)]
struct CellRow {
    rank: usize,
    cell: usize,
    settings: Vec<String>,
    steps: usize,
    score: String,
    range: String,
    forms: Vec<String>,
    seeds: Vec<String>,
    difference: String,
    differs: String,
    p: String,
    time: String,
    tokens: String,
    dir: String,
}

/// The winner, or its baseline, on one kind of question of B.
#[derive(Serialize)]
struct RowOnB {
    class: &'static str,
    arm: &'static str,
    kind: String,
    correct: usize,
    n: usize,
    score: String,
    range: String,
    p: String,
}

#[derive(Serialize)]
struct FailedRow {
    cell: usize,
    what: String,
    seed: u64,
    error: String,
}

impl<'a> SweepPage<'a> {
    fn new(summary: &'a SweepSummary) -> SweepPage<'a> {
        let SweepFindings { headline, lead, evidence } = SweepFindings::new(summary);
        let ranking = &summary.ranking;
        let forms = ranking.first().map_or(&[][..], |cell| &cell.forms);
        let on_b = summary.b.as_ref().map_or(Vec::new(), |b| b.arms.clone());
        let of_b = Summary {
            run: RunInfo::default(),
            arms: on_b,
            by_task: Vec::new(),
            same_way: Vec::new(),
            scaling: Vec::new(),
            curves: Curves::default(),
        };
        let failed = summary.failed.iter().map(|cell| FailedRow {
            cell: cell.cell,
            what: described(&summary.labels, &cell.settings),
            seed: cell.seed,
            error: cell.error.clone(),
        });
        SweepPage {
            headline,
            lead,
            evidence,
            name: &summary.name,
            pictured: ranking.iter().take(PICTURED).enumerate().map(|(at, cell)| pictured(summary, at, cell)).collect(),
            left_out: ranking.len().saturating_sub(PICTURED),
            labels: &summary.labels,
            kinds: forms.iter().map(|row| kind(row.task, row.form)).collect(),
            seeds: &summary.seeds,
            halved: ranking.iter().any(|cell| cell.rung > 0),
            rows: ranking.iter().enumerate().map(|(at, cell)| row(at, cell, forms, &summary.seeds)).collect(),
            effects: summary.effects.iter().map(effect).collect(),
            gaps: bars::gaps(&of_b),
            b: of_b.arms.iter().map(row_on_b).collect(),
            failed: failed.collect(),
            command: &summary.command,
            facts: facts(summary),
            digests: summary.digests.iter().map(|(of, digest)| (of.clone(), digest.clone())).collect(),
            file: &summary.file,
            config: &summary.config,
        }
    }
}

fn rail(label: String, note: String, best: bool, score: &Pooled) -> Rail {
    Rail {
        label,
        note,
        best,
        at: css(score.accuracy),
        low: css(score.low),
        spread: css(score.high - score.low),
        chance_at: css(score.chance),
        value: percent(score.accuracy),
        range: range(score.low, score.high),
    }
}

fn pictured(summary: &SweepSummary, at: usize, cell: &RankedCell) -> Rail {
    let steps = if summary.ranking.iter().any(|cell| cell.rung > 0) {
        format!(", {} steps", cell.steps)
    } else {
        String::new()
    };
    let label = format!("{}. {}{steps}", at + 1, described(&summary.labels, &cell.settings));
    rail(label, String::new(), at == 0, &cell.score)
}

fn effect(effect: &crate::evaluation::sweep::AxisEffect) -> EffectRow {
    // Where several are best, all of them stand out.
    let best = effect.values.iter().map(|value| value.score.accuracy).fold(0.0, f64::max);
    let rails = effect.values.iter().map(|EffectOf { value, cells, score }| {
        let cells = if *cells == 1 { "1 cell".to_owned() } else { format!("{cells} cells") };
        rail(value.clone(), cells, score.accuracy == best, score)
    });
    EffectRow { axis: effect.axis.clone(), rails: rails.collect() }
}

fn row(at: usize, cell: &RankedCell, forms: &[ArmResult], seeds: &[u64]) -> CellRow {
    let none = || "—".to_owned();
    let of_form = |wanted: &ArmResult| {
        let found = cell.forms.iter().find(|row| (row.task, row.form) == (wanted.task, wanted.form));
        found.map_or_else(none, |row| format!("{} ({})", percent(row.accuracy), range(row.low, row.high)))
    };
    CellRow {
        rank: at + 1,
        cell: cell.cell,
        settings: cell.settings.iter().map(|setting| setting.text.clone()).collect(),
        steps: cell.steps,
        score: percent(cell.score.accuracy),
        range: range(cell.score.low, cell.score.high),
        forms: forms.iter().map(of_form).collect(),
        seeds: seeds.iter().map(|seed| cell.seeds.get(seed).map_or_else(none, |share| percent(*share))).collect(),
        difference: cell.behind.map_or_else(String::new, |lead| points(lead.difference)),
        differs: cell.behind.map_or_else(String::new, |lead| format!("{} to {}", points(lead.low), points(lead.high))),
        p: cell.behind.map_or_else(String::new, |lead| p_value(lead.p)),
        time: seconds(cell.cost.seconds),
        tokens: grouped(cell.cost.tokens),
        dir: cell.dir.clone(),
    }
}

fn row_on_b(row: &ArmResult) -> RowOnB {
    RowOnB {
        class: bars::class(row.arm),
        arm: row.arm.label(),
        kind: kind(row.task, row.form),
        correct: row.correct,
        n: row.n,
        score: percent(row.accuracy),
        range: range(row.low, row.high),
        p: row.against_baseline.map_or(String::new(), |pair| p_value(pair.p)),
    }
}

fn facts(summary: &SweepSummary) -> Vec<(String, String)> {
    let seeds: Vec<String> = summary.seeds.iter().map(u64::to_string).collect();
    let cost = &summary.cost;
    [
        ("recollect", summary.version.clone()),
        ("search", summary.search.clone()),
        ("axes", summary.axes.join(", ")),
        ("seeds (of world, fine-tuning and RL)", seeds.join(", ")),
        ("time in all, if nothing is shared with another sweep", seconds(cost.seconds)),
        ("of that, fine-tuning", seconds(summary.finetune_seconds)),
        ("completions sampled in training", grouped(cost.rollouts)),
        ("tokens sampled in training", grouped(cost.tokens)),
        ("hardware", summary.hardware.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_page_loads_nothing_and_is_the_same_every_time() {
        let document = sweep_page(&fixture::summary()).unwrap();
        assert_eq!(document, sweep_page(&fixture::summary()).unwrap());
        for way_out in ["http:", "https:", "//www", "src=", "@import", "url("] {
            assert!(!document.contains(way_out), "{way_out}");
        }
        assert!(document.trim_end().ends_with("</html>"));
    }

    #[test]
    fn every_part_is_there() {
        let document = sweep_page(&fixture::summary()).unwrap();
        for part in [
            "1. reward recall, learning_rate 1e-4",
            "85\u{a0}%",
            "+12.5",
            "train.learning_rate",
            "2 cells",
            "set B",
            "the gradient of step 3 is not finite",
            "386",
            "SHA-256",
            "sweep's file",
        ] {
            let part = part.replace("386", "6 min 26 s").replace("sweep's file", "base config");
            assert!(document.contains(&part), "{part} is missing");
        }
        assert_eq!(document.matches("class=\"rail\"").count(), 3 + 4 + 2, "cells, values, kinds of questions on B");
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "</pre></details><script>alert('x')</script><img onerror=\"y\" &amp; \u{202e}\0";
        let mut summary = fixture::summary();
        for text in [&mut summary.name, &mut summary.file, &mut summary.config, &mut summary.command] {
            *text = hostile.into();
        }
        summary.labels[0] = hostile.into();
        summary.effects[0].values[0].value = hostile.into();
        summary.ranking.iter_mut().for_each(|cell| cell.settings[0].text = hostile.into());
        summary.failed[0].error = hostile.into();
        let document = sweep_page(&summary).unwrap();
        assert_eq!((document.matches("<script").count(), document.matches("<img").count()), (0, 0));
        assert_eq!(document.matches("</details>").count(), document.matches("<details").count());
    }

    #[test]
    fn a_sweep_of_nothing_is_still_a_page() {
        let document = sweep_page(&SweepSummary::default()).unwrap();
        assert!(document.contains("No cell was measured") && document.trim_end().ends_with("</html>"));
    }

    /// `cargo test --release example_sweep -- --ignored` writes a page to look at.
    #[test]
    #[ignore = "writes target/example-sweep.html"]
    fn example_sweep() {
        std::fs::create_dir_all("target").unwrap();
        std::fs::write("target/example-sweep.html", sweep_page(&fixture::summary()).unwrap()).unwrap();
    }
}
