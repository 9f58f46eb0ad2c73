//! The engine against the learner, which recomputes everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Completion, CpuEngine, Engine, Finish, Job, PackedWeights, PartialCompletion, Request, SamplingParams};
use crate::kernels::simd::tests::under_each_level;
use crate::learner::policy_gradient::{self, Sampled};
use crate::policy::lora::tests::{adapted, unevenly_adapted};
use crate::policy::model::tests::random_policy;
use crate::policy::{Family, ModelConfig, PackedBatch, Policy, Snapshot, Target, Weight};

/// A tiny model of sizes that are multiples of nothing.
pub(crate) fn tiny(family: Family) -> ModelConfig {
    ModelConfig {
        family,
        vocab_size: 37,
        hidden_size: 20,
        intermediate_size: 27,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 6,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: None,
        max_position_embeddings: 128,
        sliding_window: None,
        attention_bias: false,
        tie_word_embeddings: family == Family::Qwen3,
    }
}

/// Random weights, as version 5.
pub(crate) fn snapshot(config: &ModelConfig, seed: u64) -> Snapshot {
    random_policy(config, seed).snapshot(5).unwrap()
}

pub(crate) fn request(prompt: &[u32], samples: usize, temperature: f32, key: u64) -> Request {
    let (max_new_tokens, stop, seed) = (9, vec![3], 11);
    let sampling = SamplingParams::at(temperature);
    Request { prompt: prompt.to_vec(), samples, sampling, max_new_tokens, stop, seed, key: [key, 0] }
}

/// Requests of uneven length, some greedy, with shared keys nowhere.
pub(crate) fn mixture(count: u64) -> Vec<Request> {
    let mixed = |key: u64| {
        let prompt: Vec<u32> = (0..1 + key * 5 % 19).map(|i| ((key * 13 + i * 7) % 37) as u32).collect();
        let temperature = [0.0, 0.7, 1.0, 1.5][key as usize % 4];
        Request {
            max_new_tokens: 1 + key as usize * 3 % 11,
            ..request(&prompt, 1 + key as usize % 4, temperature, key)
        }
    };
    (0..count).map(mixed).collect()
}

fn engine(snapshot: &Snapshot, slots: usize) -> CpuEngine {
    let mut engine = Engine::new(&snapshot.config, slots, 64).unwrap();
    engine.load(snapshot).unwrap();
    engine
}

/// Asserts that a completion's log-probs are those of the learner, which `tests/parity.rs` holds to transformers, and its
/// tokens too where it is greedy.
fn agree(snapshot: &Snapshot, request: &Request, completion: &Completion) {
    let policy = Policy::from_snapshot(snapshot).unwrap();
    let tokens = [&request.prompt[..], &completion.tokens].concat();
    let logits = policy.logits(&tokens, &[tokens.len()].into_iter().collect()).unwrap().to_vec2::<f32>().unwrap();
    let asked = request.sampling.temperature;
    let temperature = if asked == 0.0 { 1.0 } else { asked };
    let rows = logits[request.prompt.len() - 1..].iter();
    for ((row, token), log_prob) in rows.zip(&completion.tokens).zip(&completion.log_probs) {
        let likeliest = row.iter().fold(f32::NEG_INFINITY, |most, logit| most.max(*logit));
        let sum: f32 = row.iter().map(|logit| ((logit - likeliest) / temperature).exp()).sum();
        let expected = (row[*token as usize] - likeliest) / temperature - sum.ln();
        assert!((expected - log_prob).abs() < 1e-4, "{log_prob} for {expected}");
        assert!(asked > 0.0 || row[*token as usize] > likeliest - 1e-5);
    }
}

/// Ways to draw that take more than a temperature.
pub(crate) fn choosy(count: u64) -> Vec<Request> {
    let mut requests = mixture(count);
    for (request, at) in requests.iter_mut().zip(0..) {
        let usual = request.sampling;
        request.sampling = match at % 6 {
            0 => SamplingParams { top_k: 4, ..usual },
            1 => SamplingParams { top_p: 0.6, top_logprobs: 2, ..usual },
            2 => SamplingParams { min_p: 0.5, ..usual },
            4 => SamplingParams { no_repeat_ngram_size: 2, ..usual },
            3 => SamplingParams { top_k: 9, top_p: 0.8, min_p: 0.2, repetition_penalty: 1.3, ..usual },
            _ => SamplingParams { presence_penalty: 0.5, frequency_penalty: 0.25, ..usual },
        };
    }
    requests
}

#[test]
fn truncated_log_probs_are_those_of_the_learner_under_the_same_masks() {
    for family in [Family::Llama, Family::Qwen3] {
        let snapshot = snapshot(&tiny(family), 7);
        let policy = Policy::from_snapshot(&snapshot).unwrap().with_temperature(0.7);
        let truncated = SamplingParams { top_p: 0.9, ..SamplingParams::at(0.7) };
        let restricted = SamplingParams { no_repeat_ngram_size: 1, ..SamplingParams::at(0.7) };
        let sampling = |key| if key % 2 == 0 { truncated } else { restricted };
        let requests: Vec<Request> = (0..6)
            .map(|key| Request { sampling: sampling(key), ..request(&[1, 2, 5 + key as u32], 8, 0.7, key) })
            .collect();
        let completions = engine(&snapshot, 4).generate(&requests).unwrap();
        let sampled: Vec<Sampled> = completions
            .iter()
            .map(|completion| Sampled {
                prompt: &requests[completion.request].prompt,
                tokens: &completion.tokens,
                sampler_logprobs: &completion.log_probs,
                sampling_mask: &completion.sampling_mask,
                old_logprobs: None,
                advantage: 1.0,
                gae: None,
                kept: true,
            })
            .collect();
        let learned = policy_gradient::score(&policy, &sampled, 2).unwrap();
        let apart = |(mine, one): (&Vec<f32>, &Sampled)| {
            let each = mine.iter().zip(one.sampler_logprobs).map(|(a, b)| (a - b).abs());
            each.fold(0.0f32, f32::max)
        };
        let most = learned.iter().zip(&sampled).map(apart).fold(0.0f32, f32::max);
        let off = |(mine, one): (&Vec<f32>, &Sampled)| {
            mine.iter().zip(one.sampler_logprobs).map(|(a, b)| f64::from(a - b).abs()).sum::<f64>()
        };
        let tokens: usize = learned.iter().map(Vec::len).sum();
        let mean = learned.iter().zip(&sampled).map(off).sum::<f64>() / tokens as f64;
        assert!(mean < 1e-6 && most < 1e-5, "{mean} nats in the mean, {most} at most");
        for completion in completions.iter().filter(|one| one.request % 2 == 1) {
            let said: BTreeSet<u32> =
                requests[completion.request].prompt.iter().chain(&completion.tokens).copied().collect();
            assert_eq!(said.len(), 3 + completion.tokens.len(), "a token came twice");
        }
        let masked = completions.iter().flat_map(|one| &one.sampling_mask).filter(|mask| !mask.is_empty()).count();
        assert!(masked > 50, "{masked}");
        // Without the masks they are of another distribution.
        let plain: Vec<Sampled> = sampled.iter().map(|one| Sampled { sampling_mask: &[], ..*one }).collect();
        let plain = policy_gradient::score(&policy, &plain, 2).unwrap();
        assert!(plain.iter().zip(&sampled).map(apart).fold(0.0f32, f32::max) > 0.01);
    }
}

#[test]
fn what_was_said_counts_where_it_is_penalised() {
    let snapshot = snapshot(&tiny(Family::Llama), 7);
    let policy = Policy::from_snapshot(&snapshot).unwrap();
    let sampling = SamplingParams {
        repetition_penalty: 1.4,
        presence_penalty: 0.3,
        frequency_penalty: 0.2,
        top_logprobs: 3,
        ..SamplingParams::at(0.8)
    };
    let request = Request { sampling, stop: Vec::new(), max_new_tokens: 20, ..request(&[1, 2, 5], 2, 0.8, 3) };
    for completion in engine(&snapshot, 2).generate(std::slice::from_ref(&request)).unwrap() {
        let tokens = [&request.prompt[..], &completion.tokens].concat();
        let logits = policy.logits(&tokens, &[tokens.len()].into_iter().collect()).unwrap().to_vec2::<f32>().unwrap();
        for (at, token) in completion.tokens.iter().enumerate() {
            let raw = &logits[request.prompt.len() - 1 + at];
            let said = &completion.tokens[..at];
            let penalised = |(id, logit): (u32, &f32)| {
                let count = said.iter().filter(|before| **before == id).count() as f32;
                let seen = count > 0.0 || request.prompt.contains(&id);
                let repeated = if *logit > 0.0 { logit / 1.4 } else { logit * 1.4 };
                (if seen { repeated } else { *logit }) - 0.2 * count - if count > 0.0 { 0.3 } else { 0.0 }
            };
            let drawn_from: Vec<f32> = (0..).zip(raw).map(penalised).collect();
            let log_sum = |logits: &[f32], by: f32| logits.iter().map(|logit| (logit / by).exp()).sum::<f32>().ln();
            let expected = drawn_from[*token as usize] / 0.8 - log_sum(&drawn_from, 0.8);
            assert!((expected - completion.log_probs[at]).abs() < 1e-4);
            let top = &completion.top_logprobs[at];
            assert_eq!((top.len(), top[0].0), (4, *token));
            assert!(top.iter().all(|(id, lp)| (raw[*id as usize] - log_sum(raw, 1.0) - lp).abs() < 1e-4));
            assert!(top[1..].is_sorted_by(|a, b| a.1 >= b.1));
        }
    }
}

#[test]
fn whoever_goes_on_with_a_truncated_completion_ends_where_it_would_have() {
    let snapshot = snapshot(&tiny(Family::Qwen2), 7);
    let requests = choosy(15);
    let whole = engine(&snapshot, 3).generate(&requests).unwrap();
    for completion in whole.iter().filter(|one| one.tokens.len() > 1) {
        let mut half = completion.clone().stopped_after(completion.tokens.len() / 2);
        let (request, sample) = (half.request, half.sample);
        let begun = PartialCompletion {
            tokens: std::mem::take(&mut half.tokens),
            log_probs: std::mem::take(&mut half.log_probs),
            versions: half.versions,
            sampling_mask: half.sampling_mask,
            top_logprobs: half.top_logprobs,
            ..PartialCompletion::new(request, sample)
        };
        let mut engine = engine(&snapshot, 2);
        engine.take(Job { number: request, request: requests[request].clone(), begun: vec![begun] }).unwrap();
        while !engine.is_idle() {
            engine.step().unwrap();
        }
        assert_eq!(engine.finished(), std::slice::from_ref(completion));
    }
}

#[test]
fn every_family_agrees_with_the_learner() {
    for family in [Family::Llama, Family::Qwen2, Family::Qwen3] {
        for shared in [1, 2, 4] {
            let config = ModelConfig { num_key_value_heads: shared, ..tiny(family) };
            let snapshot = snapshot(&config, 7);
            let requests = mixture(8);
            for completion in under_each_level(|| engine(&snapshot, 5).generate(&requests).unwrap()).concat() {
                agree(&snapshot, &requests[completion.request], &completion);
                assert_eq!(completion.versions.runs(), [(5, completion.tokens.len())]);
            }
        }
    }
}

#[test]
fn adapters_beside_packed_weights_say_what_merged_weights_say() {
    use Target::{DownProj, GateProj, KProj, OProj, QProj, UpProj, VProj};
    for policy in [
        adapted(Family::Qwen2, &[QProj, KProj, VProj, OProj, GateProj, UpProj, DownProj]),
        adapted(Family::Llama, &[QProj, VProj, DownProj]),
        adapted(Family::Qwen3, &[KProj, UpProj, OProj]),
        unevenly_adapted(Family::Qwen3),
    ] {
        let family = policy.config.family;
        let merged = policy.merged().unwrap().snapshot(0).unwrap();
        let requests: Vec<_> = (0..4).map(|key| request(&[1, 2, 5 + key as u32], 3, 1.0, key)).collect();
        let say = |snapshot: &Snapshot| {
            let mut engine = Engine::new(&snapshot.config, 5, 64).unwrap();
            engine.load(snapshot).unwrap();
            engine.generate(&requests).unwrap()
        };
        let (beside, merged) = under_each_level(|| (say(&policy.snapshot(0).unwrap()), say(&merged))).pop().unwrap();
        for (beside, merged) in beside.iter().zip(&merged) {
            assert_eq!(beside.tokens, merged.tokens, "{family:?}");
            assert!(beside.log_probs.iter().zip(&merged.log_probs).all(|(a, b)| (a - b).abs() < 1e-5), "{family:?}");
        }
    }
}

#[test]
fn a_new_version_of_adapters_shares_the_packed_weights_below_them() {
    let policy = adapted(Family::Qwen2, &[Target::UpProj]);
    let first = PackedWeights::pack(&policy.snapshot(1).unwrap(), None, 1).unwrap();
    let second = PackedWeights::pack(&policy.snapshot(2).unwrap(), Some(&first), 2).unwrap();
    assert!(Arc::ptr_eq(&first.head, &second.head) && second.version == 2);
    let other = adapted(Family::Qwen2, &[Target::UpProj]).snapshot(3).unwrap();
    assert!(!Arc::ptr_eq(&first.head, &PackedWeights::pack(&other, Some(&first), 1).unwrap().head));
}

#[test]
fn a_prompt_longer_than_a_step_is_read_in_pieces() {
    let snapshot = snapshot(&ModelConfig { max_position_embeddings: 200, ..tiny(Family::Llama) }, 1);
    let mut engine = Engine::new(&snapshot.config, 2, 200).unwrap();
    engine.load(&snapshot).unwrap();
    let prompt: Vec<u32> = (0..150).map(|i| i * 11 % 37).collect();
    let request = request(&prompt, 3, 1.0, 0);
    for completion in engine.generate(std::slice::from_ref(&request)).unwrap() {
        agree(&snapshot, &request, &completion);
    }
}

#[test]
fn far_from_the_beginning_sampler_and_learner_turn_heads_alike() {
    const LENGTH: usize = 16_000;
    let config = ModelConfig {
        num_hidden_layers: 1,
        num_attention_heads: 1,
        num_key_value_heads: 1,
        max_position_embeddings: 1 << 14,
        ..tiny(Family::Qwen3)
    };
    let mut snapshot = snapshot(&config, 4);
    let weights = Arc::make_mut(&mut snapshot.weights);
    // Sharp heads: a small angle makes a difference.
    for part in ["q_norm", "k_norm"] {
        weights.get_mut(&format!("model.layers.0.self_attn.{part}.weight")).unwrap().values.fill(8.0);
    }
    let prompt: Vec<u32> = (0..LENGTH).map(|i| ((i * 11 + i * i / 7) % 37) as u32).collect();
    let request = Request { stop: vec![], max_new_tokens: 24, ..request(&prompt, 2, 1.0, 0) };
    let mut engine = Engine::new(&config, 2, 1 << 14).unwrap();
    engine.load(&snapshot).unwrap();
    let policy = Policy::from_snapshot(&snapshot).unwrap();
    for said in engine.generate(&[request]).unwrap() {
        let mut batch = PackedBatch::default();
        let scored = [vec![0.0; LENGTH], vec![1.0; said.tokens.len()]].concat();
        batch.push(&[prompt.clone(), said.tokens.clone()].concat(), &scored).unwrap();
        let learned: Vec<f32> = policy.score(&batch).unwrap().log_prob.to_vec1().unwrap();
        let learned = &learned[learned.len() - said.tokens.len()..];
        for (sampled, learned) in said.log_probs.iter().zip(learned) {
            assert!((sampled - learned).abs() < 2e-4, "{sampled} for {learned}");
        }
    }
}

#[test]
fn a_prompt_is_computed_once_for_all_completions_of_its_group() {
    let snapshot = snapshot(&tiny(Family::Qwen2), 8);
    let prompts = [7usize, 1, 30].map(|length| (0..length as u32).map(|i| i * 5 % 37).collect::<Vec<u32>>());
    let requests: Vec<_> = prompts.iter().enumerate().map(|(key, p)| request(p, 16, 1.0, key as u64)).collect();
    for slots in [1, 5, 16] {
        let mut engine = engine(&snapshot, slots);
        let completions = engine.generate(&requests).unwrap();
        // The last token of a completion is sampled and never read.
        let sampled: usize = completions.iter().map(|completion| completion.tokens.len() - 1).sum();
        assert_eq!(engine.positions(), (7 + 1 + 30 + sampled) as u64, "{slots} slots");
    }
}

#[test]
fn a_completion_alone_is_the_same_as_among_many_to_the_last_bit() {
    let snapshot = snapshot(&tiny(Family::Qwen3), 2);
    let requests = mixture(40);
    under_each_level(|| {
        let together = engine(&snapshot, 64).generate(&requests).unwrap();
        assert_eq!(together.len(), requests.iter().map(|request| request.samples).sum::<usize>());
        for slots in [1, 2, 3, 7, 13] {
            assert_eq!(engine(&snapshot, slots).generate(&requests).unwrap(), together, "{slots} slots");
        }
        for (number, request) in requests.iter().enumerate() {
            let alone = engine(&snapshot, 1).generate(std::slice::from_ref(request)).unwrap();
            let among = together.iter().filter(|completion| completion.request == number);
            assert!(alone.into_iter().eq(among.map(|completion| Completion { request: 0, ..completion.clone() })));
        }
    });
}

/// Takes jobs as there is room and does a number of steps.
fn steps(engine: &mut CpuEngine, jobs: &mut Vec<Job>, count: usize) {
    for _ in 0..count {
        while engine.has_room() && !jobs.is_empty() {
            engine.take(jobs.remove(0)).unwrap();
        }
        engine.step().unwrap();
    }
}

fn jobs(requests: &[Request]) -> Vec<Job> {
    requests.iter().cloned().enumerate().map(|(number, request)| Job::new(number, request)).collect()
}

#[test]
fn what_another_engine_goes_on_with_ends_as_if_it_had_not_been_handed_over() {
    let snapshot = snapshot(&tiny(Family::Qwen3), 2);
    let requests = mixture(12);
    let expected = engine(&snapshot, 5).generate(&requests).unwrap();
    for after in [0, 1, 3, 6, 20] {
        let mut first = engine(&snapshot, 3);
        let mut jobs = jobs(&requests);
        steps(&mut first, &mut jobs, after);
        let mut completions = first.finished();
        let mut begun: BTreeMap<usize, Vec<PartialCompletion>> = BTreeMap::new();
        first.begun().into_iter().for_each(|one| begun.entry(one.request).or_default().push(one));
        assert!(after == 0 || begun.values().flatten().any(|begun| !begun.tokens.is_empty()));
        // A shorter cache that has to grow under what is running.
        let mut second = engine(&snapshot, 4);
        let handed =
            begun.into_iter().map(|(number, begun)| Job { begun, ..Job::new(number, requests[number].clone()) });
        let mut all: Vec<Job> = handed.chain(jobs).collect();
        while !(all.is_empty() && second.is_idle()) {
            steps(&mut second, &mut all, 1);
        }
        completions.extend(second.finished());
        completions.sort_by_key(|completion| (completion.request, completion.sample));
        assert_eq!(completions, expected, "handed over after {after} steps");
    }
    let job = Job::new(3, requests[3].clone());
    let begun = PartialCompletion { tokens: vec![1; 99], ..PartialCompletion::new(3, 0) };
    let message = engine(&snapshot, 2).take(Job { begun: vec![begun], ..job }).unwrap_err().to_string();
    assert!(message.contains("request 3") && message.contains("sample 0 was begun for another request"), "{message}");
}

#[test]
fn weights_change_between_two_steps_and_every_token_says_which_it_came_from() {
    let (old, new) = (snapshot(&tiny(Family::Qwen2), 2), Snapshot { version: 6, ..snapshot(&tiny(Family::Qwen2), 3) });
    let requests: Vec<Request> =
        (0..4).map(|key| Request { stop: Vec::new(), ..request(&[1, 2, 5 + key as u32], 3, 1.0, key) }).collect();
    let before = engine(&old, 4).generate(&requests).unwrap();
    let mut changing = engine(&old, 4);
    let mut jobs = jobs(&requests);
    // The first token comes with the slot.
    steps(&mut changing, &mut jobs, 3);
    changing.load(&new).unwrap();
    while !(jobs.is_empty() && changing.is_idle()) {
        steps(&mut changing, &mut jobs, 1);
    }
    let mut completions = changing.finished();
    completions.sort_by_key(|completion| (completion.request, completion.sample));
    assert_eq!(completions.len(), 12);
    for (completion, before) in completions.iter().zip(&before) {
        assert_eq!(completion.versions.tokens(), 9);
        match completion.versions.runs() {
            // Begun under the old weights: the same until they changed, and from there on drawn by the new ones, with
            // what the old ones left in the cache, so that neither policy alone knows it.
            [(5, 4), (6, 5)] => {
                assert_eq!(completion.tokens[..4], before.tokens[..4]);
                assert_eq!(completion.log_probs[..4], before.log_probs[..4]);
                assert_ne!(completion.log_probs[4..], before.log_probs[4..]);
            }
            // Not begun before they changed, though its prompt may have been read.
            [(6, 9)] => agree(&new, &requests[completion.request], completion),
            other => panic!("{other:?}"),
        }
    }
    let mixed = completions.iter().filter(|completion| completion.versions.oldest() == Some(5)).count();
    assert_eq!(mixed, 4);
}

#[test]
fn slots_are_refilled_and_completions_come_sorted() {
    let snapshot = snapshot(&tiny(Family::Llama), 3);
    let mut engine = engine(&snapshot, 3);
    let requests = mixture(30);
    let completions = engine.generate(&requests).unwrap();
    let wanted: Vec<_> = requests
        .iter()
        .enumerate()
        .flat_map(|(number, r)| (0..r.samples).map(move |sample| (number, sample)))
        .collect();
    assert_eq!(completions.iter().map(|c| (c.request, c.sample)).collect::<Vec<_>>(), wanted);
    assert_eq!(engine.generate(&requests).unwrap(), completions, "an engine remembers nothing");
}

#[test]
fn a_completion_ends_with_the_stop_token_or_the_budget() {
    let snapshot = snapshot(&tiny(Family::Llama), 4);
    let requests: Vec<_> = (0..20).map(|key| request(&[1, 2], 10, 1.5, key)).collect();
    let completions = engine(&snapshot, 16).generate(&requests).unwrap();
    let mut stopped = 0;
    for Completion { tokens, log_probs, finish, .. } in &completions {
        assert_eq!(tokens.len(), log_probs.len());
        assert!(!tokens[..tokens.len() - 1].contains(&3));
        assert_eq!(*finish, if tokens[tokens.len() - 1] == 3 { Finish::Stop } else { Finish::Length });
        assert!(*finish == Finish::Stop || tokens.len() == 9);
        stopped += usize::from(*finish == Finish::Stop);
    }
    assert!(stopped > 0 && stopped < completions.len());
}

#[test]
fn what_cannot_be_answered_is_refused_by_name() {
    let snapshot = snapshot(&tiny(Family::Llama), 5);
    let mut engine = engine(&snapshot, 2);
    let good = request(&[1, 2], 1, 1.0, 0);
    let cases = [
        (Request { prompt: vec![], ..good.clone() }, "empty prompt"),
        (Request { prompt: vec![1, 37], ..good.clone() }, "token id 37"),
        (Request { max_new_tokens: 63, ..good.clone() }, "a slot holds 64"),
        (Request { max_new_tokens: usize::MAX, ..good.clone() }, "a slot holds 64"),
        (Request { max_new_tokens: 0, ..good.clone() }, "max_new_tokens = 0"),
        (Request { sampling: SamplingParams::at(f32::NAN), ..good.clone() }, "temperature = NaN"),
        (Request { sampling: SamplingParams::at(-1.0), ..good.clone() }, "temperature = -1"),
        (Request { sampling: SamplingParams { top_p: 0.0, ..good.sampling }, ..good.clone() }, "top_p = 0"),
    ];
    for (bad, reason) in cases {
        let message = engine.generate(&[good.clone(), bad]).unwrap_err().to_string();
        assert!(message.contains("request 1") && message.contains(reason), "{message}");
    }
    assert_eq!(engine.generate(&[Request { max_new_tokens: 62, ..good }]).unwrap().len(), 1);
}

#[test]
fn broken_weights_are_refused_by_name() {
    let good = snapshot(&tiny(Family::Qwen3), 6);
    let mut engine = Engine::new(&good.config, 2, 16).unwrap();
    let message = engine.generate(&[request(&[1], 1, 1.0, 0)]).unwrap_err().to_string();
    assert!(message.contains("no weights"), "{message}");

    let spoilt = |spoil: fn(&mut BTreeMap<String, Weight>)| {
        let mut weights = good.weights.as_ref().clone();
        spoil(&mut weights);
        Snapshot { weights: Arc::new(weights), ..good.clone() }
    };
    let missing = spoilt(|weights| drop(weights.remove("model.layers.1.self_attn.k_norm.weight")));
    let message = engine.load(&missing).unwrap_err().to_string();
    assert!(message.contains("model.layers.1.self_attn.k_norm.weight: missing"), "{message}");

    let bent = spoilt(|weights| weights.get_mut("model.norm.weight").unwrap().values.truncate(3));
    assert!(engine.load(&bent).unwrap_err().to_string().contains("model.norm.weight"));

    let diverged = spoilt(|weights| weights.get_mut("model.norm.weight").unwrap().values[0] = f32::NAN);
    engine.load(&diverged).unwrap();
    let message = engine.generate(&[request(&[1], 1, 1.0, 4)]).unwrap_err().to_string();
    assert!(message.contains("request 0 (key 4, 0)") && message.contains("not finite"), "{message}");

    let other = snapshot(&ModelConfig { rope_theta: 5e5, ..tiny(Family::Qwen3) }, 6);
    assert!(engine.load(&other).is_err());
    assert!(Engine::new(&good.config, 2, 129).is_err());
    assert!(Engine::new(&ModelConfig { head_dim: 5, ..tiny(Family::Llama) }, 2, 8).is_err());
}
