//! The tables of a run, each made once from its summary.

use std::collections::BTreeSet;

use super::bars::class;
use super::table::{Column, ShownTable, TableCell, two_lines};
use super::words::{kind, operations, p_value, percent, points, range, seconds, set_purpose, whole_percent};
use crate::evaluation::{Arm, ArmResult, AtK, Pooled, RunInfo, Scaling, StageBudget, Summary};
#[cfg(feature = "cli")]
use crate::evaluation::{MatchedArms, Selection};
use crate::knowledge::{Form, Set, TaskId};
use crate::text::grouped;

/// Most kinds of questions that find room beside each other in a terminal.
#[cfg(feature = "cli")]
const KINDS: usize = 5;

/// What arms are asked about, the headline's set first.
fn sets(summary: &Summary) -> impl Iterator<Item = Set> {
    summary.latest().map(|row| row.set).collect::<BTreeSet<_>>().into_iter().rev()
}

/// A row for each kind of question and set, a column for each arm.
pub(super) fn by_kind(summary: &Summary) -> ShownTable {
    let kinds: BTreeSet<(TaskId, Form, Set)> = summary.latest().map(|row| (row.task, row.form, row.set)).collect();
    let arms: BTreeSet<Arm> = summary.latest().map(|row| row.arm).collect();
    let mut columns = vec![Column::left("questions"), Column::left("set"), Column::right("chance")];
    columns.extend(arms.iter().map(|arm| Column::right(two_lines(arm.label()))));
    let row = |(task, form, set): (TaskId, Form, Set)| {
        let rows: Vec<Option<&ArmResult>> = arms.iter().map(|&arm| summary.find(arm, task, form, set)).collect();
        let chance = rows.iter().flatten().next().map(|row| percent(row.chance));
        let mut cells = vec![format!("{task}\n{form}").into(), set.into(), TableCell::optional(chance)];
        cells.extend(rows.into_iter().map(|row| TableCell::or_dash(row.map(of_result))));
        cells
    };
    ShownTable { columns, rows: kinds.into_iter().map(row).collect(), ..ShownTable::default() }
        .titled("Every kind of question", "")
}

fn of_result(row: &ArmResult) -> TableCell {
    TableCell::share(row.accuracy, row.low, row.high, row.against_baseline)
}

/// A table for each set, the headline's first: a row for each arm, a column for each task, and what the arm takes.
pub(super) fn by_task(summary: &Summary) -> Vec<ShownTable> {
    sets(summary).map(|set| of_set(summary, set, false)).collect()
}

/// The same with a column for each kind of question, unless there are too many of them.
#[cfg(feature = "cli")]
pub(super) fn by_arm(summary: &Summary) -> Vec<ShownTable> {
    let kinds =
        |set| summary.latest().filter(|row| row.set == set).map(|row| (row.task, row.form)).collect::<BTreeSet<_>>();
    let crowded = sets(summary).any(|set| kinds(set).len() > KINDS);
    sets(summary).map(|set| of_set(summary, set, !crowded)).collect()
}

fn of_set(summary: &Summary, set: Set, by_form: bool) -> ShownTable {
    let rows: Vec<&ArmResult> = summary.latest().filter(|row| row.set == set).collect();
    let groups: BTreeSet<(TaskId, Option<Form>)> =
        rows.iter().map(|row| (row.task, by_form.then_some(row.form))).collect();
    let mut columns = vec![Column::left("arm")];
    columns.extend(
        groups
            .iter()
            .map(|(task, form)| Column::right(form.map_or_else(|| task.to_string(), |form| format!("{task}\n{form}")))),
    );
    columns.extend(["gap\nclosed", "tokens", "seconds", "training"].map(Column::right));
    let share = |arm: Arm, (task, form): (TaskId, Option<Form>)| match form {
        Some(form) => summary.find(arm, task, form, set).map(of_result),
        None => summary.by_task.iter().find(|of| (of.set, of.arm, of.task) == (set, arm, task)).map(|of| {
            let Pooled { accuracy, low, high, against_baseline, .. } = of.pooled;
            TableCell::share(accuracy, low, high, against_baseline)
        }),
    };
    let row = |arm: Arm| {
        let mark = if arm.training().gives_b_away() { " †" } else { "" };
        let mut cells = vec![TableCell::from(two_lines(arm.label()) + mark).with_dot(class(arm))];
        cells.extend(groups.iter().map(|group| TableCell::or_dash(share(arm, *group))));
        let cost = summary.run.costs.get(&arm);
        let gap = summary.pooled(arm, set).and_then(|pooled| pooled.gap_closed);
        cells.extend([
            TableCell::optional(gap.map(whole_percent)),
            TableCell::optional(cost.map(|cost| format!("{:.0}\n+ {:.0}", cost.read, cost.sampled))),
            TableCell::optional(cost.and_then(|cost| cost.seconds).map(seconds)),
            TableCell::optional(cost.map(|cost| cost.training_flops.map_or("?".into(), operations))),
        ]);
        cells
    };
    let arms: BTreeSet<Arm> = rows.iter().map(|row| row.arm).collect();
    let title = format!("Set {set}{}", if by_form { "" } else { " by task" });
    ShownTable { columns, rows: arms.into_iter().map(row).collect(), ..ShownTable::default() }
        .titled(title, set_purpose(set, &summary.run))
}

/// What stands in tables of arms beside right answers.
pub(super) fn costs_legend(summary: &Summary) -> String {
    let in_context = summary.arms.iter().any(|row| row.arm == Arm::InContext);
    let gives_away = summary.arms.iter().any(|row| row.arm.training().gives_b_away());
    let gap = "Gap closed: how much of the way from fine-tuned to in context the arm goes. ";
    let mark = " †: trained on text that gives B away, so that B is no measure of what carries over.";
    format!(
        "A task is all of its forms. {}Tokens: read + sampled for an answer, in the mean. Seconds: for all questions. \
         Training: floating-point operations after the base.{}",
        if in_context { gap } else { "" },
        if gives_away { mark } else { "" }
    )
}

/// By which choice is the likeliest, and in brackets by what was written, on the same kinds of questions: a table for each
/// set where that was asked for.
#[cfg(feature = "cli")]
pub(super) fn likelihood(summary: &Summary) -> Vec<ShownTable> {
    let of = |set: Set| {
        let rows: Vec<&ArmResult> = summary.latest().filter(|row| row.set == set && row.likelihood.is_some()).collect();
        let kinds: BTreeSet<(TaskId, Form)> = rows.iter().map(|row| (row.task, row.form)).collect();
        let arms: BTreeSet<Arm> = rows.iter().map(|row| row.arm).collect();
        let cell = |arm: Arm, (task, form): (TaskId, Form)| {
            let scored = summary.find(arm, task, form, set).and_then(|row| Some((row, row.likelihood?)));
            TableCell::or_dash(
                scored.map(|(row, scored)| format!("{} ({})", percent(scored.accuracy), percent(row.accuracy))),
            )
        };
        let row = |arm: &Arm| {
            let first = TableCell::from(arm.label()).with_dot(class(*arm));
            [first].into_iter().chain(kinds.iter().map(|kind| cell(*arm, *kind))).collect()
        };
        let columns = kinds.iter().map(|(task, form)| Column::right(format!("{task}\n{form}")));
        ShownTable {
            title: format!("Set {set}, likeliest choice (written)"),
            columns: [Column::left("arm")].into_iter().chain(columns).collect(),
            rows: arms.iter().map(row).collect(),
            ..ShownTable::default()
        }
    };
    sets(summary).map(of).filter(|table| !table.rows.is_empty()).collect()
}

/// Every number: a row for each arm, kind of question, set and step.
pub(super) fn results(rows: &[ArmResult]) -> ShownTable {
    let pair = |row: &ArmResult| row.against_baseline;
    ShownTable::with_columns(
        rows,
        &[
            (Column::left("arm"), &|row| TableCell::from(row.arm.label()).with_dot(class(row.arm))),
            (Column::left("questions"), &|row| kind(row.task, row.form).into()),
            (Column::left("set"), &|row| row.set.into()),
            (Column::right("step"), &|row| row.step.into()),
            (Column::right("right"), &|row| row.correct.into()),
            (Column::right("of"), &|row| row.n.into()),
            (Column::right("share"), &of_result),
            (Column::right("chance"), &|row| percent(row.chance).into()),
            (Column::right("won"), &|row| TableCell::optional(pair(row).map(|pair| pair.b))),
            (Column::right("lost"), &|row| TableCell::optional(pair(row).map(|pair| pair.c))),
            (Column::right("McNemar"), &|row| TableCell::optional(pair(row).map(|pair| p_value(pair.p)))),
            (Column::right("Holm"), &|row| TableCell::optional(pair(row).map(|pair| p_value(pair.holm)))),
            (Column::right("difference"), &|row| {
                let told = |pair: crate::evaluation::AgainstBaseline| {
                    format!("{} ({})", points(pair.difference), range(pair.low, pair.high))
                };
                TableCell::optional(pair(row).map(told))
            }),
            (Column::right("in each run"), &|row| {
                row.in_runs.iter().map(|run| percent(run.accuracy)).collect::<Vec<_>>().join(", ").into()
            }),
            (Column::right("gap closed"), &|row| TableCell::optional(row.gap_closed.map(whole_percent))),
            (Column::right("tokens"), &|row| format!("{:.1}", row.mean_tokens).into()),
            (Column::right("recited"), &|row| row.recited.into()),
            (Column::right("true"), &|row| TableCell::optional(row.true_share.map(percent))),
            (Column::right("grounded"), &|row| TableCell::optional(row.correct_known)),
            (Column::right("recall"), &|row| {
                TableCell::optional(row.verification.and_then(|v| v.recall()).map(percent))
            }),
            (Column::right("precision"), &|row| {
                TableCell::optional(row.verification.and_then(|v| v.precision()).map(percent))
            }),
            (Column::right("rejected"), &|row| {
                TableCell::optional(row.verification.and_then(|v| v.rejection()).map(percent))
            }),
            (Column::right("tried"), &|row| {
                let tried = row.verification.and_then(|v| Some(format!("{:.1} of {:.0}", v.tried?, v.entities?)));
                TableCell::optional(tried)
            }),
            (Column::right("likeliest"), &|row| {
                TableCell::optional(row.likelihood.map(|scored| percent(scored.accuracy)))
            }),
        ],
    )
}

/// What the columns of [`results`] are.
pub(super) const RESULTS_LEGEND: &str = "won, lost: questions that only the arm, only the baseline got right. Holm: the \
    test corrected for the number of arms. difference: in points, with its 95 % interval (of one run by the paired \
    bootstrap). in each run: right, where several are put together. recited, true: sentences of all thoughts, and the share \
    of them that is true. grounded: right answers that follow from true recitations. recall: thoughts with all that is needed \
    that are followed by the right answer. precision: answers that follow from what was recited that are right. rejected: \
    wrong candidates that were looked at and not chosen. tried: candidates that a thought speaks of. likeliest: right by \
    which choice is the likeliest.";

/// What arms that think in their own words recite, over all kinds of questions: a row for each of them and each set. What a
/// trace says in free text from files cannot be checked, so it has no row.
pub(super) fn recited(summary: &Summary) -> ShownTable {
    let of_arm = |arm: Arm| summary.latest().filter(move |row| row.arm == arm && !row.task.free_text);
    let mut entries: Vec<Vec<&ArmResult>> = Vec::new();
    for arm in [Arm::ThinkingBeforeRl, Arm::AfterRl] {
        let sets: BTreeSet<Set> = of_arm(arm).map(|row| row.set).collect();
        entries.extend(sets.into_iter().map(|set| of_arm(arm).filter(|row| row.set == set).collect()));
    }
    let sum = |rows: &[&ArmResult], of: fn(&ArmResult) -> f64| rows.iter().map(|row| of(row)).sum::<f64>();
    let share = |part: f64, whole: f64| TableCell::or_dash((whole > 0.0).then(|| percent(part / whole)));
    let facts = |rows: &[&ArmResult]| sum(rows, |row| row.recited as f64);
    let answers = |rows: &[&ArmResult]| sum(rows, |row| row.n as f64);
    ShownTable::with_columns(
        &entries,
        &[
            (Column::left("arm"), &|rows| TableCell::from(rows[0].arm.label()).with_dot(class(rows[0].arm))),
            (Column::left("set"), &|rows| rows[0].set.into()),
            (Column::right("facts per trace"), &|rows| format!("{:.1}", facts(rows) / answers(rows)).into()),
            (Column::right("true"), &|rows| share(sum(rows, |row| row.recited_true as f64), facts(rows))),
            (Column::right("true and needed"), &|rows| {
                share(sum(rows, |row| row.recited_relevant as f64), facts(rows))
            }),
            (Column::right("needed facts found"), &|rows| {
                // The mean over kinds of questions: they need different numbers of facts.
                let found: Vec<f64> = rows.iter().filter_map(|row| row.needed_found_share).collect();
                share(found.iter().sum(), found.len() as f64)
            }),
            (Column::right("right from what was recited"), &|rows| {
                // Over the rows for which that can be decided.
                let decided = rows.iter().filter_map(|row| Some((row.correct_known?, row.correct)));
                let (known, right) = decided.fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
                share(known as f64, right as f64)
            }),
            (Column::right("tokens"), &|rows| {
                format!("{:.1}", sum(rows, |row| row.mean_tokens * row.n as f64) / answers(rows)).into()
            }),
        ],
    )
}

/// Accuracy by what an answer takes, where questions differ in that.
pub(super) fn scaling(rows: &[Scaling]) -> ShownTable {
    ShownTable::with_columns(
        rows,
        &[
            (Column::left("arm"), &|row| TableCell::from(row.arm.label()).with_dot(class(row.arm))),
            (Column::left("questions"), &|row| kind(row.task, row.form).into()),
            (Column::left("set"), &|row| row.set.into()),
            (Column::left("counted"), &|row| row.measure.into()),
            (Column::right("number"), &|row| row.at.into()),
            (Column::right("right"), &|row| row.correct.into()),
            (Column::right("of"), &|row| row.n.into()),
            (Column::right("share"), &|row| TableCell::share(row.accuracy, row.low, row.high, None)),
        ],
    )
}

/// Accuracy against tokens, where questions were answered several times.
pub(super) fn at_k(rows: &[AtK]) -> ShownTable {
    ShownTable::with_columns(
        rows,
        &[
            (Column::left("arm"), &|row| TableCell::from(row.name()).with_dot(class(row.arm))),
            (Column::left("questions"), &|row| kind(row.task, row.form).into()),
            (Column::left("set"), &|row| row.set.into()),
            (Column::right("of"), &|row| row.questions.into()),
            (Column::right("tokens"), &|row| format!("{:.1}", row.tokens).into()),
            (Column::right("share"), &|row| TableCell::share(row.accuracy, row.low, row.high, None)),
            (Column::right("gap closed"), &|row| TableCell::optional(row.gap_closed.map(whole_percent))),
        ],
    )
}

/// The same for a terminal: the arms that think about the headline's set, a column for each kind of question.
#[cfg(feature = "cli")]
pub(super) fn thoughts(summary: &Summary) -> ShownTable {
    let rows: Vec<&AtK> =
        summary.at_k.iter().filter(|row| row.arm.thinks() && Some(row.set) == summary.headline_set()).collect();
    let kinds: BTreeSet<(TaskId, Form)> = rows.iter().map(|row| (row.task, row.form)).collect();
    let ways: BTreeSet<(Arm, usize, Selection)> = rows.iter().map(|row| (row.arm, row.k, row.selection)).collect();
    if kinds.len() > KINDS {
        return ShownTable::default();
    }
    let line = |way: &(Arm, usize, Selection)| {
        let of: Vec<&AtK> = rows.iter().copied().filter(|row| (row.arm, row.k, row.selection) == *way).collect();
        let name = of.first().map_or_else(String::new, |row| row.name());
        let tokens = of.iter().map(|row| row.tokens).sum::<f64>() / of.len().max(1) as f64;
        let share = |kind: &(TaskId, Form)| {
            let row = of.iter().find(|row| (row.task, row.form) == *kind);
            TableCell::or_dash(row.map(|row| TableCell::share(row.accuracy, row.low, row.high, None)))
        };
        let mut cells = vec![TableCell::from(name).with_dot(class(way.0))];
        cells.extend(kinds.iter().map(share));
        cells.push(format!("{tokens:.0}").into());
        cells
    };
    let mut columns = vec![Column::left("thoughts for a question")];
    columns.extend(kinds.iter().map(|(task, form)| Column::right(format!("{task}\n{form}"))));
    columns.push(Column::right("tokens"));
    ShownTable { columns, rows: ways.iter().map(line).collect(), ..ShownTable::default() }
        .titled("Several thoughts for a question", "")
}

/// What stands in tables of several completions for a question.
pub(super) const AT_K_LEGEND: &str = "@k: k completions for a question. majority: what most of them say. grounded: what most \
    of those say whose answer follows from what they recited, true or not. any: a bound, one of them is right. Tokens: \
    sampled for a question, in the mean.";

/// The arms that answered: what each of them is, and what it takes where that is known.
pub(super) fn arms(summary: &Summary) -> ShownTable {
    let there: Vec<Arm> = Arm::ALL.into_iter().filter(|arm| summary.arms.iter().any(|row| row.arm == *arm)).collect();
    let cost = |arm: &Arm| summary.run.costs.get(arm);
    ShownTable::with_columns(
        &there,
        &[
            (Column::left("arm"), &|arm| TableCell::from(arm.label()).with_dot(class(*arm))),
            (Column::left("name"), &|arm| arm.into()),
            (Column::left("what it is"), &|arm| arm.description().into()),
            (Column::right("tokens read"), &|arm| {
                TableCell::optional(cost(arm).map(|cost| format!("{:.1}", cost.read)))
            }),
            (Column::right("tokens sampled"), &|arm| {
                TableCell::optional(cost(arm).map(|cost| format!("{:.1}", cost.sampled)))
            }),
            (Column::right("seconds"), &|arm| {
                TableCell::optional(cost(arm).and_then(|cost| cost.seconds).map(|seconds| format!("{seconds:.1}")))
            }),
            (Column::right("training (FLOPs)"), &|arm| {
                TableCell::optional(cost(arm).map(|cost| cost.training_flops.map_or("unknown".into(), operations)))
            }),
        ],
    )
}

/// The two policies of an evaluation, asked the same way: a row for each way and kind of question.
#[cfg(feature = "cli")]
pub(super) fn matched_arms(rows: &[MatchedArms]) -> ShownTable {
    let share = |row: &MatchedArms, right: u64| percent(right as f64 / row.pair.n.max(1) as f64).into();
    ShownTable::with_columns(
        rows,
        &[
            (Column::left("asked"), &|row| format!("{},\n{}", row.with.label(), row.arm.label()).into()),
            (Column::left("questions"), &|row| kind(row.task, row.form).replacen(", ", ",\n", 1).into()),
            (Column::right("set"), &|row| row.set.into()),
            (Column::right("baseline"), &|row| share(row, row.with_correct)),
            (Column::right("checkpoint"), &|row| share(row, row.correct)),
            (Column::right("difference"), &|row| {
                format!("{}\n{}", points(row.pair.difference), range(row.pair.low, row.pair.high)).into()
            }),
            (Column::right("won, lost"), &|row| format!("{}, {}", row.pair.b, row.pair.c).into()),
            (Column::right("test"), &|row| p_value(row.pair.holm).into()),
        ],
    )
}

/// Where the numbers of a run come from.
pub(super) fn provenance(run: &RunInfo) -> ShownTable {
    let parameters =
        if run.model_parameters > 0 { format!("{} parameters", grouped(run.model_parameters)) } else { String::new() };
    let total: f64 = run.stages.iter().map(|stage| stage.seconds).sum();
    let memory = run.peak_memory.map_or(String::new(), |bytes| format!("{} MiB", grouped(bytes >> 20)));
    let total = (run.stages.len() > 1).then(|| ("time in all".into(), seconds(total)));
    let mut facts = vec![
        ("recollect".to_owned(), run.version.clone()),
        ("model".into(), parameters),
        ("runs put together".into(), run.runs.join(", ")),
    ];
    facts.extend(run.seeds.iter().map(|(of, seed)| (format!("seed of {of}"), seed.to_string())));
    facts.extend([("peak memory".into(), memory), ("hardware".into(), run.hardware.clone())]);
    facts.extend(run.stages.iter().map(|stage| (format!("time of {}", stage.name), seconds(stage.seconds))));
    facts.extend(total);
    let planned = |stage: &StageBudget| {
        let took = stage.took.map_or("not known".into(), seconds);
        (format!("estimate for {}", stage.stage), format!("{}, took {took}", seconds(stage.estimated)))
    };
    facts.extend(run.budget.iter().map(planned));
    facts.extend(run.digests.iter().map(|(of, digest)| (format!("SHA-256 of the {of}"), digest.clone())));
    ShownTable::facts(facts)
}
