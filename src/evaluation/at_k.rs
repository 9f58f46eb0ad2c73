//! Accuracy against tokens: what several completions of one question are worth, put together in one answer.
//!
//! Reinforcement learning often buys what more sampling would have bought as well. So each arm that was asked several times is
//! counted with 1, 2, 4 … of its completions for a question, beside the tokens that these take.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rand::seq::index;
use serde::{Deserialize, Serialize};

use super::arm_result::gap_closed;
use super::record::{by_run, of_last_step, share};
use super::{Answered, Arm};
use crate::knowledge::{Form, Set, TaskId};
use crate::random;
use crate::statistics::Interval;
use crate::statistics::exact::{numbers, pass_at_k};
use crate::statistics::seeds::{self, OverSeeds};
use crate::text::bare;
use crate::verifier::Grounding;

/// More ways to take some of the completions of a question than these are not looked at: 8 of 16 have 12,870.
const MOST_SUBSETS: usize = 13_000;

/// How one answer comes out of several completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// There is only one.
    First,
    /// What most of them say (self-consistency: Wang et al. 2022, arXiv 2203.11171).
    Majority,
    /// What most of those say whose answer follows from what they recited, true or not: no label is used. Where none does,
    /// what most of all say.
    Grounded,
    /// No way of answering but a bound: one of them is right (pass@k: Chen et al. 2021, arXiv 2107.03374).
    Any,
}

impl Selection {
    /// The ways of putting several together.
    const OF_SEVERAL: [Selection; 3] = [Selection::Majority, Selection::Grounded, Selection::Any];

    /// A right answer comes out of it, and not only among others.
    pub fn answers(self) -> bool {
        self != Selection::Any
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How one arm did on one kind of question with `k` completions for each of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtK {
    pub arm: Arm,
    pub task: TaskId,
    pub form: Form,
    pub set: Set,
    pub k: usize,
    pub selection: Selection,
    /// Mean number of tokens that are sampled for a question.
    pub tokens: f64,
    pub questions: usize,
    /// Share of right answers, with its 95 % interval over questions and seeds ([`crate::statistics::seeds::share`]).
    pub accuracy: f64,
    pub low: f64,
    pub high: f64,
    /// As [`super::ArmResult::gap_closed`], between the fine-tuned baseline and answering in context with one completion each.
    pub gap_closed: Option<f64>,
}

impl AtK {
    /// As which it is spoken of: `after-rl@4-grounded`.
    pub fn name(&self) -> String {
        match self.selection {
            Selection::First => self.arm.to_string(),
            selection => format!("{}@{}-{selection}", self.arm, self.k),
        }
    }

    /// The same kind of question.
    pub fn is_of(&self, other: &AtK) -> bool {
        (self.task, self.form, self.set) == (other.task, other.form, other.set)
    }
}

/// A policy and the one that it was trained from, both thinking about one kind of question, with as many tokens for each.
#[derive(Clone, Copy, Debug)]
pub struct EqualTokens<'a> {
    /// After reinforcement learning, one completion for a question.
    pub after: &'a AtK,
    /// Before it, with at least as many tokens, by that selection which answers best; fewer where it was not asked often
    /// enough.
    pub before: &'a AtK,
}

impl EqualTokens<'_> {
    /// The policy before has no fewer tokens, so that none of the difference is bought by length.
    pub fn is_fair(&self) -> bool {
        self.before.tokens >= self.after.tokens
    }
}

/// The policy after reinforcement learning beside the one before it at equal tokens, for each kind of question of a set.
pub fn at_equal_tokens(rows: &[AtK], set: Set) -> Vec<EqualTokens<'_>> {
    let of = |arm: Arm| rows.iter().filter(move |row| row.arm == arm && row.set == set && row.selection.answers());
    let pair = |after| {
        let before = || of(Arm::ThinkingBeforeRl).filter(|row| row.is_of(after));
        let enough = before().filter(|row| row.tokens >= after.tokens).map(|row| row.k).min();
        let k = enough.or_else(|| before().map(|row| row.k).max())?;
        let best = before().filter(|row| row.k == k).max_by(|a, b| a.accuracy.total_cmp(&b.accuracy))?;
        Some(EqualTokens { after, before: best })
    };
    of(Arm::AfterRl).filter(|row| row.k == 1).filter_map(pair).collect()
}

/// A row for each arm, kind of question, number of completions and selection; empty where each question was answered once.
/// The last step at which an arm was evaluated counts.
pub fn at_k(answered: &[Answered]) -> Vec<AtK> {
    let mut groups: BTreeMap<(TaskId, Form, Set, Arm), Vec<&Answered>> = BTreeMap::new();
    for one in of_last_step(answered) {
        groups.entry((one.task, one.form, one.set, one.arm)).or_default().push(one);
    }
    let mut rows: Vec<AtK> = groups.values().flat_map(|group| of_group(group)).collect();
    if rows.iter().all(|row| row.k == 1) {
        return Vec::new();
    }
    let ends: BTreeMap<_, f64> = rows
        .iter()
        .filter(|row| row.selection == Selection::First)
        .map(|row| ((row.task, row.form, row.set, row.arm), row.accuracy))
        .collect();
    for row in &mut rows {
        let end = |arm: Arm| ends.get(&(row.task, row.form, row.set, arm)).copied();
        row.gap_closed = gap_closed(row.arm, row.accuracy, end(Arm::FineTuned), end(Arm::InContext))
            .filter(|_| row.selection.answers());
    }
    rows
}

/// The rows of one arm and kind of question.
fn of_group(group: &[&Answered]) -> Vec<AtK> {
    let runs: Vec<Vec<Vec<&Answered>>> = by_run(group).into_iter().map(by_question).collect();
    let times: BTreeSet<usize> = runs.iter().flatten().map(Vec::len).collect();
    // Where questions were asked more or less often, one completion of each is what all have.
    let samples = if times.len() == 1 { times.first().copied().unwrap_or(1) } else { 1 };
    let tokens = group.iter().map(|one| one.tokens).sum::<usize>() as f64 / group.len() as f64;
    let readable = group.iter().any(|one| one.judgement.grounding.is_some());
    let row = |k: usize, selection: Selection| {
        let of_run = |run: &Vec<Vec<&Answered>>| {
            let right: f64 = run.iter().map(|tries| right(tries, k, selection)).sum();
            (!run.is_empty()).then(|| (right / run.len() as f64, run.len()))
        };
        let clusters: Vec<(f64, usize)> = runs.iter().filter_map(of_run).collect();
        let OverSeeds { mean, interval: Interval { low, high }, questions, .. } = seeds::share(&clusters)?;
        let Answered { arm, task, form, set, .. } = **group.first()?;
        let tokens = tokens * k as f64;
        Some(AtK { arm, task, form, set, k, selection, tokens, questions, accuracy: mean, low, high, gap_closed: None })
    };
    let several = numbers(samples).into_iter().filter(|k| *k > 1).flat_map(|k| {
        let known = Selection::OF_SEVERAL.into_iter().filter(|way| *way != Selection::Grounded || readable);
        known.map(move |selection| (k, selection))
    });
    [(1, Selection::First)].into_iter().chain(several).filter_map(|(k, selection)| row(k, selection)).collect()
}

/// The completions of each question, in their order.
fn by_question(run: Vec<&Answered>) -> Vec<Vec<&Answered>> {
    let mut questions: BTreeMap<u64, Vec<&Answered>> = BTreeMap::new();
    run.into_iter().for_each(|one| questions.entry(one.question).or_default().push(one));
    questions.values_mut().for_each(|tries| tries.sort_by_key(|one| one.sample));
    questions.into_values().collect()
}

/// The chance that `k` of the completions of a question give the right answer: over all ways to take `k` of them, or as many as
/// there is time for. Of answers with as many votes each is as likely as the other.
fn right(tries: &[&Answered], k: usize, selection: Selection) -> f64 {
    let correct = tries.iter().filter(|one| one.judgement.correct).count();
    match selection {
        Selection::First => share(correct, tries.len()).unwrap_or_default(),
        Selection::Any => pass_at_k(tries.len(), correct, k).unwrap_or_default(),
        Selection::Majority | Selection::Grounded => {
            let votes = votes(tries);
            let taken = subsets(votes.len(), k);
            let won: f64 = taken
                .iter()
                .map(|taken| {
                    let all: Vec<Vote> = taken.iter().map(|at| votes[*at]).collect();
                    let grounded: Vec<Vote> = all.iter().copied().filter(|vote| vote.grounded).collect();
                    let heeded = selection == Selection::Grounded && !grounded.is_empty();
                    majority(if heeded { &grounded } else { &all })
                })
                .sum();
            won / taken.len().max(1) as f64
        }
    }
}

/// What one completion says.
#[derive(Clone, Copy)]
struct Vote {
    /// The number of its answer among those that are given; `None` where it gives none.
    answer: Option<usize>,
    correct: bool,
    /// The answer follows from what was recited.
    grounded: bool,
}

fn votes(tries: &[&Answered]) -> Vec<Vote> {
    let mut said: Vec<String> = Vec::new();
    let mut number = |answer: String| {
        let there = said.iter().position(|other| *other == answer);
        there.unwrap_or_else(|| {
            said.push(answer);
            said.len() - 1
        })
    };
    let vote = |one: &&Answered| Vote {
        answer: one.judgement.answer.as_deref().map(bare).filter(|said| !said.is_empty()).map(&mut number),
        correct: one.judgement.correct,
        grounded: matches!(one.judgement.grounding, Some(Grounding::Follows | Grounding::Known)),
    };
    tries.iter().map(vote).collect()
}

/// The share of what most voters say that is right: all or nothing, unless several answers have as many votes. 0 where nobody
/// says anything.
fn majority(voters: &[Vote]) -> f64 {
    let mut count: BTreeMap<usize, (usize, bool)> = BTreeMap::new();
    for vote in voters {
        if let Some(answer) = vote.answer {
            let (votes, correct) = count.entry(answer).or_default();
            (*votes, *correct) = (*votes + 1, *correct || vote.correct);
        }
    }
    let most = count.values().map(|(votes, _)| *votes).max();
    let leading: Vec<bool> = count.into_values().filter(|(votes, _)| Some(*votes) == most).map(|of| of.1).collect();
    share(leading.iter().filter(|right| **right).count(), leading.len()).unwrap_or_default()
}

/// All ways to take `k` of `n`, or that many drawn by a fixed seed where there are more than [`MOST_SUBSETS`].
fn subsets(n: usize, k: usize) -> Vec<Vec<usize>> {
    let k = k.min(n);
    let ways: f64 = (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product();
    if ways > MOST_SUBSETS as f64 {
        let mut random = random::stream(0, &[n as u64, k as u64]);
        return (0..MOST_SUBSETS).map(|_| index::sample(&mut random, n, k).into_vec()).collect();
    }
    let mut all = vec![(0..k).collect::<Vec<usize>>()];
    // The last one that can still grow does, and those behind it follow on its heels.
    while let Some((at, next)) = all.last().and_then(|last| {
        let at = (0..k).rev().find(|at| last[*at] < n - k + at)?;
        Some((at, last.clone()))
    }) {
        let mut next = next;
        let from = next[at] + 1;
        next[at..].iter_mut().enumerate().for_each(|(i, value)| *value = from + i);
        all.push(next);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::fixture::answer;

    /// Completions of one question: what is said, and whether it follows from what was recited. "right" is.
    fn tries(arm: Arm, question: u64, said: &[(&str, Grounding)]) -> Vec<Answered> {
        let one = |(sample, (text, grounding)): (usize, &(&str, Grounding))| {
            let mut one = Answered { sample, ..answer(arm, Set::B, 2 * question, *text == "right") };
            one.judgement.answer = Some((*text).to_owned()).filter(|text| !text.is_empty());
            one.judgement.grounding = Some(*grounding);
            one
        };
        said.iter().enumerate().map(one).collect()
    }

    fn accuracy(rows: &[AtK], k: usize, selection: Selection) -> f64 {
        let row = rows.iter().find(|row| (row.k, row.selection) == (k, selection));
        row.unwrap_or_else(|| panic!("no {selection} of {k}")).accuracy
    }

    #[test]
    fn answers_are_put_together_as_each_selection_says() {
        use Grounding::{Follows, Guessed, Known};
        // Two of four say "wrong", but only what is right follows from its thought.
        let all =
            tries(Arm::AfterRl, 0, &[("Wrong!", Guessed), ("right", Known), ("wrong", Guessed), ("right", Follows)]);
        let rows = at_k(&all);
        assert_eq!((accuracy(&rows, 1, Selection::First), accuracy(&rows, 4, Selection::Any)), (0.5, 1.0));
        // Two against two: either is as likely. Only the pair of two that are wrong has nothing grounded.
        assert_eq!((accuracy(&rows, 2, Selection::Majority), accuracy(&rows, 4, Selection::Majority)), (0.5, 0.5));
        assert_eq!(
            (accuracy(&rows, 2, Selection::Grounded), accuracy(&rows, 4, Selection::Grounded)),
            (5.0 / 6.0, 1.0)
        );
        let row = rows.iter().find(|row| row.k == 4 && row.selection == Selection::Grounded).unwrap();
        assert_eq!((row.name(), row.tokens, row.questions), ("after-rl@4-grounded".to_owned(), 36.0, 1));
        assert_eq!(rows[0].name(), "after-rl");
        // A false thought convinces as well: no label is looked at. Silence has no vote.
        let fooled = tries(Arm::AfterRl, 0, &[("right", Guessed), ("wrong", Follows), ("", Guessed)]);
        let rows = at_k(&fooled);
        assert_eq!(accuracy(&rows, 3, Selection::Grounded), 0.0);
        assert_eq!(accuracy(&rows, 3, Selection::Majority), 0.5);
    }

    #[test]
    fn voting_is_never_above_the_bound_and_one_completion_is_what_the_tables_say() {
        use Grounding::{Guessed, Known};
        let words = ["right", "wrong", "other", ""];
        for seed in 0..200u64 {
            let word = |at: u64| words[(seed.wrapping_mul(6_364_136_223_846_793_005) >> (5 * at) & 3) as usize];
            let all: Vec<Answered> = (0..3)
                .flat_map(|question| {
                    let grounding = |at: u64| if at.is_multiple_of(2) { Guessed } else { Known };
                    let said: Vec<(&str, Grounding)> =
                        (0..4).map(|at| (word(3 * at + question), grounding(at))).collect();
                    tries(Arm::AfterRl, question, &said)
                })
                .collect();
            let rows = at_k(&all);
            assert_eq!(accuracy(&rows, 1, Selection::First), super::super::tally(&all)[0].accuracy);
            for k in [2, 4] {
                let bound = accuracy(&rows, k, Selection::Any);
                assert!(accuracy(&rows, k, Selection::Majority) <= bound + 1e-12);
                assert!(accuracy(&rows, k, Selection::Grounded) <= bound + 1e-12);
            }
        }
    }

    #[test]
    fn all_ways_are_taken_where_there_are_few() {
        assert_eq!(subsets(4, 2), [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
        assert_eq!((subsets(16, 8).len(), subsets(5, 5).len(), subsets(3, 1).len()), (12_870, 1, 3));
        let some = subsets(64, 32);
        assert_eq!(some.len(), MOST_SUBSETS);
        assert!(some.iter().all(|taken| taken.len() == 32 && taken.iter().collect::<BTreeSet<_>>().len() == 32));
    }

    #[test]
    fn once_is_nothing_to_put_together_and_the_last_step_counts() {
        let guessed = Grounding::Guessed;
        assert_eq!(at_k(&tries(Arm::AfterRl, 0, &[("right", guessed)])), []);
        let mut all = tries(Arm::AfterRl, 0, &[("wrong", guessed), ("wrong", guessed)]);
        let later = tries(Arm::AfterRl, 0, &[("right", guessed), ("right", guessed)]);
        all.extend(later.into_iter().map(|one| Answered { step: 5, ..one }));
        assert!(at_k(&all).iter().all(|row| row.accuracy == 1.0), "{:?}", at_k(&all));
        // A question that was asked once more is no reason to leave out what all have in common.
        all.extend(tries(Arm::FineTuned, 1, &[("right", guessed)]));
        assert_eq!(at_k(&all).iter().filter(|row| row.arm == Arm::FineTuned).count(), 1);
    }

    #[test]
    fn length_is_told_from_learning() {
        use Grounding::Known;
        let of = |arm, tokens, said: &[(&str, Grounding)]| {
            tries(arm, 0, said).into_iter().map(move |one| Answered { tokens, ..one }).collect::<Vec<_>>()
        };
        let guessed = Grounding::Guessed;
        let sometimes = [("right", Known), ("wrong", guessed), ("other", guessed), ("", guessed)];
        let all = [
            of(Arm::ThinkingBeforeRl, 40, &sometimes),
            of(Arm::AfterRl, 70, &[("right", Known); 4]),
            of(Arm::FineTuned, 5, &[("wrong", Known); 4]),
            of(Arm::InContext, 5, &[("right", Known); 4]),
        ]
        .concat();
        let rows = at_k(&all);
        let pairs = at_equal_tokens(&rows, Set::B);
        assert_eq!(pairs.len(), 1);
        let EqualTokens { after, before } = pairs[0];
        assert!(pairs[0].is_fair());
        assert_eq!((after.k, after.accuracy, after.gap_closed), (1, 1.0, Some(1.0)));
        assert_eq!((before.name(), before.tokens), ("thinking-before-rl@2-grounded".to_owned(), 80.0));
        // Half of the pairs have the right one, which alone is grounded.
        assert_eq!((before.accuracy, before.gap_closed), (0.5, Some(0.5)));
        assert_eq!(at_equal_tokens(&rows, Set::A).len(), 0);
        // Nothing closes a gap by being right somewhere.
        assert!(rows.iter().filter(|row| row.selection == Selection::Any).all(|row| row.gap_closed.is_none()));
        let long = [of(Arm::ThinkingBeforeRl, 40, &sometimes), of(Arm::AfterRl, 900, &sometimes)].concat();
        let rows = at_k(&long);
        let pairs = at_equal_tokens(&rows, Set::B);
        assert!(!pairs[0].is_fair() && pairs[0].before.k == 4);
    }
}
