//! Which answers the reader shows first: of everything something.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::evaluation::{Answered, Arm};
use crate::knowledge::{Form, Set, TaskId};

/// How many are chosen.
pub const CHOSEN: usize = 60;

/// The arms that are worth reading most come first, and more often; all others follow with one at a time.
const FIRST: [(Arm, usize); 3] = [(Arm::AfterRl, 5), (Arm::ThinkingBeforeRl, 3), (Arm::SwappedTraces, 1)];

fn shares() -> impl Iterator<Item = (Arm, usize)> {
    let others = Arm::ALL.into_iter().filter(|arm| FIRST.iter().all(|(first, _)| first != arm));
    FIRST.into_iter().chain(others.map(|arm| (arm, 1)))
}

/// Indices of up to `CHOSEN` answers: of every arm, and within an arm of every kind and set, right and wrong. The
/// same answers give the same choice.
pub fn choose(answered: &[&Answered]) -> Vec<usize> {
    let mut queues: BTreeMap<Arm, VecDeque<usize>> = Arm::ALL.map(|arm| (arm, queue(answered, arm))).into();
    let mut chosen: BTreeMap<Arm, Vec<usize>> = BTreeMap::new();
    let mut count = 0;
    while count < CHOSEN && queues.values().any(|queue| !queue.is_empty()) {
        for (arm, turns) in shares() {
            for _ in 0..turns.min(CHOSEN - count) {
                let Some(next) = queues.get_mut(&arm).and_then(VecDeque::pop_front) else { break };
                chosen.entry(arm).or_default().push(next);
                count += 1;
            }
        }
    }
    shares().flat_map(|(arm, _)| chosen.remove(&arm).unwrap_or_default()).collect()
}

/// The answers of an arm at its last step, taken in turn from every (kind, set, right or wrong).
fn queue(answered: &[&Answered], arm: Arm) -> VecDeque<usize> {
    let of_arm = || answered.iter().enumerate().filter(move |(_, one)| one.arm == arm && one.sample == 0);
    let last_step = of_arm().map(|(_, one)| one.step).max();
    let latest = || of_arm().filter(|(_, one)| Some(one.step) == last_step);
    let kinds: BTreeSet<(TaskId, Form)> = latest().map(|(_, one)| (one.task, one.form)).collect();
    // Each kind begins elsewhere in the round of sets and outcomes, so that the first few answers differ in all
    // of them. The first of all is right and about set B: it shows what the page is about.
    let turn = |one: &Answered| {
        let kind = kinds.iter().position(|kind| *kind == (one.task, one.form)).unwrap_or(0);
        let outcome = match (one.set == Set::B, one.judgement.correct) {
            (true, true) => 0,
            (false, false) => 1,
            (true, false) => 2,
            (false, true) => 3,
        };
        ((outcome + 4 - kind % 4) % 4, kind, one.set)
    };
    let mut groups: BTreeMap<_, Vec<(usize, u64)>> = BTreeMap::new();
    latest().for_each(|(index, one)| groups.entry(turn(one)).or_default().push((index, one.question)));
    groups.values_mut().for_each(|group| group.sort_by_key(|(_, question)| *question));
    let longest = groups.values().map(Vec::len).max().unwrap_or(0);
    let round = |turn: usize| groups.values().filter_map(move |group| group.get(turn)).map(|(index, _)| *index);
    (0..longest).flat_map(round).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture;
    use super::*;

    #[test]
    fn covers_arms_kinds_sets_and_outcomes() {
        let answers = fixture::answers();
        let all: Vec<&Answered> = answers.iter().collect();
        let chosen: Vec<&Answered> = choose(&all).into_iter().map(|index| all[index]).collect();
        assert_eq!(chosen.len(), CHOSEN);
        let after: BTreeSet<(Form, Set, bool)> = chosen
            .iter()
            .filter(|one| one.arm == Arm::AfterRl)
            .map(|one| (one.form, one.set, one.judgement.correct))
            .collect();
        assert_eq!(after.len(), 12, "three kinds, two sets, right and wrong: {after:?}");
        for arm in Arm::STANDARD {
            let sets: BTreeSet<Set> = chosen.iter().filter(|one| one.arm == arm).map(|one| one.set).collect();
            assert_eq!(sets.len(), 2, "{arm}");
        }
        assert!(chosen[0].arm == Arm::AfterRl && chosen[0].set == Set::B && chosen[0].judgement.correct);
    }

    #[test]
    fn few_answers_are_all_chosen() {
        let answers = fixture::answers();
        let few: Vec<&Answered> = answers[..7].iter().collect();
        assert_eq!(choose(&few).len(), 7);
        assert!(choose(&[]).is_empty());
    }
}
