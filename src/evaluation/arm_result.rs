//! How one arm did on one kind of question: from many answers to a row of numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::pairs::first_answers;
use super::record::{RightCount, by_run, counted, share};
use super::{AgainstBaseline, Answered, Arm, Pairs, Verification};
use crate::knowledge::{Form, Set, TaskId};
use crate::statistics::seeds::{self, OverSeeds};
use crate::verifier::Grounding;

/// How one arm did on the questions of one task, form and set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    pub arm: Arm,
    pub task: TaskId,
    pub form: Form,
    pub set: Set,
    pub step: u64,
    /// Answers that are right.
    pub correct: usize,
    /// Answers.
    pub n: usize,
    /// Different questions; less than `n` where a question was answered several times.
    pub questions: usize,
    /// `correct / n`.
    pub accuracy: f64,
    /// 95 % interval of the accuracy ([`seeds::share`]): Wilson's, of questions, not of answers, because two answers to one
    /// question are not independent; of several runs it holds what comes from the seeds as well.
    pub low: f64,
    pub high: f64,
    /// The same in each of several runs that are put together; empty where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_runs: Vec<InRun>,
    /// Mean accuracy of a guesser who does not use the needed facts.
    pub chance: f64,
    /// Completions in which no answer stands.
    #[serde(default)]
    pub unanswered: usize,
    /// Answers in which trace, answer and end stand where the format wants them.
    pub well_formed: usize,
    /// Sentences in all traces, and how many of them are true, and both true and needed for the answer.
    pub recited: usize,
    pub recited_true: usize,
    pub recited_relevant: usize,
    /// `recited_true / recited`; absent where nothing was recited.
    pub true_share: Option<f64>,
    /// `recited_relevant / recited`; absent where nothing was recited.
    pub relevant_share: Option<f64>,
    /// Coverage: share of the needed facts that the traces hold. Absent for arms that do not think.
    pub needed_found_share: Option<f64>,
    /// Right answers that follow from the true recitations of their traces: the others were lucky. Absent for arms that
    /// do not think, and where it cannot be decided.
    #[serde(default)]
    pub correct_known: Option<usize>,
    /// Mean number of sampled tokens.
    pub mean_tokens: f64,
    /// How thoughts lead to answers. Absent for arms that do not think, and where thoughts cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// The same questions scored by which choice is the likeliest; absent where that was not asked for, and for questions
    /// that show their choices or have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<ByLikelihood>,
    /// The paired comparison with the fine-tuned baseline; absent for the baseline and without common questions.
    pub against_baseline: Option<AgainstBaseline>,
    /// How much of the way from the fine-tuned baseline to answering in context the arm goes: 0 at the one, 1 at the
    /// other, below 0 where it does worse than the baseline. Absent for these two, and where context does not help.
    #[serde(default)]
    pub gap_closed: Option<f64>,
}

/// How one arm did on one kind of question in one of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InRun {
    pub accuracy: f64,
    pub questions: usize,
    /// Absent for the baseline, and without common questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Pairs>,
}

/// Questions of which the choice that is likeliest to follow, of all that are not shown, is counted as the answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByLikelihood {
    pub correct: usize,
    pub n: usize,
    pub accuracy: f64,
    /// 95 % interval, as that of [`ArmResult::accuracy`].
    pub low: f64,
    pub high: f64,
}

impl ArmResult {
    /// How the arm did in each run.
    pub fn runs(&self) -> Vec<InRun> {
        if !self.in_runs.is_empty() {
            return self.in_runs.clone();
        }
        let pairs = self.against_baseline.map(|pair| Pairs { won: pair.b, lost: pair.c, n: pair.n });
        vec![InRun { accuracy: self.accuracy, questions: self.questions, pairs }]
    }
}

/// For each (arm, task, form, set) the row of the last step at which it was evaluated.
pub(super) fn latest(arms: &[ArmResult]) -> Vec<&ArmResult> {
    let mut last = BTreeMap::new();
    for row in arms {
        let entry = last.entry((row.arm, row.task, row.form, row.set)).or_insert(row);
        if row.step >= entry.step {
            *entry = row;
        }
    }
    last.into_values().collect()
}

/// One row for each (arm, task, form, set, step), in this order.
pub fn tally(answered: &[Answered]) -> Vec<ArmResult> {
    let baseline = first_answers(answered.iter().filter(|one| one.arm == Arm::FineTuned));
    let mut groups: BTreeMap<_, Vec<&Answered>> = BTreeMap::new();
    for one in answered {
        groups.entry((one.arm, one.task, one.form, one.set, one.step)).or_default().push(one);
    }
    let mut rows: Vec<ArmResult> = groups.into_values().filter_map(|group| row(&group, &baseline)).collect();
    let shares: BTreeMap<_, f64> =
        rows.iter().map(|row| ((row.arm, row.task, row.form, row.set), row.accuracy)).collect();
    for row in &mut rows {
        let of = |arm: Arm| shares.get(&(arm, row.task, row.form, row.set)).copied();
        row.gap_closed = gap_closed(row.arm, row.accuracy, of(Arm::FineTuned), of(Arm::InContext));
    }
    correct_for_arms(&mut rows);
    rows
}

/// The mean over forms of the right answers about a set; none where nothing was asked about it.
pub fn mean_over_forms<'a>(rows: impl IntoIterator<Item = &'a ArmResult>, set: Set) -> Option<f64> {
    let shares: Vec<f64> = rows.into_iter().filter(|row| row.set == set).map(|row| row.accuracy).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

/// All comparisons with the baseline on the same questions are one family of tests.
fn correct_for_arms(rows: &mut [ArmResult]) {
    let mut families: BTreeMap<(TaskId, Form, Set), Vec<&mut AgainstBaseline>> = BTreeMap::new();
    for row in rows {
        families.entry((row.task, row.form, row.set)).or_default().extend(row.against_baseline.as_mut());
    }
    for family in families.into_values() {
        AgainstBaseline::correct(family);
    }
}

/// See [`ArmResult::gap_closed`].
pub(super) fn gap_closed(arm: Arm, accuracy: f64, baseline: Option<f64>, in_context: Option<f64>) -> Option<f64> {
    let (baseline, in_context) = (baseline?, in_context?);
    // The first two are its ends, and the third is another question.
    let beside = [Arm::FineTuned, Arm::InContext, Arm::ForwardRecall].contains(&arm);
    (!beside && in_context > baseline).then(|| (accuracy - baseline) / (in_context - baseline))
}

fn row(group: &[&Answered], baseline: &BTreeMap<u64, bool>) -> Option<ArmResult> {
    let first = group.first()?;
    let n = group.len();
    let count = |keep: fn(&Answered) -> bool| group.iter().filter(|one| keep(one)).count();
    let sum = |of: fn(&Answered) -> usize| group.iter().map(|one| of(one)).sum::<usize>();
    let correct = count(|one| one.judgement.correct);
    let questions = group.iter().map(|one| one.question).collect::<BTreeSet<_>>().len();
    let accuracy = share(correct, n)?;
    let in_runs: Vec<InRun> = by_run(group).iter().filter_map(|run| in_run(run, baseline)).collect();
    let clusters: Vec<(f64, usize)> = in_runs.iter().map(|run| (run.accuracy, run.questions)).collect();
    let OverSeeds { interval, .. } = seeds::share(&clusters)?;
    let pairs: Option<Vec<Pairs>> = in_runs.iter().map(|run| run.pairs).collect();
    let recited = sum(|one| one.judgement.recitations.len());
    let recited_true = sum(|one| one.judgement.recitations.iter().filter(|fact| fact.is_true).count());
    let recited_relevant = sum(|one| one.judgement.recitations.iter().filter(|fact| fact.relevant).count());
    let coverage = share(sum(|one| one.judgement.needed_found), sum(|one| one.judgement.needed));
    Some(ArmResult {
        arm: first.arm,
        task: first.task,
        form: first.form,
        set: first.set,
        step: first.step,
        correct,
        n,
        questions,
        accuracy,
        low: interval.low,
        high: interval.high,
        // As a difference from the first, the mean of equal numbers is that number to the last bit.
        chance: first.chance + group.iter().map(|one| one.chance - first.chance).sum::<f64>() / n as f64,
        unanswered: count(|one| one.judgement.answer.as_deref().is_none_or(|answer| answer.trim().is_empty())),
        well_formed: count(|one| one.judgement.well_formed),
        recited,
        recited_true,
        recited_relevant,
        true_share: share(recited_true, recited),
        relevant_share: share(recited_relevant, recited),
        needed_found_share: coverage.filter(|_| first.arm.thinks()),
        correct_known: (first.arm.thinks() && group.iter().any(|one| one.judgement.grounding.is_some()))
            .then(|| count(|one| one.judgement.correct && one.judgement.grounding == Some(Grounding::Known))),
        mean_tokens: sum(|one| one.tokens) as f64 / n as f64,
        verification: Some(group).filter(|_| first.arm.thinks()).and_then(Verification::from_answers),
        likelihood: by_likelihood(group),
        gap_closed: None,
        against_baseline: pairs.map(|pairs| AgainstBaseline::from_runs(&pairs)),
        in_runs: if in_runs.len() > 1 { in_runs } else { Vec::new() },
    })
}

fn in_run(group: &[&Answered], baseline: &BTreeMap<u64, bool>) -> Option<InRun> {
    let pairs = Pairs::count(group.iter().copied().filter(|one| one.arm != Arm::FineTuned), baseline);
    Some(InRun {
        accuracy: share(group.iter().filter(|one| one.judgement.correct).count(), group.len())?,
        questions: group.iter().map(|one| one.question).collect::<BTreeSet<_>>().len(),
        pairs: Some(pairs).filter(|pairs| pairs.n > 0),
    })
}

fn by_likelihood(group: &[&Answered]) -> Option<ByLikelihood> {
    let is_right = |one: &Answered| one.likeliest.as_ref().map(|choice| *choice == one.expected);
    let RightCount { correct, n, accuracy, interval } = counted(group, is_right)?;
    Some(ByLikelihood { correct, n, accuracy, low: interval.low, high: interval.high })
}
