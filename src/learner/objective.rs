//! What is differentiated: a function of a policy over the parts of a batch, any of which may be worked on by another
//! thread or another process. The gradients are added in the order of the parts, so who worked on which leaves no trace.

use serde::{Deserialize, Serialize};

use super::parallel::{self, Hand};
use super::policy_gradient::{self, Learned};
use super::{Algorithm, Penalty, TokenBatch, supervised};
use crate::Result;
use crate::kernels::Gradients;
use crate::policy::Policy;

/// A function of a policy, the same for all parts of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Objective {
    /// `scale * (sum of w * -log p) / normaliser` over the words of lessons.
    Likelihood { scale: f64, normaliser: f64 },
    /// The loss of an algorithm over completions.
    Reward { algorithm: Algorithm, normaliser: f64 },
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

/// Other processes that differentiate parts of batches.
pub trait RemoteRanks: Send + Sync {
    /// Has them take up an objective, with the weights of the policy as they are now and those of the policy that it is
    /// held to. Gives as many helpers as parts can be worked on at once: none, if they do not know this policy.
    fn take_up(
        &self,
        objective: &Objective,
        policy: &Policy,
        reference: Option<&Policy>,
    ) -> Result<Vec<Box<dyn GradWorker>>>;
}

/// One that works on a part at a time.
pub trait GradWorker: Send {
    /// The gradient of a part; none, if the helper has died.
    ///
    /// Errors: it has failed, or takes for ever.
    fn differentiate(&mut self, part: &TokenBatch) -> Result<Option<(Gradients, Learned)>>;
}

impl Objective {
    /// Value and gradient over one part.
    pub fn differentiate(
        &self,
        policy: &Policy,
        reference: Option<&Policy>,
        part: &TokenBatch,
    ) -> Result<(Gradients, Learned)> {
        match self {
            Objective::Likelihood { scale, normaliser } => {
                supervised::differentiate(policy, &part.packed, *scale, *normaliser)
            }
            Objective::Reward { algorithm, normaliser } => {
                policy_gradient::differentiate(policy, reference, algorithm, part, *normaliser)
            }
        }
    }

    /// The same over all parts: the sum of the gradients, and what was learned from each. Whatever is left of a helper
    /// that dies is done here.
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
        let helpers = match hands.others {
            // What the threads here begin at once is not worth sending weights for.
            Some(others) if parts.len() > threads => others.take_up(self, policy, reference)?,
            _ => Vec::new(),
        };
        let mut all: Vec<Hand<TokenBatch, Learned>> = Vec::with_capacity(threads + helpers.len());
        (0..threads).for_each(|_| all.push(Box::new(here)));
        for mut helper in helpers {
            all.push(Box::new(move |part| match helper.differentiate(part)? {
                Some((gradients, learned)) => Ok((gradients, Learned { elsewhere: learned.tokens, ..learned })),
                None => here(part),
            }));
        }
        parallel::gradients(parts, all)
    }

    /// Whether a reference has a part in it.
    fn is_held(&self) -> bool {
        matches!(self, Objective::Reward { algorithm, .. } if algorithm.kl != 0.0 && algorithm.kl_in == Penalty::Loss)
    }
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
            for objective in [
                Objective::Reward { algorithm, normaliser: 1234.0 / 7.0 },
                Objective::Likelihood { scale: 0.1 + 0.2, normaliser: 1e-300 },
            ] {
                let text = toml::to_string(&objective).unwrap();
                assert_eq!(toml::from_str::<Objective>(&text).unwrap(), objective, "{text}");
            }
        }
    }

    /// Helpers in this process, of which each dies or fails after so many parts.
    struct Neighbours {
        policy: Policy,
        helpers: usize,
        last: usize,
        fail: bool,
    }

    struct Neighbour {
        objective: Objective,
        policy: Policy,
        left: usize,
        fail: bool,
    }

    impl RemoteRanks for Neighbours {
        fn take_up(&self, objective: &Objective, _: &Policy, _: Option<&Policy>) -> Result<Vec<Box<dyn GradWorker>>> {
            let neighbour = |_| -> Box<dyn GradWorker> {
                let (objective, policy) = (*objective, self.policy.clone());
                Box::new(Neighbour { objective, policy, left: self.last, fail: self.fail })
            };
            Ok((0..self.helpers).map(neighbour).collect())
        }
    }

    impl GradWorker for Neighbour {
        fn differentiate(&mut self, part: &TokenBatch) -> Result<Option<(Gradients, Learned)>> {
            match self.left {
                0 if self.fail => Err(Error::Refused("the neighbour has had enough".into())),
                0 => Ok(None),
                _ => {
                    self.left -= 1;
                    self.objective.differentiate(&self.policy, None, part).map(Some)
                }
            }
        }
    }

    #[test]
    fn who_helps_changes_no_bit_and_what_a_helper_leaves_undone_is_done() {
        let policy = random_policy(&config::tests::tiny(Family::Qwen3, true), 3);
        let part = |seed: u32| {
            let mut packed = PackedBatch::default();
            let tokens: Vec<u32> = (0..9 + seed % 5).map(|at| (seed * 7 + at * at) % 23).collect();
            packed.push(&tokens, &vec![0.5 + seed as f32 / 8.0; tokens.len()]).unwrap();
            TokenBatch { packed, ..TokenBatch::default() }
        };
        let parts: Vec<TokenBatch> = (0..12).map(part).collect();
        let objective = Objective::Likelihood { scale: 0.7, normaliser: 31.0 };
        let flat = |gradients: &Gradients| -> Vec<u32> {
            let values = |(_, tensor): (&str, &candle_core::Tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>();
            gradients.iter().flat_map(|one| values(one).unwrap()).map(f32::to_bits).collect()
        };
        let run = |hands: Parallelism| objective.gradients(&policy, None, &parts, hands);
        let (alone, learned) = run(1.into()).unwrap();
        let tokens = |learned: &[Learned]| learned.iter().map(|one| (one.loss, one.tokens)).collect::<Vec<_>>();
        assert!(learned.iter().all(|one| one.elsewhere == 0 && one.tokens > 0));
        for (helpers, last) in [(1, 99), (2, 99), (5, 99), (3, 1), (2, 0)] {
            let others = Neighbours { policy: policy.clone(), helpers, last, fail: false };
            // This thread may be through before any helper has begun.
            let mut most = 0;
            for _ in 0..200 {
                let (together, said) = run(Parallelism { threads: 1, others: Some(&others) }).unwrap();
                assert_eq!(flat(&together), flat(&alone), "{helpers} helpers for {last} parts");
                assert_eq!(tokens(&said), tokens(&learned));
                assert!(said.iter().all(|one| one.elsewhere == 0 || one.elsewhere == one.tokens));
                most = most.max(said.iter().filter(|one| one.elsewhere > 0).count());
            }
            assert_eq!(most > 0, last > 0, "{helpers} helpers for {last} parts");
            assert!(most <= helpers * last, "{most} of {helpers} helpers for {last} parts");
        }
        let others = Neighbours { policy: policy.clone(), helpers: 2, last: 0, fail: true };
        let error =
            (0..1000).find_map(|_| run(Parallelism { threads: 1, others: Some(&others) }).err()).unwrap().to_string();
        assert!(error.contains("the neighbour has had enough"), "{error}");
        // Nobody is asked for as many parts as there are threads.
        assert!(run(Parallelism { threads: 12, others: Some(&others) }).is_ok());
    }
}
