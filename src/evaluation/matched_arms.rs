//! The two policies of an evaluation against each other, each way of answering by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AgainstBaseline, Answered, Arm, Pairs};
use crate::knowledge::{Form, Set, TaskId};
use crate::statistics::holm::holm;

/// Arms that are asked the same way, after and before.
const PAIRS: [(Arm, Arm); 5] = [
    (Arm::DirectAfterRl, Arm::FineTuned),
    (Arm::AfterRl, Arm::ThinkingBeforeRl),
    (Arm::InContextAfterRl, Arm::InContext),
    (Arm::FillerAfterRl, Arm::Filler),
    (Arm::RetrievalAfterRl, Arm::RetrievalWhileThinking),
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

/// What both policies got right of one kind of question, and their pairs in each run.
#[derive(Default)]
struct MatchedForm {
    correct: u64,
    with_correct: u64,
    runs: BTreeMap<usize, Pairs>,
}

/// A row for each way and each kind of question that both policies answered (the first answer of each).
pub fn matched_arms(answered: &[Answered]) -> Vec<MatchedArms> {
    let mut rows = Vec::new();
    for (arm, with) in PAIRS {
        let of = |arm: Arm| answered.iter().filter(move |one| one.arm == arm && one.sample == 0);
        let other: BTreeMap<u64, bool> = of(with).map(|one| (one.question, one.judgement.correct)).collect();
        let mut kinds: BTreeMap<(TaskId, Form, Set), MatchedForm> = BTreeMap::new();
        for one in of(arm) {
            let Some(before) = other.get(&one.question) else { continue };
            let kind = kinds.entry((one.task, one.form, one.set)).or_default();
            kind.correct += u64::from(one.judgement.correct);
            kind.with_correct += u64::from(*before);
            kind.runs.entry(one.run).or_default().add(one.judgement.correct, *before);
        }
        rows.extend(kinds.into_iter().map(|((task, form, set), MatchedForm { correct, with_correct, runs })| {
            MatchedArms {
                arm,
                with,
                task,
                form,
                set,
                correct,
                with_correct,
                pair: AgainstBaseline::from_runs(&runs.into_values().collect::<Vec<_>>()),
            }
        }));
    }
    let corrected = holm(&rows.iter().map(|row| row.pair.p).collect::<Vec<f64>>());
    rows.iter_mut().zip(corrected).for_each(|(row, holm)| row.pair.holm = holm);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::sweep::tests::answer;

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
