//! From many answered questions to the numbers that stand in `report.json`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::arm_result::latest;
use super::by_task::{Pool, by_task};
use super::{
    Answered, Arm, ArmResult, AtK, Curves, MatchedArms, Pooled, RunInfo, Scaling, TaskResult, at_k, matched_arms,
    scaling, tally,
};
use crate::knowledge::{Form, Set, TaskId};

/// Everything a report is made of; `report.json` is this value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub run: RunInfo,
    /// One row for each (arm, task, form, set, step), in this order.
    pub arms: Vec<ArmResult>,
    /// One row for each (set, arm, task), all forms of a task put together.
    #[serde(default)]
    pub by_task: Vec<TaskResult>,
    /// The policies before and after, asked the same way, which files call it by.
    #[serde(default, rename = "same_way", alias = "matched_arms")]
    pub matched_arms: Vec<MatchedArms>,
    /// Accuracy by how much an answer takes, where questions of a kind differ in that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<Scaling>,
    /// Accuracy against tokens, where questions were answered several times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_k: Vec<AtK>,
    pub curves: Curves,
}

impl Summary {
    /// The numbers of an evaluation, with the curves and the provenance that belong to it.
    pub fn new(answered: &[Answered], curves: Curves, run: RunInfo) -> Summary {
        let arms = tally(answered);
        let by_task = by_task(&latest(&arms));
        let (matched_arms, scaling, at_k) = (matched_arms(answered), scaling(answered), at_k(answered));
        Summary { run, arms, by_task, matched_arms, scaling, at_k, curves }
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

    /// One arm over all tasks and forms of a set, every question counted once.
    pub fn pooled(&self, arm: Arm, set: Set) -> Option<Pooled> {
        Pool(self.latest().filter(|row| row.set == set).collect()).arm(arm)
    }

    /// The set that a headline is measured on: B, which reinforcement learning never touched, or the last one
    /// there is.
    pub fn headline_set(&self) -> Option<Set> {
        let sets: BTreeSet<Set> = self.arms.iter().map(|row| row.set).collect();
        if sets.contains(&Set::B) { Some(Set::B) } else { sets.last().copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::fixture::{answer, right};
    use crate::knowledge::reversal::{CANDIDATES, OPEN, REVERSAL};
    use crate::verifier::{Grounding, Recitation};

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
    fn report_json_has_the_promised_shape_and_reads_back_also_under_another_name() {
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
        let other = json.replace("\"same_way\"", "\"matched_arms\"");
        assert!(other != json && !summary.matched_arms.is_empty());
        for json in [json, other] {
            assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);
        }
    }
}
