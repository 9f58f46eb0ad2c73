//! Every number of the page as rows of tables.

use serde::Serialize;

use super::bars::class;
use super::words::{kind, p_value, percent, range, sign};
use crate::evaluation::{Arm, ArmResult, Summary};

/// A row of the table of all results.
#[derive(Serialize)]
pub struct ResultRow {
    class: &'static str,
    arm: &'static str,
    kind: String,
    set: String,
    step: u64,
    correct: usize,
    n: usize,
    accuracy: String,
    range: String,
    chance: String,
    sign: &'static str,
    won: String,
    lost: String,
    p: String,
    gap: String,
    tokens: String,
}

/// A row of the table of what arms that think recite, over all kinds of questions.
#[derive(Serialize)]
pub struct RecitedRow {
    class: &'static str,
    arm: &'static str,
    set: String,
    recited: String,
    true_share: String,
    needed_share: String,
    covered: String,
    known: String,
    tokens: String,
}

/// One row for each arm, kind, set and step.
pub fn results(summary: &Summary) -> Vec<ResultRow> {
    let row = |row: &ArmResult| {
        let pair = row.against_baseline;
        ResultRow {
            class: class(row.arm),
            arm: row.arm.label(),
            kind: kind(row.task, row.form),
            set: row.set.to_string(),
            step: row.step,
            correct: row.correct,
            n: row.n,
            accuracy: percent(row.accuracy),
            range: range(row.low, row.high),
            chance: percent(row.chance),
            sign: sign(pair),
            won: pair.map_or(String::new(), |pair| pair.b.to_string()),
            lost: pair.map_or(String::new(), |pair| pair.c.to_string()),
            p: pair.map_or(String::new(), |pair| p_value(pair.p)),
            gap: row.gap_closed.map_or(String::new(), |gap| format!("{}\u{a0}%", (100.0 * gap).round() + 0.0)),
            tokens: format!("{:.1}", row.mean_tokens),
        }
    };
    summary.arms.iter().map(row).collect()
}

/// Share of right answers that follow from true recitations, over the rows for which that can be decided.
fn known(rows: &[&ArmResult]) -> String {
    let decided: Vec<(usize, usize)> = rows.iter().filter_map(|row| Some((row.correct_known?, row.correct))).collect();
    let (known, right) = decided.iter().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
    if right > 0 { percent(known as f64 / right as f64) } else { "—".into() }
}

/// One row for each arm that thinks in its own words, and each set.
/// What a trace says in free text from files cannot be checked, so it has no row.
pub fn recited(summary: &Summary) -> Vec<RecitedRow> {
    let mut table = Vec::new();
    for arm in [Arm::ThinkingBeforeRl, Arm::AfterRl] {
        let all: Vec<&ArmResult> = summary.latest().filter(|row| row.arm == arm && !row.task.free_text).collect();
        let sets: std::collections::BTreeSet<_> = all.iter().map(|row| row.set).collect();
        for set in sets {
            let rows: Vec<&ArmResult> = all.iter().copied().filter(|row| row.set == set).collect();
            let sum = |of: fn(&ArmResult) -> f64| rows.iter().map(|row| of(row)).sum::<f64>();
            let (n, facts) = (sum(|row| row.n as f64), sum(|row| row.recited as f64));
            let of_facts = |part: f64| if facts > 0.0 { percent(part / facts) } else { "—".into() };
            // The mean over kinds of questions: they need different numbers of facts.
            let covered: Vec<f64> = rows.iter().filter_map(|row| row.needed_found_share).collect();
            table.push(RecitedRow {
                class: class(arm),
                arm: arm.label(),
                set: set.to_string(),
                recited: format!("{:.1}", facts / n),
                true_share: of_facts(sum(|row| row.recited_true as f64)),
                needed_share: of_facts(sum(|row| row.recited_relevant as f64)),
                covered: match covered.len() {
                    0 => "—".into(),
                    kinds => percent(covered.iter().sum::<f64>() / kinds as f64),
                },
                known: known(&rows),
                tokens: format!("{:.1}", sum(|row| row.mean_tokens * row.n as f64) / n),
            });
        }
    }
    table
}
