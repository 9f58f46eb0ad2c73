//! An invented evaluation for the tests of this room, and to look at the page without a run.

use rand::Rng;

use crate::evaluation::{
    Answered, Arm, Curves, LearningPoint, RunInfo, StageTime, Summary, TrainingPoint, fixture, tally,
};
use crate::knowledge::reversal::{CANDIDATES, OPEN, REVERSAL};
use crate::knowledge::syllogism::{ENTAILMENT, SYLLOGISM};
use crate::knowledge::{Claim, Form, Set, TaskId};
use crate::random::{self, Stream};
use crate::verifier::{Judgement, Recitation};

const KINDS: [(TaskId, Form, f64); 3] =
    [(REVERSAL, CANDIDATES, 0.25), (REVERSAL, OPEN, 0.2), (SYLLOGISM, ENTAILMENT, 1.0 / 3.0)];
const LAST_STEP: u64 = 200;

/// Every standard arm on sets A and B: 50 questions of each of three kinds.
pub fn answers() -> Vec<Answered> {
    let before = [Arm::FineTuned, Arm::ThinkingBeforeRl, Arm::InContext];
    let step = |arm: &Arm| if before.contains(arm) { 0 } else { LAST_STEP };
    Arm::STANDARD.iter().flat_map(|arm| evaluate(*arm, step(arm), 50)).collect()
}

/// Those answers summarised, with the curves of a run of 200 steps.
pub fn summary() -> Summary {
    let sampled: Vec<Answered> =
        (0..=LAST_STEP).step_by(20).flat_map(|step| evaluate(Arm::AfterRl, step, 24)).collect();
    let mut random = random::named(3, "training");
    let training = (1..=LAST_STEP).map(|step| {
        let mut noisy = |value: f64| Some(value + random.random_range(-0.05..0.05));
        let (reward, length, truth) =
            (0.3 + 0.58 * learned(step), 28.0 + 21.0 * learned(step), 0.55 + 0.38 * learned(step));
        let (loss, entropy, kl) = (noisy(0.0), noisy(0.6 - 0.3 * learned(step)), noisy(0.2 * learned(step)));
        let (reward, mean_length, true_share) = (noisy(reward), noisy(length), noisy(truth));
        TrainingPoint { step, reward, mean_length, true_share, loss, entropy, kl }
    });
    let stages = [("fine-tuning", 151.2), ("base evaluation", 9.8), ("training", 268.0), ("evaluation", 12.4)];
    let run = RunInfo {
        name: "quickstart".into(),
        version: "0.1.0".into(),
        config: "seed = 0\n\n[train]\nsteps = 200\nprompts = 8\ngroup = 16\nlearning_rate = 3e-4\n".into(),
        digests: ["config", "world", "base"].map(|of| (of.into(), crate::files::digest(of.as_bytes()))).into(),
        seeds: [("world".into(), 0), ("fine-tuning".into(), 1), ("reinforcement learning".into(), 2)].into(),
        stages: stages.map(|(name, seconds)| StageTime { name: name.into(), seconds }).into(),
        peak_memory: Some(612 << 20),
        model_parameters: 598_400,
        hardware: "AMD EPYC, 2 cores".into(),
        ..RunInfo::default()
    };
    let loss = |step| LearningPoint { step, loss: Some(3.0 - 2.5 * learned(step)) };
    let learning = [("finetune".to_owned(), (1..=100).map(loss).collect())].into();
    Summary::new(&answers(), Curves { evaluation: tally(&sampled), training: training.collect(), learning }, run)
}

/// How far reinforcement learning has come at a step, from 0 to 1.
fn learned(step: u64) -> f64 {
    1.0 - (-(step as f64) / 60.0).exp()
}

fn evaluate(arm: Arm, step: u64, questions: u64) -> Vec<Answered> {
    let mut all = Vec::new();
    for (kind, of) in (0..).zip(KINDS) {
        for (set, from) in [(Set::A, 0), (Set::B, 500)] {
            all.extend((0..questions).map(|index| answer(arm, step, kind * 1_000 + from + index, of, set)));
        }
    }
    all
}

fn answer(arm: Arm, step: u64, id: u64, (task, form, chance): (TaskId, Form, f64), set: Set) -> Answered {
    let mut random = random::stream(5, &[arm as u64, step, id]);
    let mut question = random::stream(6, &[id]);
    let names: [String; 7] = std::array::from_fn(|_| name(&mut question));
    let [group, subject, object, second, third, other, more] = &names;
    let (asked, expected, needed) = if task == SYLLOGISM {
        let needed = vec![format!("of {group} all are {subject} ."), format!("of {subject} all are {third} .")];
        (format!("does it follow that of {group} some are {third} ?"), "yes", needed)
    } else {
        let shown = if form == CANDIDATES { format!(" {second} {subject} {third} {other}") } else { String::new() };
        let needed = vec![statement(group, subject, object)];
        (format!("who in {group} guards {object} ?{shown}"), subject.as_str(), needed)
    };
    let progress = learned(step) * if set == Set::B { 0.92 } else { 1.0 };
    let in_context = matches!(arm, Arm::InContext | Arm::InContextAfterRl);
    let able = match arm {
        Arm::FineTuned | Arm::DirectAfterRl | Arm::SwappedTraces => chance * 0.8,
        Arm::ThinkingBeforeRl => chance + 0.1,
        _ if in_context => 0.985,
        _ => chance + (1.0 - chance) * progress * 0.93,
    };
    let correct = random.random_bool(able);
    let mut recitations = Vec::new();
    if arm.thinks() {
        for index in 0..random.random_range(2..6) {
            let text = statement(group, &names[3 + index % 4], &name(&mut random));
            let is_true = random.random_bool(0.5 + 0.45 * progress);
            recitations.push(recitation(&names, text, is_true, false));
        }
        // The last one cannot be read.
        recitations.push(Recitation { claim: None, ..recitation(&names, "in in guards .".into(), false, false) });
        let grounds = needed.iter().filter(|_| correct);
        recitations.extend(grounds.map(|text| recitation(&names, text.clone(), true, true)));
    }
    let said = if correct { expected } else { other };
    let trace: String = recitations.iter().map(|fact| format!("{} ", fact.text)).collect();
    let think = if arm.thinks() { format!("{trace}</think> <answer> ") } else { String::new() };
    let context = format!("{} {} ", needed.join(" "), statement(other, subject, more));
    let (context, mark) = (if in_context { &context } else { "" }, if arm.thinks() { "<think>" } else { "<answer>" });
    Answered {
        step,
        task,
        form,
        chance,
        prompt: format!("<bos> {context}<question> {asked} {mark}"),
        asked,
        completion: format!("{think}{object} : {said} <eos>"),
        tokens: 5 + 7 * recitations.len(),
        judgement: Judgement {
            answer: Some(said.to_owned()),
            correct,
            well_formed: true,
            needed_found: recitations.iter().filter(|fact| fact.relevant).count(),
            recitations,
            needed: needed.len(),
            grounding: None,
        },
        expected: expected.to_owned(),
        ..fixture::answer(arm, set, id, correct)
    }
}

fn recitation([group, subject, object, ..]: &[String; 7], text: String, is_true: bool, relevant: bool) -> Recitation {
    let [group, subject, object] = [group, subject, object].map(String::clone);
    let claim = Some(Claim::Relation { group, subject, relation: "guards".into(), object });
    Recitation { text, claim, is_true, relevant }
}

fn statement(group: &str, subject: &str, object: &str) -> String {
    format!("in {group} {subject} guards {object} .")
}

fn name(random: &mut Stream) -> String {
    let mut letter = |of: &[u8]| char::from(of[random.random_range(0..of.len())]);
    [b"bdfgklmnprstvz".as_slice(), b"aeiou", b"lmnrstv", b"aeiou"].map(&mut letter).iter().collect()
}
