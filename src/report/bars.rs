//! The arms as bars with intervals and chance lines, and the one picture at the top of the page.

use std::collections::BTreeSet;

use serde::Serialize;

use super::words::{kind, p_value, percent, range, set_purpose, sign};
use crate::evaluation::{Answered, Arm, ArmResult, PromptMode, Summary, Training};
use crate::knowledge::{Form, Set, TaskId};

/// The bars of one kind of question.
#[derive(Serialize)]
pub struct Card {
    title: String,
    /// A question of this kind.
    example: Option<String>,
    sets: Vec<SetBars>,
}

/// The bars of one set.
#[derive(Serialize)]
struct SetBars {
    name: String,
    purpose: &'static str,
    chance: String,
    chance_at: String,
    bars: Vec<Bar>,
}

#[derive(Serialize)]
struct Bar {
    label: &'static str,
    sign: &'static str,
    /// The whole row in words.
    words: String,
    #[serde(flatten)]
    place: BarPlace,
}

/// A share with its interval on a line from 0 to 100 %: in percentages of the line, as CSS wants them, and in words.
#[derive(Serialize)]
pub struct BarPlace {
    class: &'static str,
    at: String,
    low: String,
    spread: String,
    value: String,
    range: String,
}

/// Where three arms stand on one kind of question, on one line.
#[derive(Serialize)]
pub struct Gap {
    label: String,
    chance_at: String,
    chance: String,
    marks: Vec<BarPlace>,
    /// From the baseline to the trained policy.
    arrow: Option<Arrow>,
    before: Option<String>,
    after: Option<String>,
    context: Option<String>,
}

#[derive(Serialize)]
struct Arrow {
    from: String,
    length: String,
    down: bool,
}

impl BarPlace {
    /// In the colour of a class.
    pub fn new(class: &'static str, accuracy: f64, low: f64, high: f64) -> BarPlace {
        let (value, range) = (percent(accuracy), range(low, high));
        BarPlace { class, at: css(accuracy), low: css(low), spread: css(high - low), value, range }
    }

    fn of_arm(row: &ArmResult) -> BarPlace {
        BarPlace::new(class(row.arm), row.accuracy, row.low, row.high)
    }
}

/// A card for each kind of question, in a fixed order.
pub fn cards(summary: &Summary, answered: &[Answered]) -> Vec<Card> {
    kinds(summary)
        .into_iter()
        .map(|(task, form)| {
            let sets: BTreeSet<Set> =
                summary.latest().filter(|row| (row.task, row.form) == (task, form)).map(|row| row.set).collect();
            let example =
                answered.iter().filter(|one| (one.task, one.form) == (task, form)).min_by_key(|one| one.question);
            Card {
                title: kind(task, form),
                example: example.map(|one| one.asked.clone()),
                sets: sets.into_iter().map(|set| set_bars(summary, task, form, set)).collect(),
            }
        })
        .collect()
}

/// A line for each kind of question of the set that the headline is measured on.
pub fn gaps(summary: &Summary) -> Vec<Gap> {
    let Some(set) = summary.headline_set() else { return Vec::new() };
    let gap = |(task, form)| {
        let find = |arm| summary.find(arm, task, form, set);
        let (before, context, after) = (find(Arm::FineTuned), find(Arm::InContext), find(Arm::AfterRl));
        let chance = [before, context, after].into_iter().flatten().next()?.chance;
        let arrow = before.zip(after).map(|(before, after)| Arrow {
            from: css(before.accuracy.min(after.accuracy)),
            length: css((after.accuracy - before.accuracy).abs()),
            down: after.accuracy < before.accuracy,
        });
        let value = |row: Option<&ArmResult>| row.map(|row| percent(row.accuracy));
        Some(Gap {
            label: kind(task, form),
            chance_at: css(chance),
            chance: percent(chance),
            marks: [before, context, after].into_iter().flatten().map(BarPlace::of_arm).collect(),
            arrow,
            before: value(before),
            after: value(after),
            context: value(context),
        })
    };
    kinds(summary).into_iter().filter_map(gap).collect()
}

/// The class that gives an arm its colour in the page's style sheet.
pub fn class(arm: Arm) -> &'static str {
    match arm {
        Arm::FineTuned => "tuned",
        Arm::ThinkingBeforeRl => "thinking",
        Arm::InContext => "context",
        Arm::AfterRl => "after",
        arm if arm.is_control() => "control",
        arm => match (arm.training(), arm.way()) {
            (Training::Documents, PromptMode::Direct | PromptMode::Think) => "thinking",
            (Training::Documents, _) => "context",
            _ => "after",
        },
    }
}

fn kinds(summary: &Summary) -> BTreeSet<(TaskId, Form)> {
    summary.latest().map(|row| (row.task, row.form)).collect()
}

fn set_bars(summary: &Summary, task: TaskId, form: Form, set: Set) -> SetBars {
    let rows: Vec<&ArmResult> = Arm::ALL.into_iter().filter_map(|arm| summary.find(arm, task, form, set)).collect();
    let chance = rows.first().map_or(0.0, |row| row.chance);
    SetBars {
        name: set.to_string(),
        purpose: set_purpose(set, &summary.run),
        chance: percent(chance),
        chance_at: css(chance),
        bars: rows.into_iter().map(bar).collect(),
    }
}

fn bar(row: &ArmResult) -> Bar {
    let test = row.against_baseline.map_or(String::new(), |pair| {
        format!("; against fine-tuned: {} won, {} lost, {}", pair.b, pair.c, p_value(pair.p))
    });
    let words = format!(
        "{}: {} of {} right, interval {} %, chance {}{test}",
        row.arm.label(),
        row.correct,
        row.n,
        range(row.low, row.high),
        percent(row.chance)
    );
    Bar { label: row.arm.label(), sign: sign(row.against_baseline), words, place: BarPlace::of_arm(row) }
}

/// A share as a CSS percentage.
pub fn css(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}
