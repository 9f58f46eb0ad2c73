//! Requests that were handed in together, and how far they have come.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::rollout::{Completion, Job, PartialCompletion, Request};
use crate::{Error, Result};

/// How far the requests of an order have come: what is to be kept of them when a run is stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartialRollouts {
    /// Completions that have ended.
    pub finished: Vec<Completion>,
    /// Those that have some of their tokens.
    pub begun: Vec<PartialCompletion>,
}

impl PartialRollouts {
    /// Whether a completion is among what has ended, or was begun.
    fn holds(&self) -> BTreeSet<(usize, usize)> {
        let finished = self.finished.iter().map(|completion| (completion.request, completion.sample));
        finished.chain(self.begun.iter().map(|begun| (begun.request, begun.sample))).collect()
    }
}

/// An order that has not been collected yet.
pub(super) struct PoolOrder {
    finished: Vec<Completion>,
    missing: usize,
    /// How many of those that have ended were told of.
    told: usize,
    /// Its workers have dropped it.
    pub lost: bool,
}

impl PoolOrder {
    /// The order of these requests, of which some completions may be there already, and the jobs of the others. Their
    /// numbers begin with `first`. Refused: completions that do not answer these requests.
    pub fn new(requests: Vec<Request>, underway: PartialRollouts, first: usize) -> Result<(PoolOrder, Vec<Job>)> {
        let held = underway.holds();
        let known =
            |(request, sample): &(usize, usize)| requests.get(*request).is_some_and(|one| *sample < one.samples);
        let whole = |completion: &Completion| {
            let tokens = completion.tokens.len();
            tokens > 0 && completion.log_probs.len() == tokens && completion.versions.tokens() == tokens
        };
        let each_once = held.len() == underway.finished.len() + underway.begun.len();
        if !(each_once && held.iter().all(known) && underway.finished.iter().all(whole)) {
            let found = "completions of other requests than those that are asked for";
            return Err(Error::invalid("rollouts that are underway", found, "have them sampled from their beginning"));
        }
        let mut jobs: Vec<Job> = Vec::with_capacity(requests.len());
        for (index, request) in requests.into_iter().enumerate() {
            let mut job = Job::new(first + index, request);
            job.begun.retain(|begun| !held.contains(&(index, begun.sample)));
            let begun = underway.begun.iter().filter(|begun| begun.request == index);
            job.begun.extend(begun.map(|begun| PartialCompletion { request: first + index, ..begun.clone() }));
            jobs.push(job);
        }
        jobs.retain(|job| !job.begun.is_empty());
        let missing = jobs.iter().map(|job| job.begun.len()).sum();
        Ok((PoolOrder { finished: underway.finished, missing, told: 0, lost: false }, jobs))
    }

    /// Adds a completion of request number `request` of this order.
    pub fn add(&mut self, completion: Completion) {
        self.missing = self.missing.saturating_sub(1);
        self.finished.push(completion);
    }

    /// Completions that are still missing.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Those that are there.
    pub fn finished(&self) -> &[Completion] {
        &self.finished
    }

    /// Those that are there and were not told of yet.
    pub fn untold(&mut self) -> &[Completion] {
        let first = std::mem::replace(&mut self.told, self.finished.len());
        &self.finished[first..]
    }

    /// All completions, sorted by request and sample.
    pub fn completions(mut self) -> Vec<Completion> {
        self.finished.sort_by_key(|completion| (completion.request, completion.sample));
        self.finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::tests::request;
    use crate::rollout::{Finish, Versions};

    fn completion(request: usize, sample: usize) -> Completion {
        let mut versions = Versions::default();
        versions.push(4);
        Completion { request, sample, tokens: vec![7], log_probs: vec![-0.5], versions, finish: Finish::Stop }
    }

    #[test]
    fn only_what_is_missing_becomes_a_job() {
        let requests = || vec![request(&[1], 2, 1.0, 0), request(&[2], 3, 1.0, 1), request(&[3], 1, 1.0, 2)];
        let begun = PartialCompletion { tokens: vec![5, 6], ..PartialCompletion::new(1, 2) };
        let finished = vec![completion(1, 0), completion(2, 0)];
        let (order, jobs) = PoolOrder::new(requests(), PartialRollouts { finished, begun: vec![begun] }, 10).unwrap();
        assert_eq!((order.missing(), order.finished().len()), (4, 2));
        let begun =
            |job: &Job| job.begun.iter().map(|one| (one.request, one.sample, one.tokens.len())).collect::<Vec<_>>();
        assert_eq!(
            jobs.iter().map(|job| (job.number, begun(job))).collect::<Vec<_>>(),
            [(10, vec![(10, 0, 0), (10, 1, 0)]), (11, vec![(11, 1, 0), (11, 2, 2)]),]
        );
    }

    #[test]
    fn completions_of_something_else_are_refused() {
        let twice = vec![completion(0, 1), completion(0, 1)];
        let empty = Completion { tokens: Vec::new(), ..completion(0, 0) };
        for finished in [vec![completion(1, 0)], vec![completion(0, 2)], twice, vec![empty]] {
            let underway = PartialRollouts { finished, begun: Vec::new() };
            assert!(PoolOrder::new(vec![request(&[1], 2, 1.0, 0)], underway, 0).is_err());
        }
    }
}
