//! What ranks say to each other so that they can share a gradient.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::load::{Load, unreadable};
use crate::Result;
use crate::kernels::{Gradients, Precision, memory};
use crate::learner::Objective;
use crate::learner::policy_gradient::Learned;
use crate::policy::{Policy, Snapshot, ValueHead, Weight};

/// What is differentiated from now on, and what of it is not what it was.
#[derive(Serialize, Deserialize)]
pub(super) struct GradientSetup<'a> {
    /// In the words of a config: its numbers come back as they were.
    objective: String,
    /// Trained weights that differ from those that were sent or published last.
    pub weights: NamedWeights,
    /// The value head, and whether its gradient goes on into the policy.
    head: Option<([Weight; 2], bool)>,
    temperature: f32,
    precision: Precision,
    /// The policy that the objective is held to, once.
    reference: Option<(Load<'a>, f32)>,
}

impl<'a> GradientSetup<'a> {
    /// What is to be said of an objective and a policy to those who know these weights.
    pub fn new(objective: &Objective, policy: &Policy, known: &NamedWeights) -> Result<GradientSetup<'a>> {
        let mut weights = BTreeMap::new();
        for (name, variable) in &policy.variables {
            let values = memory::read(variable)?;
            if !known.get(name).is_some_and(|known| same(&known.values, &values)) {
                weights.insert(name.clone(), Weight { shape: variable.dims().to_vec(), values: values.to_vec() });
            }
        }
        let head = match &policy.value_head {
            Some(head) => Some(([weight(&head.weight)?, weight(&head.bias)?], head.trunk)),
            None => None,
        };
        let objective = toml::to_string(objective).map_err(|error| unreadable(error.to_string()))?;
        let (temperature, precision) = (policy.temperature, policy.precision);
        Ok(GradientSetup { objective, weights, head, temperature, precision, reference: None })
    }

    /// The same with the policy that the objective is held to, for those who have loaded a snapshot.
    pub fn held_to(self, reference: &'a Snapshot, temperature: f32, loaded: &Snapshot) -> Result<GradientSetup<'a>> {
        Ok(GradientSetup { reference: Some((Load::new(reference, Some(loaded))?, temperature)), ..self })
    }

    pub fn objective(&self) -> Result<Objective> {
        toml::from_str(&self.objective).map_err(|error| unreadable(error.to_string()))
    }

    /// A policy with what is said here of all but its weights.
    pub fn policy(&self, weights: &Policy) -> Result<Policy> {
        let value_head = match &self.head {
            Some(([weight, bias], trunk)) => {
                Some(ValueHead { weight: variable(weight)?, bias: variable(bias)?, trunk: *trunk })
            }
            None => None,
        };
        let policy = Policy { value_head, ..weights.clone() };
        Ok(policy.with_precision(self.precision).with_temperature(self.temperature))
    }

    /// The policy that the objective is held to, if it was not known yet. Takes it away.
    pub fn reference(&mut self, loaded: &Snapshot) -> Result<Option<Policy>> {
        let Some((load, temperature)) = self.reference.take() else { return Ok(None) };
        let reference = Policy::from_snapshot(&load.snapshot(&loaded.config, Some(loaded))?)?;
        Ok(Some(reference.with_precision(self.precision).with_temperature(temperature)))
    }
}

/// Gradients by the names of their variables.
pub(super) type NamedWeights = BTreeMap<String, Weight>;

/// A sum of gradients with those of a share and what was learned from its parts, or why there is none.
#[derive(Serialize, Deserialize)]
pub(super) enum GradientOutcome {
    Done(NamedWeights, Vec<Learned>),
    Failed(#[serde(with = "super::failure")] crate::Error),
}

impl GradientOutcome {
    pub fn from_result(outcome: Result<(Gradients, Vec<Learned>)>) -> GradientOutcome {
        let whole = |(sum, learned)| Ok(GradientOutcome::Done(to_weights(&sum)?, learned));
        outcome.and_then(whole).unwrap_or_else(GradientOutcome::Failed)
    }

    pub fn into_result(self) -> Result<(Gradients, Vec<Learned>)> {
        match self {
            GradientOutcome::Failed(error) => Err(error),
            GradientOutcome::Done(sum, learned) => Ok((to_gradients(sum)?, learned)),
        }
    }
}

/// Gradients as they travel.
pub(super) fn to_weights(gradients: &Gradients) -> Result<NamedWeights> {
    gradients.iter().map(|(name, gradient)| Ok((name.to_owned(), weight(gradient)?))).collect()
}

/// Gradients that have travelled.
pub(super) fn to_gradients(weights: NamedWeights) -> Result<Gradients> {
    let tensor = |(name, Weight { shape, values })| Ok((name, memory::tensor(values, shape)?));
    let tensors = weights.into_iter().map(tensor).collect::<Result<Vec<(String, Tensor)>>>()?;
    Ok(tensors.into_iter().collect())
}

fn weight(tensor: &Tensor) -> Result<Weight> {
    Ok(Weight { shape: tensor.dims().to_vec(), values: memory::read(tensor)?.to_vec() })
}

fn variable(Weight { shape, values }: &Weight) -> Result<Var> {
    Ok(Var::from_slice(values, shape.as_slice(), &Device::Cpu)?)
}

/// Whether two lists hold the same bits.
fn same(one: &[f32], other: &[f32]) -> bool {
    let differ = |one: &[f32], other: &[f32]| {
        // Without a branch for each number, so that many are compared at once.
        one.iter().zip(other).fold(0, |bits, (one, other)| bits | (one.to_bits() ^ other.to_bits())) != 0
    };
    one.len() == other.len() && !one.chunks(1024).zip(other.chunks(1024)).any(|(one, other)| differ(one, other))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::load::{pack, unpack};
    use super::*;
    use crate::learner::{Algorithm, TokenBatch};
    use crate::policy::lora::tests::adapted;
    use crate::policy::model::tests::{batch, random_policy};
    use crate::policy::value_head::tests::with_head;
    use crate::policy::{Family, Target, config};

    fn rows() -> TokenBatch {
        let packed = batch();
        let numbers = |phase: f32| -> Vec<f32> { (0..packed.rows.len()).map(|at| (at as f32 + phase).sin()).collect() };
        let (sampled, advantages) = (numbers(-9.0), numbers(0.3));
        let (values, returns, lengths) = (numbers(0.5), numbers(0.7), vec![packed.rows.len()]);
        TokenBatch { sampler_logprobs: sampled, advantages, values, returns, lengths, old_logprobs: Vec::new(), packed }
    }

    fn bits(gradients: &Gradients) -> Vec<(String, Vec<u32>)> {
        let bits = |tensor: &Tensor| memory::read(tensor).unwrap().iter().map(|value| value.to_bits()).collect();
        gradients.iter().map(|(name, tensor)| (name.to_owned(), bits(tensor))).collect()
    }

    /// What another rank makes of a setup that comes after it loaded `snapshot`.
    fn there(lesson: GradientSetup, snapshot: &Snapshot) -> (Objective, Policy, Option<Policy>) {
        let bytes = pack(&lesson).unwrap();
        let mut lesson: GradientSetup = unpack(&bytes).unwrap();
        let mut weights = snapshot.weights.as_ref().clone();
        weights.append(&mut lesson.weights);
        let policy = Policy::from_snapshot(&Snapshot { weights: Arc::new(weights), ..snapshot.clone() }).unwrap();
        let reference = lesson.reference(snapshot).unwrap();
        (lesson.objective().unwrap(), lesson.policy(&policy).unwrap(), reference)
    }

    #[test]
    fn a_lesson_gives_another_rank_the_same_gradient() {
        let full = random_policy(&config::tests::tiny(Family::Qwen3, true), 3);
        let held = Algorithm { kl: 0.1, entropy: 0.01, ..Algorithm::grpo() };
        for (policy, algorithm) in [
            (full.clone(), held),
            (with_head(full, true), Algorithm::ppo()),
            (adapted(Family::Qwen2, &[Target::UpProj, Target::QProj]), held),
        ] {
            let policy = policy.with_temperature(0.8).with_precision(Precision::Bf16);
            let published = policy.snapshot(4).unwrap();
            let reference =
                Policy::from_snapshot(&published).unwrap().with_temperature(0.8).with_precision(Precision::Bf16);
            // An optimizer step later.
            let (changed, variable) = policy.variables.first_key_value().unwrap();
            variable.set(&(variable.as_tensor() * 1.5).unwrap()).unwrap();
            let objective = Objective { algorithm, normaliser: 7.0 / 3.0 };
            let lesson = GradientSetup::new(&objective, &policy, &published.weights).unwrap();
            assert_eq!(lesson.weights.keys().collect::<Vec<_>>(), [changed]);
            let lesson = lesson.held_to(&published, 0.8, &published).unwrap();
            let (objective, there, held_to) = there(lesson, &published);
            let part: TokenBatch = unpack(&pack(&rows()).unwrap()).unwrap();
            let found = objective.differentiate(&there, held_to.as_ref(), &part);
            let found = GradientOutcome::from_result(found.map(|(sum, learned)| (sum, vec![learned])));
            let found = unpack::<GradientOutcome>(&pack(&found).unwrap()).unwrap().into_result().unwrap();
            let expected = objective.differentiate(&policy, Some(&reference), &rows()).unwrap();
            assert_eq!(bits(&found.0), bits(&expected.0));
            let learned = |one: &Learned| (one.loss, one.statistics);
            assert_eq!(found.1.iter().map(learned).collect::<Vec<_>>(), [learned(&expected.1)]);
        }
    }

    #[test]
    fn weights_travel_when_a_bit_of_them_differs_and_failures_as_their_words() {
        assert!(same(&[1.0, f32::NAN], &[1.0, f32::NAN]) && same(&[], &[]));
        assert!(!same(&[0.0], &[-0.0]) && !same(&[1.0], &[1.0, 2.0]));
        let mut long = vec![0.5; 3000];
        let other = long.clone();
        assert!(same(&long, &other));
        long[2999] = 0.25;
        assert!(!same(&long, &other));
        let failure = crate::Error::invalid("learning thread", "panicked (x)", "report it");
        let words = failure.to_string();
        let there = unpack::<GradientOutcome>(&pack(&GradientOutcome::from_result(Err(failure))).unwrap()).unwrap();
        assert_eq!(there.into_result().unwrap_err().to_string(), words);
    }
}
