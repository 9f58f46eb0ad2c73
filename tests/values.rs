//! Generalised advantages, whitening and the loss of the value head are those of PyTorch (`tests/make_value_golden.py`
//! writes them).

use candle_core::{Device, Tensor, Var};
use recollect::learner::gae::{explained_variance, whiten};
use recollect::learner::{Gae, HeadLoss, Loss, TokenAdvantages, ValueTargets, value_loss};
use serde::Deserialize;

#[derive(Deserialize)]
struct ValueGolden {
    rewards: Vec<Vec<f64>>,
    values: Vec<Vec<f32>>,
    gaes: Vec<Spread>,
    now: Vec<f32>,
    returned: Vec<f32>,
    weights: Vec<f32>,
    normaliser: f64,
    losses: Vec<ValueCase>,
}

#[derive(Deserialize)]
struct Spread {
    gamma: f64,
    lambda: f64,
    advantages: Vec<f64>,
    returns: Vec<f64>,
    whitened: Vec<f64>,
    explained: f64,
}

#[derive(Deserialize)]
struct ValueCase {
    weight: f64,
    clip: f64,
    loss: f64,
    gradient: Vec<f64>,
}

fn golden() -> ValueGolden {
    serde_json::from_str(include_str!("values.json")).unwrap()
}

fn close(found: &[f32], truth: &[f64], what: &str) {
    assert_eq!(found.len(), truth.len(), "{what}");
    let far = found.iter().zip(truth).fold(0.0, |most: f64, (a, b)| most.max((f64::from(*a) - b).abs()));
    assert!(far < 1e-6, "{what}: {far} apart");
}

#[test]
fn advantages_returns_and_whitening_are_those_of_pytorch() {
    let golden = golden();
    assert_eq!(golden.gaes.len(), 4);
    for Spread { gamma, lambda, advantages, returns, whitened, explained } in golden.gaes {
        let gae = Gae { gamma, lambda, whiten: false };
        let mut found: Vec<TokenAdvantages> =
            golden.rewards.iter().zip(&golden.values).map(|(r, v)| gae.appraise(r, v.clone())).collect();
        let all = |found: &[TokenAdvantages], of: fn(&TokenAdvantages) -> &Vec<f32>| {
            found.iter().flat_map(of).copied().collect()
        };
        let flat: Vec<f32> = all(&found, |one| &one.advantages);
        close(&flat, &advantages, "advantages");
        let flat: Vec<f32> = all(&found, |one| &one.returns);
        close(&flat, &returns, "returns");
        assert!((explained_variance(&found).unwrap() - explained).abs() < 1e-6);
        whiten(&mut found);
        let flat: Vec<f32> = all(&found, |one| &one.advantages);
        close(&flat, &whitened, "whitened");
    }
}

/// Loss and gradient of the tokens `span` of the golden batch.
fn part(golden: &ValueGolden, head: &HeadLoss, span: std::ops::Range<usize>) -> (Loss, Vec<f32>) {
    let cut = |values: &[f32]| Tensor::new(&values[span.clone()], &Device::Cpu).unwrap();
    let value = Var::from_tensor(&cut(&golden.now)).unwrap();
    let (before, returned, weight) = (cut(&golden.values.concat()), cut(&golden.returned), cut(&golden.weights));
    let foretold = ValueTargets { value: &value, before: &before, returned: &returned, weight: &weight };
    let loss = value_loss(head, &foretold, golden.normaliser).unwrap();
    let gradient = loss.value.backward().unwrap().get(&value).unwrap().to_vec1().unwrap();
    (loss, gradient)
}

#[test]
fn the_loss_and_its_gradient_are_those_of_pytorch_and_do_not_depend_on_micro_batches() {
    let golden = golden();
    assert_eq!(golden.losses.len(), 3);
    let count = golden.now.len();
    for ValueCase { weight, clip, loss, gradient } in &golden.losses {
        let head = HeadLoss { weight: *weight, clip: *clip, ..HeadLoss::default() };
        let (whole, found) = part(&golden, &head, 0..count);
        let value = |loss: &Loss| f64::from(loss.value.to_scalar::<f32>().unwrap());
        assert!((value(&whole) - loss).abs() < 1e-6, "{} for {loss}", value(&whole));
        close(&found, gradient, "gradient");
        for size in [4, 13] {
            let starts: Vec<usize> = (0..count).step_by(size).collect();
            let parts = starts.iter().map(|start| part(&golden, &head, *start..count.min(start + size)));
            let (mut sum, mut joined) = (0.0, Vec::new());
            for (loss, gradient) in parts {
                sum += value(&loss);
                joined.extend(gradient);
            }
            assert!((sum - value(&whole)).abs() < 1e-6);
            assert_eq!(joined, found, "micro-batches of {size}");
        }
    }
    // The clip holds some values of the batch back, and not others.
    let held =
        |clip: f32| golden.now.iter().zip(golden.values.concat()).filter(|(now, v)| (*now - v).abs() > clip).count();
    assert!((1..count).contains(&held(0.2)));
    let nothing = Tensor::new(&[] as &[f32], &Device::Cpu).unwrap();
    let foretold = ValueTargets { value: &nothing, before: &nothing, returned: &nothing, weight: &nothing };
    let message = value_loss(&HeadLoss::default(), &foretold, 0.0).unwrap_err().to_string();
    assert!(message.contains("normaliser = 0"), "{message}");
}
