//! The loss of an algorithm over the parts of a batch, whose gradients threads and other processes compute. They are added
//! in the order of the parts, so who worked on which leaves no trace.

use std::ops::{AddAssign, Range};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::token_batch::TokenBatch;
use super::{Algorithm, Penalty, Statistics, Tokens, ValueTargets, parallel, policy_loss, value_loss};
use crate::Result;
use crate::kernels::Gradients;
use crate::policy::Policy;

/// A function of a policy, the same for all parts of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    pub algorithm: Algorithm,
    /// See [`TokenWeights`](super::TokenWeights): that of the whole batch.
    pub normaliser: f64,
}

/// What a step's gradient was made of.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Learned {
    pub loss: f64,
    /// Over the tokens that were learned from.
    pub statistics: Statistics,
    /// Mean entropy of the policy at those tokens, in nats.
    pub entropy: f64,
    /// Tokens that went through the model.
    pub tokens: usize,
    /// Those of them that did so in other processes.
    pub elsewhere: usize,
}

impl AddAssign for Learned {
    fn add_assign(&mut self, other: Learned) {
        self.loss += other.loss;
        self.statistics += other.statistics;
        self.entropy += other.entropy;
        self.tokens += other.tokens;
        self.elsewhere += other.elsewhere;
    }
}

/// Who differentiates.
#[derive(Clone, Copy)]
pub struct Parallelism<'a> {
    /// Threads of this process.
    pub threads: usize,
    /// And others.
    pub others: Option<&'a dyn RemoteRanks>,
}

impl From<usize> for Parallelism<'_> {
    fn from(threads: usize) -> Self {
        Parallelism { threads, others: None }
    }
}

/// Parts of a batch by their numbers, and the other process that has taken them.
pub type TakenParts = (Range<usize>, Box<dyn RemoteShare>);

/// Other processes that differentiate parts of batches.
pub trait RemoteRanks: Send + Sync {
    /// Has them begin with an objective, with the weights of the policy as they are now and those of the policy that it is
    /// held to. Each takes some of the parts; the first are for the `threads` here. Gives the shares in the order of the
    /// parts, and none if they do not know this policy.
    ///
    /// # Errors
    ///
    /// Weights that cannot be read.
    fn begin(
        &self,
        objective: &Objective,
        policy: &Policy,
        reference: Option<&Policy>,
        parts: &[TokenBatch],
        threads: usize,
    ) -> Result<Vec<TakenParts>>;
}

/// Parts of a batch that another process differentiates.
pub trait RemoteShare {
    /// The sum over all parts before these with their gradients added one after the other, and what was learned from each;
    /// none, if the process has died.
    ///
    /// # Errors
    ///
    /// It has failed, or takes for ever.
    fn add_to(&self, sum: &Gradients) -> Result<Option<(Gradients, Vec<Learned>)>>;
}

impl Objective {
    /// Value and gradient over one part.
    ///
    /// # Errors
    ///
    /// A part or a policy that do not fit each other or the algorithm.
    pub fn differentiate(
        &self,
        policy: &Policy,
        reference: Option<&Policy>,
        part: &TokenBatch,
    ) -> Result<(Gradients, Learned)> {
        let Objective { algorithm, normaliser } = self;
        let head = algorithm.value.head();
        let log_probs = match head {
            None => policy.log_probs(&part.packed)?,
            Some(_) => policy.log_probs_and_values(&part.packed)?,
        };
        let entropy: f64 = log_probs.entropy.to_vec1::<f32>()?.iter().map(|e| f64::from(*e)).sum();
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu);
        let (sampled, advantage) = (tensor(&part.sampler_logprobs)?, tensor(&part.advantages)?);
        let (weight, before) = (tensor(&part.packed.weights)?, tensor(&part.old_logprobs)?);
        let (foretold, returned) = (tensor(&part.values)?, tensor(&part.returns)?);
        let completion: Vec<u32> =
            part.lengths.iter().zip(0..).flat_map(|(length, number)| vec![number; *length]).collect();
        let held = match reference.filter(|_| self.is_held()) {
            Some(reference) => Some(reference.score(&part.packed)?.log_prob),
            None => None,
        };
        let mut statistics = Statistics::default();
        let (loss, gradients) = log_probs.backward(|log_prob, entropy, value| {
            let tokens = Tokens {
                log_prob,
                sampler_logprobs: &sampled,
                old_logprobs: (!part.old_logprobs.is_empty()).then_some(&before),
                completion: &completion,
                advantage: &advantage,
                weight: &weight,
                reference: held.as_ref(),
                entropy: Some(entropy),
            };
            let loss = policy_loss(algorithm, &tokens, *normaliser)?;
            statistics = loss.statistics;
            let (Some(head), Some(value)) = (head, value) else { return Ok(loss.value) };
            let foretold = ValueTargets { value, before: &foretold, returned: &returned, weight: &weight };
            let of_head = value_loss(&head, &foretold, *normaliser)?;
            statistics += of_head.statistics;
            Ok((loss.value + of_head.value)?)
        })?;
        Ok((gradients, Learned { loss, statistics, entropy, tokens: part.packed.tokens.len(), elsewhere: 0 }))
    }

    /// The same over all parts: the sum of the gradients, and what was learned from each. The share of a process that dies
    /// is done here.
    pub(super) fn gradients(
        &self,
        policy: &Policy,
        reference: Option<&Policy>,
        parts: &[TokenBatch],
        hands: Parallelism,
    ) -> Result<(Gradients, Vec<Learned>)> {
        let reference = reference.filter(|_| self.is_held());
        let here = |part: &TokenBatch| self.differentiate(policy, reference, part);
        let threads = policy.workers(hands.threads).max(1);
        let shares = match hands.others {
            // What the threads here begin at once is not worth sending weights for.
            Some(others) if parts.len() > threads => others.begin(self, policy, reference, parts, threads)?,
            _ => Vec::new(),
        };
        let own = shares.first().map_or(parts.len(), |(theirs, _)| theirs.start);
        let (mut sum, mut learned) = parallel::gradients(&parts[..own], threads, here)?;
        for (theirs, share) in shares {
            let (next, said) = match share.add_to(&sum)? {
                Some((next, said)) => {
                    let elsewhere = |one: Learned| Learned { elsewhere: one.tokens, ..one };
                    (next, said.into_iter().map(elsewhere).collect())
                }
                None => parallel::add_gradients(sum, &parts[theirs], threads, here)?,
            };
            sum = next;
            learned.extend(said);
        }
        Ok((sum, learned))
    }

    /// Whether a reference has a part in it.
    fn is_held(&self) -> bool {
        self.algorithm.kl != 0.0 && self.algorithm.kl_in == Penalty::Loss
    }
}

/// Which of so many parts each process takes: one after the other, as many as it has threads in proportion, and the first
/// of them at least one.
pub fn shares(parts: usize, threads: &[usize]) -> Vec<Range<usize>> {
    let all = threads.iter().sum::<usize>().max(1);
    let mut until = 0;
    let end = |threads: &usize| {
        until += threads;
        (parts * until).div_ceil(all)
    };
    let ends: Vec<usize> = threads.iter().map(end).collect();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, end)| start..*end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::policy::model::tests::random_policy;
    use crate::policy::{Family, PackedBatch, config};

    #[test]
    fn an_objective_survives_as_text() {
        for preset in Algorithm::PRESETS {
            let algorithm = Algorithm { tis_cap: 0.1 + 0.2, ..Algorithm::preset(preset).unwrap() };
            let objective = Objective { algorithm, normaliser: 1234.0 / 7.0 };
            let text = toml::to_string(&objective).unwrap();
            assert_eq!(toml::from_str::<Objective>(&text).unwrap(), objective, "{text}");
        }
    }

    #[test]
    fn parts_are_shared_out_by_threads_without_a_gap() {
        assert_eq!(shares(12, &[1, 0]), [0..12, 12..12]);
        assert_eq!(shares(12, &[1, 2, 0, 1]), [0..3, 3..9, 9..9, 9..12]);
        assert_eq!(shares(3, &[1, 4, 4]), [0..1, 1..2, 2..3]);
        assert_eq!(shares(2, &[1, 1, 1]), [0..1, 1..2, 2..2]);
    }

    /// Others in this process, of whom the last has died or fails.
    struct Neighbours {
        policy: Policy,
        others: usize,
        last: Last,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Last {
        Works,
        Dies,
        Fails,
    }

    struct Neighbour {
        objective: Objective,
        policy: Policy,
        parts: Vec<TokenBatch>,
        does: Last,
    }

    impl RemoteRanks for Neighbours {
        fn begin(
            &self,
            objective: &Objective,
            _: &Policy,
            _: Option<&Policy>,
            parts: &[TokenBatch],
            threads: usize,
        ) -> Result<Vec<TakenParts>> {
            let all: Vec<usize> = [threads].into_iter().chain(vec![1; self.others]).collect();
            let neighbour = |(at, theirs): (usize, Range<usize>)| -> TakenParts {
                let does = if at == self.others { self.last } else { Last::Works };
                let (objective, policy, parts) = (*objective, self.policy.clone(), parts[theirs.clone()].to_vec());
                (theirs, Box::new(Neighbour { objective, policy, parts, does }))
            };
            Ok(shares(parts.len(), &all).into_iter().enumerate().skip(1).map(neighbour).collect())
        }
    }

    impl RemoteShare for Neighbour {
        fn add_to(&self, sum: &Gradients) -> Result<Option<(Gradients, Vec<Learned>)>> {
            match self.does {
                Last::Fails => Err(Error::Refused("the neighbour has had enough".into())),
                Last::Dies => Ok(None),
                Last::Works => {
                    let differentiate = |part: &TokenBatch| self.objective.differentiate(&self.policy, None, part);
                    parallel::add_gradients(sum.clone(), &self.parts, 2, differentiate).map(Some)
                }
            }
        }
    }

    #[test]
    fn who_helps_changes_no_bit_and_the_share_of_one_who_dies_is_done_here() {
        let policy = random_policy(&config::tests::tiny(Family::Qwen3, true), 3);
        let part = |seed: u32| {
            let mut packed = PackedBatch::default();
            let tokens: Vec<u32> = (0..9 + seed % 5).map(|at| (seed * 7 + at * at) % 23).collect();
            packed.push(&tokens, &vec![0.5 + seed as f32 / 8.0; tokens.len()]).unwrap();
            let rows = packed.rows.len();
            let advantages = vec![0.3 - seed as f32 / 9.0; rows];
            let sampler_logprobs = vec![-3.0; rows];
            TokenBatch { packed, sampler_logprobs, advantages, lengths: vec![rows], ..TokenBatch::default() }
        };
        let parts: Vec<TokenBatch> = (0..12).map(part).collect();
        let objective = Objective { algorithm: Algorithm::grpo(), normaliser: 31.0 };
        let flat = |gradients: &Gradients| -> Vec<u32> {
            let values = |(_, tensor): (&str, &Tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>();
            gradients.iter().flat_map(|one| values(one).unwrap()).map(f32::to_bits).collect()
        };
        let run = |threads: usize, others: usize, last: Last| {
            let others = Neighbours { policy: policy.clone(), others, last };
            objective.gradients(&policy, None, &parts, Parallelism { threads, others: Some(&others) })
        };
        let (alone, learned) = objective.gradients(&policy, None, &parts, 1.into()).unwrap();
        let tokens = |learned: &[Learned]| learned.iter().map(|one| (one.loss, one.tokens)).collect::<Vec<_>>();
        assert!(learned.iter().all(|one| one.elsewhere == 0 && one.tokens > 0));
        let cases =
            [(1, Last::Works, 6), (2, Last::Works, 8), (5, Last::Works, 10), (3, Last::Dies, 6), (1, Last::Dies, 0)];
        for (others, last, expected) in cases {
            let (together, said) = run(1, others, last).unwrap();
            assert_eq!(flat(&together), flat(&alone), "{others} others");
            assert_eq!(tokens(&said), tokens(&learned));
            assert!(said.iter().all(|one| one.elsewhere == 0 || one.elsewhere == one.tokens));
            assert_eq!(said.iter().filter(|one| one.elsewhere > 0).count(), expected, "{others} others");
        }
        let error = run(1, 2, Last::Fails).unwrap_err().to_string();
        assert!(error.contains("the neighbour has had enough"), "{error}");
        // Nobody is asked for as many parts as there are threads.
        assert!(run(12, 2, Last::Fails).is_ok());
    }
}
