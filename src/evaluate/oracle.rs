//! Scripted policies through the whole evaluation: whoever always answers right, guesses, or recites falsely and answers
//! right, gets exactly the numbers that it must, in `report.json` and in the table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc as Shared;

use super::cost::Spent;
use super::evaluation::{Evaluation, Trains};
use super::examiner::Examined;
use super::report::report;
use crate::Result;
use crate::config::Config;
use crate::evaluation::{Arm, ArmResult, AtK, PromptMode, Summary, Training};
use crate::exchange::{Sampler, WorkerPool};
use crate::experiment::Experiment;
use crate::experiment::start::Start;
use crate::interrupt::Interrupt;
use crate::knowledge::reversal::OPEN;
use crate::knowledge::syllogism::ENTAILMENT;
use crate::knowledge::{Question, Set};
use crate::language::Tokenizer;
use crate::language::tokenizer::{ANSWER, END_THINK, EOS, QUESTION, THINK};
use crate::rollout::{Completion, Finish, Job, Limits, PartialCompletion};
use crate::telemetry::Silent;
use crate::verifier::Facts;

/// What a scripted policy does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Script {
    /// Recites what is needed and answers right.
    Right,
    /// Says nothing, and takes the first choice.
    Guess,
    /// Recites the right sentences with a wrong name in each, and answers right.
    Deceive,
}

#[derive(Clone)]
struct Scripted {
    tokenizer: Shared<Tokenizer>,
    /// What is written about each question: a thought, and an answer.
    said: Shared<BTreeMap<String, (String, String)>>,
    ready: Vec<Completion>,
}

impl Scripted {
    fn new(script: Script, start: &Start) -> Scripted {
        let questions = [Set::A, Set::B].iter().flat_map(|set| start.knowledge.questions(*set));
        let said = questions.map(|question| (question.text.clone(), script.says(start, &question))).collect();
        Scripted { tokenizer: Shared::new(start.base.tokenizer.clone()), said: Shared::new(said), ready: Vec::new() }
    }
}

impl Script {
    fn says(self, start: &Start, question: &Question) -> (String, String) {
        let needed = sentences(start, question);
        let (thought, answer) = match self {
            Script::Right => (needed, &question.answer),
            Script::Guess => (Vec::new(), &question.choices[0]),
            Script::Deceive => (needed.iter().map(|sentence| falsified(start, sentence)).collect(), &question.answer),
        };
        (thought.join(" "), format!("{} : {answer} {EOS}", question.cue))
    }
}

/// The sentences of a question's context that state what it needs.
fn sentences(start: &Start, question: &Question) -> Vec<String> {
    let needed = |s: &&String| start.knowledge.read(s).is_some_and(|claim| question.needed.contains(&claim));
    question.context.iter().filter(needed).cloned().collect()
}

/// The sentence with its last name in the place of its first, and the other way round, or with another mood: what is said
/// there is never true.
fn falsified(start: &Start, sentence: &str) -> String {
    let others = [("all", "none"), ("each", "none"), ("none", "all"), ("some", "none"), ("several", "none")];
    let mood = others.iter().find(|(from, _)| sentence.split(' ').any(|word| word == *from));
    let Some((from, to)) = mood else {
        // Whoever has the same kind of creature next to them in the list of names.
        let names = start.knowledge.questions(Set::A).into_iter().filter(|question| question.form == OPEN);
        let name = names.map(|question| question.answer).find(|name| !sentence.contains(name.as_str())).unwrap();
        let subject = sentence.replace(" , ", " ").split(' ').nth(2).unwrap().to_owned();
        return sentence.replace(&format!(" {subject} "), &format!(" {name} "));
    };
    sentence.replace(&format!(" {from} "), &format!(" {to} ")).replace("aren't", "are")
}

impl Sampler for Scripted {
    fn take(&mut self, job: Job) -> Result<()> {
        let Job { number, request, .. } = job;
        let prompt = self.tokenizer.decode(&request.prompt)?;
        let (_, asked) = prompt.rsplit_once(&format!("{QUESTION} ")).unwrap();
        let opened = [THINK, ANSWER].iter().filter_map(|marker| asked.find(marker)).min().unwrap();
        let (thought, answer) = &self.said[asked[..opened].trim()];
        let whole =
            if asked.ends_with(ANSWER) { answer.clone() } else { format!("{thought} {END_THINK} {ANSWER} {answer}") };
        // A thought that was begun before goes on.
        let begun = asked[opened..].trim_start_matches(THINK);
        let begun = if asked.ends_with(ANSWER) { 0 } else { self.tokenizer.encode(begun)?.len() };
        let mut tokens = self.tokenizer.encode(&whole)?.split_off(begun);
        tokens.truncate(request.max_new_tokens);
        let finish = if request.stop.contains(tokens.last().unwrap()) { Finish::Stop } else { Finish::Length };
        self.ready.extend((0..request.samples).map(|sample| {
            let (tokens, log_probs) = (tokens.clone(), vec![0.0; tokens.len()]);
            PartialCompletion { tokens, log_probs, ..PartialCompletion::new(number, sample) }.end(finish)
        }));
        Ok(())
    }

    fn finished(&mut self) -> Vec<Completion> {
        std::mem::take(&mut self.ready)
    }
}

/// Evaluates two scripted policies, the one as fine-tuned, the other as trained, in all arms; gives what stands in
/// `report.json`, and what the table says.
fn evaluated(root: &Path, before: Script, after: Script) -> (Summary, String, Vec<Question>) {
    let set = [format!("run.dir={}", root.join(format!("{before:?}-{after:?}")).display())];
    let mut config = Config::parse("", "oracle", "oracle", &set).unwrap();
    config.arms.ask = Arm::ALL.to_vec();
    // A sentence that is to be completed does not say which question it was made for.
    let knows = |arm: &Arm| matches!(arm.training(), Training::Documents | Training::Rl) && !arm.is_asked_by_sentence();
    config.arms.ask.retain(knows);
    config.evaluation.samples = 2;
    let experiment = Experiment::open(config, Interrupt::default(), Box::new(Silent)).unwrap();
    let start = Start::new(&experiment).unwrap();
    let scripted = |script: Script| {
        let sampler = Scripted::new(script, &start);
        move |_: &Experiment, start: &Start, _: Examined| {
            let config = &start.base.policy.config;
            let limits = Limits { max_tokens: config.longest_sequence(), vocab_size: config.vocab_size };
            WorkerPool::with_samplers(vec![sampler.clone(), sampler.clone()], limits)
        }
    };
    let mut evaluation = Evaluation::begin(&experiment, &start, Trains::begun(&experiment));
    for (training, script) in [(Training::Documents, before), (Training::Rl, after)] {
        let content = format!("{script:?}");
        let policy = Examined::base(&content, 0);
        evaluation.put(&scripted(script), &start, training, policy, Spent::default()).unwrap();
    }
    evaluation.finish().unwrap();
    let reported = report(experiment.run.root()).unwrap();
    let text = std::fs::read_to_string(experiment.run.report_json()).unwrap();
    let summary: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(summary.arms.len(), experiment.config.arms.ask.len() * 4 * 2, "arms, forms, sets");
    let questions = [Set::A, Set::B].iter().flat_map(|set| start.knowledge.questions(*set)).collect();
    (summary, crate::report::table(&reported.summary, false), questions)
}

fn matching<'q>(questions: &'q [Question], row: &ArmResult) -> Vec<&'q Question> {
    questions.iter().filter(|q| (q.form, q.set) == (row.form, row.set)).collect()
}

fn is_of(of: &AtK, row: &ArmResult) -> bool {
    (of.arm, of.task, of.form, of.set) == (row.arm, row.task, row.form, row.set)
}

/// Answers of an arm to each question.
fn tries(row: &ArmResult) -> usize {
    if matches!(row.arm.way(), PromptMode::Swapped | PromptMode::Filler(_)) { 1 } else { 2 }
}

#[test]
fn whoever_is_always_right_has_every_number_at_its_end() {
    let home = tempfile::tempdir().unwrap();
    let (summary, table, questions) = evaluated(home.path(), Script::Right, Script::Right);
    for row in &summary.arms {
        let of_kind = matching(&questions, row);
        let n = of_kind.len() * tries(row);
        assert_eq!((row.correct, row.n, row.questions), (n, n, of_kind.len()), "{row:?}");
        assert_eq!((row.accuracy, row.high, row.well_formed), (1.0, 1.0, n));
        assert!((row.chance - of_kind[0].chance).abs() < 1e-12);
        assert_eq!(row.gap_closed, None, "there is no gap");
        if let Some(pair) = row.against_baseline {
            assert_eq!((pair.b, pair.c, pair.n, pair.p, pair.holm), (0, 0, of_kind.len() as u64, 1.0, 1.0));
            assert_eq!((pair.low, pair.difference, pair.high), (0.0, 0.0, 0.0));
        }
        let counted: BTreeSet<usize> =
            summary.at_k.iter().filter(|of| is_of(of, row) && of.accuracy == 1.0).map(|of| of.k).collect();
        assert_eq!(counted, (1..=tries(row)).collect());
        // Only a thought of its own holds what it recited: a swapped one stands in the prompt.
        if row.arm.thinks() && row.arm != Arm::SwappedTraces {
            let needed: usize = of_kind.iter().map(|question| question.needed.len()).sum();
            assert_eq!((row.recited, row.recited_true, row.recited_relevant), (2 * needed, 2 * needed, 2 * needed));
            assert_eq!((row.true_share, row.needed_found_share, row.correct_known), (Some(1.0), Some(1.0), Some(n)));
            let verification = row.verification.unwrap();
            assert_eq!((verification.recall(), verification.precision()), (Some(1.0), Some(1.0)));
            assert_eq!((verification.wrong_named, verification.complete, verification.concluded), (0, n, n));
            let who = row.form != ENTAILMENT;
            assert_eq!((verification.tried, verification.entities.is_some()), (who.then_some(1.0), who));
        } else {
            assert_eq!(row.recited, 0);
        }
    }
    assert_eq!(summary.matched_arms.len(), 5 * 4 * 2);
    assert!(summary.matched_arms.iter().all(|row| row.correct == row.pair.n && row.with_correct == row.pair.n));
    assert!(!table.contains("99\u{a0}%") && table.contains("100\u{a0}%"), "{table}");
}

#[test]
fn whoever_guesses_is_right_as_often_as_the_guess_is_and_knows_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (summary, _, questions) = evaluated(home.path(), Script::Guess, Script::Right);
    for row in &summary.arms {
        let of_kind = matching(&questions, row);
        let lucky = of_kind.iter().filter(|question| question.choices[0] == question.answer).count();
        let n = of_kind.len();
        match row.arm.training() {
            Training::Documents => {
                assert_eq!((row.correct, row.recited, row.true_share), (lucky * tries(row), 0, None));
                let pair = row.against_baseline.map(|pair| (pair.b, pair.c));
                assert!(pair.is_none_or(|pair| pair == (0, 0)), "the same guess in every arm");
                let deviation = (row.chance * (1.0 - row.chance) / n as f64).sqrt();
                // First choices are in no special order, but "yes" is right a quarter of the time.
                let expected = if row.form == ENTAILMENT { 0.25 } else { row.chance };
                assert!((row.accuracy - expected).abs() <= 3.5 * deviation, "{row:?}");
                if let Some(verification) = row.verification {
                    assert_eq!((verification.concluded, verification.complete, verification.wrong_named), (0, 0, 0));
                    assert_eq!(row.correct_known, Some(0), "right without grounds");
                }
            }
            _ => {
                let pair = row.against_baseline.unwrap();
                assert_eq!((pair.b, pair.c, pair.n), ((n - lucky) as u64, 0, n as u64));
                assert!(pair.p < 1e-6 && pair.holm < 1e-5 && pair.p < pair.holm);
                assert!((pair.difference - (1.0 - lucky as f64 / n as f64)).abs() < 1e-12);
                assert!(pair.low < pair.difference && pair.difference < pair.high);
            }
        }
    }
}

#[test]
fn whoever_recites_falsely_and_answers_right_is_right_without_grounds() {
    let home = tempfile::tempdir().unwrap();
    let (summary, table, questions) = evaluated(home.path(), Script::Guess, Script::Deceive);
    for row in summary.arms.iter().filter(|row| row.arm.training() == Training::Rl) {
        let of_kind = matching(&questions, row);
        let n = of_kind.len() * tries(row);
        assert_eq!((row.accuracy, row.correct), (1.0, n));
        if !row.arm.thinks() || row.arm == Arm::SwappedTraces {
            continue;
        }
        let needed: usize = of_kind.iter().map(|question| question.needed.len()).sum();
        assert_eq!((row.recited, row.recited_true, row.recited_relevant), (2 * needed, 0, 0), "{row:?}");
        assert_eq!((row.true_share, row.needed_found_share), (Some(0.0), Some(0.0)));
        assert_eq!(row.correct_known, Some(0), "nothing true was recited");
        let verification = row.verification.unwrap();
        assert_eq!((verification.complete, verification.recall()), (0, None));
        if row.form != ENTAILMENT {
            // What was recited names somebody else, who was not the answer.
            assert_eq!((verification.concluded, verification.precision()), (0, None));
            assert_eq!(verification.wrong_rejected, verification.wrong_named);
        }
    }
    assert!(table.contains("Of the facts that it recites after reinforcement learning, 0\u{a0}% are true"), "{table}");
}
