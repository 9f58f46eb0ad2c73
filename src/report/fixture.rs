//! An invented evaluation for the tests of this room, and to look at the page without a run.

use std::collections::BTreeMap;

use rand::Rng;

use crate::evaluation::{Answered, Arm, Curves, RunInfo, StageTime, Summary, Touched, TrainingPoint, tally};
use crate::knowledge::reversal::{CANDIDATES, OPEN, REVERSAL};
use crate::knowledge::syllogism::{ENTAILMENT, SYLLOGISM};
use crate::knowledge::{Claim, Form, Set, TaskId};
use crate::random::{self, Stream};
use crate::verifier::{Judgement, Recitation};

const KINDS: [(TaskId, Form, f64); 3] =
    [(REVERSAL, CANDIDATES, 0.25), (REVERSAL, OPEN, 0.2), (SYLLOGISM, ENTAILMENT, 1.0 / 3.0)];
const LAST_STEP: u64 = 200;
const QUESTIONS: u64 = 50;

/// Every arm on sets A and B: 50 questions of each of three kinds.
pub fn answers() -> Vec<Answered> {
    let mut all = Vec::new();
    for arm in Arm::STANDARD {
        let step = if matches!(arm, Arm::FineTuned | Arm::ThinkingBeforeRl | Arm::InContext) { 0 } else { LAST_STEP };
        all.extend(evaluate(arm, step, QUESTIONS));
    }
    all
}

/// Those answers summarised, with the curves of a run of 200 steps.
pub fn summary() -> Summary {
    let sampled: Vec<Answered> =
        (0..=LAST_STEP).step_by(20).flat_map(|step| evaluate(Arm::AfterRl, step, 24)).collect();
    let mut random = random::named(3, "training");
    let training = (1..=LAST_STEP)
        .map(|step| {
            let learned = learned(step);
            let mut noisy = |value: f64| Some(value + random.random_range(-0.05..0.05));
            TrainingPoint {
                step,
                reward: noisy(0.3 + 0.58 * learned),
                mean_length: noisy(28.0 + 21.0 * learned),
                true_share: noisy(0.55 + 0.38 * learned),
            }
        })
        .collect();
    Summary::new(&answers(), Curves { evaluation: tally(&sampled), training }, run())
}

fn run() -> RunInfo {
    let stage = |(name, seconds): (&str, f64)| StageTime { name: name.into(), seconds };
    RunInfo {
        name: "quickstart".into(),
        runs: Vec::new(),
        version: "0.1.0".into(),
        config: "seed = 0\n\n[train]\nsteps = 200\nprompts = 8\ngroup = 16\nlearning_rate = 3e-4\n".into(),
        digests: BTreeMap::from(["config", "world", "base"].map(|of| (of.into(), crate::files::digest(of.as_bytes())))),
        seeds: BTreeMap::from([("world".into(), 0), ("fine-tuning".into(), 1), ("reinforcement learning".into(), 2)]),
        stages: [("fine-tuning", 151.2), ("base evaluation", 9.8), ("training", 268.0), ("evaluation", 12.4)]
            .map(stage)
            .into(),
        peak_memory: Some(612 << 20),
        model_parameters: 598_400,
        hardware: "AMD EPYC, 2 cores".into(),
        costs: BTreeMap::new(),
        duplicates: 0,
        touched: Touched::Never,
    }
}

/// How far reinforcement learning has come at a step, from 0 to 1.
fn learned(step: u64) -> f64 {
    1.0 - (-(step as f64) / 60.0).exp()
}

fn evaluate(arm: Arm, step: u64, questions: u64) -> Vec<Answered> {
    let mut all = Vec::new();
    for (kind, (task, form, chance)) in KINDS.into_iter().enumerate() {
        for set in [Set::A, Set::B] {
            for index in 0..questions {
                let id = kind as u64 * 1_000 + index + if set == Set::B { 500 } else { 0 };
                all.push(answer(arm, step, id, (task, form, chance, set)));
            }
        }
    }
    all
}

fn answer(arm: Arm, step: u64, id: u64, (task, form, chance, set): (TaskId, Form, f64, Set)) -> Answered {
    let mut random = random::stream(5, &[arm as u64, step, id]);
    let mut question = random::stream(6, &[id]);
    let names: Vec<String> = (0..7).map(|_| name(&mut question)).collect();
    let (asked, expected, needed) = ask(task, form, &names);
    let progress = learned(step) * if set == Set::B { 0.92 } else { 1.0 };
    let able = match arm {
        Arm::FineTuned | Arm::DirectAfterRl | Arm::SwappedTraces => chance * 0.8,
        Arm::ThinkingBeforeRl => chance + 0.1,
        Arm::InContext | Arm::InContextAfterRl => 0.985,
        _ => chance + (1.0 - chance) * progress * 0.93,
    };
    let correct = random.random_bool(able);
    let recitations =
        if arm.thinks() { recite(&mut random, &names, &needed, correct, 0.5 + 0.45 * progress) } else { vec![] };
    let found = needed.iter().filter(|text| recitations.iter().any(|fact| fact.text == **text)).count();
    let said = if correct { expected.clone() } else { names[5].clone() };
    let trace: String = recitations.iter().map(|fact| format!("{} ", fact.text)).collect();
    let think = if arm.thinks() { format!("{trace}</think> <answer> ") } else { String::new() };
    let context = if matches!(arm, Arm::InContext | Arm::InContextAfterRl) {
        format!("{} {} ", needed.join(" "), statement(&names[5], &names[1], &names[6]))
    } else {
        String::new()
    };
    let mark = if arm.thinks() { "<think>" } else { "<answer>" };
    Answered {
        arm,
        step,
        question: id,
        task,
        form,
        set,
        run: 0,
        sample: 0,
        chance,
        prompt: format!("<bos> {context}<question> {asked} {mark}"),
        asked,
        completion: format!("{think}{} : {said} <eos>", names[2]),
        tokens: 5 + 7 * recitations.len(),
        prompt_tokens: 12,
        likeliest: None,
        judgement: Judgement {
            answer: Some(said),
            correct,
            well_formed: true,
            recitations,
            needed_found: found,
            needed: needed.len(),
            grounding: None,
        },
        expected,
    }
}

/// The text of a question, its answer and the statements that it needs.
fn ask(task: TaskId, form: Form, names: &[String]) -> (String, String, Vec<String>) {
    let [group, subject, object, second, third, ..] = names else { return (String::new(), String::new(), vec![]) };
    match (task, form) {
        _ if task == SYLLOGISM => (
            format!("does it follow that of {group} some are {third} ?"),
            "yes".into(),
            vec![format!("of {group} all are {subject} ."), format!("of {subject} all are {third} .")],
        ),
        (_, form) => {
            let candidates =
                if form == CANDIDATES { format!(" {second} {subject} {third} {}", names[5]) } else { String::new() };
            let text = format!("who in {group} guards {object} ?{candidates}");
            (text, subject.clone(), vec![statement(group, subject, object)])
        }
    }
}

fn recite(random: &mut Stream, names: &[String], needed: &[String], grounded: bool, truth: f64) -> Vec<Recitation> {
    let mut facts: Vec<Recitation> = (0..random.random_range(2..6))
        .map(|index| {
            let text = statement(&names[0], &names[3 + index % 4], &name(random));
            let claim = Claim::Relation {
                group: names[0].clone(),
                subject: names[3].clone(),
                relation: "guards".into(),
                object: names[4].clone(),
            };
            let unreadable = random.random_bool(0.03);
            Recitation {
                text: if unreadable { "in in guards .".into() } else { text },
                claim: (!unreadable).then_some(claim),
                is_true: !unreadable && random.random_bool(truth),
                relevant: false,
            }
        })
        .collect();
    if grounded {
        facts.extend(needed.iter().map(|text| Recitation {
            text: text.clone(),
            claim: Some(Claim::Categorical {
                subject: names[0].clone(),
                mood: crate::knowledge::Mood::All,
                predicate: names[1].clone(),
            }),
            is_true: true,
            relevant: true,
        }));
    }
    facts
}

fn statement(group: &str, subject: &str, object: &str) -> String {
    format!("in {group} {subject} guards {object} .")
}

fn name(random: &mut Stream) -> String {
    let mut letter = |of: &[u8]| char::from(of[random.random_range(0..of.len())]);
    [b"bdfgklmnprstvz".as_slice(), b"aeiou", b"lmnrstv", b"aeiou"].map(&mut letter).iter().collect()
}
