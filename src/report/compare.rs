//! Different runs side by side: what their configs differ in, how they learned, and their arms on the same questions.

use std::collections::BTreeSet;

use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

use super::bars::class;
use super::curves::{self, Figure};
use super::findings::Findings;
use super::html::fill;
use super::table::{Column, ShownTable, TableCell, two_lines};
use super::words::kind;
use crate::Result;
use crate::evaluation::{Answered, ArmBeside, Curves, beside};
use crate::knowledge::Set;

/// Runs that have a line of their own in plots; more are in the tables alone.
const PLOTTED: usize = 5;
/// Longest value of a key that a table shows, in characters.
const LONGEST: usize = 40;

/// A run as it is compared with others.
#[derive(Clone, Debug)]
pub struct RunBeside {
    /// As it is named.
    pub name: String,
    /// Everything that its results depend on, by dotted key.
    pub config: Vec<(String, String)>,
    pub answered: Vec<Answered>,
    pub curves: Curves,
}

/// What a comparison shows: the same tables in a terminal and in a page.
struct ShownComparison {
    differences: ShownTable,
    arms: ShownTable,
    findings: Findings,
}

/// Runs side by side for a terminal. `styled` adds bold type.
#[cfg(feature = "cli")]
pub fn compare_table(runs: &[RunBeside], styled: bool) -> String {
    let ShownComparison { differences, arms, findings } = shown(runs);
    super::text::terminal(&[differences, arms], &[LEGEND.to_owned()], findings, None, styled)
}

/// The same, with curves, in one self-contained HTML document.
///
/// # Errors
/// A fault of the template.
pub fn compare_page(runs: &[RunBeside]) -> Result<String> {
    let ShownComparison { differences, arms, findings } = shown(runs);
    let page = context! {
        kind => "comparison",
        name => runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", "),
        findings => Serde(findings),
        // A page has them under headings of its own.
        differences => Serde(ShownTable { title: String::new(), ..differences }),
        arms => Serde(ShownTable { title: String::new(), ..arms }),
        legend => LEGEND,
        keys => Serde(keys(runs)),
        figures => Serde(figures(runs)),
    };
    fill("compare.html", page)
}

const LEGEND: &str = "Right answers with their 95 % intervals. + and −: more or fewer than in the first run on the same questions \
    than chance explains (exact McNemar test with Holm's correction over the table, paired bootstrap).";

fn shown(runs: &[RunBeside]) -> ShownComparison {
    let answers: Vec<Vec<Answered>> = runs.iter().map(|run| run.answered.clone()).collect();
    let rows = beside(&answers);
    ShownComparison { differences: differences(runs), arms: arms(runs, &rows), findings: findings(runs, &rows) }
}

/// A row for each key that is not the same in all runs.
fn differences(runs: &[RunBeside]) -> ShownTable {
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| &run.config).map(|(key, _)| key).collect();
    let value = |run: &RunBeside, wanted: &str| {
        let found = run.config.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.clone());
        let text = found.unwrap_or_else(|| "—".into());
        if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST - 1).chain(['…']).collect() }
    };
    let differs = |key: &&&String| {
        let of = |run: &RunBeside| run.config.iter().find(|(there, _)| there == **key).map(|(_, value)| value.clone());
        runs.windows(2).any(|two| of(&two[0]) != of(&two[1]))
    };
    let row = |key: &String| {
        let first = TableCell::from(key.as_str());
        [first].into_iter().chain(runs.iter().map(|run| value(run, key).into())).collect()
    };
    let named = runs.iter().map(|run| Column::left(run.name.as_str()));
    let columns = [Column::left("key")].into_iter().chain(named).collect();
    let rows = keys.iter().filter(differs).map(|key| row(key)).collect();
    ShownTable { columns, rows, ..ShownTable::default() }.titled("What differs", "")
}

/// A row for each arm and kind of question, those about set B first.
fn arms(runs: &[RunBeside], rows: &[ArmBeside]) -> ShownTable {
    let row = |row: &ArmBeside| {
        let mut cells = vec![
            TableCell::from(two_lines(row.arm.label())).with_dot(class(row.arm)),
            kind(row.task, row.form).replacen(", ", ",\n", 1).into(),
            row.set.into(),
        ];
        cells.extend(row.runs.iter().map(|run| {
            TableCell::or_dash(run.map(|run| TableCell::share(run.accuracy, run.low, run.high, run.against_first)))
        }));
        cells
    };
    let named = runs.iter().map(|run| Column::right(run.name.as_str()));
    let columns = [Column::left("arm"), Column::left("questions"), Column::left("set")].into_iter().chain(named);
    let of_set = |set: Set| rows.iter().filter(move |row| row.set == set);
    let ordered = of_set(Set::B).chain(of_set(Set::A)).chain(of_set(Set::C));
    ShownTable { columns: columns.collect(), rows: ordered.map(row).collect(), ..ShownTable::default() }
        .titled("Every arm", "")
}

fn findings(runs: &[RunBeside], rows: &[ArmBeside]) -> Findings {
    let compared: Vec<_> =
        rows.iter().flat_map(|row| row.runs.iter().skip(1).flatten()).filter_map(|run| run.against_first).collect();
    let more = compared.iter().filter(|pair| pair.verdict(pair.holm) > 0).count();
    let fewer = compared.iter().filter(|pair| pair.verdict(pair.holm) < 0).count();
    let headline = match compared.len() {
        0 => format!("{} runs that were asked no question in common", runs.len()),
        all => format!("{} runs: of {all} comparisons with the first, {more} are better and {fewer} worse", runs.len()),
    };
    let strangers = rows.iter().any(|row| row.runs.iter().skip(1).flatten().any(|run| run.against_first.is_none()));
    let note = "Some answers are to questions that the first run was not asked: they stand beside its numbers, and are not tested.";
    Findings { headline, notes: strangers.then(|| note.to_owned()).into_iter().collect(), ..Findings::default() }
}

/// The name of a run, and the style of its line.
#[derive(Serialize)]
struct LineKey {
    class: &'static str,
    name: String,
}

/// Styles of lines, those apart that are most often compared.
const CLASSES: [&str; PLOTTED] = ["b", "a", "c", "d", "e"];

fn keys(runs: &[RunBeside]) -> Vec<LineKey> {
    CLASSES.into_iter().zip(runs).map(|(class, run)| LineKey { class, name: run.name.clone() }).collect()
}

fn figures(runs: &[RunBeside]) -> Vec<Figure> {
    let lines: Vec<(&'static str, &Curves)> =
        CLASSES.into_iter().zip(runs).map(|(class, run)| (class, &run.curves)).collect();
    curves::side_by_side(&lines)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::evaluation::Arm;

    fn runs() -> Vec<RunBeside> {
        let summary = fixture::summary();
        let run = |name: &str, rate: &str, answered: Vec<Answered>| RunBeside {
            name: name.into(),
            config: vec![("train.learning_rate".into(), rate.into()), ("train.steps".into(), "200".into())],
            answered,
            curves: summary.curves.clone(),
        };
        let mut worse = fixture::answers();
        worse.iter_mut().filter(|one| one.arm == Arm::AfterRl).for_each(|one| one.judgement.correct = false);
        vec![run("one", "3e-4", fixture::answers()), run("<b>two</b>", "1e-4", worse)]
    }

    #[test]
    fn runs_stand_side_by_side_in_a_terminal_and_in_a_page() {
        let text = compare_table(&runs(), false);
        assert!(text.contains("train.learning_rate") && !text.contains("train.steps"), "{text}");
        // Three kinds of questions about two sets.
        assert!(text.contains('−') && text.contains("0 are better and 6 worse"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let page = compare_page(&runs()).unwrap();
        super::super::html::tests::demand_alone(&page, 1);
        assert!(page.matches("<svg").count() >= 3 && !page.contains("<b>two"), "names of directories stay text");
        let strangers = [&runs()[0], &RunBeside { answered: Vec::new(), ..runs()[1].clone() }].map(Clone::clone);
        assert!(compare_table(&strangers, false).contains("no question in common"));
    }
}
