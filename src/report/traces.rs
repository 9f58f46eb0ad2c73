//! Which answers the page shows in full, and how each recited fact is marked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use super::bars::class;
use super::words::kind;
use crate::evaluation::{Answered, Arm};
use crate::knowledge::{Form, Set, Task};
use crate::verifier::Recitation;

/// How many traces a page shows.
pub const SHOWN: usize = 60;
/// Most characters of one text, and most facts of one trace; a runaway completion must not make the page heavy.
const LONGEST: usize = 3_000;
const MOST_FACTS: usize = 64;

/// The first arms of the reader, and the share of each in it; all others follow with one. What is worth reading are traces.
const FIRST: [(Arm, usize); 3] = [(Arm::AfterRl, 5), (Arm::ThinkingBeforeRl, 3), (Arm::SwappedTraces, 1)];

fn shares() -> impl Iterator<Item = (Arm, usize)> {
    let others = Arm::ALL.into_iter().filter(|arm| FIRST.iter().all(|(first, _)| first != arm));
    FIRST.into_iter().chain(others.map(|arm| (arm, 1)))
}

/// One answer as the page shows it.
#[derive(Serialize)]
pub struct Trace {
    arm: &'static str,
    arm_label: &'static str,
    class: &'static str,
    kind: String,
    set: String,
    step: u64,
    right: bool,
    asked: String,
    answer: Option<String>,
    expected: String,
    facts: Vec<Fact>,
    facts_left_out: usize,
    prompt: String,
    completion: String,
}

/// One sentence of a trace, told apart by colour, by sign and in words.
#[derive(Serialize)]
struct Fact {
    class: &'static str,
    sign: &'static str,
    words: &'static str,
    text: String,
}

/// Chooses up to `SHOWN` answers: of every arm, and within an arm of every kind and set, right and wrong. The
/// same answers give the same choice.
pub fn choose(answered: &[Answered]) -> Vec<Trace> {
    let mut queues: BTreeMap<Arm, VecDeque<&Answered>> = Arm::ALL.map(|arm| (arm, queue(answered, arm))).into();
    let mut chosen: BTreeMap<Arm, Vec<&Answered>> = BTreeMap::new();
    let mut count = 0;
    while count < SHOWN && queues.values().any(|queue| !queue.is_empty()) {
        for (arm, turns) in shares() {
            for _ in 0..turns.min(SHOWN - count) {
                let Some(next) = queues.get_mut(&arm).and_then(VecDeque::pop_front) else { break };
                chosen.entry(arm).or_default().push(next);
                count += 1;
            }
        }
    }
    shares().flat_map(|(arm, _)| chosen.remove(&arm).unwrap_or_default()).map(trace).collect()
}

/// The answers of an arm at its last step, taken in turn from every (kind, set, right or wrong).
fn queue(answered: &[Answered], arm: Arm) -> VecDeque<&Answered> {
    let of_arm = || answered.iter().filter(move |one| one.arm == arm && one.sample == 0);
    let last_step = of_arm().map(|one| one.step).max();
    let latest = || of_arm().filter(|one| Some(one.step) == last_step);
    let kinds: BTreeSet<(Task, Form)> = latest().map(|one| (one.task, one.form)).collect();
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
    let mut groups: BTreeMap<_, Vec<&Answered>> = BTreeMap::new();
    latest().for_each(|one| groups.entry(turn(one)).or_default().push(one));
    groups.values_mut().for_each(|group| group.sort_by_key(|one| one.question));
    let longest = groups.values().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|index| groups.values().filter_map(move |group| group.get(index).copied())).collect()
}

fn trace(one: &Answered) -> Trace {
    let recitations = &one.judgement.recitations;
    Trace {
        arm: one.arm.name(),
        arm_label: one.arm.label(),
        class: class(one.arm),
        kind: kind(one.task, one.form),
        set: one.set.to_string(),
        step: one.step,
        right: one.judgement.correct,
        asked: clip(&one.asked),
        answer: one.judgement.answer.as_deref().map(clip),
        expected: clip(&one.expected),
        facts: recitations.iter().take(MOST_FACTS).map(fact).collect(),
        facts_left_out: recitations.len().saturating_sub(MOST_FACTS),
        prompt: clip(&one.prompt),
        completion: clip(&one.completion),
    }
}

fn fact(recitation: &Recitation) -> Fact {
    let (class, sign, words) = match recitation {
        Recitation { claim: None, .. } => ("unreadable", "?", "not a statement"),
        Recitation { relevant: true, .. } => ("needed", "★", "true, and the answer needs it"),
        Recitation { is_true: true, .. } => ("true", "✓", "true"),
        _ => ("false", "✗", "false"),
    };
    Fact { class, sign, words, text: clip(&recitation.text) }
}

/// The beginning of a long text.
fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} … ({} more characters)", &text[..end], text[end..].chars().count()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn covers_arms_kinds_sets_and_outcomes() {
        let chosen = choose(&fixture::answers());
        assert_eq!(chosen.len(), SHOWN);
        let arms: BTreeSet<&str> = chosen.iter().map(|trace| trace.arm).collect();
        assert_eq!(arms.len(), Arm::STANDARD.len());
        let after: BTreeSet<(&str, &str, bool)> = chosen
            .iter()
            .filter(|trace| trace.arm == "after-rl")
            .map(|trace| (trace.kind.as_str(), trace.set.as_str(), trace.right))
            .collect();
        assert_eq!(after.len(), 12, "three kinds, two sets, right and wrong: {after:?}");
        for arm in Arm::STANDARD {
            let sets: BTreeSet<&str> =
                chosen.iter().filter(|trace| trace.arm == arm.name()).map(|trace| trace.set.as_str()).collect();
            assert_eq!(sets.len(), 2, "{arm}");
        }
        assert!(chosen[0].arm == "after-rl" && chosen[0].set == "B" && chosen[0].right);
    }

    #[test]
    fn few_answers_are_all_shown() {
        let few = &fixture::answers()[..7];
        assert_eq!(choose(few).len(), 7);
        assert!(choose(&[]).is_empty());
    }

    #[test]
    fn a_runaway_completion_is_clipped() {
        let mut one = fixture::answers().remove(0);
        one.completion = "é ".repeat(1 << 20);
        let fact = Recitation { text: "x".into(), claim: None, is_true: false, relevant: false };
        one.judgement.recitations = vec![fact; 1_000];
        let shown = choose(&[one]).remove(0);
        assert!(shown.completion.chars().count() < LONGEST + 50);
        assert_eq!((shown.facts.len(), shown.facts_left_out), (MOST_FACTS, 1_000 - MOST_FACTS));
    }
}
