//! Adds scored rollouts up: groups as they end, steps as they end.

use std::collections::HashSet;

use super::distribution::{Distribution, inversions, ranks};
use crate::learner::advantage::{Grouped, TOLERANCE};
use crate::learner::{Advantage, Advantages};
use crate::reward::scorer::FailedJudgements;
use crate::reward::{Normalise, Record, Reward, Score, Term, Weighted};
use crate::{Error, Result};

/// What rescoring found.
#[derive(Clone, Debug, Default)]
pub struct Rescored {
    pub rollouts: u64,
    /// Completions of one question in one step are a group.
    pub groups: u64,
    /// Rollouts whose answer is right.
    pub right: u64,
    /// Rollouts of which no record says whether the answer follows from the trace.
    pub undecided: u64,
    /// What each reward would have paid.
    pub rewards: Vec<OfReward>,
    /// Groups in which none of the best under the first of the compared rewards is a best one under the second.
    pub new_best: u64,
    /// Completions that change places most between the two.
    pub moved: Vec<Moved>,
    /// Wrong answers that the first reward pays most.
    pub caught: Vec<Caught>,
    /// Answers that commands of external terms did not give.
    pub failed: Vec<FailedJudgements>,
    /// Terms whose commands wrote lines that were wrong, with the first of each kind.
    pub remarks: Vec<(String, String)>,
}

/// One reward on all rollouts.
#[derive(Clone, Debug, Default)]
pub struct OfReward {
    /// What is paid in all.
    pub total: Distribution,
    /// Rollouts that are worth nothing that is known: a command gave no value. They are in no group and in no mean.
    pub unjudged: u64,
    /// The values of each term, by its name and its last weight.
    pub terms: Vec<(String, f64, Distribution)>,
    /// Groups whose completions differ in nothing that is paid: they teach nothing.
    pub without_spread: u64,
    /// Sums of advantages as GRPO would make them: their sizes, those of right answers, those of wrong ones.
    sizes: f64,
    of_right: f64,
    of_wrong: f64,
    right: u64,
    wrong: u64,
    inverted: f64,
    pairs: f64,
    /// It looks at whether answers follow from their traces.
    pub asks_for_grounds: bool,
}

impl OfReward {
    fn new(reward: &Reward) -> OfReward {
        let (low, high) = reward.range();
        let term = |term: &Weighted| (term.name.clone(), term.weight, Distribution::within(0.0, 1.0));
        OfReward {
            total: Distribution::within(low, high),
            terms: reward.terms.iter().map(term).collect(),
            asks_for_grounds: reward.terms.iter().any(|term| matches!(term.term, Term::Groundedness(_))),
            ..OfReward::default()
        }
    }

    /// Mean size of an advantage under GRPO: how much of a gradient there is.
    pub fn signal(&self) -> f64 {
        self.sizes / (self.right + self.wrong).max(1) as f64
    }

    /// Mean advantage of a right answer: above 0 where right answers are learned.
    pub fn signal_of_right(&self) -> f64 {
        self.of_right / self.right.max(1) as f64
    }

    /// Mean advantage of a wrong answer.
    pub fn signal_of_wrong(&self) -> f64 {
        self.of_wrong / self.wrong.max(1) as f64
    }

    /// Share of the pairs of a right and a wrong answer to the same question of which the wrong one is paid more, ties
    /// counted half; `None` where there are no such pairs.
    pub fn inverted(&self) -> Option<f64> {
        (self.pairs > 0.0).then(|| self.inverted / self.pairs)
    }
}

/// The sums so far, with the group and the step that have not ended.
pub struct Tally {
    found: Rescored,
    normalise: Vec<Normalise>,
    /// The file, step and question of the open group.
    open: Option<(usize, u64, u64)>,
    group: Vec<(Record, Vec<Score>)>,
    step: StepGroups,
    moved: Most<Moved>,
    caught: Most<Caught>,
}

/// The groups of a step that have ended, without their texts.
#[derive(Default)]
struct StepGroups {
    questions: HashSet<u64>,
    right: Vec<Vec<bool>>,
    /// For each reward: what is compared, a weight and its values by group.
    compared: Vec<Vec<(f64, Grouped)>>,
}

impl Tally {
    pub fn new(rewards: &[Reward], kept: usize) -> Tally {
        let found = Rescored { rewards: rewards.iter().map(OfReward::new).collect(), ..Rescored::default() };
        let normalise = rewards.iter().map(|reward| reward.normalise).collect();
        let (moved, caught) = (Most::new(kept), Most::new(kept));
        Tally { found, normalise, open: None, group: Vec::new(), step: StepGroups::default(), moved, caught }
    }

    /// Adds a rollout with its score under each reward. Groups and steps come in one piece each.
    pub fn add(&mut self, file: usize, record: Record, scores: Vec<Score>) -> Result<()> {
        let key = (file, record.step, record.question);
        if self.open != Some(key) {
            self.end_group();
            if self.open.is_some_and(|(open, step, _)| (open, step) != (file, record.step)) {
                self.end_step();
            }
            if !self.step.questions.insert(record.question) {
                let found = format!("question {} of step {} stands in two places", record.question, record.step);
                return Err(Error::invalid("rollouts", found, "give each file once, sorted by step and question"));
            }
            self.open = Some(key);
        }
        let right = record.judgement.correct;
        self.found.rollouts += 1;
        self.found.right += u64::from(right);
        self.found.undecided += u64::from(record.judgement.grounding.is_none());
        for (of, score) in self.found.rewards.iter_mut().zip(&scores) {
            match score.total {
                Some(total) => of.total.add(total, right),
                None => of.unjudged += 1,
            }
            for ((_, weight, values), term) in of.terms.iter_mut().zip(&score.terms) {
                *weight = term.weight;
                term.value.iter().for_each(|value| values.add(*value, right));
            }
        }
        if let Some(score) = scores.first().filter(|_| !right) {
            self.catch(&record, score);
        }
        self.group.push((record, scores));
        Ok(())
    }

    /// Keeps a wrong answer that is paid well.
    fn catch(&mut self, record: &Record, score: &Score) {
        let Some(total) = score.total else { return };
        let same = |other: &&mut Caught| {
            (other.record.question, &other.record.completion) == (record.question, &record.completion)
        };
        if let Some(caught) = self.caught.iter_mut().find(same) {
            caught.times += 1;
        } else if self.caught.wants(total) {
            let caught = Caught { record: record.clone(), score: score.clone(), times: 1 };
            self.caught.offer(total, caught);
        }
    }

    fn end_group(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.group);
        self.found.groups += 1;
        let right: Vec<bool> = group.iter().map(|(record, _)| record.judgement.correct).collect();
        let totals = |at: usize| group.iter().map(|(_, scores)| scores[at].total).collect::<Vec<Option<f64>>>();
        self.step.compared.resize_with(self.normalise.len(), Vec::new);
        for (at, of) in self.found.rewards.iter_mut().enumerate() {
            let totals = totals(at);
            let judged = totals.iter().zip(&right).filter_map(|(total, right)| Some(((*total)?, *right)));
            let (values, right): (Vec<f64>, Vec<bool>) = judged.unzip();
            let (inverted, pairs) = inversions(&values, &right);
            (of.inverted, of.pairs) = (of.inverted + inverted, of.pairs + pairs);
            let columns: Vec<(f64, Vec<Option<f64>>)> = match self.normalise[at] {
                Normalise::Sum => vec![(1.0, totals)],
                Normalise::Terms => {
                    let value = |index: usize| move |(_, scores): &(Record, Vec<Score>)| scores[at].terms[index].value;
                    let terms = group[0].1[at].terms.iter().enumerate();
                    terms.map(|(index, term)| (term.weight, group.iter().map(value(index)).collect())).collect()
                }
            };
            let compared = &mut self.step.compared[at];
            compared.resize_with(columns.len(), Default::default);
            for ((weight, groups), (of_group, values)) in compared.iter_mut().zip(columns) {
                *weight = of_group;
                groups.push(values);
            }
        }
        let (before, after) = match self.normalise.len() {
            0 | 1 => (group.iter().map(|(record, _)| record.reward).collect(), totals(0)),
            _ => (totals(0), totals(1)),
        };
        self.compare(group, &before, &after);
        self.step.right.push(right);
    }

    /// Finds what changes places between two rewards, among the completions that both have judged.
    fn compare(&mut self, group: Vec<(Record, Vec<Score>)>, before: &[Option<f64>], after: &[Option<f64>]) {
        let paid = before.iter().zip(after).map(|(before, after)| before.zip(*after));
        let judged: Vec<(Record, (f64, f64))> =
            group.into_iter().zip(paid).filter_map(|((record, _), paid)| Some((record, paid?))).collect();
        if judged.is_empty() {
            return;
        }
        let (before, after): (Vec<f64>, Vec<f64>) = judged.iter().map(|(_, paid)| *paid).unzip();
        let (ranks_before, ranks_after) = (ranks(&before), ranks(&after));
        let best = |ranks: &[f64]| ranks.iter().copied().fold(f64::INFINITY, f64::min);
        let (best_before, best_after) = (best(&ranks_before), best(&ranks_after));
        let stays = ranks_before.iter().zip(&ranks_after).any(|(b, a)| *b == best_before && *a == best_after);
        self.found.new_best += u64::from(!stays);
        let of = judged.len();
        for (at, (record, _)) in judged.into_iter().enumerate() {
            let (ranks, paid) = ([ranks_before[at], ranks_after[at]], [before[at], after[at]]);
            let distance = (ranks[0] - ranks[1]).abs();
            if distance > 0.0 && self.moved.wants(distance) {
                self.moved.offer(distance, Moved { record, paid, ranks, of });
            }
        }
    }

    fn end_step(&mut self) {
        let StepGroups { right, compared, .. } = std::mem::take(&mut self.step);
        for ((of, columns), normalise) in self.found.rewards.iter_mut().zip(&compared).zip(&self.normalise) {
            let Advantages { values, without_spread } = match (normalise, columns.first()) {
                (Normalise::Terms, _) => Advantage::Normalised.of_terms(columns, TOLERANCE),
                (Normalise::Sum, Some((_, totals))) => Advantage::Normalised.compute(totals, TOLERANCE),
                (Normalise::Sum, None) => continue,
            };
            of.without_spread += without_spread as u64;
            let flat = values.iter().flatten().zip(right.iter().flatten());
            for (advantage, right) in flat.filter_map(|(advantage, right)| Some(((*advantage)?, right))) {
                let advantage = f64::from(advantage);
                of.sizes += advantage.abs();
                let (sum, count) =
                    if *right { (&mut of.of_right, &mut of.right) } else { (&mut of.of_wrong, &mut of.wrong) };
                (*sum, *count) = (*sum + advantage, *count + 1);
            }
        }
    }

    /// Ends the last group and gives what was found.
    pub fn finish(mut self, failed: Vec<FailedJudgements>, remarks: Vec<(String, String)>) -> Result<Rescored> {
        self.end_group();
        self.end_step();
        if self.found.rollouts == 0 {
            let remedy = "name a run directory, its rollouts/ or files of it";
            return Err(Error::invalid("rollouts", "no rollouts in these files", remedy));
        }
        let (moved, caught) = (self.moved.into_vec(), self.caught.into_vec());
        Ok(Rescored { moved, caught, failed: FailedJudgements::together(failed), remarks, ..self.found })
    }
}

/// A completion that two rewards put in different places of its group.
#[derive(Clone, Debug)]
pub struct Moved {
    pub record: Record,
    /// What each of the two pays.
    pub paid: [f64; 2],
    /// How many of the group each puts before it, ties counted half.
    pub ranks: [f64; 2],
    /// Completions in the group.
    pub of: usize,
}

/// A wrong answer that is paid well.
#[derive(Clone, Debug)]
pub struct Caught {
    pub record: Record,
    pub score: Score,
    /// Completions like this one to the same question.
    pub times: u64,
}

/// A list of the most of something, most first. Of equals, the first ones stay.
#[derive(Clone, Debug)]
pub struct Most<T> {
    room: usize,
    list: Vec<(f64, T)>,
}

impl<T> Most<T> {
    pub fn new(room: usize) -> Most<T> {
        Most { room, list: Vec::new() }
    }

    /// Whether something of this size would get a place.
    pub fn wants(&self, size: f64) -> bool {
        self.list.len() < self.room || self.list.last().is_some_and(|(least, _)| size > *least)
    }

    /// Makes it one of the list if it is wanted.
    pub fn offer(&mut self, size: f64, item: T) {
        if self.wants(size) {
            let at = self.list.partition_point(|(other, _)| *other >= size);
            self.list.insert(at, (size, item));
            self.list.truncate(self.room);
        }
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.list.iter_mut().map(|(_, item)| item)
    }

    pub fn into_vec(self) -> Vec<T> {
        self.list.into_iter().map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_are_kept_in_order_and_the_first_of_equals_stays() {
        let mut most = Most::new(3);
        for (size, name) in [(1.0, "a"), (3.0, "b"), (1.0, "c"), (2.0, "d"), (3.0, "e"), (0.0, "f")] {
            most.offer(size, name);
        }
        assert_eq!(most.into_vec(), ["b", "e", "d"]);
        let mut none = Most::new(0);
        none.offer(1.0, "a");
        assert!(none.into_vec().is_empty());
    }
}
