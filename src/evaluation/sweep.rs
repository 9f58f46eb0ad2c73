//! Which of several runs is best: cells ranked by what they answer about the part of A that no training asked for.
//! Nothing here has seen an answer about B; that of the winner is added when the ranks are made.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::pairs::first_answers;
use super::{Answered, Arm, ArmResult, Pairs, Pooled, Summary, tally};
use crate::knowledge::Set;
use crate::statistics::{Interval, difference, mcnemar};

/// Values of a numeric axis that are shown one by one; more are put together in ranges.
const VALUES: usize = 6;
/// Ranges of such an axis.
const RANGES: usize = 4;

/// What a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Wall-clock time of training and judging, without the fine-tuning that runs share.
    pub seconds: f64,
    /// Completions that training sampled, and their tokens.
    pub rollouts: u64,
    pub tokens: u64,
}

/// The value of one axis in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    pub text: String,
    /// The value, where it is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<f64>,
}

impl Setting {
    /// The value in few words: a file by its name alone.
    pub fn short(&self) -> &str {
        let stem = self.text.strip_suffix(".toml").and_then(|path| Path::new(path).file_name()?.to_str());
        stem.unwrap_or(&self.text)
    }
}

/// "reward faithful, learning_rate 3e-4".
pub fn described(labels: &[String], settings: &[Setting]) -> String {
    let one = |(label, setting): (&String, &Setting)| format!("{label} {}", setting.short());
    labels.iter().zip(settings).map(one).collect::<Vec<_>>().join(", ")
}

/// A cell that was trained and judged, with all its seeds.
#[derive(Clone, Debug)]
pub struct MeasuredCell {
    /// Its number in the sweep, from 1.
    pub cell: usize,
    /// A value for each axis.
    pub settings: Vec<Setting>,
    /// How often it was chosen to be trained for longer; 0 for the first time.
    pub rung: usize,
    pub steps: usize,
    /// Answers to held-out questions by seed, the same questions in every cell.
    pub runs: Vec<(u64, Vec<Answered>)>,
    /// Of all seeds together.
    pub cost: Cost,
    /// The directory of its runs.
    pub dir: String,
}

/// What came of a sweep; `sweep.json` is this value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepSummary {
    pub name: String,
    /// Version of recollect.
    pub version: String,
    /// How cells were found, in words.
    pub search: String,
    /// The keys that differ between cells.
    pub axes: Vec<String>,
    /// The same in few words.
    pub labels: Vec<String>,
    pub seeds: Vec<u64>,
    /// Best first.
    pub ranking: Vec<RankedCell>,
    pub failed: Vec<FailedCell>,
    /// How each axis did by itself.
    pub effects: Vec<AxisEffect>,
    /// The winner against its fine-tuned baseline on set B; absent until there is a winner.
    pub b: Option<OnB>,
    /// The command that trains the winner as long as the base config says.
    pub command: String,
    /// Of everything, fine-tuning included.
    pub cost: Cost,
    /// Of that, the time that fine-tuning took, once for each seed.
    pub finetune_seconds: f64,
    /// SHA-256 by what it is of.
    pub digests: BTreeMap<String, String>,
    pub hardware: String,
    /// The sweep's file, and the config that the axes change, as TOML.
    pub file: String,
    pub config: String,
}

/// A cell in the ranking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedCell {
    pub cell: usize,
    pub settings: Vec<Setting>,
    pub steps: usize,
    /// How often it was chosen to be trained for longer.
    pub rung: usize,
    /// Over the held-out questions of all forms and seeds, every question counted once: what cells are ranked by.
    pub score: Pooled,
    /// The same for each form.
    pub forms: Vec<ArmResult>,
    /// Share of right answers by seed.
    pub seeds: BTreeMap<u64, f64>,
    /// How far the winner is ahead; absent for the winner.
    pub behind: Option<Lead>,
    pub cost: Cost,
    pub dir: String,
}

/// The winner and another cell on the same questions (the first answer to each).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// Questions that only the winner got right.
    pub b: u64,
    /// Questions that only the other got right.
    pub c: u64,
    /// Questions that both answered.
    pub n: u64,
    /// `(b - c) / n`.
    pub difference: f64,
    /// 95 % interval of the difference (Tango 1998).
    pub low: f64,
    pub high: f64,
    /// Two-sided p-value of the exact McNemar test. It does not know from how many cells the winner was chosen.
    pub p: f64,
}

/// A cell of which a run failed; it has no rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedCell {
    pub cell: usize,
    pub settings: Vec<Setting>,
    pub seed: u64,
    /// What the run said.
    pub error: String,
}

/// What one axis does, over all cells that have the same value of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AxisEffect {
    pub axis: String,
    pub values: Vec<EffectOf>,
}

/// One value of an axis, or a range of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffectOf {
    pub value: String,
    pub cells: usize,
    pub score: Pooled,
}

/// The winner on set B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnB {
    /// Fine-tuned and after reinforcement learning, for each form.
    pub arms: Vec<ArmResult>,
    pub fine_tuned: Pooled,
    pub after: Pooled,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.seconds += other.seconds;
        self.rollouts += other.rollouts;
        self.tokens += other.tokens;
    }
}

impl MeasuredCell {
    /// Share of right answers over all held-out questions. `None` without an answer.
    pub fn score(&self) -> Option<Pooled> {
        pooled(&self.answers())
    }

    fn answers(&self) -> Vec<Answered> {
        // Steps may differ between cells that are put together.
        told_apart(&self.runs).into_iter().map(|one| Answered { step: 0, ..one }).collect()
    }
}

/// Best first: cells that were trained for longer before those that were left behind, then by score, then by number.
/// `measured` holds a cell once for each rung; the last one counts.
pub fn rank(measured: &[MeasuredCell]) -> Vec<RankedCell> {
    let mut last: BTreeMap<usize, &MeasuredCell> = BTreeMap::new();
    for one in measured {
        let entry = last.entry(one.cell).or_insert(one);
        if one.rung > entry.rung {
            *entry = one;
        }
    }
    let mut scored: Vec<(&MeasuredCell, Vec<Answered>, Pooled)> = last
        .into_values()
        .filter_map(|one| {
            let answers = one.answers();
            pooled(&answers).map(|score| (one, answers, score))
        })
        .collect();
    scored.sort_by(|a, b| {
        b.0.rung.cmp(&a.0.rung).then(b.2.accuracy.total_cmp(&a.2.accuracy)).then(a.0.cell.cmp(&b.0.cell))
    });
    let Some((winner, best, _)) = scored.first() else { return Vec::new() };
    let ranked = |(one, answers, score): &(&MeasuredCell, Vec<Answered>, Pooled)| RankedCell {
        cell: one.cell,
        settings: one.settings.clone(),
        steps: one.steps,
        rung: one.rung,
        score: *score,
        forms: tally(answers),
        seeds: one.runs.iter().filter_map(|(seed, run)| Some((*seed, pooled(run)?.accuracy))).collect(),
        behind: (one.cell != winner.cell).then(|| lead(best, answers)),
        cost: one.cost,
        dir: one.dir.clone(),
    };
    scored.iter().map(ranked).collect()
}

/// How each axis did by itself, on the first rung, where all cells are.
pub fn effects(axes: &[String], measured: &[MeasuredCell]) -> Vec<AxisEffect> {
    let first: Vec<&MeasuredCell> = measured.iter().filter(|one| one.rung == 0).collect();
    let of = |(at, axis): (usize, &String)| {
        let values = groups(&first, at).into_iter().filter_map(|(value, cells)| {
            let answers: Vec<Answered> = cells.iter().flat_map(|cell| cell.answers()).collect();
            Some(EffectOf { value, cells: cells.len(), score: pooled(&answers)? })
        });
        AxisEffect { axis: axis.clone(), values: values.collect() }
    };
    axes.iter().enumerate().map(of).collect()
}

/// The winner's answers to questions about B and those of its fine-tuned baseline, by seed.
pub fn on_b(runs: &[(u64, Vec<Answered>)]) -> Option<OnB> {
    let summary = Summary::from_answers(&told_apart(runs));
    let (fine_tuned, after) = (summary.pooled(Arm::FineTuned, Set::B)?, summary.pooled(Arm::AfterRl, Set::B)?);
    Some(OnB { arms: summary.arms, fine_tuned, after })
}

/// Cells by their value of an axis, or by ranges of it with as many cells each.
fn groups<'a>(cells: &[&'a MeasuredCell], axis: usize) -> Vec<(String, Vec<&'a MeasuredCell>)> {
    let mut groups: Vec<(String, Vec<&MeasuredCell>)> = Vec::new();
    for cell in cells {
        let Some(setting) = cell.settings.get(axis) else { continue };
        match groups.iter_mut().find(|(text, _)| *text == setting.text) {
            Some((_, group)) => group.push(cell),
            None => groups.push((setting.text.clone(), vec![cell])),
        }
    }
    let number = |(_, group): &(String, Vec<&MeasuredCell>)| group[0].settings[axis].number;
    if !groups.iter().all(|group| number(group).is_some()) {
        return groups;
    }
    groups.sort_by(|a, b| number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0)));
    if groups.len() <= VALUES {
        return groups;
    }
    let size = groups.len().div_ceil(RANGES);
    let range = |some: &[(String, Vec<&'a MeasuredCell>)]| {
        let name = match some {
            [only] => only.0.clone(),
            [first, .., last] => format!("{} to {}", first.0, last.0),
            [] => String::new(),
        };
        (name, some.iter().flat_map(|(_, group)| group.iter().copied()).collect())
    };
    groups.chunks(size).map(range).collect()
}

/// All answers, of which no two runs share a question.
fn told_apart(runs: &[(u64, Vec<Answered>)]) -> Vec<Answered> {
    let of = |(index, (_, run)): (usize, &(u64, Vec<Answered>))| {
        run.iter().map(|one| one.clone().told_apart(index)).collect::<Vec<_>>()
    };
    runs.iter().enumerate().flat_map(of).collect()
}

fn pooled(answers: &[Answered]) -> Option<Pooled> {
    Summary::from_answers(answers).pooled(Arm::AfterRl, Set::A)
}

fn lead(winner: &[Answered], other: &[Answered]) -> Lead {
    let counts = |one: &&Answered| (one.arm, one.set) == (Arm::AfterRl, Set::A);
    let pairs = Pairs::count(winner.iter().filter(counts), &first_answers(other.iter().filter(counts)));
    let Pairs { won: b, lost: c, n } = pairs;
    let Interval { low, high } = difference(b, c, n);
    Lead { b, c, n, difference: pairs.difference(), low, high, p: mcnemar(b, c) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evaluation::fixture::{answer, right};
    use proptest::prelude::*;

    /// A cell that is right on the first `right` of 20 questions of each of two seeds.
    pub fn cell(number: usize, settings: &[&str], rung: usize, counts: [u64; 2]) -> MeasuredCell {
        let setting = |text: &&str| Setting { text: text.to_string(), number: text.parse().ok() };
        let run = |(seed, count)| (seed, right(Arm::AfterRl, Set::A, 20, count));
        MeasuredCell {
            cell: number,
            settings: settings.iter().map(setting).collect(),
            rung,
            steps: 10 * (rung + 1),
            runs: [(0, counts[0]), (7, counts[1])].map(run).into(),
            cost: Cost { seconds: 4.0, rollouts: 10, tokens: 100 },
            dir: format!("cells/{number}"),
        }
    }

    #[test]
    fn seeds_are_pooled_and_the_winner_is_compared_on_the_same_questions() {
        let ranking = rank(&[cell(1, &["a"], 0, [10, 12]), cell(2, &["b"], 0, [18, 17]), cell(3, &["c"], 0, [10, 12])]);
        assert_eq!(ranking.iter().map(|one| one.cell).collect::<Vec<_>>(), [2, 1, 3], "ties go to the first");
        let (winner, next) = (&ranking[0], &ranking[1]);
        assert_eq!((winner.score.correct, winner.score.questions, winner.behind), (35, 40, None));
        assert_eq!(winner.seeds, BTreeMap::from([(0, 0.9), (7, 0.85)]));
        assert_eq!(winner.forms.iter().map(|row| row.n).collect::<Vec<_>>(), [20, 20]);
        let lead = next.behind.unwrap();
        assert_eq!((lead.b, lead.c, lead.n, lead.difference), (13, 0, 40, 13.0 / 40.0));
        assert!(lead.low > 0.0 && lead.high < 1.0 && lead.p < 0.001);
    }

    #[test]
    fn who_was_trained_for_longer_stands_before_who_was_left_behind() {
        let all = [
            cell(1, &["a"], 0, [15, 15]),
            cell(2, &["b"], 0, [14, 14]),
            cell(2, &["b"], 1, [13, 13]),
            cell(3, &["c"], 0, [19, 2]),
        ];
        let ranking = rank(&all);
        let told: Vec<_> = ranking.iter().map(|one| (one.cell, one.rung, one.score.correct)).collect();
        assert_eq!(told, [(2, 1, 26), (1, 0, 30), (3, 0, 21)]);
    }

    #[test]
    fn an_axis_is_told_by_value_and_many_numbers_by_ranges() {
        let all =
            [cell(1, &["x", "0.1"], 0, [4, 4]), cell(2, &["x", "0.2"], 0, [8, 8]), cell(3, &["y", "0.1"], 0, [20, 20])];
        let told = effects(&["train.reward".into(), "lr".into()], &all);
        let shares: Vec<_> =
            told.iter().flat_map(|e| &e.values).map(|v| (v.value.as_str(), v.cells, v.score.accuracy)).collect();
        assert_eq!(shares, [("x", 2, 0.3), ("y", 1, 1.0), ("0.1", 2, 0.6), ("0.2", 1, 0.4)]);
        assert_eq!(told[0].values[0].score.questions, 40, "a question that two cells answered is one question");
        let many: Vec<MeasuredCell> = (1..=9).map(|n| cell(n, &[&format!("{}", 10 - n)], 0, [n as u64, 1])).collect();
        let told = effects(&["lr".into()], &many);
        let ranges: Vec<_> = told[0].values.iter().map(|value| (value.value.as_str(), value.cells)).collect();
        assert_eq!(ranges, [("1 to 3", 3), ("4 to 6", 3), ("7 to 9", 3)]);
    }

    proptest! {
        #[test]
        fn ranks_do_not_depend_on_b(right in prop::collection::vec((0u64..20, 0u64..20, any::<bool>()), 2..6)) {
            let without: Vec<MeasuredCell> =
                right.iter().enumerate().map(|(n, (x, y, _))| cell(n + 1, &["v"], 0, [*x, *y])).collect();
            let mut with = without.clone();
            for (cell, (_, _, correct)) in with.iter_mut().zip(&right) {
                let on_b = (0..20).map(|id| answer(Arm::AfterRl, Set::B, 1 << 40 | id, *correct));
                cell.runs[0].1.extend(on_b);
            }
            let told = |cells: &[MeasuredCell]| -> Vec<(usize, f64)> {
                rank(cells).iter().map(|one| (one.cell, one.score.accuracy)).collect()
            };
            prop_assert_eq!(told(&without), told(&with));
        }
    }

    #[test]
    fn the_winner_on_b_is_compared_with_its_baseline_seed_by_seed() {
        let run = |count| [right(Arm::FineTuned, Set::B, 10, 1), right(Arm::AfterRl, Set::B, 10, count)].concat();
        let on_b = on_b(&[(0, run(8)), (1, run(10))]).unwrap();
        assert_eq!((on_b.fine_tuned.correct, on_b.after.correct, on_b.after.questions), (2, 18, 20));
        assert_eq!(on_b.after.against_baseline.map(|pair| (pair.b, pair.c)), Some((16, 0)));
        assert!(super::on_b(&[]).is_none());
        let mut empty = cell(1, &["a"], 0, [1, 1]);
        empty.runs.clear();
        assert_eq!((rank(&[]), rank(&[empty])), (vec![], vec![]), "nothing measured is no ranking");
    }
}
