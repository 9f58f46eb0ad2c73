use super::*;
use crate::policy::init::tests::{model, structured};
use crate::policy::{Family, InitConfig, Policy};
use std::sync::Arc;

/// Attention weights of the last of `tokens` in one head, from the definition.
fn attention(policy: &Policy, states: &[Vec<f32>], layer: usize, head: usize) -> Vec<f64> {
    let (d, dim) = (policy.config.hidden_size, policy.config.head_dim);
    let weights = policy.weights().unwrap();
    let turned = |part: &str, position: usize| -> Vec<f64> {
        let matrix = &weights[&format!("model.layers.{layer}.self_attn.{part}.weight")].values;
        let bias = &weights[&format!("model.layers.{layer}.self_attn.{part}.bias")].values;
        let x = &states[position];
        let mean = x.iter().map(|v| v * v).sum::<f32>() / d as f32;
        let raw: Vec<f64> = (0..dim)
            .map(|i| {
                let row = &matrix[(head * dim + i) * d..][..d];
                let product: f32 = row.iter().zip(x).map(|(w, x)| w * x).sum();
                f64::from(product / mean.sqrt() + bias[head * dim + i])
            })
            .collect();
        let half = dim / 2;
        let angle = |i: usize| position as f64 * 1e5f64.powf(-2.0 * i as f64 / dim as f64);
        let first = (0..half).map(|i| raw[i] * angle(i).cos() - raw[i + half] * angle(i).sin());
        let second = (0..half).map(|i| raw[i + half] * angle(i).cos() + raw[i] * angle(i).sin());
        first.chain(second).collect()
    };
    let query = turned("q_proj", states.len() - 1);
    let scores: Vec<f64> = (0..states.len())
        .map(|p| turned("k_proj", p).iter().zip(&query).map(|(a, b)| a * b).sum::<f64>() / (dim as f64).sqrt())
        .collect();
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
    scores.iter().map(|s| (s - top).exp() / sum).collect()
}

fn rows(tensor: &candle_core::Tensor) -> Vec<Vec<f32>> {
    tensor.to_vec2().unwrap()
}

#[test]
fn offset_heads_look_their_distance_back() {
    let policy = Policy::initialise(Arc::new(model()), &structured(), 0).unwrap();
    let tokens: Vec<u32> = (0..30).map(|i| i * 17 % 50).collect();
    let states = rows(&policy.variables["model.embed_tokens.weight"].as_tensor().clone());
    let states: Vec<Vec<f32>> = tokens.iter().map(|token| states[*token as usize].clone()).collect();
    for head in 0..4 {
        let weights = attention(&policy, &states, 0, head);
        assert!(weights[30 - 2 - head] > 0.9, "head {head}: {weights:?}");
    }
}

#[test]
fn matching_heads_find_the_token_after_the_same_word() {
    let mut one_layer = model();
    one_layer.num_hidden_layers = 1;
    let policy = Policy::initialise(Arc::new(model()), &structured(), 0).unwrap();
    // The states after layer 0 alone: a model of one layer with the same weights, before the final norm (which
    // divides each row by one number and so changes no matching).
    let first = policy.weights().unwrap().into_iter().filter(|(name, _)| !name.contains("layers.1")).collect();
    let first = Policy::new("test", Arc::new(one_layer), first).unwrap();
    let plain = InitConfig { structured: None, ..structured() };
    let plain = Policy::initialise(Arc::new(model()), &plain, 0).unwrap();
    let (mut matched, mut unmatched) = (0.0, 0.0);
    // Eight sentences of three words, each with the anchor (7) at its end; then the last word of one of them.
    for again in 0..8 {
        let sentence = |i: u32| [10 + 3 * i, 11 + 3 * i, 12 + 3 * i, 7];
        let tokens: Vec<u32> = (0..8).flat_map(sentence).chain([12 + 3 * again]).collect();
        let states = rows(&first.hidden(&tokens, &[tokens.len()].into_iter().collect()).unwrap());
        // Head 0 compares own with prev1 at anchors: from a repeated word it looks at the end of its sentence.
        matched += attention(&policy, &states, 1, 0)[4 * again as usize + 3] / 8.0;
        unmatched += attention(&plain, &states, 1, 0)[4 * again as usize + 3] / 8.0;
    }
    assert!(matched > 0.4 && unmatched < 0.1, "{matched} {unmatched}");
}

#[test]
fn heads_of_layer_2_go_on_from_what_layer_1_has_brought() {
    let config = ModelConfig { num_hidden_layers: 3, ..model() };
    let says =
        |query, key| Head::Match { query, key: Code::Previous(key), says: true, fetched: vec![Code::Previous(1)] };
    let mut init = structured();
    let shape = init.structured.as_mut().unwrap();
    shape.heads = vec![says(Code::Previous(1), 3)];
    shape.then = vec![says(Code::Own, 3)];
    let policy = Policy::initialise(Arc::new(config.clone()), &init, 0).unwrap();
    let first = policy.weights().unwrap().into_iter().filter(|(name, _)| !name.contains("layers.2")).collect();
    let config = ModelConfig { num_hidden_layers: 2, ..config };
    let first = Policy::new("test", Arc::new(config), first).unwrap();
    // Six sentences "of X are Y .", the first three of which are continued by the last three; then "X :".
    let (frame, copula, stop, colon) = (1, 2, 7, 3);
    let sentence = |x: u32, y: u32| [frame, x, copula, y, stop];
    let told = [(10, 20), (11, 21), (12, 22), (20, 30), (21, 31), (22, 32)];
    let (mut step, mut further) = (0.0, 0.0);
    for asked in 0..3 {
        let tokens: Vec<u32> = told.iter().flat_map(|(x, y)| sentence(*x, *y)).chain([10 + asked, colon]).collect();
        let states = rows(&first.hidden(&tokens, &[tokens.len()].into_iter().collect()).unwrap());
        let seen = attention(&policy, &states, 2, 0);
        step += seen[5 * (3 + asked as usize) + 4] / 3.0;
        further += (3..6).filter(|at| *at != 3 + asked as usize).map(|at| seen[5 * at + 4]).sum::<f64>() / 3.0;
    }
    // Layer 1 brings a little of the other two as well, so these are looked at, too: less than the right one, together.
    assert!(step > 0.5 && step > further, "{step} {further}");
    let mut shallow = structured();
    shallow.structured.as_mut().unwrap().then = vec![says(Code::Own, 3)];
    let error = Policy::initialise(Arc::new(model()), &shallow, 0).unwrap_err().to_string();
    assert!(error.contains("at least 3 layers"), "{error}");
}

#[test]
fn with_gates_heads_look_from_their_token_and_rest_at_the_first_one_elsewhere() {
    let (rest, colon, begin, mark, other) = (1, 2, 3, 4, 5);
    let mut init = structured();
    let shape = init.structured.as_mut().unwrap();
    shape.heads.truncate(3);
    shape.heads.push(Head::Repeat { token: mark, code: Code::Previous(1) });
    shape.gates = Some(Gates { answer: colon, cue: begin, rest });
    let free = InitConfig {
        structured: init.structured.clone().map(|shape| Structured { gates: None, ..shape }),
        ..init.clone()
    };
    // Eight sentences of three words with the anchor (7) at their end, a question that asks for one, and a token: how
    // much of its attention is where `at` says, on the average over the questions.
    let share = |init: &InitConfig, at: &dyn Fn(u32) -> usize, last: u32, head: usize| -> f64 {
        let policy = Policy::initialise(Arc::new(model()), init, 0).unwrap();
        let config = Arc::new(ModelConfig { num_hidden_layers: 1, ..model() });
        let first = policy.weights().unwrap().into_iter().filter(|(name, _)| !name.contains("layers.1")).collect();
        let first = Policy::new("test", config, first).unwrap();
        let seen = |again: u32| {
            let sentence = |i: u32| [10 + 3 * i, 11 + 3 * i, 12 + 3 * i, 7];
            let told = [rest].into_iter().chain((0..8).flat_map(sentence));
            let tokens: Vec<u32> = told.chain([mark, 12 + 3 * again, last]).collect();
            let states = rows(&first.hidden(&tokens, &[tokens.len()].into_iter().collect()).unwrap());
            attention(&policy, &states, 1, head)[at(again)]
        };
        (0..8).map(seen).sum::<f64>() / 8.0
    };
    // Head 1 compares what stands before it with what stands before anchors; head 3 looks at the question mark.
    let (its_sentence, beginning, question) = (|again: u32| 4 + 4 * again as usize, |_: u32| 0, |_: u32| 33);
    // Attention that knows nothing gives every token a thirtieth.
    let found = share(&init, &its_sentence, colon, 1);
    assert!(found > 0.3, "{found}");
    let found = share(&init, &question, begin, 3);
    assert!(found > 0.9, "{found}");
    let elsewhere = [(begin, 1), (other, 1), (colon, 3), (other, 3)];
    let at_rest =
        elsewhere.map(|(last, head)| (share(&init, &beginning, last, head), share(&free, &beginning, last, head)));
    assert!(at_rest.iter().all(|(gated, free)| *gated > 0.4 && *free < 0.1), "{at_rest:?}");
}

#[test]
fn codes_are_words_in_a_config_and_impossible_wishes_are_refused() {
    let text = toml::to_string(&structured()).unwrap();
    assert!(text.contains("key = \"prev1\""), "{text}");
    assert_eq!(toml::from_str::<InitConfig>(&text).unwrap(), structured());
    assert!(toml::from_str::<InitConfig>(&text.replace("prev1", "next1")).is_err());
    let refused = |config: ModelConfig, change: fn(&mut Structured)| {
        let mut init = structured();
        change(init.structured.as_mut().unwrap());
        Policy::initialise(Arc::new(config), &init, 0).unwrap_err().to_string()
    };
    assert!(refused(ModelConfig { family: Family::Llama, ..model() }, |_| ()).contains("use model_type qwen2"));
    assert!(refused(ModelConfig { num_key_value_heads: 2, ..model() }, |_| ()).contains("2 key heads"));
    assert!(refused(model(), |s| s.heads[0] = Head::Repeat { token: 1, code: Code::Previous(9) }).contains("prev9"));
    assert!(refused(model(), |s| s.offsets.push(5)).contains("5 offsets"));
    let outside = |s: &mut Structured| s.gates = Some(Gates { answer: 2, cue: 3, rest: 999 });
    assert!(refused(model(), outside).contains("token 999"));
    assert!(refused(ModelConfig { rope_theta: 10.0, ..model() }, |_| ()).contains("raise rope_theta"));
}
