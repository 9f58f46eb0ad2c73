//! Two ways of answering on the same questions: an arm and the fine-tuned baseline, and the two policies of an evaluation,
//! each way of asking by itself.

use std::collections::BTreeMap;
use std::iter::repeat_n;

use serde::{Deserialize, Serialize};

use super::record::by_run;
use super::{Answered, Arm};
use crate::knowledge::{Form, Set, TaskId};
use crate::statistics::{Interval, bootstrap, holm, mcnemar, seeds};

/// What came of the questions that both ways were asked in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairs {
    /// Questions that only the first got right.
    pub won: u64,
    /// Questions that only the other got right.
    pub lost: u64,
    /// All of them.
    pub n: u64,
}

/// Whether the first answer to each question is right. Where there are several steps, the last one counts.
pub(super) fn first_answers<'a>(answers: impl Iterator<Item = &'a Answered>) -> BTreeMap<u64, bool> {
    let mut last: BTreeMap<u64, &Answered> = BTreeMap::new();
    for one in answers.filter(|one| one.sample == 0) {
        let entry = last.entry(one.question).or_insert(one);
        if one.step >= entry.step {
            *entry = one;
        }
    }
    last.into_iter().map(|(question, one)| (question, one.judgement.correct)).collect()
}

impl Pairs {
    /// Answers, the first to each question, against those of another way to the same questions.
    pub(super) fn count<'a>(answers: impl Iterator<Item = &'a Answered>, other: &BTreeMap<u64, bool>) -> Pairs {
        let mut pairs = Pairs::default();
        for one in answers.filter(|one| one.sample == 0) {
            if let Some(other) = other.get(&one.question) {
                pairs.won += u64::from(one.judgement.correct && !other);
                pairs.lost += u64::from(!one.judgement.correct && *other);
                pairs.n += 1;
            }
        }
        pairs
    }

    /// `(won - lost) / n`.
    pub fn difference(self) -> f64 {
        (self.won as f64 - self.lost as f64) / self.n.max(1) as f64
    }

    /// The two-sided p-value of the exact McNemar test over some runs.
    pub fn p(runs: &[Pairs]) -> f64 {
        mcnemar(runs.iter().map(|pairs| pairs.won).sum(), runs.iter().map(|pairs| pairs.lost).sum())
    }

    /// What each question gives: 1, -1 or 0.
    fn differences(self) -> Vec<f64> {
        let even = self.n.saturating_sub(self.won + self.lost);
        let of = |value: f64, count: u64| repeat_n(value, count as usize);
        of(1.0, self.won).chain(of(-1.0, self.lost)).chain(of(0.0, even)).collect()
    }
}

impl std::ops::Add for Pairs {
    type Output = Pairs;

    fn add(self, other: Pairs) -> Pairs {
        Pairs { won: self.won + other.won, lost: self.lost + other.lost, n: self.n + other.n }
    }
}

/// An arm and the fine-tuned baseline on the same questions (the first answer of each).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgainstBaseline {
    /// Questions that only the arm got right.
    pub b: u64,
    /// Questions that only the baseline got right.
    pub c: u64,
    /// Two-sided p-value of the exact McNemar test. Of several runs it speaks of these runs; what other seeds would give
    /// is in the interval.
    pub p: f64,
    /// The same, corrected by Holm's method for the number of arms that are compared with the baseline on these questions.
    #[serde(default)]
    pub holm: f64,
    /// Questions that both answered.
    #[serde(default)]
    pub n: u64,
    /// `(b - c) / n`, with its 95 % interval: by the paired bootstrap, and of several runs one that holds the variance
    /// of questions and of seeds ([`seeds::mean`]).
    #[serde(default)]
    pub difference: f64,
    #[serde(default)]
    pub low: f64,
    #[serde(default)]
    pub high: f64,
}

impl AgainstBaseline {
    /// The comparison by what came of each run, not corrected for others.
    pub fn from_runs(runs: &[Pairs]) -> AgainstBaseline {
        let all = runs.iter().fold(Pairs::default(), |sum, pairs| sum + *pairs);
        let over_seeds = match runs {
            [_, _, ..] => seeds::mean(&runs.iter().map(|pairs| pairs.differences()).collect::<Vec<_>>()),
            _ => None,
        };
        let interval = over_seeds.map(|over| over.interval);
        let Interval { low, high } = interval.unwrap_or_else(|| bootstrap::paired(&all.differences(), 0));
        let (p, difference) = (Pairs::p(runs), all.difference());
        AgainstBaseline { b: all.won, c: all.lost, p, holm: p, n: all.n, difference, low, high }
    }

    /// Corrects comparisons that are one family of tests.
    pub(super) fn correct(family: Vec<&mut AgainstBaseline>) {
        let corrected = holm(&family.iter().map(|pair| pair.p).collect::<Vec<f64>>());
        family.into_iter().zip(corrected).for_each(|(pair, holm)| pair.holm = holm);
    }

    /// Whether the arm is better (1) or worse (-1) than the baseline by more than chance explains: the test, by this
    /// p-value of it, and the interval say so.
    pub fn verdict(&self, p: f64) -> i8 {
        let is_better = self.b > self.c && self.low > 0.0;
        let is_worse = self.b < self.c && self.high < 0.0;
        if p < 0.05 { i8::from(is_better) - i8::from(is_worse) } else { 0 }
    }
}

/// Arms that are asked the same way, after and before.
const MATCHED: [(Arm, Arm); 6] = [
    (Arm::DirectAfterRl, Arm::FineTuned),
    (Arm::AfterRl, Arm::ThinkingBeforeRl),
    (Arm::InContextAfterRl, Arm::InContext),
    (Arm::FillerAfterRl, Arm::Filler),
    (Arm::RetrievalAfterRl, Arm::RetrievalWhileThinking),
    (Arm::MaskedAfterRl, Arm::MaskedThinking),
];

/// One kind of question, asked the same way of both policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatchedArms {
    pub arm: Arm,
    /// The arm that it is compared with.
    pub with: Arm,
    pub task: TaskId,
    pub form: Form,
    pub set: Set,
    /// Right answers of the arm and of the one that it is compared with, to the questions that both answered.
    pub correct: u64,
    pub with_correct: u64,
    /// What only the arm and only the other got right. Holm's correction is over all rows.
    pub pair: AgainstBaseline,
}

/// A row for each way and each kind of question that both policies answered (the first answer of each).
pub fn matched_arms(answered: &[Answered]) -> Vec<MatchedArms> {
    let mut rows = Vec::new();
    for (arm, with) in MATCHED {
        let other = first_answers(answered.iter().filter(|one| one.arm == with));
        let mut kinds: BTreeMap<(TaskId, Form, Set), Vec<&Answered>> = BTreeMap::new();
        let both = |one: &&Answered| one.arm == arm && one.sample == 0 && other.contains_key(&one.question);
        answered.iter().filter(both).for_each(|one| kinds.entry((one.task, one.form, one.set)).or_default().push(one));
        rows.extend(kinds.into_iter().map(|((task, form, set), answers)| {
            let pairs = |run: &Vec<&Answered>| Pairs::count(run.iter().copied(), &other);
            let pair = AgainstBaseline::from_runs(&by_run(&answers).iter().map(pairs).collect::<Vec<_>>());
            let correct = answers.iter().filter(|one| one.judgement.correct).count() as u64;
            MatchedArms { arm, with, task, form, set, correct, with_correct: correct + pair.c - pair.b, pair }
        }));
    }
    AgainstBaseline::correct(rows.iter_mut().map(|row: &mut MatchedArms| &mut row.pair).collect());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::fixture::answer;

    #[test]
    fn runs_that_differ_are_less_sure_than_their_questions() {
        let pairs = |won, lost| Pairs { won, lost, n: 40 };
        let alone = AgainstBaseline::from_runs(&[pairs(12, 2)]);
        assert_eq!((alone.b, alone.c, alone.n, alone.difference, alone.holm), (12, 2, 40, 0.25, alone.p));
        assert_eq!((alone.verdict(alone.p), alone.verdict(0.2)), (1, 0));
        let apart = AgainstBaseline::from_runs(&[pairs(24, 0), pairs(10, 0), pairs(2, 6)]);
        assert!(apart.p < 1e-4 && apart.low < 0.0 && apart.high > apart.difference, "{apart:?}");
        assert_eq!(apart.verdict(apart.p), 0, "other seeds may well turn it round");
        assert_eq!(AgainstBaseline::from_runs(&[pairs(0, 20), pairs(1, 22)]).verdict(0.0), -1);
    }

    #[test]
    fn policies_are_compared_on_the_questions_that_both_were_asked_the_same_way() {
        let right = |arm, from: u64, to: u64, right: std::ops::Range<u64>| {
            (from..to).map(move |id| answer(arm, Set::B, 2 * id, right.contains(&id))).collect::<Vec<_>>()
        };
        let all = [
            right(Arm::AfterRl, 0, 12, 2..12),
            right(Arm::ThinkingBeforeRl, 2, 20, 10..20),
            right(Arm::FineTuned, 0, 20, 0..20),
        ];
        let rows = matched_arms(&all.concat());
        assert_eq!(rows.len(), 1, "answering at once was asked of one policy alone");
        let MatchedArms { arm, with, correct, with_correct, pair, .. } = &rows[0];
        assert_eq!((*arm, *with, *correct, *with_correct), (Arm::AfterRl, Arm::ThinkingBeforeRl, 10, 2));
        assert_eq!((pair.b, pair.c, pair.n, pair.difference), (8, 0, 10, 0.8));
        assert_eq!(pair.p, pair.holm);
        assert!(pair.low > 0.4 && pair.high <= 1.0);
    }
}
