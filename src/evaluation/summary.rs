//! From many answered questions to the numbers that stand in `report.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::by_task::by_task;
use super::pairs::first_answers;
use super::record::{Counted, by_run, counted, share};
use super::{
    AgainstBaseline, Answered, Arm, Curves, MatchedArms, Pairs, RunInfo, Scaling, TaskResult, Verification,
    matched_arms, scaling,
};
use crate::knowledge::{Form, Set, TaskId};
use crate::statistics::exact::{numbers, pass_at_k};
use crate::statistics::seeds::{self, OverSeeds};
use crate::verifier::Grounding;

/// Everything a report is made of; `report.json` is this value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub run: RunInfo,
    /// One row for each (arm, task, form, set, step), in this order.
    pub arms: Vec<ArmResult>,
    /// One row for each (set, arm, task), all forms of a task put together.
    #[serde(default)]
    pub by_task: Vec<TaskResult>,
    /// The policies before and after, asked the same way; older reports call it `same_way`.
    #[serde(default, alias = "same_way")]
    pub matched_arms: Vec<MatchedArms>,
    /// Accuracy by how much an answer takes, where questions of a kind differ in that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<Scaling>,
    pub curves: Curves,
}

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
    /// How often at least one of so many answers to a question is right, estimated without bias; only where every question
    /// was answered several times.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pass_at: BTreeMap<usize, f64>,
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

impl Summary {
    /// The numbers of an evaluation, with the curves and the provenance that belong to it.
    pub fn new(answered: &[Answered], curves: Curves, run: RunInfo) -> Summary {
        let arms = tally(answered);
        let by_task = by_task(&latest(&arms));
        Summary { run, arms, by_task, matched_arms: matched_arms(answered), scaling: scaling(answered), curves }
    }

    /// The numbers of answers alone.
    pub fn from_answers(answered: &[Answered]) -> Summary {
        Summary::new(answered, Curves::default(), RunInfo::default())
    }

    /// For each (arm, task, form, set) the row of the last step at which it was evaluated.
    pub fn latest(&self) -> impl Iterator<Item = &ArmResult> {
        latest(&self.arms).into_iter()
    }

    /// The latest row of one arm for one kind of question.
    pub fn find(&self, arm: Arm, task: TaskId, form: Form, set: Set) -> Option<&ArmResult> {
        self.latest().find(|row| (row.arm, row.task, row.form, row.set) == (arm, task, form, set))
    }
}

/// See [`Summary::latest`].
fn latest(arms: &[ArmResult]) -> Vec<&ArmResult> {
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
    let is_an_end = [Arm::FineTuned, Arm::InContext].contains(&arm);
    (!is_an_end && in_context > baseline).then(|| (accuracy - baseline) / (in_context - baseline))
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
        pass_at: pass_at(group),
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

/// Where every question was answered equally often, and more than once.
fn pass_at(group: &[&Answered]) -> BTreeMap<usize, f64> {
    let mut tries: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for one in group {
        let (right, n) = tries.entry(one.question).or_default();
        *right += usize::from(one.judgement.correct);
        *n += 1;
    }
    let samples = tries.values().next().map_or(0, |(_, n)| *n);
    if samples < 2 || tries.values().any(|(_, n)| *n != samples) {
        return BTreeMap::new();
    }
    let mean = |k: usize| {
        let each: Option<Vec<f64>> = tries.values().map(|(right, n)| pass_at_k(*n, *right, k)).collect();
        each.map(|each| (k, each.iter().sum::<f64>() / each.len() as f64))
    };
    numbers(samples).into_iter().filter_map(mean).collect()
}

fn by_likelihood(group: &[&Answered]) -> Option<ByLikelihood> {
    let is_right = |one: &Answered| one.likeliest.as_ref().map(|choice| *choice == one.expected);
    let Counted { correct, n, accuracy, interval } = counted(group, is_right)?;
    Some(ByLikelihood { correct, n, accuracy, low: interval.low, high: interval.high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::fixture::{answer, right};
    use crate::knowledge::reversal::{CANDIDATES, OPEN, REVERSAL};
    use crate::verifier::Recitation;

    /// Of one form, with two true recitations of three after RL.
    fn answered(arm: Arm, question: u64, correct: bool) -> Answered {
        let mut one = Answered { form: OPEN, tokens: question as usize, ..answer(arm, Set::B, question, correct) };
        if arm == Arm::AfterRl {
            let recitation = |is_true, relevant| Recitation { text: String::new(), claim: None, is_true, relevant };
            one.judgement.recitations = vec![recitation(true, true), recitation(true, false), recitation(false, false)];
            one.judgement.needed_found = 1;
        }
        one.judgement.needed = 2;
        one
    }

    /// The baseline is right on questions 0 and 1, the arm on 1 to 7, of ten each.
    fn evaluation() -> Vec<Answered> {
        let baseline = (0..10).map(|id| answered(Arm::FineTuned, id, id < 2));
        let after = (0..10).map(|id| answered(Arm::AfterRl, id, (1..8).contains(&id)));
        after.chain(baseline).collect()
    }

    #[test]
    fn the_gap_is_that_between_the_baseline_and_answering_in_context() {
        // Of four questions the baseline gets one right, context all four, thinking two.
        let of = |counts: [u64; 3]| -> Vec<Answered> {
            let arms = [Arm::FineTuned, Arm::InContext, Arm::AfterRl].into_iter().zip(counts);
            let all = arms.flat_map(|(arm, count)| right(arm, Set::B, 4, count));
            all.map(|one| Answered { form: OPEN, ..one }).collect()
        };
        let summary = Summary::from_answers(&of([1, 4, 2]));
        let closed = |arm: Arm| summary.latest().find(|row| row.arm == arm).unwrap().gap_closed;
        assert_eq!(closed(Arm::AfterRl), Some(1.0 / 3.0));
        assert_eq!((closed(Arm::FineTuned), closed(Arm::InContext)), (None, None));
        assert_eq!(summary.pooled(Arm::AfterRl, Set::B).unwrap().gap_closed, Some(1.0 / 3.0));
        // Where context does not help there is no gap.
        assert!(tally(&of([4, 4, 2])).iter().all(|row| row.gap_closed.is_none()));
    }

    #[test]
    fn counts_what_there_is_to_count() {
        let rows = tally(&evaluation());
        assert_eq!(rows.iter().map(|row| row.arm).collect::<Vec<_>>(), [Arm::FineTuned, Arm::AfterRl]);
        let after = &rows[1];
        assert_eq!((after.correct, after.n, after.questions, after.well_formed), (7, 10, 10, 10));
        assert_eq!((after.accuracy, after.chance, after.mean_tokens), (0.7, 0.2, 4.5));
        assert!(after.low < 0.7 && 0.7 < after.high);
        assert_eq!((after.recited, after.recited_true, after.recited_relevant), (30, 20, 10));
        assert_eq!((after.true_share, after.needed_found_share), (Some(2.0 / 3.0), Some(0.5)));
        assert_eq!((after.correct_known, rows[0].correct_known), (None, None));
        assert_eq!((rows[0].true_share, rows[0].needed_found_share), (None, None), "it does not think");
        let mut decided = evaluation();
        decided.iter_mut().for_each(|one| {
            one.judgement.grounding = Some(if one.question < 4 { Grounding::Known } else { Grounding::Follows });
        });
        let decided = tally(&decided);
        assert_eq!((decided[1].correct_known, decided[0].correct_known), (Some(3), None));
    }

    #[test]
    fn pairs_the_answers_to_the_same_question() {
        let rows = tally(&evaluation());
        assert_eq!(rows[0].against_baseline, None);
        let paired = rows[1].against_baseline.unwrap();
        assert_eq!((paired.b, paired.c), (6, 1));
        assert!((paired.p - 0.125).abs() < 1e-12);
        let mut strangers = evaluation();
        strangers.iter_mut().filter(|one| one.arm == Arm::AfterRl).for_each(|one| one.question += 100);
        assert_eq!(tally(&strangers)[1].against_baseline, None, "no question in common");
        // Several answers to a question do not narrow the interval.
        let of_sample = |sample| evaluation().into_iter().map(move |one| Answered { sample, ..one });
        let thrice = tally(&(0..3).flat_map(of_sample).collect::<Vec<_>>());
        assert_eq!((thrice[1].n, thrice[1].questions), (30, 10));
        assert_eq!((thrice[1].low, thrice[1].high), (rows[1].low, rows[1].high));
        assert_eq!(thrice[1].against_baseline, rows[1].against_baseline);
    }

    #[test]
    fn the_last_step_counts_and_forms_are_pooled() {
        let mut all = evaluation();
        all.extend((0..10).map(|id| Answered { step: 50, ..answered(Arm::AfterRl, id, true) }));
        for arm in [Arm::AfterRl, Arm::FineTuned] {
            all.extend((20..30).map(|id| Answered { form: CANDIDATES, ..answered(arm, id, false) }));
        }
        let summary = Summary::from_answers(&all);
        assert_eq!(summary.arms.len(), 5);
        assert_eq!(summary.find(Arm::AfterRl, REVERSAL, OPEN, Set::B).unwrap().step, 50);
        let pooled = summary.pooled(Arm::AfterRl, Set::B).unwrap();
        assert_eq!((pooled.correct, pooled.n, pooled.accuracy), (10, 20, 0.5));
        assert_eq!(pooled.against_baseline.map(|pair| (pair.b, pair.c)), Some((8, 0)));
        assert_eq!(summary.pooled(Arm::AfterRl, Set::A), None);
        assert_eq!(summary.headline_set(), Some(Set::B));
    }

    #[test]
    fn report_json_has_the_promised_shape_and_reads_back_also_under_an_older_name() {
        let mut both = evaluation();
        both.extend(evaluation().into_iter().map(|one| Answered { arm: Arm::ThinkingBeforeRl, ..one }));
        let summary = Summary::from_answers(&both);
        let json = serde_json::to_string(&summary).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let row = &value["arms"][2];
        assert_eq!(
            (row["arm"].as_str(), row["task"].as_str(), row["form"].as_str(), row["set"].as_str()),
            (Some("after-rl"), Some("reversal"), Some("open"), Some("B"))
        );
        for key in ["step", "correct", "n", "accuracy", "low", "high", "chance"] {
            assert!(row[key].is_number(), "{key} is missing");
        }
        let older = json.replace("\"matched_arms\"", "\"same_way\"");
        assert!(older != json && !summary.matched_arms.is_empty());
        for json in [json, older] {
            assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);
        }
    }
}
