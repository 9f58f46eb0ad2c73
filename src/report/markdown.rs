//! The report as Markdown, for the appendix of a paper or an issue.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::by_task::{ByTask, CorrectShare, by_task};
use super::findings::Findings;
use super::words::{gap_legend, legend, operations, p_value, percent, points, range, sign};
use crate::evaluation::{Arm, ArmResult, RunInfo, Summary};
use crate::knowledge::{Form, Set, TaskId};
use crate::text::printable;

/// What the page tells and all of its numbers, without curves and traces.
pub fn markdown(summary: &Summary) -> String {
    let story = Findings::new(summary);
    let mut text = format!("# {}\n\n{}.\n", escaped(&summary.run.name), story.headline);
    for paragraph in story.lead.iter().chain(&story.evidence).chain(&story.equal) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{paragraph}\n");
    }
    for of_set in by_task(summary) {
        let _ = write!(text, "\n## Set {} by task\n\n{}", of_set.set, tasks(&of_set));
    }
    let sets: BTreeSet<Set> = summary.latest().map(|row| row.set).collect();
    for set in sets.into_iter().rev() {
        let _ = write!(text, "\n## Set {set}\n\n{}", overview(summary, set));
    }
    let legend = legend(&summary.run);
    let _ = write!(text, "\n{legend}\n\n## Every number\n\n{}", numbers(summary));
    let gap = gap_legend(summary);
    let legend = format!(
        "won, lost: questions that only the arm, only the baseline got right. Holm: the test corrected for the number of \
         arms. difference: in points, with its 95 % interval (of one run by the paired bootstrap). in each run: right, \
         where several are put together. {gap}recited, true: sentences of all thoughts, and the share of them that is \
         true. grounded: right answers that follow from true recitations. recall: thoughts with all that is needed that \
         are followed by the right answer. precision: answers that follow from what was recited that are right. rejected: \
         wrong candidates that were looked at and not chosen. tried: candidates that a thought speaks of. likeliest: \
         right by which choice is the likeliest."
    );
    let _ = write!(
        text,
        "\n{legend}\n{}{}\n## Provenance\n\n{}",
        scaling(summary),
        costs(&summary.run),
        provenance(&summary.run)
    );
    // People read it in a terminal, too.
    printable(&text).into_owned()
}

/// A row for each arm, a column for each task.
fn tasks(of_set: &ByTask) -> String {
    let header = ["arm"].into_iter().chain(of_set.tasks.iter().map(String::as_str));
    let header = header.chain(["gap closed", "tokens read", "tokens sampled", "seconds", "training (FLOPs)"]);
    let body = of_set.rows.iter().map(|row| {
        let mark = if row.gives_away { " †" } else { "" };
        let share = |share: &CorrectShare| format!("{}{} ({})", share.accuracy, share.sign, share.range);
        let cells = row.cells.iter().map(|cell| cell.as_ref().map_or("—".to_owned(), share));
        let costs = [&row.gap, &row.read, &row.sampled, &row.seconds, &row.training].map(String::clone);
        [format!("{}{mark}", row.arm)].into_iter().chain(cells).chain(costs).collect()
    });
    grid(header.map(str::to_owned).collect(), body)
}

/// A row for each kind of question, a column for each arm.
fn overview(summary: &Summary, set: Set) -> String {
    let rows: Vec<&ArmResult> = summary.latest().filter(|row| row.set == set).collect();
    let arms: BTreeSet<Arm> = rows.iter().map(|row| row.arm).collect();
    let kinds: BTreeSet<(TaskId, Form)> = rows.iter().map(|row| (row.task, row.form)).collect();
    let header = ["task", "questions", "chance"].map(str::to_owned).into_iter();
    let header = header.chain(arms.iter().map(|arm| arm.label().to_owned())).collect();
    let body = kinds.into_iter().map(|(task, form)| {
        let of_arm = |arm: &Arm| rows.iter().find(|row| (row.arm, row.task, row.form) == (*arm, task, form));
        let chance = arms.iter().find_map(of_arm).map_or(String::new(), |row| percent(row.chance));
        let cell = |row: Option<&&ArmResult>| {
            row.map_or("—".to_owned(), |row| {
                let sign = sign(row.against_baseline);
                format!("{}{sign} ({})", percent(row.accuracy), range(row.low, row.high))
            })
        };
        [task.to_string(), form.to_string(), chance]
            .into_iter()
            .chain(arms.iter().map(|arm| cell(of_arm(arm))))
            .collect()
    });
    grid(header, body)
}

/// A row for each arm, kind of question, set and step.
fn numbers(summary: &Summary) -> String {
    let header = [
        "arm",
        "task",
        "questions",
        "set",
        "step",
        "right",
        "of",
        "interval",
        "chance",
        "won",
        "lost",
        "McNemar",
        "Holm",
        "difference",
        "in each run",
        "gap closed",
        "tokens",
        "recited",
        "true",
        "grounded",
        "recall",
        "precision",
        "rejected",
        "tried",
        "likeliest",
    ];
    let optional = |value: Option<String>| value.unwrap_or_default();
    let body = summary.arms.iter().map(|row| {
        let pair = row.against_baseline;
        vec![
            row.arm.label().to_owned(),
            row.task.to_string(),
            row.form.to_string(),
            row.set.to_string(),
            row.step.to_string(),
            row.correct.to_string(),
            row.n.to_string(),
            range(row.low, row.high),
            percent(row.chance),
            optional(pair.map(|pair| pair.b.to_string())),
            optional(pair.map(|pair| pair.c.to_string())),
            optional(pair.map(|pair| p_value(pair.p))),
            optional(pair.map(|pair| p_value(pair.holm))),
            optional(pair.map(|pair| format!("{} ({})", points(pair.difference), range(pair.low, pair.high)))),
            row.in_runs.iter().map(|run| percent(run.accuracy)).collect::<Vec<_>>().join(", "),
            optional(row.gap_closed.map(|gap| format!("{gap:.2}"))),
            format!("{:.1}", row.mean_tokens),
            row.recited.to_string(),
            optional(row.true_share.map(percent)),
            optional(row.correct_known.map(|known| known.to_string())),
            optional(row.verification.and_then(|thoughts| thoughts.recall()).map(percent)),
            optional(row.verification.and_then(|thoughts| thoughts.precision()).map(percent)),
            optional(row.verification.and_then(|thoughts| thoughts.rejection()).map(percent)),
            optional(
                row.verification
                    .and_then(|thoughts| Some(format!("{:.1} of {:.0}", thoughts.tried?, thoughts.entities?))),
            ),
            optional(row.likelihood.map(|scored| percent(scored.accuracy))),
        ]
    });
    grid(header.map(str::to_owned).into(), body)
}

/// Accuracy by what an answer takes, where questions differ in that.
fn scaling(summary: &Summary) -> String {
    if summary.scaling.is_empty() {
        return String::new();
    }
    let header = ["arm", "task", "questions", "set", "counted", "number", "right", "of", "share", "interval"];
    let body = summary.scaling.iter().map(|row| {
        vec![
            row.arm.label().to_owned(),
            row.task.to_string(),
            row.form.to_string(),
            row.set.to_string(),
            row.measure.to_string(),
            row.at.to_string(),
            row.correct.to_string(),
            row.n.to_string(),
            percent(row.accuracy),
            range(row.low, row.high),
        ]
    });
    format!("\n## What makes it harder\n\n{}", grid(header.map(str::to_owned).into(), body))
}

/// What each arm takes, where that is known.
fn costs(run: &RunInfo) -> String {
    if run.costs.is_empty() {
        return String::new();
    }
    let header = ["arm", "what it is", "tokens read", "tokens sampled", "seconds", "training (FLOPs)"];
    let body = run.costs.iter().map(|(arm, cost)| {
        vec![
            format!("`{arm}`"),
            arm.description().to_owned(),
            format!("{:.1}", cost.read),
            format!("{:.1}", cost.sampled),
            cost.seconds.map_or(String::new(), |seconds| format!("{seconds:.1}")),
            cost.training_flops.map_or("unknown".into(), operations),
        ]
    });
    let legend = "Tokens are the mean for an answer, seconds those for all answers, floating-point operations those of all \
                  training after the base.";
    format!("\n## What each arm takes\n\n{}\n{legend}\n", grid(header.map(str::to_owned).into(), body))
}

fn provenance(run: &RunInfo) -> String {
    let mut rows = vec![
        ("recollect".to_owned(), run.version.clone()),
        ("parameters".into(), run.model_parameters.to_string()),
        ("hardware".into(), run.hardware.clone()),
    ];
    rows.extend(run.peak_memory.map(|bytes| ("peak memory".into(), format!("{} MiB", bytes >> 20))));
    rows.extend((!run.runs.is_empty()).then(|| ("runs".into(), run.runs.join(", "))));
    rows.extend(run.seeds.iter().map(|(what, seed)| (format!("seed of {what}"), seed.to_string())));
    rows.extend(run.stages.iter().map(|stage| (format!("seconds of {}", stage.name), format!("{:.0}", stage.seconds))));
    rows.extend(run.digests.iter().map(|(what, digest)| (format!("SHA-256 of {what}"), format!("`{digest}`"))));
    let table = grid(vec!["what".into(), "value".into()], rows.into_iter().map(|(what, value)| vec![what, value]));
    format!("{table}\n```toml\n{}\n```\n", run.config.trim_end())
}

/// A table with a header and rows of as many cells.
fn grid(header: Vec<String>, body: impl Iterator<Item = Vec<String>>) -> String {
    let rule = vec!["---".to_owned(); header.len()];
    let line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    [header, rule].into_iter().chain(body).map(line).collect()
}

/// Text that neither ends a cell nor a row.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::evaluation::{Curves, TaskResult};
    use crate::knowledge::reversal::REVERSAL;

    #[test]
    fn every_table_is_whole_and_holds_every_row() {
        let summary = fixture::summary();
        let text = markdown(&summary);
        let mut tables: Vec<Vec<&str>> = vec![Vec::new()];
        for line in text.lines() {
            match (line.starts_with('|'), tables.last_mut()) {
                (true, Some(table)) => table.push(line),
                (false, Some(table)) if !table.is_empty() => tables.push(Vec::new()),
                _ => {}
            }
        }
        tables.retain(|table| !table.is_empty());
        // Sets B and A by task and by kind of question, every number, provenance.
        assert_eq!(tables.len(), 6);
        for table in &tables {
            let cells = |line: &str| line.matches(" | ").count();
            assert!(table.iter().all(|line| cells(line) == cells(table[0])), "{table:#?}");
        }
        assert!(tables[0][0].starts_with("| arm | reversal | syllogism | gap closed |"), "{}", tables[0][0]);
        assert_eq!(tables[0].len(), 2 + Arm::STANDARD.len());
        let of = |row: &&TaskResult| (row.set, row.arm, row.task) == (Set::B, Arm::AfterRl, REVERSAL);
        let pooled = summary.by_task.iter().find(of).unwrap().pooled;
        let cell = format!("| {}{} (", percent(pooled.accuracy), sign(pooled.against_baseline));
        assert!(tables[0].iter().any(|line| line.starts_with("| after RL |") && line.contains(&cell)), "{cell}");
        assert_eq!(tables[4].len(), 2 + summary.arms.len());
        assert!(tables[2][0].contains("| fine-tuned | thinking before RL |"), "{}", tables[2][0]);
        assert!(text.find("## Set B").unwrap() < text.find("## Set A").unwrap(), "the headline's set comes first");
        for digest in summary.run.digests.values() {
            assert!(text.contains(digest));
        }
        let row = summary.latest().find(|row| row.arm == Arm::AfterRl && row.set == Set::B).unwrap();
        let cell = format!("{}{} ({})", percent(row.accuracy), sign(row.against_baseline), range(row.low, row.high));
        assert!(tables[2].iter().any(|line| line.contains(&cell)), "{cell}");
    }

    #[test]
    fn names_cannot_break_a_table() {
        let run = RunInfo { name: "a|b\nc".into(), hardware: "x | y".into(), ..RunInfo::default() };
        let text = markdown(&Summary::new(&[], Curves::default(), run));
        assert!(text.starts_with("# a\\|b c\n") && text.contains("| hardware | x \\| y |"), "{text}");
    }
}
