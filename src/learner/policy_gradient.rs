//! The gradient of a step of reinforcement learning: sampled completions and their advantages in, gradient out.

use candle_core::Tensor;

pub use super::objective::Learned;
use super::objective::{Objective, Parallelism};
use super::supervised::MICRO_BATCH;
pub use super::token_batch::Sampled;
use super::token_batch::TokenBatch;
use super::{Algorithm, TokenWeights, TraceLength, parallel};
use crate::kernels::Gradients;
use crate::policy::{PackedBatch, Policy};
use crate::{Error, Result};

/// What the tokens of a step weigh. `completions` are all of the step; `trace` finds the end of a chain of thought, and
/// `max_new_tokens` is the longest completion allowed.
pub fn token_weights(
    algorithm: &Algorithm,
    completions: &[Sampled],
    trace: TraceLength,
    max_new_tokens: usize,
) -> TokenWeights {
    algorithm.aggregation.token_weights(&masks(algorithm, completions, trace), max_new_tokens)
}

/// Which tokens of each completion are learned from.
pub fn masks(algorithm: &Algorithm, completions: &[Sampled], trace: TraceLength) -> Vec<Vec<bool>> {
    let mask = |completion: &Sampled| {
        if completion.kept {
            algorithm.gradient_on.mask(completion.tokens, trace)
        } else {
            vec![false; completion.tokens.len()]
        }
    };
    completions.iter().map(mask).collect()
}

/// The gradient of the algorithm's loss over completions: all of a step, or a share of it, whose gradients are to be
/// added. Those of one prompt stand side by side: it is read once for all of them that fit into a micro-batch.
/// `weights` holds what the tokens of these completions weigh, and the normaliser of the whole step. `reference` is
/// the frozen policy that `algorithm.kl` holds to. Completions that nothing pulls on count in the normaliser and cost
/// nothing. `None` if there are no others.
pub fn gradients<'a>(
    policy: &Policy,
    reference: Option<&Policy>,
    algorithm: &Algorithm,
    completions: &[Sampled],
    weights: &TokenWeights,
    hands: impl Into<Parallelism<'a>>,
) -> Result<Option<(Gradients, Learned)>> {
    if algorithm.gae().is_some() {
        completions
            .iter()
            .zip(&weights.tokens)
            .enumerate()
            .try_for_each(|(at, (one, weights))| appraised(at, one, weights))?;
    }
    let all = algorithm.pulls_on_all();
    let weighed = completions.iter().zip(weights.tokens.iter().map(Vec::as_slice));
    let batch =
        TokenBatch::pack(weighed.filter(|(one, _)| all || one.advantage != 0.0 || one.gae.is_some()).collect())?;
    if batch.packed.rows.is_empty() {
        return Ok(None);
    }
    let rows = batch.packed.rows.len();
    let parts = batch.split(policy.micro_batch(MICRO_BATCH));
    let objective = Objective { algorithm: *algorithm, normaliser: weights.normaliser };
    let (gradients, learned) = objective.gradients(policy, reference, &parts, hands.into())?;
    let mut sum = Learned::default();
    for part in learned {
        sum += part;
    }
    sum.entropy /= rows as f64;
    Ok(Some((gradients, sum)))
}

/// Refuses a completion of which some token that is learned from has no advantage of its own.
fn appraised(at: usize, completion: &Sampled, weights: &[f32]) -> Result<()> {
    let learned = weights.iter().rposition(|weight| *weight != 0.0).map_or(0, |last| last + 1);
    let there = completion.gae.map_or(0, |appraisal| appraisal.advantages.len());
    if learned <= there {
        Ok(())
    } else {
        let found = format!("{there} of its tokens are appraised, and {learned} are learned from");
        Err(Error::invalid(format!("completion {at}"), found, "appraise them all (Gae::appraise)"))
    }
}

/// The log-probability of every token of every completion under a policy, in their order.
pub fn score(policy: &Policy, completions: &[Sampled], workers: usize) -> Result<Vec<Vec<f32>>> {
    let all: Vec<Vec<bool>> = completions.iter().map(|completion| vec![true; completion.tokens.len()]).collect();
    each_token(policy, completions, &all, workers, |packed| Ok(policy.score(packed)?.log_prob))
}

/// What the policy's value head expects before each token that is learned from, in their order.
pub fn values(policy: &Policy, completions: &[Sampled], masks: &[Vec<bool>], workers: usize) -> Result<Vec<Vec<f32>>> {
    each_token(policy, completions, masks, workers, |packed| policy.values(packed))
}

/// A number for each token of each completion that its mask shows.
fn each_token(
    policy: &Policy,
    completions: &[Sampled],
    masks: &[Vec<bool>],
    workers: usize,
    number: impl Fn(&PackedBatch) -> Result<Tensor> + Sync,
) -> Result<Vec<Vec<f32>>> {
    let weights: Vec<Vec<f32>> =
        masks.iter().map(|mask| mask.iter().map(|shown| f32::from(u8::from(*shown))).collect()).collect();
    let batch = TokenBatch::pack(completions.iter().zip(weights.iter().map(Vec::as_slice)).collect())?;
    // A card allocates nothing of no size.
    if batch.packed.rows.is_empty() {
        return Ok(vec![Vec::new(); masks.len()]);
    }
    let parts = batch.split(policy.micro_batch(MICRO_BATCH));
    let number = |part: &TokenBatch| Ok(number(&part.packed)?.to_vec1::<f32>()?);
    let numbers = parallel::each(parts.iter().collect(), policy.workers(workers), number)?;
    let mut all = numbers.into_iter().flatten();
    let shown = |mask: &Vec<bool>| mask.iter().filter(|shown| **shown).count();
    Ok(masks.iter().map(|mask| all.by_ref().take(shown(mask)).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::curriculum::TrainingSequence;
    use crate::learner::{Aggregation, Clip, Critic, Estimator, Gae, HeadLoss, TokenAdvantages, supervised};
    use crate::policy::model::tests::random_policy;
    use crate::policy::value_head::tests::with_head;
    use crate::policy::{Family, config};

    const END: u32 = 2;

    fn trace(tokens: &[u32]) -> Option<usize> {
        tokens.iter().position(|token| *token == END).map(|at| at + 1)
    }
    const LONGEST: usize = 12;

    /// Completions of 1 to 12 tokens on three prompts, some of which do not count.
    struct Fixture {
        prompts: Vec<Vec<u32>>,
        tokens: Vec<Vec<u32>>,
        log_probs: Vec<Vec<f32>>,
        before: Vec<Vec<f32>>,
        appraisals: Vec<TokenAdvantages>,
    }

    impl Fixture {
        fn new() -> Fixture {
            let tokens: Vec<Vec<u32>> =
                (0..14u32).map(|n| (0..1 + n * 5 % 12).map(|at| (n * 3 + at * 7) % 23).collect()).collect();
            let numbers = |phase: f32| -> Vec<Vec<f32>> {
                let one = |n: usize, at: usize| -3.0 + 0.4 * (n as f32 * 1.7 + at as f32 * 0.9 + phase).sin();
                tokens.iter().enumerate().map(|(n, t)| (0..t.len()).map(|at| one(n, at)).collect()).collect()
            };
            let appraise = |values: Vec<f32>| {
                let mut rewards = vec![0.0; values.len()];
                rewards[values.len() - 1] = 1.0 + f64::from(values[0]) / 4.0;
                Gae::default().appraise(&rewards, values)
            };
            let appraisals = numbers(0.7).into_iter().map(appraise).collect();
            let prompts = (0..14).map(|n| vec![1, 4 + n % 3, 9, 3][..2 + n as usize % 3].to_vec()).collect();
            Fixture { prompts, log_probs: numbers(0.0), before: numbers(0.2), tokens, appraisals }
        }

        fn sampled(&self) -> Vec<Sampled<'_>> {
            let one = |n: usize| Sampled {
                prompt: &self.prompts[n],
                tokens: &self.tokens[n],
                sampler_logprobs: &self.log_probs[n],
                sampling_mask: &[],
                old_logprobs: Some(&self.before[n]),
                advantage: [1.5, -0.7, 0.0, 0.4][n % 4],
                gae: None,
                kept: n != 5,
            };
            (0..self.tokens.len()).map(one).collect()
        }
    }

    fn algorithms() -> Vec<Algorithm> {
        let presets = Algorithm::PRESETS.map(|name| Algorithm::preset(name).unwrap());
        let all = Algorithm { kl: 0.1, entropy: 0.01, tis_cap: 1.05, ..Algorithm::dapo() };
        let squared = Algorithm { kl: 0.1, kl_estimator: Estimator::K2, clip: Clip::None, ..Algorithm::gspo() };
        let head = HeadLoss { trunk: true, weight: 0.3, ..HeadLoss::default() };
        let trunk =
            Algorithm { value: Critic::Head(head), aggregation: Aggregation::Sequence, kl: 0.1, ..Algorithm::ppo() };
        presets.into_iter().chain([all, squared, trunk]).collect()
    }

    fn flat(gradients: &Gradients) -> Vec<f32> {
        gradients.iter().flat_map(|(_, g)| g.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
    }

    #[test]
    fn micro_batches_and_ranks_do_not_change_the_gradient() {
        let policy = random_policy(&config::tests::tiny(Family::Qwen3, true), 3);
        let reference = random_policy(&config::tests::tiny(Family::Qwen3, true), 4);
        let step = Fixture::new();
        let sampled = step.sampled();
        for algorithm in algorithms() {
            let policy = match algorithm.value.head() {
                None => policy.clone(),
                Some(head) => with_head(policy.clone(), head.trunk),
            };
            let mut sampled = sampled.clone();
            if algorithm.gae().is_some() {
                sampled.iter_mut().zip(&step.appraisals).for_each(|(one, appraisal)| one.gae = Some(appraisal));
            }
            let weights = token_weights(&algorithm, &sampled, &trace, LONGEST);
            let share = |from: usize, to: usize| {
                let weights = TokenWeights { tokens: weights.tokens[from..to].to_vec(), ..weights };
                gradients(&policy, Some(&reference), &algorithm, &sampled[from..to], &weights, 1).unwrap()
            };
            let (whole, learned) = share(0, 14).unwrap();
            let whole = flat(&whole);
            let size = whole.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
            assert!(size > 1e-4, "{algorithm:?} has no gradient");
            let same = |parts: Vec<(Gradients, Learned)>, how: &str| {
                let mut parts = parts.into_iter();
                let (mut sum, mut total) = parts.next().unwrap();
                for (gradients, learned) in parts {
                    sum.add(gradients).unwrap();
                    total += learned;
                }
                let far = flat(&sum).iter().zip(&whole).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
                assert!(far <= 1e-6 * size, "{how}: {} apart with {algorithm:?}", far / size);
                assert!((total.loss - learned.loss).abs() < 1e-6, "{how}: {} for {}", total.loss, learned.loss);
                assert_eq!(total.statistics.tokens(), learned.statistics.tokens());
            };
            for micro_batches in [2, 7] {
                let size = 14 / micro_batches;
                let parts = (0..micro_batches).filter_map(|part| share(part * size, (part + 1) * size));
                same(parts.collect(), &format!("{micro_batches} micro-batches"));
            }
            let ranks = std::thread::scope(|scope| {
                let ranks = [(0, 5), (5, 14)].map(|(from, to)| scope.spawn(move || share(from, to)));
                ranks.into_iter().filter_map(|rank| rank.join().unwrap()).collect()
            });
            same(ranks, "two ranks");
        }
    }

    #[test]
    fn scores_are_those_of_the_policy_for_every_token() {
        let policy = random_policy(&config::tests::tiny(Family::Qwen2, false), 3);
        let step = Fixture::new();
        let scores = score(&policy, &step.sampled(), 2).unwrap();
        for (n, scores) in scores.iter().enumerate() {
            let (prompt, tokens) = (&step.prompts[n], &step.tokens[n]);
            let all = [&prompt[..], tokens].concat();
            let logits = policy.logits(&all, &[all.len()].into_iter().collect()).unwrap();
            let logits = logits.to_vec2::<f32>().unwrap();
            assert_eq!(scores.len(), tokens.len());
            for (at, found) in scores.iter().enumerate() {
                let row = &logits[prompt.len() + at - 1];
                let truth = row[tokens[at] as usize] - row.iter().map(|logit| logit.exp()).sum::<f32>().ln();
                assert!((found - truth).abs() < 1e-5, "{found} for {truth}");
            }
        }
    }

    #[test]
    fn what_is_not_kept_counts_nowhere_and_what_has_no_advantage_is_still_held_to_the_reference() {
        let step = Fixture::new();
        let mut sampled = step.sampled();
        let counted = token_weights(&Algorithm::dapo(), &sampled, &trace, LONGEST);
        assert!(counted.tokens[5].iter().all(|weight| *weight == 0.0));
        let tokens: usize = step.tokens.iter().map(Vec::len).sum();
        assert_eq!(counted.normaliser, (tokens - step.tokens[5].len()) as f64);
        let policy = random_policy(&config::tests::tiny(Family::Llama, false), 3);
        let reference = random_policy(&config::tests::tiny(Family::Llama, false), 4);
        sampled.iter_mut().for_each(|completion| completion.advantage = 0.0);
        let run = |algorithm: Algorithm| {
            let weights = token_weights(&algorithm, &sampled, &trace, LONGEST);
            gradients(&policy, Some(&reference), &algorithm, &sampled, &weights, 1).unwrap()
        };
        assert!(run(Algorithm::grpo()).is_none());
        let (gradients, learned) = run(Algorithm { kl: 0.1, ..Algorithm::grpo() }).unwrap();
        assert!(flat(&gradients).iter().any(|g| g.abs() > 1e-4) && learned.statistics.kl() > 0.0);
    }

    #[test]
    fn rejection_fine_tuning_is_maximum_likelihood_on_what_is_kept() {
        let policy = random_policy(&config::tests::tiny(Family::Qwen2, true), 3);
        let step = Fixture::new();
        let star = Algorithm::star();
        let sampled: Vec<Sampled> =
            step.sampled().into_iter().map(|completion| Sampled { advantage: 1.0, ..completion }).collect();
        let weights = token_weights(&star, &sampled, &trace, LONGEST);
        let (found, learned) = gradients(&policy, None, &star, &sampled, &weights, 1).unwrap().unwrap();
        let lesson = |completion: &Sampled| TrainingSequence {
            tokens: [completion.prompt, completion.tokens].concat(),
            weights: [vec![0.0; completion.prompt.len()], vec![1.0; completion.tokens.len()]].concat(),
        };
        let lessons: Vec<TrainingSequence> = sampled.iter().filter(|completion| completion.kept).map(lesson).collect();
        assert_eq!(lessons.len(), 13);
        let (truth, fit) = supervised::gradients(&policy, &lessons, 1.0, 1).unwrap();
        assert!((learned.loss - fit.loss).abs() < 1e-6, "{} for {}", learned.loss, fit.loss);
        let (found, truth) = (flat(&found), flat(&truth));
        let size = truth.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
        let far = found.iter().zip(&truth).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        assert!(far <= 1e-6 * size, "{} apart", far / size);
    }

    #[test]
    fn a_prompt_that_is_read_once_gives_the_gradient_of_one_that_is_read_for_each_completion() {
        let policy = random_policy(&config::tests::tiny(Family::Qwen3, true), 3);
        let prompts: [&[u32]; 3] = [&[1, 5, 9, 2], &[4], &[7, 7, 3]];
        let token = |i: usize| (i as u32 * 5 + 2) % 23;
        let completions: Vec<Vec<u32>> = (0..15).map(|i| (0..1 + i % 5).map(|j| token(i * 7 + j)).collect()).collect();
        let log_probs: Vec<Vec<f32>> = completions.iter().map(|tokens| vec![-2.5; tokens.len()]).collect();
        let sampled = |i: usize| Sampled {
            prompt: prompts[i % 3],
            tokens: &completions[i],
            sampler_logprobs: &log_probs[i],
            sampling_mask: &[],
            old_logprobs: None,
            advantage: [0.7, -0.4, 0.0, 1.3][i % 4],
            gae: None,
            kept: true,
        };
        // Side by side a prompt's completions share it; apart they do not.
        let mut beside: Vec<Sampled> = (0..15).map(sampled).collect();
        let run = |completions: &[Sampled]| {
            let weights = token_weights(&Algorithm::grpo(), completions, &|_| None, 8);
            gradients(&policy, None, &Algorithm::grpo(), completions, &weights, 2).unwrap().unwrap()
        };
        let (apart, whole) = run(&beside);
        beside.sort_by_key(|completion| completion.prompt);
        let (shared, learned) = run(&beside);
        // Of the prompts' inputs each of the eleven completions that tell something has the last token.
        let own: usize = beside.iter().filter(|c| c.advantage != 0.0).map(|c| c.tokens.len()).sum();
        assert_eq!((whole.tokens - own, learned.tokens - own), (18, 5));
        assert!((whole.loss - learned.loss).abs() < 1e-6);
        assert!(flat(&shared).iter().zip(flat(&apart)).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
