//! The reader of traces: every answer of a run, inside the page, small enough that 100,000 of them open at once.
//!
//! What lists and filters need is one table of columns, unpacked when the page opens. What was said (prompt,
//! completion, recited facts) lies in blocks of answers to neighbouring questions, each unpacked when one of its answers
//! is shown. Both are JSON under gzip in base64; `page/reader.js` is the other side of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use serde_json::{Value, json};

use super::bars::class;
use super::words::kind;
use crate::evaluation::{Answered, Arm};
use crate::knowledge::{Form, Set, TaskId};
use crate::verifier::{Grounding, Recitation};
use crate::{Error, Result, files};

/// Answers of a block: few enough that unpacking one is not felt, and enough that their words repeat.
const BLOCK: usize = 256;
/// Most characters of one text, and most facts of one trace; a runaway completion must not make the page heavy.
const LONGEST: usize = 3_000;
const MOST_FACTS: usize = 64;
/// Facts whose signs stand in the list.
const STRIP: usize = 12;

/// The answers as the page carries them.
#[derive(Serialize)]
pub struct Reader {
    /// The packed [`ReaderIndex`].
    index: String,
    /// Packed lists of what is shown of answers.
    blocks: Vec<String>,
}

/// What the list is made of: tables of what occurs, and a column for every property of an answer.
#[derive(Default, Serialize)]
struct ReaderIndex {
    arms: Vec<Value>,
    questions: Vec<Value>,
    /// Answers of a block.
    block: usize,
    /// Answers to begin with; the others follow in the order of the columns.
    first: Vec<usize>,
    /// Of each answer: its arm, its question, its optimizer step and its number among several.
    arm: Vec<usize>,
    question: Vec<usize>,
    step: Vec<u64>,
    sample: Vec<usize>,
    /// 1 where the answer is right.
    right: Vec<u8>,
    /// 0: cannot be decided, 1: a guess, 2: follows from what was recited, 3: from what is true of it.
    grounds: Vec<u8>,
    /// A letter for each of the first facts: needed, true, false or unreadable.
    facts: Vec<String>,
}

impl Reader {
    /// Errors: answers that cannot be written as JSON, which would be a bug.
    pub fn new(answered: &[Answered]) -> Result<Reader> {
        let mut answered: Vec<&Answered> = answered.iter().collect();
        // Neighbours have questions, prompts and words in common.
        answered.sort_by_key(|one| (one.task, one.form, one.set, one.question, one.arm, one.step, one.sample));
        let said: Vec<Value> = answered.iter().map(|one| shown(one)).collect();
        Ok(Reader {
            index: pack(&ReaderIndex::new(&answered))?,
            blocks: said.chunks(BLOCK).map(pack).collect::<Result<_>>()?,
        })
    }
}

impl ReaderIndex {
    fn new(answered: &[&Answered]) -> ReaderIndex {
        let mut index = ReaderIndex { block: BLOCK, first: choose(answered), ..ReaderIndex::default() };
        let (mut arms, mut questions) = (BTreeMap::new(), BTreeMap::new());
        let present = |arm: &Arm| answered.iter().any(|one| one.arm == *arm);
        for arm in Arm::ALL.into_iter().filter(present) {
            arms.insert(arm, arms.len());
            index.arms.push(json!({"name": arm.name(), "label": arm.label(), "class": class(arm)}));
        }
        for one in answered {
            let question = *questions.entry(one.question).or_insert_with(|| {
                index.questions.push(json!({
                    "asked": clip(&one.asked),
                    "expected": clip(&one.expected),
                    "kind": kind(one.task, one.form),
                    "set": one.set.to_string(),
                }));
                index.questions.len() - 1
            });
            index.arm.push(arms[&one.arm]);
            index.question.push(question);
            index.step.push(one.step);
            index.sample.push(one.sample);
            index.right.push(u8::from(one.judgement.correct));
            index.grounds.push(match one.judgement.grounding {
                None => 0,
                Some(Grounding::Guessed) => 1,
                Some(Grounding::Follows) => 2,
                Some(Grounding::Known) => 3,
            });
            index.facts.push(one.judgement.recitations.iter().take(STRIP).map(letter).collect());
        }
        index
    }
}

/// What is shown of an answer once it is looked at; a letter and a text for each fact.
fn shown(one: &Answered) -> Value {
    let recitations = &one.judgement.recitations;
    let facts = recitations.iter().take(MOST_FACTS).map(|fact| json!([letter(fact), clip(&fact.text)]));
    json!({
        "prompt": clip(&one.prompt),
        "completion": clip(&one.completion),
        "answer": one.judgement.answer.as_deref().map(clip),
        "facts": facts.collect::<Vec<_>>(),
        "facts_left_out": recitations.len().saturating_sub(MOST_FACTS),
    })
}

fn letter(recitation: &Recitation) -> char {
    match recitation {
        Recitation { claim: None, .. } => 'u',
        Recitation { relevant: true, .. } => 'n',
        Recitation { is_true: true, .. } => 't',
        _ => 'f',
    }
}

/// The beginning of a long text.
fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} … ({} more characters)", &text[..end], text[end..].chars().count()),
        None => text.to_owned(),
    }
}

/// JSON, gzip, base64. The same value gives the same text: no time and no name stand in the header.
fn pack<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let broken = |error: String| Error::invalid("report page", error, "report this as a bug of recollect");
    let json = files::to_json("report page", value)?;
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::default());
    let packed = packed.write_all(&json).and_then(|()| packed.finish()).map_err(|error| broken(error.to_string()))?;
    Ok(STANDARD.encode(packed))
}

/// How many are chosen.
const CHOSEN: usize = 60;

/// The arms that are worth reading most come first, and more often; all others follow with one at a time.
const FIRST: [(Arm, usize); 3] = [(Arm::AfterRl, 5), (Arm::ThinkingBeforeRl, 3), (Arm::SwappedTraces, 1)];

fn shares() -> impl Iterator<Item = (Arm, usize)> {
    let others = Arm::ALL.into_iter().filter(|arm| FIRST.iter().all(|(first, _)| first != arm));
    FIRST.into_iter().chain(others.map(|arm| (arm, 1)))
}

/// Indices of up to `CHOSEN` answers: of every arm, and within an arm of every kind and set, right and wrong. The
/// same answers give the same choice.
fn choose(answered: &[&Answered]) -> Vec<usize> {
    let mut queues: BTreeMap<Arm, VecDeque<usize>> = Arm::ALL.map(|arm| (arm, queue(answered, arm))).into();
    let mut chosen: BTreeMap<Arm, Vec<usize>> = BTreeMap::new();
    let mut count = 0;
    while count < CHOSEN && queues.values().any(|queue| !queue.is_empty()) {
        for (arm, turns) in shares() {
            for _ in 0..turns.min(CHOSEN - count) {
                let Some(next) = queues.get_mut(&arm).and_then(VecDeque::pop_front) else { break };
                chosen.entry(arm).or_default().push(next);
                count += 1;
            }
        }
    }
    shares().flat_map(|(arm, _)| chosen.remove(&arm).unwrap_or_default()).collect()
}

/// The answers of an arm at its last step, taken in turn from every (kind, set, right or wrong).
fn queue(answered: &[&Answered], arm: Arm) -> VecDeque<usize> {
    let of_arm = || answered.iter().enumerate().filter(move |(_, one)| one.arm == arm && one.sample == 0);
    let last_step = of_arm().map(|(_, one)| one.step).max();
    let latest = || of_arm().filter(|(_, one)| Some(one.step) == last_step);
    let kinds: BTreeSet<(TaskId, Form)> = latest().map(|(_, one)| (one.task, one.form)).collect();
    // Each kind begins elsewhere in the round of sets and outcomes, so that the first few answers differ in all
    // of them. The first of all is right and about set B: it shows what the page is about.
    let turn = |one: &Answered| {
        let kind = kinds.iter().position(|kind| *kind == (one.task, one.form)).unwrap_or(0);
        let outcome = match (one.set == Set::B, one.judgement.correct) {
            (true, true) => 0,
            (false, false) => 1,
            (true, false) => 2,
            (false, true) => 3,
        };
        ((outcome + 4 - kind % 4) % 4, kind, one.set)
    };
    let mut groups: BTreeMap<_, Vec<(usize, u64)>> = BTreeMap::new();
    latest().for_each(|(index, one)| groups.entry(turn(one)).or_default().push((index, one.question)));
    groups.values_mut().for_each(|group| group.sort_by_key(|(_, question)| *question));
    let longest = groups.values().map(Vec::len).max().unwrap_or(0);
    let round = |turn: usize| groups.values().filter_map(move |group| group.get(turn)).map(|(index, _)| *index);
    (0..longest).flat_map(round).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::fixture;
    use super::*;

    fn unpack(text: &str) -> Value {
        let mut json = String::new();
        let packed = STANDARD.decode(text).unwrap();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut json).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn every_answer_is_there_with_all_that_was_said() {
        let answers = fixture::answers();
        let reader = Reader::new(&answers).unwrap();
        let index = unpack(&reader.index);
        let said: Vec<Value> =
            reader.blocks.iter().flat_map(|block| unpack(block).as_array().unwrap().clone()).collect();
        assert_eq!(said.len(), answers.len());
        assert_eq!(reader.blocks.len(), answers.len().div_ceil(BLOCK));
        for one in &answers {
            let row = (0..said.len()).find(|row| {
                let question = &index["questions"][index["question"][row].as_u64().unwrap() as usize];
                let arm = &index["arms"][index["arm"][row].as_u64().unwrap() as usize];
                arm["name"] == one.arm.name() && question["asked"] == one.asked.as_str()
            });
            let row = row.unwrap();
            assert_eq!(said[row]["completion"], one.completion);
            assert_eq!(said[row]["facts"].as_array().unwrap().len(), one.judgement.recitations.len());
            assert_eq!(index["right"][row] == 1, one.judgement.correct);
        }
    }

    #[test]
    fn a_runaway_completion_is_clipped_and_no_answers_are_an_empty_reader() {
        let mut one = fixture::answers().remove(0);
        one.completion = "é ".repeat(1 << 20);
        let fact = Recitation { text: "x".into(), claim: None, is_true: false, relevant: false };
        one.judgement.recitations = vec![fact; 1_000];
        let shown = shown(&one);
        assert!(shown["completion"].as_str().unwrap().chars().count() < LONGEST + 50);
        assert_eq!(shown["facts"].as_array().unwrap().len(), MOST_FACTS);
        assert_eq!(shown["facts_left_out"], 1_000 - MOST_FACTS);
        let reader = Reader::new(&[]).unwrap();
        assert_eq!(unpack(&reader.index)["arm"], Value::Array(vec![]));
        assert!(reader.blocks.is_empty());
    }

    #[test]
    fn covers_arms_kinds_sets_and_outcomes() {
        let answers = fixture::answers();
        let all: Vec<&Answered> = answers.iter().collect();
        let chosen: Vec<&Answered> = choose(&all).into_iter().map(|index| all[index]).collect();
        assert_eq!(chosen.len(), CHOSEN);
        let after: BTreeSet<(Form, Set, bool)> = chosen
            .iter()
            .filter(|one| one.arm == Arm::AfterRl)
            .map(|one| (one.form, one.set, one.judgement.correct))
            .collect();
        assert_eq!(after.len(), 12, "three kinds, two sets, right and wrong: {after:?}");
        for arm in Arm::STANDARD {
            let sets: BTreeSet<Set> = chosen.iter().filter(|one| one.arm == arm).map(|one| one.set).collect();
            assert_eq!(sets.len(), 2, "{arm}");
        }
        assert!(chosen[0].arm == Arm::AfterRl && chosen[0].set == Set::B && chosen[0].judgement.correct);
    }

    #[test]
    fn few_answers_are_all_chosen() {
        let answers = fixture::answers();
        let few: Vec<&Answered> = answers[..7].iter().collect();
        assert_eq!(choose(&few).len(), 7);
        assert!(choose(&[]).is_empty());
    }
}
