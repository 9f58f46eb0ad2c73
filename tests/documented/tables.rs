//! Tables of presets, aggregations, arms, terms and answers are what the program has and computes.

use candle_core::{Device, Tensor, Var};
use recollect::evaluation::Arm;
use recollect::knowledge::jsonl::JsonlFiles;
use recollect::knowledge::{Jsonl, Knowledge, Match, Set};
use recollect::language::Opening;
use recollect::learner::{
    Advantage, Aggregation, Algorithm, Clip, ClipRange, Gae, Penalty, TokenWeights, Tokens, policy_loss,
};
use recollect::reward::{Reward, Term};
use recollect::verifier::judge;
use serde::Serialize;

const CONFIGS: &str = include_str!("../../configs/README.md");
const REWARDS: &str = include_str!("../../rewards/README.md");
const ALGORITHMS: &str = include_str!("../../src/learner/algorithms.md");

/// The name that a config gives a value.
fn word(value: impl Serialize) -> String {
    toml::Value::try_from(value).unwrap().as_str().unwrap().to_string()
}

/// A preset as a row of a table, up to the paper that it is from.
fn row(name: &str) -> String {
    let Algorithm { filter, advantage, ratio, clip, aggregation, kl, kl_estimator, kl_in, .. } =
        Algorithm::preset(name).unwrap();
    let rounds = match filter.extra_rounds {
        0 => String::new(),
        rounds => format!(", {rounds} extra rounds"),
    };
    let clip = match clip {
        Clip::None => "none".into(),
        Clip::Range(ClipRange { low, high, detached: true, .. }) => {
            format!("{} to {}, detached", 1.0 - low, 1.0 + high)
        }
        Clip::Range(ClipRange { low, high, .. }) => format!("{} to {}", 1.0 - low, 1.0 + high),
    };
    let kl = match (kl, kl_in) {
        (0.0, _) => "none".to_string(),
        (kl, Penalty::Loss) => format!("{kl} × {} in the loss", word(kl_estimator)),
        (kl, Penalty::Reward) => format!("{kl} × {} in the reward", word(kl_estimator)),
    };
    let keep = word(filter.keep);
    let advantage = match advantage {
        Advantage::Gae(Gae { gamma, lambda, .. }) => format!("gae, gamma {gamma}, lambda {lambda}"),
        advantage => word(advantage),
    };
    let (ratio, aggregation) = (word(ratio), word(aggregation));
    format!("| `{name}` | {keep}{rounds} | {advantage} | {ratio} | {clip} | {aggregation} | {kl} |")
}

#[test]
fn the_table_of_presets_is_what_they_are() {
    for name in Algorithm::PRESETS {
        let row = row(name);
        assert!(
            ALGORITHMS.lines().any(|line| line.starts_with(&row)),
            "src/learner/algorithms.md needs this line:\n{row}"
        );
    }
    let lines =
        ALGORITHMS.lines().filter(|line| line.starts_with("| `") && line.contains("arXiv") | line.contains("1992"));
    assert_eq!(lines.count(), Algorithm::PRESETS.len(), "presets that are none");
}

/// The gradient on one token of a completion of 10 and of one of 100, of at most 128, by its log-probability. Both have
/// advantage 1 and were sampled by the policy that learns.
fn pull(aggregation: Aggregation) -> [f64; 2] {
    let lengths = [10, 100];
    let TokenWeights { tokens, normaliser } = aggregation.token_weights(&lengths.map(|length| vec![true; length]), 128);
    let count = lengths.iter().sum::<usize>();
    let ones = Tensor::ones(count, candle_core::DType::F32, &Device::Cpu).unwrap();
    let log_prob = Var::from_tensor(&ones.neg().unwrap()).unwrap();
    let completion: Vec<u32> = lengths.iter().zip(0..).flat_map(|(length, number)| vec![number; *length]).collect();
    let tokens = Tokens {
        log_prob: &log_prob,
        sampler_logprobs: &ones.neg().unwrap(),
        old_logprobs: None,
        completion: &completion,
        advantage: &ones,
        weight: &Tensor::new(tokens.concat(), &Device::Cpu).unwrap(),
        reference: None,
        entropy: None,
    };
    let algorithm = Algorithm { aggregation, ..Algorithm::grpo() };
    let loss = policy_loss(&algorithm, &tokens, normaliser).unwrap().value;
    let gradient = loss.backward().unwrap().get(&log_prob).unwrap().to_vec1::<f32>().unwrap();
    [-f64::from(gradient[0]), -f64::from(gradient[10])]
}

#[test]
fn the_table_of_aggregations_is_what_they_do_to_a_short_and_a_long_completion() {
    for (aggregation, paper) in
        [(Aggregation::Token, "DAPO"), (Aggregation::Sequence, "GRPO"), (Aggregation::Fixed, "Dr. GRPO")]
    {
        let [short, long] = pull(aggregation);
        let name = word(aggregation);
        let row = format!(
            "| `{name}` ({paper}) | {short:.4} | {long:.4} | {:.2} | {:.2} | {:.1} |",
            10.0 * short,
            100.0 * long,
            100.0 * long / (10.0 * short)
        );
        assert!(ALGORITHMS.lines().any(|line| line == row), "src/learner/algorithms.md needs this line:\n{row}");
    }
}

#[test]
fn the_table_of_arms_has_every_arm_in_its_order() {
    let section = CONFIGS.split_once("\n## Every arm\n").unwrap().1.split_once("\n## ").unwrap().0;
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let named: Vec<&str> = rows.map(|(name, _)| name).collect();
    assert_eq!(named, Arm::ALL.map(Arm::name));
}

#[test]
fn the_table_of_answers_is_how_they_are_judged() {
    let dir = tempfile::tempdir().unwrap();
    let section = CONFIGS.split_once("Asked `What is x in France?`:").unwrap().1;
    let rows: Vec<Vec<&str>> = section
        .lines()
        .skip_while(|line| !line.starts_with("| `"))
        .take_while(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    assert!(rows.len() > 25, "{} rows", rows.len());
    for row in rows {
        let [right, answered, exact, normalised, number] = row[..] else { panic!("{row:?}") };
        for (matching, counts) in [
            (Match::Exact, exact),
            (Match::Normalised, normalised),
            (Match::AnyOf, normalised),
            (Match::Number, number),
        ] {
            let file = dir.path().join("q.jsonl");
            let asked = serde_json::json!({"prompt": "What is x in France?", "answer": right, "match": matching});
            std::fs::write(&file, asked.to_string()).unwrap();
            let Ok(jsonl) =
                Jsonl::to_measure(JsonlFiles { questions: &[file], ..JsonlFiles::default() }, Match::Exact, 0)
            else {
                assert!(matching == Match::Number && counts.is_empty(), "{row:?} cannot be asked");
                continue;
            };
            let (question, knowledge) = (jsonl.questions(Set::B)[0].clone(), Knowledge::Files(Box::new(jsonl)));
            let judgement = judge(&knowledge, &question, Opening::Answer, answered, true);
            assert_eq!(judgement.correct, counts == "yes", "{row:?} by {matching}");
        }
    }
}

#[test]
fn the_table_of_terms_has_every_kind_in_its_order() {
    let (_, table) = REWARDS.split_once("| kind | 1 means |").unwrap();
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| `")?.split_once('`'));
    assert_eq!(rows.map(|(kind, _)| kind).collect::<Vec<_>>(), Term::KINDS);
}

#[test]
fn the_defaults_of_terms_are_what_the_table_says() {
    let (_, table) = REWARDS.split_once("| key | of | default | |").unwrap();
    let mut count = 0;
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let (key, of, default) = (cells[1], cells[2], cells[3]);
        let kind = if of == "every term" { "correct" } else { of };
        let required = match kind {
            "length" => "limit = 9",
            "regex" => "pattern = 'x'",
            "model" => "model = 'm'",
            "external" => "command = ['true']",
            _ => "",
        };
        let plain = format!("[[term]]\nkind = '{kind}'\n{required}\n");
        let read = |text: &str| Reward::parse(text, "reward");
        // Behind backticks there is a value, and else words.
        if line.contains(&format!("| `{default}` |")) {
            count += 1;
            let [with, without] = [&format!("{plain}{key} = {default}\n"), &plain].map(|text| read(text).unwrap());
            assert_eq!(with, without, "{key} = {default}");
        }
        let needed = read(&format!("[[term]]\nkind = '{kind}'\n")).is_err() && required.starts_with(key);
        assert_eq!(default == "required", needed, "{key} of {kind}");
    }
    assert!(count > 7, "{count} defaults");
}
