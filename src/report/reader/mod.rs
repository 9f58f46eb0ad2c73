//! The reader of traces: every answer of a run, inside the page, small enough that 100,000 of them open at once.
//!
//! What lists and filters need is one table of columns, unpacked when the page opens. What was said (prompt,
//! completion, recited facts) lies in blocks of answers to neighbouring questions, each unpacked when one of its answers
//! is shown. Both are JSON under gzip in base64; `reader.js` is the other side of them.

mod first;

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use serde::Serialize;

use super::bars::class;
use super::words::kind;
use crate::evaluation::{Answered, Arm};
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
    /// Packed lists of [`ShownAnswer`].
    blocks: Vec<String>,
}

/// What the list is made of: tables of what occurs, and a column for every property of an answer.
#[derive(Default, Serialize)]
struct ReaderIndex {
    arms: Vec<ArmWords>,
    questions: Vec<QuestionWords>,
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

#[derive(Serialize)]
struct ArmWords {
    name: &'static str,
    label: &'static str,
    class: &'static str,
}

#[derive(Serialize)]
struct QuestionWords {
    asked: String,
    expected: String,
    kind: String,
    set: String,
}

/// What is shown of an answer once it is looked at.
#[derive(Serialize)]
struct ShownAnswer {
    prompt: String,
    completion: String,
    answer: Option<String>,
    /// A letter and a text for each fact.
    facts: Vec<(char, String)>,
    facts_left_out: usize,
}

impl Reader {
    /// Errors: answers that cannot be written as JSON, which would be a bug.
    pub fn new(answered: &[Answered]) -> Result<Reader> {
        let mut answered: Vec<&Answered> = answered.iter().collect();
        // Neighbours have questions, prompts and words in common.
        answered.sort_by_key(|one| (one.task, one.form, one.set, one.question, one.arm, one.step, one.sample));
        let said: Vec<ShownAnswer> = answered.iter().map(|one| ShownAnswer::new(one)).collect();
        Ok(Reader {
            index: pack(&ReaderIndex::new(&answered))?,
            blocks: said.chunks(BLOCK).map(pack).collect::<Result<_>>()?,
        })
    }
}

impl ReaderIndex {
    fn new(answered: &[&Answered]) -> ReaderIndex {
        let mut index = ReaderIndex { block: BLOCK, first: first::choose(answered), ..ReaderIndex::default() };
        let (mut arms, mut questions) = (BTreeMap::new(), BTreeMap::new());
        let present = |arm: &Arm| answered.iter().any(|one| one.arm == *arm);
        for arm in Arm::ALL.into_iter().filter(present) {
            arms.insert(arm, arms.len());
            index.arms.push(ArmWords { name: arm.name(), label: arm.label(), class: class(arm) });
        }
        for one in answered {
            let question = *questions.entry(one.question).or_insert_with(|| {
                index.questions.push(QuestionWords {
                    asked: clip(&one.asked),
                    expected: clip(&one.expected),
                    kind: kind(one.task, one.form),
                    set: one.set.to_string(),
                });
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

impl ShownAnswer {
    fn new(one: &Answered) -> ShownAnswer {
        let recitations = &one.judgement.recitations;
        ShownAnswer {
            prompt: clip(&one.prompt),
            completion: clip(&one.completion),
            answer: one.judgement.answer.as_deref().map(clip),
            facts: recitations.iter().take(MOST_FACTS).map(|fact| (letter(fact), clip(&fact.text))).collect(),
            facts_left_out: recitations.len().saturating_sub(MOST_FACTS),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::Value;

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
    fn a_runaway_completion_is_clipped() {
        let mut one = fixture::answers().remove(0);
        one.completion = "é ".repeat(1 << 20);
        let fact = Recitation { text: "x".into(), claim: None, is_true: false, relevant: false };
        one.judgement.recitations = vec![fact; 1_000];
        let shown = ShownAnswer::new(&one);
        assert!(shown.completion.chars().count() < LONGEST + 50);
        assert_eq!((shown.facts.len(), shown.facts_left_out), (MOST_FACTS, 1_000 - MOST_FACTS));
    }

    #[test]
    fn a_run_without_answers_has_an_empty_reader() {
        let reader = Reader::new(&[]).unwrap();
        assert_eq!(unpack(&reader.index)["arm"], Value::Array(vec![]));
        assert!(reader.blocks.is_empty());
    }
}
