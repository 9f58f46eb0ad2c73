//! How the run went, step by step, and how answers get harder: which lines stand in which plot.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::HtmlEscape;
use serde::Serialize;

use super::plot::{Band, Plot, PlotLine, Point};
use super::words::{kind, percent};
use crate::evaluation::{Arm, ArmResult, AtK, Curves, LearningPoint, Measure, Scaling, Summary, TrainingPoint};
use crate::knowledge::Set;
use crate::statistics::Interval;

/// Steps on either side that a smoothed training curve averages over.
const SMOOTHING: usize = 7;

/// A plot with its title and a line about what is to be seen.
#[derive(Serialize)]
pub struct Figure {
    title: String,
    note: &'static str,
    /// All text in it is the program's own, or escaped.
    svg: String,
}

/// Accuracy for each kind of question, truth of what is recited, reward, and length of the traces; only those
/// for which there is something to draw.
pub fn figures(summary: &Summary) -> Vec<Figure> {
    let rows: Vec<&ArmResult> = summary.curves.evaluation.iter().filter(|row| row.arm != Arm::SwappedTraces).collect();
    let training = &summary.curves.training;
    let kinds: BTreeSet<_> = rows.iter().map(|row| (row.task, row.form)).collect();
    let accuracy = kinds.into_iter().filter_map(|(task, form)| {
        let rows: Vec<&ArmResult> = rows.iter().copied().filter(|row| (row.task, row.form) == (task, form)).collect();
        let chance = rows.first().map(|row| ("chance", row.chance));
        let lines = by_set(&rows, |rows| proportion(rows, |row| (row.correct, row.n), |row| row.questions));
        figure(kind(task, form), "", Plot { reference: chance, ..plot("step", "answers right", true, lines) })
    });
    // Facts of one answer are not independent, so no interval is claimed for them.
    let truth = by_set(&rows, |rows| proportion(rows, |row| (row.recited_true, row.recited), |_| 0));
    let of = |pick: fn(&TrainingPoint) -> Option<f64>| smoothed(training, pick);
    let length = by_set(&rows, |rows| {
        let n: usize = rows.iter().map(|row| row.n).sum();
        let tokens: f64 = rows.iter().map(|row| row.mean_tokens * row.n as f64).sum();
        (n > 0).then(|| (tokens / n as f64, None))
    });
    let rest = [
        ("Recited facts that are true", "over all kinds of questions", plot("step", "true", true, truth)),
        (
            "Reward",
            "of the rollouts that train; thin: every step, thick: moving mean",
            plot("step", "mean reward", false, of(|point| point.reward)),
        ),
        ("Length", "trace and answer, over all kinds of questions", plot("step", "tokens per answer", false, length)),
        (
            "Entropy",
            "of the policy at the sampled tokens",
            plot("step", "nats a token", false, of(|point| point.entropy)),
        ),
        (
            "Divergence",
            "from the policy that training started from",
            plot("step", "nats a token", false, of(|point| point.kl).into_iter().filter(moves).collect()),
        ),
        (
            "Loss",
            "of the update",
            plot("step", "loss", false, of(|point| point.loss).into_iter().filter(moves).collect()),
        ),
    ]
    .map(|(title, note, plot)| figure(title.into(), note, plot));
    let learning = summary.curves.learning.iter().filter_map(|(stage, points)| {
        let point = |point: &LearningPoint| Some(Point { x: point.step as f64, y: point.loss?, band: None });
        // What is learned is about both sets.
        let lines = smooth(points.iter().filter_map(point).collect());
        let lines = lines.into_iter().map(|line| PlotLine { label: "", ..line }).collect();
        let title = if stage == "finetune" { "Fine-tuning" } else { "Warm-up" };
        figure(title.into(), "loss on what the stage learns", plot("step", "nats a token", false, lines))
    });
    accuracy.chain(rest.into_iter().flatten()).chain(learning).collect()
}

/// The curves of several runs, each with the style of its line: right answers about each set, reward, and length.
pub(super) fn side_by_side(runs: &[(&'static str, &Curves)]) -> Vec<Figure> {
    let on_the_way = |curves: &Curves, set: Set| -> Vec<Point> {
        let mut steps: BTreeMap<u64, Vec<&ArmResult>> = BTreeMap::new();
        for row in curves.evaluation.iter().filter(|row| row.set == set && row.arm != Arm::SwappedTraces) {
            steps.entry(row.step).or_default().push(row);
        }
        let share = |rows: &[&ArmResult]| proportion(rows, |row| (row.correct, row.n), |row| row.questions);
        steps
            .into_iter()
            .filter_map(|(step, rows)| Some(Point { x: step as f64, y: share(&rows)?.0, band: None }))
            .collect()
    };
    let lines = |points: &dyn Fn(&Curves) -> Vec<Point>| {
        let line = |(class, curves): &(&'static str, &Curves)| PlotLine { label: "", class, points: points(curves) };
        runs.iter().map(line).filter(|line| !line.points.is_empty()).collect::<Vec<_>>()
    };
    let mean = |pick: fn(&TrainingPoint) -> Option<f64>| {
        move |curves: &Curves| smoothed(&curves.training, pick).pop().map_or(Vec::new(), |line| line.points)
    };
    let right = |set| lines(&move |curves: &Curves| on_the_way(curves, set));
    [
        ("Right answers about set A", plot("step", "answers right", true, right(Set::A))),
        ("Right answers about set B", plot("step", "answers right", true, right(Set::B))),
        ("Reward", plot("step", "mean reward", false, lines(&mean(|point| point.reward)))),
        ("Length", plot("step", "tokens per completion", false, lines(&mean(|point| point.mean_length)))),
    ]
    .into_iter()
    .filter_map(|(title, plot)| figure(title.into(), "", plot))
    .collect()
}

/// Accuracy by what an answer takes, for kinds of questions that differ in it: the arms that the headline speaks of, on its
/// set.
pub fn scaling(summary: &Summary) -> Vec<Figure> {
    let Some(set) = summary.headline_set() else { return Vec::new() };
    let rows: Vec<&Scaling> = summary.scaling.iter().filter(|row| row.set == set).collect();
    let plots: BTreeSet<_> = rows.iter().map(|row| (row.task, row.form, row.measure)).collect();
    let arms = [(Arm::FineTuned, "c"), (Arm::ThinkingBeforeRl, "a"), (Arm::InContext, "d"), (Arm::AfterRl, "b")];
    let of = |(task, form, measure)| {
        let line = |(arm, class)| {
            let of_line =
                rows.iter().filter(|row| (row.task, row.form, row.measure, row.arm) == (task, form, measure, arm));
            let point = |row: &&Scaling| Point { x: row.at as f64, y: row.accuracy, band: Some((row.low, row.high)) };
            PlotLine { label: "", class, points: of_line.map(point).collect() }
        };
        let lines = arms.into_iter().map(line).filter(|line| !line.points.is_empty()).collect();
        let (x_label, note) = match measure {
            Measure::FactsNeeded => ("facts", "by the number of facts that an answer needs"),
            Measure::Choices => ("choices", "by the number of choices that fit"),
        };
        figure(kind(task, form), note, plot(x_label, "answers right", true, lines))
    };
    plots.into_iter().filter_map(of).collect()
}

/// Accuracy against the tokens that are sampled for a question, on the headline's set, where questions were answered several
/// times: the policy before and after, at once, in context and with retrieval. Of the selections one is drawn, the grounded one
/// where what is recited can be read.
pub fn tokens(summary: &Summary) -> Vec<Figure> {
    let Some(set) = summary.headline_set() else { return Vec::new() };
    let rows: Vec<&AtK> = summary.at_k.iter().filter(|row| row.set == set && row.selection.answers()).collect();
    let kinds: BTreeSet<_> = rows.iter().map(|row| (row.task, row.form)).collect();
    let class = |arm: Arm| match arm {
        Arm::FineTuned => Some("c"),
        Arm::ThinkingBeforeRl => Some("a"),
        Arm::InContext => Some("d"),
        Arm::AfterRl => Some("b"),
        arm => arm.is_retrieval().then_some("e"),
    };
    let of = |(task, form)| {
        // Grounded stands behind majority, and takes its place.
        let mut lines: BTreeMap<Arm, BTreeMap<usize, &AtK>> = BTreeMap::new();
        for row in rows.iter().filter(|row| (row.task, row.form) == (task, form)) {
            lines.entry(row.arm).or_default().insert(row.k, row);
        }
        let line = |(arm, of_arm): (Arm, BTreeMap<usize, &AtK>)| {
            let point = |row: &AtK| Point { x: row.tokens, y: row.accuracy, band: Some((row.low, row.high)) };
            Some(PlotLine { label: "", class: class(arm)?, points: of_arm.into_values().map(point).collect() })
        };
        let lines = lines.into_iter().filter_map(line).collect();
        let plot = plot("tokens sampled for a question", "answers right", true, lines);
        figure(kind(task, form), "", Plot { logarithmic: true, ..plot })
    };
    kinds.into_iter().filter_map(of).collect()
}

fn plot(x_label: &'static str, y_label: &'static str, percent: bool, lines: Vec<PlotLine>) -> Plot {
    Plot { x_label, y_label, logarithmic: false, percent, reference: None, lines }
}

fn figure(title: String, note: &'static str, plot: Plot) -> Option<Figure> {
    let ends = plot.lines.iter().filter(|line| !line.label.is_empty()).filter_map(|line| {
        let (first, last) = (line.points.first()?, line.points.last()?);
        let say = |value: f64| if plot.percent { percent(value) } else { format!("{value:.2}") };
        let (x, set) = (plot.x_label, line.label);
        Some(format!("set {set} from {} at {x} {} to {} at {x} {}", say(first.y), first.x, say(last.y), last.x))
    });
    let ends: Vec<String> = ends.collect();
    let description = if ends.is_empty() {
        [title.as_str(), note].join(", ").trim_end_matches(", ").to_owned()
    } else {
        format!("{title}: {}", ends.join("; "))
    };
    let svg = plot.svg(&HtmlEscape(&description).to_string())?;
    Some(Figure { title, note, svg })
}

/// How the line of a set is called, and its style.
const SETS: [(&str, &str); 3] = [("A", "a"), ("B", "b"), ("C", "c")];

/// A line for each set, with a point for each step at which there is something to say.
fn by_set(rows: &[&ArmResult], measure: impl Fn(&[&ArmResult]) -> Option<(f64, Band)>) -> Vec<PlotLine> {
    let mut grouped: BTreeMap<Set, BTreeMap<u64, Vec<&ArmResult>>> = BTreeMap::new();
    for row in rows {
        grouped.entry(row.set).or_default().entry(row.step).or_default().push(row);
    }
    let line = |(set, steps): (Set, BTreeMap<u64, Vec<&ArmResult>>)| {
        let point =
            |(step, rows): (u64, Vec<&ArmResult>)| measure(&rows).map(|(y, band)| Point { x: step as f64, y, band });
        let (label, class) = SETS[set as usize];
        PlotLine { label, class, points: steps.into_iter().filter_map(point).collect() }
    };
    grouped.into_iter().map(line).collect()
}

fn proportion(
    rows: &[&ArmResult],
    of: impl Fn(&ArmResult) -> (usize, usize),
    trials: impl Fn(&ArmResult) -> usize,
) -> Option<(f64, Band)> {
    let (part, whole) = rows.iter().map(|row| of(row)).fold((0, 0), |(a, b), (part, whole)| (a + part, b + whole));
    let trials: usize = rows.iter().map(|row| trials(row)).sum();
    let share = (whole > 0).then(|| part as f64 / whole as f64)?;
    let band = (trials > 0).then(|| Interval::wilson(share, trials)).map(|interval| (interval.low, interval.high));
    Some((share, band))
}

/// Whether there is anything to see on a line.
fn moves(line: &PlotLine) -> bool {
    line.points.iter().any(|point| point.y != 0.0)
}

/// What every step of training measured as a thin line, and its moving mean.
fn smoothed(training: &[TrainingPoint], pick: impl Fn(&TrainingPoint) -> Option<f64>) -> Vec<PlotLine> {
    let measured = training.iter().filter_map(|point| pick(point).map(|y| (point.step as f64, y)));
    smooth(measured.map(|(x, y)| Point { x, y, band: None }).collect())
}

/// Values as a thin line, and their moving mean.
fn smooth(raw: Vec<Point>) -> Vec<PlotLine> {
    let mean = |index: usize| {
        // The window shrinks towards both ends and stays centred, so that it never leans to one side.
        let reach = SMOOTHING.min(index).min(raw.len() - 1 - index);
        let window = &raw[index - reach..=index + reach];
        let y = window.iter().map(|point| point.y).sum::<f64>() / window.len() as f64;
        Point { y, ..raw[index] }
    };
    let means = (0..raw.len()).map(mean).collect();
    vec![PlotLine { label: "", class: "faint", points: raw }, PlotLine { label: "A", class: "a", points: means }]
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::evaluation::{Answered, RunInfo};
    use crate::knowledge::syllogism::ENTAILMENT;

    #[test]
    fn questions_that_need_more_have_a_figure() {
        let mut answers = fixture::answers();
        let chains = answers.iter_mut().filter(|one| one.form == ENTAILMENT);
        chains.for_each(|one| one.judgement.needed = 2 + (one.question % 3) as usize);
        let summary = Summary::new(&answers, Curves::default(), RunInfo::default());
        let figures = scaling(&summary);
        assert_eq!(figures.len(), 1, "the others all need the same");
        let svg = &figures[0].svg;
        assert!(svg.contains("line-d") && svg.contains("band-b") && svg.contains(">facts</text>"), "{svg}");
        assert!(scaling(&fixture::summary()).is_empty());
    }

    #[test]
    fn several_thoughts_have_a_figure_against_their_tokens() {
        let once = fixture::answers();
        let again = |sample| once.iter().cloned().map(move |one| Answered { sample, ..one });
        let twice: Vec<Answered> = (0..2).flat_map(again).collect();
        let figures = tokens(&Summary::new(&twice, Curves::default(), RunInfo::default()));
        assert_eq!(figures.len(), 3, "one for each kind of question");
        let svg = &figures[0].svg;
        assert_eq!(
            (svg.matches("dot-a").count(), svg.matches("dot-b").count(), svg.matches("dot-e").count()),
            (2, 2, 0)
        );
        assert!(svg.contains("tokens sampled for a question") && svg.contains("aria-label=\"reversal"), "{svg}");
        assert!(tokens(&fixture::summary()).is_empty());
    }

    #[test]
    fn a_run_has_a_figure_for_everything_that_moves() {
        let figures = figures(&fixture::summary());
        let titles: Vec<&str> = figures.iter().map(|figure| figure.title.as_str()).collect();
        assert_eq!(titles.len(), 10, "{titles:?}");
        assert!(figures.iter().all(|figure| figure.svg.contains("<polyline")));
        assert!(figures[0].svg.contains("band-b"), "accuracy has its interval");
        assert!(super::figures(&Summary::new(&fixture::answers(), Curves::default(), RunInfo::default())).is_empty());
    }

    #[test]
    fn smoothing_keeps_a_straight_line_straight() {
        let training: Vec<TrainingPoint> =
            (0..40).map(|step| TrainingPoint { step, reward: Some(step as f64), ..TrainingPoint::default() }).collect();
        let lines = smoothed(&training, |point| point.reward);
        assert!(lines[1].points.iter().all(|point| (point.x - point.y).abs() < 1e-9));
    }
}
