//! The engine on an emulated card against the engine of the processor.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::kernels::RopeScaling;
use crate::kernels::cuda::emulated::on_card;
use crate::kernels::rotary::tests::YARN;
use crate::policy::lora::tests::{adapted, unevenly_adapted};
use crate::policy::model::tests::random_policy;
use crate::policy::{Family, ModelConfig, Target};
use crate::rollout::tests::{choosy, mixture, request, snapshot, tiny};
use crate::rollout::{Completion, Finish, Job, PartialCompletion, Request};

fn policy(family: Family) -> Policy {
    random_policy(&tiny(family), 9)
}

fn on_processor(policy: &Policy, requests: &[Request]) -> Vec<Completion> {
    let mut engine = Engine::new(&policy.config, 5, 64).unwrap();
    engine.load(&policy.snapshot(5).unwrap()).unwrap();
    engine.generate(requests).unwrap()
}

fn by_engine(policy: &Policy, slots: usize, requests: &[Request]) -> Vec<Completion> {
    let mut engine = CudaEngine::with_slots(policy, slots, 64).unwrap().unwrap();
    engine.load(&policy.snapshot(5).unwrap()).unwrap();
    engine.generate(requests).unwrap()
}

fn assert_same(found: &[Completion], expected: &[Completion]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.tokens, expected.tokens, "request {} sample {}", found.request, found.sample);
        assert_eq!((found.finish, &found.versions), (expected.finish, &expected.versions));
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
        assert!(found.log_probs.iter().zip(&expected.log_probs).all(near), "{found:?} for {expected:?}");
    }
}

#[test]
fn says_what_the_processor_says_for_every_family_and_with_adapters() {
    let adapters = [Target::QProj, Target::VProj, Target::OProj, Target::UpProj, Target::DownProj];
    let policies = [policy(Family::Llama), policy(Family::Qwen2), policy(Family::Qwen3)];
    let adapted =
        [adapted(Family::Qwen3, &adapters), adapted(Family::Llama, &adapters), unevenly_adapted(Family::Qwen2)];
    for policy in policies.into_iter().chain(adapted) {
        // Within the smaller vocabulary.
        let mut requests = mixture(12);
        requests.iter_mut().flat_map(|request| &mut request.prompt).for_each(|token| *token %= 23);
        let expected = on_processor(&policy, &requests);
        on_card(|| assert_same(&by_engine(&policy, 7, &requests), &expected));
    }
}

#[test]
fn what_takes_more_than_a_temperature_is_drawn_as_on_the_processor() {
    let policy = policy(Family::Qwen3);
    let requests = choosy(15);
    let expected = on_processor(&policy, &requests);
    on_card(|| {
        let found = by_engine(&policy, 4, &requests);
        assert_same(&found, &expected);
        let masks = |all: &[Completion]| all.iter().map(|one| one.sampling_mask.clone()).collect::<Vec<_>>();
        assert_eq!(masks(&found), masks(&expected));
    });
}

#[test]
fn completions_do_not_depend_on_the_number_of_slots() {
    let policy = policy(Family::Qwen3);
    // More prompts with groups than are held at once, groups larger than the slots, none, and prompts of one token.
    let mut requests = mixture(14);
    requests.push(request(&[5, 6, 7], 11, 1.0, 90));
    requests.push(request(&[8], 3, 1.0, 91));
    requests.push(request(&[8, 9], 0, 1.0, 92));
    let expected = on_processor(&policy, &requests);
    for slots in [1, 3, 32] {
        on_card(|| assert_same(&by_engine(&policy, slots, &requests), &expected));
    }
}

#[test]
fn long_prompts_are_read_in_pieces_and_the_cache_grows() {
    let rope_scaling = Some(RopeScaling::Yarn(YARN));
    let config = ModelConfig { max_position_embeddings: 512, rope_scaling, ..tiny(Family::Qwen2) };
    let snapshot = snapshot(&config, 9);
    let policy = Policy::new("test", snapshot.config.clone(), snapshot.weights.as_ref().clone()).unwrap();
    let long: Vec<u32> = (0..300).map(|i| i * 7 % 37).collect();
    let requests = [request(&long, 2, 1.0, 1), request(&long[..9], 1, 0.0, 2)];
    let mut engine = Engine::new(&policy.config, 2, 400).unwrap();
    engine.load(&policy.snapshot(5).unwrap()).unwrap();
    let expected = engine.generate(&requests).unwrap();
    on_card(|| {
        let mut engine = CudaEngine::with_slots(&policy, 2, 400).unwrap().unwrap();
        engine.load(&policy.snapshot(5).unwrap()).unwrap();
        engine.generate(&requests[1..]).unwrap();
        assert_same(&engine.generate(&requests).unwrap(), &expected);
    });
}

#[test]
fn what_was_begun_elsewhere_goes_on_and_new_weights_are_taken_up_between_two_tokens() {
    let (first, second) = (policy(Family::Qwen3), {
        let snapshot = snapshot(&tiny(Family::Qwen3), 10);
        Policy::new("test", snapshot.config.clone(), snapshot.weights.as_ref().clone()).unwrap()
    });
    let jobs: Vec<Job> = (0..5).map(|key| Job::new(key, request(&[key as u32, 7, 30], 3, 1.0, key as u64))).collect();
    fn run<B: Backend>(engine: &mut Engine<B>, jobs: &[Job], steps: usize) {
        jobs.iter().for_each(|job| engine.take(job.clone()).unwrap());
        (0..steps).for_each(|_| engine.step().unwrap());
    }
    let mut truth = Engine::new(&first.config, 15, 64).unwrap();
    truth.load(&first.snapshot(5).unwrap()).unwrap();
    run(&mut truth, &jobs, 2);
    let begun = truth.begun();
    truth.load(&second.snapshot(6).unwrap()).unwrap();
    let mut expected = truth.finished();
    while !truth.is_idle() {
        truth.step().unwrap();
        expected.extend(truth.finished());
    }
    expected.sort_by_key(|completion| (completion.request, completion.sample));
    on_card(|| {
        // The processor draws the first token when it has read a prompt: as many after three steps here.
        let mut engine = CudaEngine::with_slots(&first, 15, 64).unwrap().unwrap();
        engine.load(&first.snapshot(5).unwrap()).unwrap();
        run(&mut engine, &jobs, 3);
        let tokens = |begun: &[PartialCompletion]| begun.iter().map(|begun| begun.tokens.clone()).collect::<Vec<_>>();
        assert_eq!(tokens(&engine.begun()), tokens(&begun));
        // Here it goes on in the same slots,
        engine.load(&second.snapshot(6).unwrap()).unwrap();
        let mut found = engine.finished();
        while !engine.is_idle() {
            engine.step().unwrap();
            found.extend(engine.finished());
        }
        found.sort_by_key(|completion| (completion.request, completion.sample));
        assert_same(&found, &expected);
        // and what was begun under the first weights goes on under them in another engine, whatever its slots.
        let mut other = CudaEngine::with_slots(&first, 4, 64).unwrap().unwrap();
        other.load(&first.snapshot(5).unwrap()).unwrap();
        for job in &jobs {
            let begun = begun.iter().filter(|begun| begun.request == job.number).cloned().collect();
            other.take(Job { begun, ..job.clone() }).unwrap();
        }
        while !other.is_idle() {
            other.step().unwrap();
        }
        let requests: Vec<Request> = jobs.iter().map(|job| job.request.clone()).collect();
        let whole = on_processor(&first, &requests);
        let still = |completion: &Completion| {
            begun.iter().any(|begun| (begun.request, begun.sample) == (completion.request, completion.sample))
        };
        let mut found = other.finished();
        found.sort_by_key(|completion| (completion.request, completion.sample));
        assert_same(&found, &whole.into_iter().filter(still).collect::<Vec<_>>());
    });
}

#[test]
fn in_bf16_the_likeliest_tokens_stay_nearly_as_likely() {
    let policy = policy(Family::Qwen3);
    let requests: Vec<Request> = (0..6).map(|key| request(&[key as u32, 7, 30], 1, 0.0, key)).collect();
    let expected = on_processor(&policy, &requests);
    on_card(|| {
        let found = by_engine(&policy.clone().with_precision(Precision::Bf16), 4, &requests);
        let first = |completions: &[Completion]| completions.iter().map(|c| c.log_probs[0]).collect::<Vec<_>>();
        let apart = first(&found).iter().zip(first(&expected)).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(apart > 0.0 && apart < 0.1, "{apart}");
    });
}

#[test]
fn weights_that_are_not_finite_and_requests_that_do_not_fit_are_one_clear_line() {
    let good = policy(Family::Llama);
    let mut weights: BTreeMap<_, _> = good.weights().unwrap();
    weights.get_mut("model.norm.weight").unwrap().values.fill(f32::MAX);
    let broken = Policy::new("test", Arc::clone(&good.config), weights).unwrap();
    on_card(|| {
        let mut engine = CudaEngine::with_slots(&good, 3, 64).unwrap().unwrap();
        let message = |error: Error| error.to_string();
        assert!(message(engine.generate(&mixture(2)).unwrap_err()).contains("no weights"));
        engine.load(&broken.snapshot(1).unwrap()).unwrap();
        assert!(message(engine.generate(&mixture(2)).unwrap_err()).contains("not finite after 0 new tokens"));
        engine.load(&good.snapshot(1).unwrap()).unwrap();
        assert!(message(engine.generate(&[request(&[99], 1, 1.0, 1)]).unwrap_err()).contains("token id 99"));
        assert_eq!(engine.generate(&[request(&[1], 1, 1.0, 1)]).unwrap().len(), 1);
        assert!(CudaEngine::with_slots(&good, 0, 64).is_err() && CudaEngine::with_slots(&good, 1, 999).is_err());
        assert!(matches!(
            engine.generate(&[request(&[1], 1, 0.0, 1)]).unwrap()[0].finish,
            Finish::Length | Finish::Stop
        ));
    });
    assert!(CudaEngine::for_policy(&good, 64).unwrap().is_none());
}
